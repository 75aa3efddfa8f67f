/* SPDX-License-Identifier: Apache-2.0 */
/* See vocabulary.h. */
#include "grammar/vocabulary.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "text/companion.h"
#include "text/stream.h"

vocabulary *vocabulary_hold(vocabulary *v) {
  atomic_fetch_add(&v->holders, 1);
  return v;
}

void vocabulary_release(vocabulary *v) {
  if (!v || atomic_fetch_sub(&v->holders, 1) > 1) return;
  free(v->nodes);
  free(v->ids);
  free(v->bytes);
  free(v->begin);
  free(v);
}

/* --------------------------------------------------------------------- bytes */

static ellm_status take_bytes(vocabulary *v, const ellm_tokenizer *tokenizer, ellm_buffer *all, ellm_error *err) {
  ellm_stream *stream;
  ELLM_TRY(ellm_stream_create(tokenizer, true, &stream, err));
  ellm_status status = ELLM_OK;
  for (uint32_t id = 0; status == ELLM_OK && id < v->n_ids; id++) {
    const char *text = "";
    size_t bytes = 0;
    v->begin[id] = (uint32_t)all->size;
    if (!ellm_tokenizer_is_special(tokenizer, id)) status = ellm_stream_id_bytes(stream, id, &text, &bytes, err);
    if (bytes > VOCABULARY_LONGEST) bytes = 0;
    if (all->size + bytes > UINT32_MAX / 2) bytes = 0;
    if (!ellm_buffer_append(all, text, bytes)) status = ellm_fail_memory(err, all->size, "a vocabulary");
    if (bytes > v->longest) v->longest = (uint32_t)bytes;
    v->n_tokens += bytes > 0;
  }
  v->begin[v->n_ids] = (uint32_t)all->size;
  ellm_stream_free(stream);
  return status;
}

/* ---------------------------------------------------------------------- nodes */

typedef struct token_text { const uint8_t *bytes; uint32_t length, id; } token_text;

static int by_bytes(const void *a, const void *b) {
  const token_text *x = a, *y = b;
  const int order = memcmp(x->bytes, y->bytes, x->length < y->length ? x->length : y->length);
  if (order != 0) return order;
  if (x->length != y->length) return x->length < y->length ? -1 : 1;
  return x->id < y->id ? -1 : x->id > y->id;
}

static uint32_t common(const token_text *a, const token_text *b) {
  uint32_t n = 0;
  while (n < a->length && n < b->length && a->bytes[n] == b->bytes[n]) n++;
  return n;
}

/* Tokens in the order of their bytes: each adds the nodes that the one before it does not have. */
static void make_nodes(vocabulary *v, const token_text *texts) {
  uint32_t path[VOCABULARY_LONGEST + 1] = {0}, depth = 0, n = 1;
  v->nodes[0] = (vocabulary_node){0};
  for (uint32_t i = 0; i < v->n_tokens; i++) {
    const uint32_t shared = i > 0 ? common(&texts[i - 1], &texts[i]) : 0;
    for (; depth > shared; depth--) v->nodes[path[depth]].end = n;
    for (; depth < texts[i].length; depth++) {
      v->nodes[n] = (vocabulary_node){.first = i, .depth = (uint16_t)(depth + 1), .byte = texts[i].bytes[depth]};
      path[depth + 1] = n++;
    }
    v->ids[i] = texts[i].id;
  }
  for (; depth > 0; depth--) v->nodes[path[depth]].end = n;
  v->nodes[0].end = v->n_nodes = n;
  v->nodes[n] = (vocabulary_node){.first = v->n_tokens};
}

/* Nodes on the way to a token have none: the tokens of node i end where those of the next begin. */
static ellm_status make_tree(vocabulary *v, ellm_error *err) {
  token_text *texts = calloc((size_t)v->n_tokens + 1, sizeof *texts);
  v->ids = calloc((size_t)v->n_tokens + 1, sizeof *v->ids);
  uint32_t n = 0;
  size_t nodes = 2; /* the root and the end */
  if (!texts || !v->ids) {
    free(texts);
    return ellm_fail_memory(err, v->n_tokens * sizeof *texts, "a vocabulary");
  }
  for (uint32_t id = 0; id < v->n_ids; id++) {
    const uint32_t length = v->begin[id + 1] - v->begin[id];
    if (length > 0) texts[n++] = (token_text){v->bytes + v->begin[id], length, id};
  }
  qsort(texts, n, sizeof *texts, by_bytes);
  for (uint32_t i = 0; i < n; i++) nodes += texts[i].length - (i > 0 ? common(&texts[i - 1], &texts[i]) : 0);
  v->nodes = calloc(nodes, sizeof *v->nodes);
  if (v->nodes) make_nodes(v, texts);
  free(texts);
  return v->nodes ? ELLM_OK : ellm_fail_memory(err, nodes * sizeof *v->nodes, "a vocabulary");
}

static ellm_status make(const ellm_tokenizer *tokenizer, void **made, ellm_error *err) {
  vocabulary *v = calloc(1, sizeof *v);
  ellm_buffer all = {0};
  *made = NULL;
  if (!v) return ellm_fail_memory(err, sizeof *v, "a vocabulary");
  atomic_init(&v->holders, 1);
  v->n_ids = (uint32_t)ellm_tokenizer_vocab_size(tokenizer);
  v->begin = calloc((size_t)v->n_ids + 1, sizeof *v->begin);
  ellm_status status = v->begin ? take_bytes(v, tokenizer, &all, err)
                                : ellm_fail_memory(err, v->n_ids * sizeof *v->begin, "a vocabulary");
  v->bytes = all.data;
  if (status == ELLM_OK) status = make_tree(v, err);
  if (status == ELLM_OK) *made = v;
  else vocabulary_release(v);
  return status;
}

static void let_go(void *made) { vocabulary_release(made); }

ellm_status vocabulary_of(const ellm_tokenizer *tokenizer, vocabulary **v, ellm_error *err) {
  void *made;
  *v = NULL;
  ELLM_TRY(tokenizer_companion_get(tokenizer, make, let_go, &made, err));
  *v = vocabulary_hold(made);
  return ELLM_OK;
}
