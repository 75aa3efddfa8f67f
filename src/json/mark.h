/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of a lenient file that have no value in jansson (json/lenient.h) become strings that begin with a mark. */
#ifndef ELLM_JSON_MARK_H
#define ELLM_JSON_MARK_H

#include <jansson.h>

/* No other string of a lenient file begins so: a text that does is merely shown like a number in messages. */
#define JSON_MARK "\0number "

/* The text of a number that has no value, as it is in the file; NULL for every other value. */
const char *json_unreadable_number(const json_t *value);

#endif
