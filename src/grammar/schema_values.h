/* SPDX-License-Identifier: Apache-2.0 */
/* Schemas of single values, and the keywords that there are. */
#ifndef ELLM_GRAMMAR_SCHEMA_VALUES_H
#define ELLM_GRAMMAR_SCHEMA_VALUES_H

#include "grammar/json_forms.h"
#include "grammar/schema_place.h"

/* Does a keyword decide about values? Others tell something about them, or are no keywords. */
bool schema_is_keyword(const char *name);
/* ELLM_ERR_INPUT, naming it: one that decides and is not supported. */
ellm_status schema_check_keywords(const schema_place *place, const json_t *schema);

ellm_status schema_string(json_forms *j, schema_place *place, const json_t *schema, expr_id *made);
ellm_status schema_number(json_forms *j, schema_place *place, const json_t *schema, bool integer, expr_id *made);

/* A string as a key that is none of the properties'; characters stand for themselves where there are any. */
expr_id form_key_besides(json_forms *j, const json_t *properties);

#endif
