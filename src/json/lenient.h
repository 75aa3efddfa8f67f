/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON as Python's json module reads it, for the files that Transformers reads
 * with it (config.json, generation_config.json, tokenizer_config.json): NaN,
 * Infinity, -Infinity, integers and exponents beyond every range, and equal
 * keys, of which the last counts. What has no value in jansson becomes a
 * string with a mark: of no type that a json_get_ function takes, so that a
 * field that is read is refused by name and value, and any other does no harm.
 */
#ifndef ELLM_JSON_LENIENT_H
#define ELLM_JSON_LENIENT_H

#include "json/json.h"
#include "json/mark.h"

/* json_parse for such files. Everything else is as strict, and as limited, as there. */
ellm_status json_parse_lenient(const void *text, size_t bytes, const char *origin, json_t **root, ellm_error *err);

#endif
