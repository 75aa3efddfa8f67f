/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two large values of tokenizer.json, "vocab" and "merges" of "model", hold
 * a hundred thousand strings and more. Making a tree of them takes longer than
 * all the rest of loading, so they are cut out here and read as a stream; the
 * small remainder, with null in their places, goes through the JSON library.
 */
#ifndef ELLM_TEXT_JSON_CUT_H
#define ELLM_TEXT_JSON_CUT_H

#include "base/memory.h"
#include "base/status.h"

typedef struct json_range { const char *text; size_t bytes; } json_range; /* text NULL: not there */

/* Find model.vocab and model.merges and append all but them to `rest`. What is
 * not JSON is passed on as it is, for the library to complain of. False: no
 * memory. */
bool json_cut(const char *json, size_t bytes, json_range *vocab, json_range *merges, ellm_buffer *rest);

/* Reading a value piece by piece; strict. */
typedef struct json_reader {
  const char *start;         /* of the input; for those who ask whether a string points into it, else NULL */
  const char *at, *end;
  ellm_buffer unescaped[2];  /* of strings with escapes; free with json_reader_free */
  bool no_memory;            /* a string could not be read for want of memory */
} json_reader;

void json_reader_free(json_reader *reader);
/* Skip white space and one character if it is `wanted`. */
bool json_reader_take(json_reader *reader, char wanted);
/* True when only white space is left. */
bool json_reader_at_end(json_reader *reader);
/* A string, valid UTF-8, into *text, which points into the input or into
 * unescaped[which]. False when there is none, or no memory. */
bool json_reader_string(json_reader *reader, int which, const char **text, size_t *bytes);
/* A non-negative integer below 2^53. */
bool json_reader_integer(json_reader *reader, uint64_t *value);
/* A number, as the nearest double; finite. */
bool json_reader_real(json_reader *reader, double *value);

#endif
