/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of JSON itself: the values of each type, and the space between them. */
#ifndef ELLM_GRAMMAR_JSON_FORMS_H
#define ELLM_GRAMMAR_JSON_FORMS_H

#include <jansson.h>

#include "grammar/rules.h"

/* Rules are made when they are first called; zero-initialize with the rules (EXPR_NONE: not made). */
typedef struct json_forms {
  grammar_rules *rules;
  uint32_t space, string, integer, number, boolean, value, object, array;
} json_forms;

void json_rules_init(json_forms *j, grammar_rules *rules);
/* At most one space, or a newline and an indentation: what may be after "{", "[", "," and ":" and before "}" and
 * "]". Not more, or a model could write nothing else for ever. */
expr_id form_space(json_forms *j);
expr_id form_string(json_forms *j);
expr_id form_integer(json_forms *j);
expr_id form_number(json_forms *j);
expr_id form_boolean(json_forms *j);
expr_id form_null(json_forms *j);
expr_id form_value(json_forms *j);
expr_id form_any_object(json_forms *j);
expr_id form_any_array(json_forms *j);

/* One character of a string as JSON writes it; an escaped one outside of the first 65,536 is a pair of escapes. */
expr_id form_character(json_forms *j);
/* The same of a class of characters; those that cannot stand for themselves are escaped. */
expr_id form_class(json_forms *j, code_range *ranges, size_t n, bool inverted);
/* One value as a text, EXPR_NONE after failures. */
expr_id form_literal(json_forms *j, const json_t *value);

/* "{" members "}" and "[" elements "]", with space. Each `inner` is not empty. */
expr_id form_braces(json_forms *j, expr_id members);
expr_id form_brackets(json_forms *j, expr_id elements);
expr_id form_empty(json_forms *j, const char *open, const char *close);
/* "," space item */
expr_id form_next(json_forms *j, expr_id item);
/* key ":" space value */
expr_id form_member(json_forms *j, expr_id key, expr_id value);

#endif
