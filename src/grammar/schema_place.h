/* SPDX-License-Identifier: Apache-2.0 */
/* Where a reader of a schema is, and what it says when it cannot continue. */
#ifndef ELLM_GRAMMAR_SCHEMA_PLACE_H
#define ELLM_GRAMMAR_SCHEMA_PLACE_H

#include <jansson.h>

#include "grammar/rules.h"

typedef struct schema_place {
  const char *origin;
  ellm_buffer pointer; /* a JSON pointer, NUL-terminated, the NUL not counted */
  ellm_error *err;
} schema_place;

/* Go into a part of the schema, and back: to what schema_into returned. Memory that is not to be had shortens the
 * pointer. */
size_t schema_into(schema_place *place, const char *part);
size_t schema_into_index(schema_place *place, size_t index);
void schema_back(schema_place *place, size_t mark);

/* ELLM_ERR_INPUT, "ORIGIN: #POINTER: ..." */
ellm_status schema_fail(const schema_place *place, const char *format, ...) ELLM_PRINTF(2, 3);
/* "FIELD is VALUE, WANTED is expected" */
ellm_status schema_wrong(const schema_place *place, const json_t *value, const char *field, const char *wanted);
/* A number of at least 0 and at most RULES_MOST_COUNT; *out stays where there is none. */
ellm_status schema_count(const schema_place *place, const json_t *schema, const char *field, uint32_t *out);

#endif
