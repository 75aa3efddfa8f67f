/* SPDX-License-Identifier: Apache-2.0 */
#include "text/tokenizer_build.h"

#include <stdlib.h>
#include <string.h>

#include "text/bpe_build.h"
#include "text/companion.h"
#include "text/pretokenize_load.h"
#include "text/tokenizer.h"

/* Tables by id and by content over model and added tokens. */
static ellm_status build_indices(ellm_tokenizer *t, const char *origin, ellm_error *err) {
  const vocab *pieces = tokenizer_pieces(&t->parts);
  uint32_t limit = 0;
  for (size_t i = 0; i < pieces->count; ++i) {
    if (pieces->pieces[i].id >= limit) limit = pieces->pieces[i].id + 1;
  }
  for (size_t i = 0; i < t->parts.added.count; ++i) {
    if (t->parts.added.items[i].id >= limit) limit = t->parts.added.items[i].id + 1;
  }
  t->id_limit = limit;
  t->by_id = calloc((size_t)limit + 1, sizeof *t->by_id);
  if (!t->by_id) return ellm_fail_memory(err, limit * sizeof *t->by_id, "vocabulary");
  for (size_t i = 0; i < pieces->count; ++i) t->by_id[pieces->pieces[i].id] = (uint32_t)i + 1;
  ELLM_TRY(vocab_init(&t->added_by_content, t->parts.added.count, err));
  for (size_t i = 0; i < t->parts.added.count; ++i) {
    const added_token *token = &t->parts.added.items[i];
    uint32_t there = t->by_id[token->id];
    if (there != 0 && vocab_find(pieces, token->content, token->content_bytes) != token->id) {
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: id %u is given to added token \"%s\" and to piece \"%s\"", origin,
                       token->id, token->content, vocab_string(pieces, &pieces->pieces[there - 1]));
    }
    t->by_id[token->id] = ID_IS_ADDED | (uint32_t)i;
    ELLM_TRY(vocab_add(&t->added_by_content, token->content, token->content_bytes, (uint32_t)i, err));
  }
  return ELLM_OK;
}

ellm_status tokenizer_build(tokenizer_parts *parts, const char *origin, ellm_tokenizer **tokenizer, ellm_error *err) {
  ellm_tokenizer *t = calloc(1, sizeof *t);
  *tokenizer = NULL;
  if (!t) {
    tokenizer_parts_free(parts);
    memset(parts, 0, sizeof *parts);
    return ellm_fail_memory(err, sizeof *t, "tokenizer");
  }
  t->parts = *parts;
  memset(parts, 0, sizeof *parts);
  const normalizer *n = &t->parts.normalizer;
  ellm_status status = pretokenizer_check(&t->parts.pretokenizer, n, origin, err);
  if (status == ELLM_OK) status = added_tokens_build(&t->parts.added, tokenizer_pieces(&t->parts), n, origin, err);
  if (status == ELLM_OK) status = build_indices(t, origin, err);
  if (status == ELLM_OK) status = tokenizer_companion_create(&t->companion, err);
  if (status != ELLM_OK) {
    ellm_tokenizer_free(t);
    return status;
  }
  *tokenizer = t;
  return ELLM_OK;
}

void tokenizer_parts_free(tokenizer_parts *parts) {
  normalizer_free(&parts->normalizer);
  pretokenizer_free(&parts->pretokenizer);
  bpe_free(&parts->model);
  scored_free(&parts->scored);
  added_tokens_free(&parts->added);
  post_processor_free(&parts->post);
  decoder_free(&parts->decoder);
}

void ellm_tokenizer_free(ellm_tokenizer *t) {
  if (!t) return;
  tokenizer_parts_free(&t->parts);
  vocab_free(&t->added_by_content);
  tokenizer_companion_destroy(t->companion);
  free(t->by_id);
  free(t);
}
