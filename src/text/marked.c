/* SPDX-License-Identifier: Apache-2.0 */
/* Choosing and placing markers; text_encode_marked is in encode.c. See marked.h. */
#include "text/marked.h"

#include <string.h>

#include "text/tokenizer.h"
#include "text/utf8.h"

enum { FIRST_CANDIDATE = 0xF0000, N_CANDIDATES = 0xFFFE }; /* plane 15; four bytes each */

bool text_marker_choose(const char *text, size_t bytes, text_marker *markers, size_t n) {
  uint8_t used[N_CANDIDATES / 8 + 1] = {0};
  for (size_t i = 0; i + TEXT_MARKER_BYTES <= bytes; ++i) {
    uint32_t cp;
    if ((uint8_t)text[i] != 0xF3) continue; /* how all candidates begin */
    utf8_decode(text + i, &cp);
    if (cp - FIRST_CANDIDATE < N_CANDIDATES) used[(cp - FIRST_CANDIDATE) / 8] |= (uint8_t)(1 << cp % 8);
  }
  size_t chosen = 0;
  for (uint32_t i = 0; i < N_CANDIDATES && chosen < n; ++i) {
    if (!(used[i / 8] >> i % 8 & 1)) utf8_encode(FIRST_CANDIDATE + i, markers[chosen++].bytes);
  }
  return chosen == n;
}

static size_t longest_special(const ellm_tokenizer *t, const token_matcher *matcher, const char *text, size_t bytes) {
  size_t longest = 0;
  for (size_t i = 0; i < matcher->count; ++i) {
    const added_token *token = &t->parts.added.items[matcher->order[i]];
    if (token->special && token->content_bytes <= bytes && token->content_bytes > longest &&
        token->content[0] == text[0] && memcmp(token->content, text, token->content_bytes) == 0)
      longest = token->content_bytes;
  }
  return longest;
}

size_t text_special_bytes(const ellm_tokenizer *tokenizer, const char *text, size_t bytes) {
  const size_t raw = longest_special(tokenizer, &tokenizer->parts.added.raw, text, bytes);
  const size_t normalized = longest_special(tokenizer, &tokenizer->parts.added.normalized, text, bytes);
  return raw > normalized ? raw : normalized;
}

/* Has a special token that is looked for in normalized text its normalized form in this one? */
static bool special_within(const ellm_tokenizer *t, const char *text, size_t bytes) {
  for (size_t i = 0; i < t->parts.added.normalized.count; ++i) {
    const added_token *token = &t->parts.added.items[t->parts.added.normalized.order[i]];
    for (size_t at = 0; token->special && at + token->pattern_bytes <= bytes; ++at)
      if (memcmp(text + at, token->pattern, token->pattern_bytes) == 0) return true;
  }
  return false;
}

/* Could normalization make a special token of a text that is marked already? */
static ellm_status special_by_normalization(const ellm_tokenizer *t, const char *text, size_t bytes, bool *found,
                                            ellm_error *err) {
  ellm_buffer normalized = {0}, spare = {0};
  regex_scratch scratch = {0};
  size_t origin = 0;
  *found = false;
  if (t->parts.normalizer.count == 0 || t->parts.added.normalized.count == 0 || bytes == 0) return ELLM_OK;
  ellm_status status = ellm_buffer_append(&normalized, text, bytes) ? ELLM_OK : ellm_fail_memory(err, bytes, "a text");
  if (status == ELLM_OK) status = normalize(&t->parts.normalizer, &scratch, &normalized, &spare, &origin, err);
  if (status == ELLM_OK) *found = special_within(t, (const char *)normalized.data, normalized.size);
  ellm_buffer_free(&normalized);
  ellm_buffer_free(&spare);
  regex_scratch_free(&scratch);
  return status;
}

static bool mark(const ellm_tokenizer *t, const text_marker *marker, const char *text, size_t bytes, bool everywhere,
                 ellm_buffer *out) {
  for (size_t at = 0, n; at < bytes; at += n) {
    n = utf8_length(text[at]);
    const bool special = everywhere || text_special_bytes(t, text + at, bytes - at) > 0;
    if (!ellm_buffer_append(out, text + at, n)) return false;
    if (special && !ellm_buffer_append(out, marker->bytes, TEXT_MARKER_BYTES)) return false;
  }
  return true;
}

ellm_status text_mark_special(const ellm_tokenizer *tokenizer, const text_marker *marker, const char *text,
                              size_t bytes, ellm_buffer *out, ellm_error *err) {
  const size_t start = out->size;
  bool left = false;
  if (bytes == 0) return ELLM_OK; /* `out` may have no memory yet */
  if (!mark(tokenizer, marker, text, bytes, false, out)) return ellm_fail_memory(err, bytes, "a message");
  ELLM_TRY(special_by_normalization(tokenizer, (const char *)out->data + start, out->size - start, &left, err));
  if (!left) return ELLM_OK;
  out->size = start; /* no characters that are marked one by one become a token */
  return mark(tokenizer, marker, text, bytes, true, out) ? ELLM_OK : ellm_fail_memory(err, bytes, "a message");
}
