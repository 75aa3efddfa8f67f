/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: upper, lower and title case of characters. */
#ifndef ELLM_TEMPLATE_CASE_H
#define ELLM_TEMPLATE_CASE_H

#include "template/value/value.h"

bool tpl_is_upper(uint32_t cp);
bool tpl_is_lower(uint32_t cp);
bool tpl_is_cased(uint32_t cp); /* either, or title case */

/* Shared by filters and methods. */
typedef enum tpl_case { CASE_UPPER, CASE_LOWER, CASE_TITLE, CASE_CAPITALIZE } tpl_case;
/* Some letter with a case, and none of the other. */
bool tpl_is_cased_text(const tpl_string *text, bool upper);
bool tpl_change_case(tpl_limits *limits, const tpl_string *text, tpl_case how, tpl_value *out);

#endif
