/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the components of tokenizer.json: each is an object with a "type",
 * or a "Sequence" of such. Sequences are flattened into one array of steps.
 */
#ifndef ELLM_TEXT_COMPONENT_H
#define ELLM_TEXT_COMPONENT_H

#include <jansson.h>

#include "base/status.h"
#include "text/regex.h"

enum { COMPONENT_MAX_STEPS = 64, COMPONENT_MAX_DEPTH = 8 };

/* What is being read, for errors: "tokenizer.json: normalizer". */
typedef struct component_place { const char *origin, *part; } component_place;

/* Called for each step in order, with its "type". */
typedef ellm_status (*component_fn)(void *user, const json_t *object, const char *type, const component_place *place,
                                    ellm_error *err);

/* Walk a component (NULL and null: nothing). `list_field` names the array of a
 * Sequence ("normalizers", ...). */
ellm_status component_walk(const json_t *component, const char *list_field, const component_place *place,
                           component_fn fn, void *user, ellm_error *err);

/* ELLM_ERR_INPUT that names part and type. */
ellm_status component_unsupported(const component_place *place, const char *type, ellm_error *err);

/* ELLM_ERR_INPUT that names part, field and value. */
ellm_status component_wrong(const json_t *value, const char *field, const component_place *place, const char *wanted,
                            ellm_error *err);

ellm_status component_bool(const json_t *object, const char *field, bool required, const component_place *place,
                           bool *out, ellm_error *err);
/* A string with its length; may hold NUL. Required. */
ellm_status component_string(const json_t *object, const char *field, const component_place *place, const char **text,
                             size_t *bytes, ellm_error *err);
/* A string of exactly one character. Required. */
ellm_status component_character(const json_t *object, const char *field, const component_place *place, uint32_t *cp,
                                ellm_error *err);
/* "pattern": {"String": ..} or {"Regex": ..}. */
ellm_status component_pattern(const json_t *object, const component_place *place, text_regex **regex, ellm_error *err);

#endif
