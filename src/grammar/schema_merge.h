/* SPDX-License-Identifier: Apache-2.0 */
/* Two schemas that both hold, as one. */
#ifndef ELLM_GRAMMAR_SCHEMA_MERGE_H
#define ELLM_GRAMMAR_SCHEMA_MERGE_H

#include "grammar/schema_place.h"

/* *merged is new. ELLM_ERR_INPUT, naming the keyword, where one cannot be said in one schema. */
ellm_status schema_merge(const schema_place *place, const json_t *a, const json_t *b, json_t **merged);
/* Can no value be valid under both? False where that is not plain. `root` is where references are looked up. */
bool schema_disjoint(const json_t *root, const json_t *a, const json_t *b);
/* What a reference "#/..." points at, or NULL. */
const json_t *schema_target(const json_t *root, const char *reference);
/* Does the keyword only tell something about values? */
bool schema_is_annotation(const char *keyword);
/* Is the value of the type of this name? */
bool schema_value_has_type(const json_t *value, const char *type);
/* "required" lists the property. */
bool schema_requires(const json_t *schema, const char *name);
/* "type" lists it, or there is none. */
bool schema_has_type(const json_t *schema, const char *type);

#endif
