/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: upper, lower and title case of characters. */
#ifndef ELLM_TEMPLATE_CASE_H
#define ELLM_TEMPLATE_CASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct tpl_special_case { uint32_t cp, upper[3], title[3]; } tpl_special_case;
extern const tpl_special_case tpl_special_cases[];
extern const size_t tpl_n_special_cases;

typedef struct tpl_case_range { uint32_t first, last; } tpl_case_range;
extern const tpl_case_range tpl_lower_marks[];
extern const size_t tpl_n_lower_marks;

bool tpl_is_upper(uint32_t cp);
bool tpl_is_lower(uint32_t cp);
bool tpl_is_cased(uint32_t cp); /* either, or title case */

#endif
