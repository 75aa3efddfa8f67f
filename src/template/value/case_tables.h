/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chat templates: characters whose upper or title case is several ones, and marks
 * that change nothing of the case of what is beside them.
 */
#ifndef ELLM_TEMPLATE_CASE_TABLES_H
#define ELLM_TEMPLATE_CASE_TABLES_H

#include <stddef.h>
#include <stdint.h>

typedef struct tpl_special_case { uint32_t cp, upper[3], title[3]; } tpl_special_case;

typedef struct tpl_case_range { uint32_t first, last; } tpl_case_range;
extern const tpl_special_case tpl_special_cases[];
extern const size_t tpl_n_special_cases;
extern const tpl_case_range tpl_lower_marks[];
extern const size_t tpl_n_lower_marks;

#endif
