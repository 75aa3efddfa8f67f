/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: a tokenizer.json and, behind the first NUL byte, a text. Where
 * the file is accepted, the text is encoded in every way and decoded as a whole
 * and as a stream, and so are its bytes taken as ids.
 */
#include <stdlib.h>
#include <string.h>

#include "text/stream.h"
#include "text/utf8.h"
#include "want.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool has_replacement(const char *text, size_t bytes) {
  for (size_t i = 0; i + 3 <= bytes; i++) {
    if (memcmp(text + i, "\xEF\xBF\xBD", 3) == 0) return true;
  }
  return false;
}

/* All parts of a stream, each in whole characters; NULL when it failed. */
static char *streamed(const ellm_tokenizer *t, const uint32_t *ids, size_t n, bool skip_special, size_t *total) {
  ellm_stream *stream;
  ellm_error err = {0};
  char *joined = malloc(1);
  *total = 0;
  if (ellm_stream_create(t, skip_special, &stream, &err) != ELLM_OK) abort();
  for (size_t i = 0; i <= n && joined != NULL; i++) {
    const char *part;
    size_t bytes;
    ellm_status status =
        i < n ? ellm_stream_next(stream, ids[i], &part, &bytes, &err) : ellm_stream_flush(stream, &part, &bytes, &err);
    want(status == ELLM_OK || status == ELLM_ERR_INPUT);
    if (status != ELLM_OK) {
      free(joined);
      joined = NULL;
      break;
    }
    want(utf8_is_valid(part, bytes) && part[bytes] == '\0');
    char *longer = realloc(joined, *total + bytes + 1);
    if (longer == NULL) abort();
    joined = longer;
    memcpy(joined + *total, part, bytes);
    *total += bytes;
  }
  ellm_stream_free(stream);
  return joined;
}

static void decode(const ellm_tokenizer *t, const uint32_t *ids, size_t n) {
  for (int skip_special = 0; skip_special < 2; skip_special++) {
    char *text;
    size_t bytes, stream_bytes;
    ellm_error err = {0};
    ellm_status status = ellm_tokenizer_decode(t, ids, n, skip_special, &text, &bytes, &err);
    want(status == ELLM_OK || (status == ELLM_ERR_INPUT && text == NULL && err.message[0] != '\0'));
    char *parts = streamed(t, ids, n, skip_special, &stream_bytes);
    if (status == ELLM_OK) {
      want(utf8_is_valid(text, bytes) && text[bytes] == '\0');
      if (parts != NULL && !has_replacement(text, bytes) && !has_replacement(parts, stream_bytes)) {
        want(bytes == stream_bytes && memcmp(text, parts, bytes) == 0);
      }
    }
    free(parts);
    free(text);
  }
}

static void use(const ellm_tokenizer *t, const char *text, size_t bytes) {
  for (unsigned flags = 0; flags < 4; flags++) {
    uint32_t *ids;
    size_t n;
    ellm_error err = {0};
    ellm_status status = ellm_tokenizer_encode(t, text, bytes, flags, &ids, &n, &err);
    want(status == ELLM_OK || (status == ELLM_ERR_INPUT && ids == NULL && err.message[0] != '\0'));
    if (status != ELLM_OK) continue;
    for (size_t i = 0; i < n && (flags & ELLM_ENCODE_NO_POST); i++) {
      want(ids[i] < ellm_tokenizer_vocab_size(t) && ellm_tokenizer_piece(t, ids[i]) != NULL);
    }
    decode(t, ids, n);
    free(ids);
  }
  uint32_t *ids = calloc(bytes + 1, sizeof *ids);
  if (ids == NULL) return;
  for (size_t i = 0; i < bytes; i++) ids[i] = (uint8_t)text[i];
  decode(t, ids, bytes);
  free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const uint8_t *end = size > 0 ? memchr(data, 0, size) : NULL;
  size_t json_bytes = end != NULL ? (size_t)(end - data) : size, text_bytes = end != NULL ? size - json_bytes - 1 : 0;
  void *json = copy_of(data, json_bytes), *text = copy_of(end != NULL ? end + 1 : NULL, text_bytes);
  if (json != NULL && text != NULL) {
    ellm_tokenizer *t;
    ellm_error err = {0};
    ellm_status status = ellm_tokenizer_create(json, json_bytes, "fuzz", &t, &err);
    want(status == ELLM_OK || (status == ELLM_ERR_INPUT && t == NULL && err.message[0] != '\0'));
    if (status == ELLM_OK) use(t, text, text_bytes);
    ellm_tokenizer_free(t);
  }
  free(json);
  free(text);
  return 0;
}
