/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The body of a request: JSON within limits, and its fields by type and range.
 * A field that is null counts as not given, as OpenAI's clients send it. What is
 * wrong is named by its field. All functions return false then.
 */
#ifndef ELLM_SERVE_FIELDS_H
#define ELLM_SERVE_FIELDS_H

#include <jansson.h>

#include "serve/problem.h"

enum {
  FIELDS_MAX_DEPTH = 64,       /* of objects and arrays in each other */
  FIELDS_MAX_VALUES = 500000   /* of a body, counted by commas, colons and brackets */
};

/* An object; keys must differ, text must be UTF-8 and hold no NUL, numbers must be finite. The caller owns *body. */
bool fields_parse(const char *data, size_t bytes, json_t **body, problem *p);

/* These leave *value alone where the field is not there. *given may be NULL. */
bool field_real(const json_t *body, const char *name, double low, double high, double *value, bool *given, problem *p);
bool field_int(const json_t *body, const char *name, json_int_t low, json_int_t high, json_int_t *value, bool *given,
               problem *p);
bool field_bool(const json_t *body, const char *name, bool *value, problem *p);
/* Owned by the body. */
bool field_text(const json_t *body, const char *name, const char **value, problem *p);
bool field_object(const json_t *body, const char *name, json_t **value, problem *p);
bool field_array(const json_t *body, const char *name, json_t **value, problem *p);
/* Is the field there, and not null? */
bool field_given(const json_t *body, const char *name);

#endif
