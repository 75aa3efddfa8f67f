/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public tokenizer: built from its parts (tokenizer_parts.h), and the way of
 * a text through them, in the order of the `tokenizers` library:
 *
 *   raw text -> added tokens (not normalized) -> normalizer, for each stretch
 *   between them -> added tokens (normalized) -> pre-tokenizer, for each
 *   stretch -> the model, for each word -> post-processor.
 *
 * Truncation and padding settings of tokenizer.json are not looked at: they are
 * for batches, and Transformers turns them off unless they are asked for.
 * All state of a call is its own, so calls may run at the same time.
 */
#include "text/encode.h"

#include <stdlib.h>
#include <string.h>

#include "text/scored_encode.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

/* ------------------------------------------------------------------ encoding */

typedef struct encoding {
  const ellm_tokenizer *tokenizer;
  bool special_as_text;
  const text_marker *marker; /* of marked text, else NULL */
  bool late_markers;         /* special tokens are looked for in normalized text, too: till then they stay */
  regex_scratch regex;
  bpe_scratch bpe;
  scored_scratch scored;
  split_state split;
  ellm_buffer normalized, spare;
  id_list ids;
} encoding;

static void encoding_free(encoding *e) {
  regex_scratch_free(&e->regex);
  bpe_scratch_free(&e->bpe);
  scored_scratch_free(&e->scored);
  split_state_free(&e->split);
  ellm_buffer_free(&e->normalized);
  ellm_buffer_free(&e->spare);
  free(e->ids.items);
}

static bool marker_at(const encoding *e, const char *text, size_t bytes) {
  return e->marker && bytes >= TEXT_MARKER_BYTES && memcmp(text, e->marker->bytes, TEXT_MARKER_BYTES) == 0;
}

/* Take the markers out of a text. */
static void remove_markers(const encoding *e, ellm_buffer *text, size_t *origin) {
  size_t kept = 0;
  if (!e->marker) return;
  for (size_t at = 0; at < text->size;) {
    if (marker_at(e, (const char *)text->data + at, text->size - at)) at += TEXT_MARKER_BYTES;
    else text->data[kept++] = text->data[at++];
  }
  text->size = kept;
  if (*origin > kept) *origin = kept;
}

/* Is this segment a token? Not if it is special, of one character, and marked: longer ones are not found. */
static bool segment_is_token(const encoding *e, const added_segment *segment, const char *text, size_t bytes) {
  return segment->token && !(segment->token->special && marker_at(e, text + segment->end, bytes - segment->end));
}

/* A normalized stretch without added tokens. */
static ellm_status encode_stretch(encoding *e, const char *text, size_t bytes, size_t origin, ellm_error *err) {
  const ellm_tokenizer *t = e->tokenizer;
  e->split.text.size = 0;
  e->split.pieces.count = 0;
  if (!ellm_buffer_append(&e->split.text, text, bytes)) return ellm_fail_memory(err, bytes, "encoding");
  remove_markers(e, &e->split.text, &origin);
  bytes = e->split.text.size;
  if (bytes == 0) return ELLM_OK;
  if (!piece_list_append(&e->split.pieces, 0, bytes, origin)) return ellm_fail_memory(err, bytes, "encoding");
  ELLM_TRY(pretokenize(&t->parts.pretokenizer, &e->regex, &e->split, err));
  for (size_t i = 0; i < e->split.pieces.count; ++i) {
    const text_piece *p = &e->split.pieces.items[i];
    const char *word = (const char *)e->split.text.data + p->start;
    const size_t length = p->end - p->start;
    if (t->parts.scored.kind != SCORED_NONE)
      ELLM_TRY(scored_encode(&t->parts.scored, &e->scored, word, length, &e->ids, err));
    else
      ELLM_TRY(bpe_encode(&t->parts.model, &e->bpe, word, length, &e->ids, err));
  }
  return ELLM_OK;
}

static ellm_status append_id(encoding *e, uint32_t id, ellm_error *err) {
  return id_list_append(&e->ids, &id, 1) ? ELLM_OK : ellm_fail_memory(err, e->ids.count * sizeof id, "ids");
}

/* A raw stretch between added tokens that are not normalized. */
static ellm_status encode_raw(encoding *e, const char *text, size_t bytes, size_t origin, ellm_error *err) {
  const ellm_tokenizer *t = e->tokenizer;
  e->normalized.size = 0;
  if (!ellm_buffer_append(&e->normalized, text, bytes)) return ellm_fail_memory(err, bytes, "encoding");
  if (!e->late_markers) remove_markers(e, &e->normalized, &origin);
  ELLM_TRY(normalize(&t->parts.normalizer, &e->regex, &e->normalized, &e->spare, &origin, err));
  const char *normalized = (const char *)e->normalized.data;
  added_cursor cursor = {0};
  added_segment segment;
  const added_tokens *added = &t->parts.added;
  while (added_next(added, &added->normalized, e->special_as_text, normalized, e->normalized.size, &cursor, &segment)) {
    if (segment_is_token(e, &segment, normalized, e->normalized.size)) {
      ELLM_TRY(append_id(e, segment.token->id, err));
      continue;
    }
    size_t length = segment.end - segment.start, rest = origin > segment.start ? origin - segment.start : 0;
    ELLM_TRY(encode_stretch(e, normalized + segment.start, length, rest < length ? rest : length, err));
  }
  return ELLM_OK;
}

static ellm_status encode_text(encoding *e, const char *text, size_t bytes, ellm_error *err) {
  const added_tokens *added = &e->tokenizer->parts.added;
  added_cursor cursor = {0};
  added_segment segment;
  while (added_next(added, &added->raw, e->special_as_text, text, bytes, &cursor, &segment)) {
    if (segment_is_token(e, &segment, text, bytes)) {
      ELLM_TRY(append_id(e, segment.token->id, err));
    } else {
      size_t origin = segment.start == 0 ? utf8_length(text[0]) : 0;
      ELLM_TRY(encode_raw(e, text + segment.start, segment.end - segment.start, origin, err));
    }
  }
  return ELLM_OK;
}

static ellm_status encode_with(encoding *e, const char *text, size_t bytes, bool post, ellm_error *err) {
  const post_processor *added = &e->tokenizer->parts.post;
  if (post && !id_list_append(&e->ids, added->before.items, added->before.count)) {
    return ellm_fail_memory(err, 4, "ids");
  }
  if (utf8_is_valid(text, bytes)) {
    ELLM_TRY(encode_text(e, text, bytes, err));
  } else {
    ellm_buffer valid = {0};
    ellm_status status = utf8_append_replaced(&valid, text, bytes)
                             ? encode_text(e, (const char *)valid.data, valid.size, err)
                             : ellm_fail_memory(err, bytes, "encoding");
    ellm_buffer_free(&valid);
    if (status != ELLM_OK) return status;
  }
  if (post && !id_list_append(&e->ids, added->after.items, added->after.count)) return ellm_fail_memory(err, 4, "ids");
  return ELLM_OK;
}

/* Ends a call: the ids go to the caller, all else is freed. */
static ellm_status finish_encoding(encoding *e, ellm_status status, uint32_t **ids, size_t *n_ids, ellm_error *err) {
  if (status == ELLM_OK && !e->ids.items) { /* no ids: the caller still gets something to free */
    e->ids.items = malloc(sizeof *e->ids.items);
    if (!e->ids.items) status = ellm_fail_memory(err, sizeof *e->ids.items, "ids");
  }
  if (status == ELLM_OK) {
    *ids = e->ids.items;
    *n_ids = e->ids.count;
    e->ids.items = NULL;
  }
  encoding_free(e);
  return status;
}

ellm_status ellm_tokenizer_encode(const ellm_tokenizer *tokenizer, const char *text, size_t bytes, unsigned flags,
                                  uint32_t **ids, size_t *n_ids, ellm_error *err) {
  *ids = NULL;
  *n_ids = 0;
  if (flags & ~(unsigned)(ELLM_ENCODE_NO_POST | ELLM_ENCODE_SPECIAL_AS_TEXT)) {
    return ellm_fail(err, ELLM_ERR_USAGE, "unknown flags %#x for encoding", flags);
  }
  encoding e = {.tokenizer = tokenizer, .special_as_text = flags & ELLM_ENCODE_SPECIAL_AS_TEXT};
  ellm_status status = encode_with(&e, text ? text : "", text ? bytes : 0, !(flags & ELLM_ENCODE_NO_POST), err);
  return finish_encoding(&e, status, ids, n_ids, err);
}

ellm_status text_encode_marked(const ellm_tokenizer *tokenizer, const text_marker *marker, const char *text,
                               size_t bytes, uint32_t **ids, size_t *n_ids, ellm_error *err) {
  const normalizer *n = &tokenizer->parts.normalizer;
  const added_tokens *added = &tokenizer->parts.added;
  encoding e = {.tokenizer = tokenizer, .marker = marker};
  *ids = NULL;
  *n_ids = 0;
  for (size_t i = 0; i < added->normalized.count; ++i) {
    if (added->items[added->normalized.order[i]].special) e.late_markers = true;
  }
  for (size_t i = 0; i < n->count && e.late_markers; ++i) {
    if (n->steps[i].kind == NORMALIZE_BYTE_LEVEL) { /* the marker would not survive it */
      return ellm_fail(err, ELLM_ERR_INPUT, "a ByteLevel normalizer together with normalized special tokens: "
                                            "special tokens in messages cannot be kept apart");
    }
  }
  return finish_encoding(&e, encode_with(&e, text, bytes, false, err), ids, n_ids, err);
}
