/* SPDX-License-Identifier: Apache-2.0 */
/* JSON through jansson, with the limits and the errors that untrusted files need. */
#ifndef ELLM_JSON_JSON_H
#define ELLM_JSON_JSON_H

#include <jansson.h>

#include "base/status.h"

enum { JSON_MAX_VALUES = 1 << 22 };

/* Parse one JSON value (duplicate keys refused, NUL in strings allowed, depth
 * and number of values limited). `origin` names it in errors. Caller
 * json_decref's *root. */
ellm_status json_parse(const void *text, size_t bytes, const char *origin, json_t **root, ellm_error *err);
/* The same with jansson's flags; JSON_ALLOW_NUL and JSON_DECODE_ANY are always set. Files that Python reads are parsed
 * by json_parse_lenient (lenient.h). */
ellm_status json_parse_with(size_t flags, const void *text, size_t bytes, const char *origin, json_t **root,
                            ellm_error *err);

/* Fields of an object. Missing: *out is left as it was and ELLM_OK returned,
 * unless `required`. null counts as missing. A wrong type or range is
 * ELLM_ERR_INPUT naming origin, field and value. */
ellm_status json_get_u32(const json_t *object, const char *field, bool required, const char *origin, uint32_t *out,
                         ellm_error *err);
ellm_status json_get_u64(const json_t *object, const char *field, bool required, const char *origin, uint64_t *out,
                         ellm_error *err);
ellm_status json_get_double(const json_t *object, const char *field, bool required, const char *origin, double *out,
                            ellm_error *err);
ellm_status json_get_bool(const json_t *object, const char *field, bool required, const char *origin, bool *out,
                          ellm_error *err);
/* Borrowed from the object; UTF-8, NUL-terminated, no NUL inside. */
ellm_status json_get_string(const json_t *object, const char *field, bool required, const char *origin,
                            const char **out, ellm_error *err);

/* json_dumps, which leaves keys out where it runs out of memory; this is NULL then. malloc'ed. */
char *json_text(const json_t *value, size_t flags);

/* ELLM_ERR_INPUT: "ORIGIN: FIELD is VALUE, WANTED is expected". */
ellm_status json_wrong(const json_t *value, const char *field, const char *origin, const char *wanted,
                       ellm_error *err);
/* A value as errors show it: JSON of at most 79 bytes, else "a long value"; "missing" for NULL. Returns `text`. */
const char *json_brief(const json_t *value, char text[80]);

#endif
