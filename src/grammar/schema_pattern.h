/* SPDX-License-Identifier: Apache-2.0 */
/* Regular expressions of "pattern", the simple ones, and the formats of "format", as the inside of a JSON string. */
#ifndef ELLM_GRAMMAR_SCHEMA_PATTERN_H
#define ELLM_GRAMMAR_SCHEMA_PATTERN_H

#include "grammar/json_forms.h"
#include "grammar/schema_place.h"

/* Characters, escapes, classes, groups, alternatives, repetitions; "^" at the beginning and "$" at the end of
 * alternatives outside of groups; without them anything may be before and behind. ELLM_ERR_INPUT, naming it, for what
 * is not supported. */
ellm_status schema_pattern(json_forms *j, const schema_place *place, const char *pattern, expr_id *made);
/* ELLM_ERR_INPUT for a format that is not known. */
ellm_status schema_format(json_forms *j, const schema_place *place, const char *format, expr_id *made);

#endif
