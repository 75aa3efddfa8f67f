/* SPDX-License-Identifier: Apache-2.0 */
/* The "decoder" of tokenizer.json: Sequence, ByteLevel, Replace, ByteFallback,
 * Fuse, Strip, Metaspace. A decoder turns a list of strings into another. */
#ifndef ELLM_TEXT_DECODE_H
#define ELLM_TEXT_DECODE_H

#include <jansson.h>

#include "text/component.h"
#include "text/regex.h"

typedef enum decode_kind {
  DECODE_BYTE_LEVEL, DECODE_REPLACE, DECODE_BYTE_FALLBACK, DECODE_FUSE, DECODE_STRIP, DECODE_METASPACE
} decode_kind;

typedef struct decode_step {
  decode_kind kind;
  text_regex *pattern;     /* REPLACE */
  char *content;           /* REPLACE */
  size_t content_bytes;
  uint32_t character;      /* STRIP, METASPACE */
  uint32_t start, stop;    /* STRIP: at most so many characters at each end */
  bool drops_first;        /* METASPACE: marks of the first string vanish */
} decode_step;

typedef struct decoder {
  decode_step steps[COMPONENT_MAX_STEPS];
  size_t count;            /* 0: strings are joined with spaces */
  bool present;            /* a decoder was given (perhaps an empty Sequence) */
} decoder;

ellm_status decoder_load(const json_t *component, const char *origin, decoder *d, ellm_error *err);
void decoder_free(decoder *d);

/* A list of strings: string i is text[ends[i - 1]..ends[i]). Zero-initialize. */
typedef struct string_list { ellm_buffer text; size_t *ends; size_t count, capacity; } string_list;
bool string_list_end(string_list *list); /* what was appended to text since is one string */
void string_list_free(string_list *list);

/* Run all steps in place. */
ellm_status decode_strings(const decoder *d, regex_scratch *scratch, string_list *list, ellm_error *err);

/* Steps on one string, also used by streaming. A replacement ends early once
 * `out` is longer than `limit`, which the caller looks at. */
ellm_status decode_replace(const decode_step *step, regex_scratch *scratch, const char *text, size_t bytes,
                           size_t limit, ellm_buffer *out, ellm_error *err);
bool decode_strip(const decode_step *step, const char *text, size_t bytes, ellm_buffer *out);
bool decode_metaspace(const decode_step *step, bool first, const char *text, size_t bytes, ellm_buffer *out);
/* The value of a "<0xHH>" string, or -1. */
int decode_byte_piece(const char *text, size_t bytes);

#endif
