/* SPDX-License-Identifier: Apache-2.0 */
/* Differences between Unicode versions; see unicode_tables.c. All tables ascend. */
#ifndef ELLM_TEXT_UNICODE_TABLES_H
#define ELLM_TEXT_UNICODE_TABLES_H

#include <stddef.h>
#include <stdint.h>

typedef struct unicode_range { uint32_t first, last; } unicode_range;
typedef struct unicode_addition { uint32_t first, last; char category[3]; } unicode_addition;
typedef struct unicode_shift { uint32_t first, last; int32_t distance; } unicode_shift;

extern const unicode_addition unicode_additions[];
extern const size_t unicode_additions_count;
extern const unicode_range unicode_not_punctuation[], unicode_not_accent[], unicode_inert[];
extern const size_t unicode_not_punctuation_count, unicode_not_accent_count, unicode_inert_count;
extern const unicode_shift unicode_lower[];
extern const size_t unicode_lower_count;

#endif
