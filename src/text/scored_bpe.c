/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Joining by scores (see scored.h): symbols are stretches of the text, in a linked list; a heap holds rank << 32 | left
 * symbol of each pair whose text is a piece. An entry whose rank is no longer that of its pair is stale.
 */
#include "text/scored_bpe.h"

#include <stdlib.h>
#include <string.h>

#include "text/min_heap.h"
#include "text/utf8.h"

#define NONE UINT32_MAX

typedef struct symbol {
  uint32_t start, end;     /* in the text; equal: it was joined to another */
  uint32_t previous, next; /* or NONE */
  uint32_t rank, joined;   /* of the pair with the next one: rank or NONE, and the piece */
  bool frozen;             /* a user-defined piece, which is not joined */
} symbol;

typedef struct joiner {
  const scored_model *m;
  scored_scratch *scratch;
  const char *text;
  symbol *symbols;
  uint64_t *heap;
  size_t n, n_heap;
} joiner;

/* Characters and user-defined pieces. */
static void cut_symbols(joiner *j, size_t bytes) {
  for (size_t at = 0; at < bytes;) {
    uint32_t id;
    size_t length = j->m->user_defined ? prefix_tree_longest(j->m->user_defined, j->text + at, bytes - at, &id) : 0;
    const bool frozen = length > 0;
    if (!frozen) length = utf8_length(j->text[at]);
    j->symbols[j->n] = (symbol){.start = (uint32_t)at,
                                .end = (uint32_t)(at + length),
                                .previous = j->n > 0 ? (uint32_t)j->n - 1 : NONE,
                                .next = at + length < bytes ? (uint32_t)j->n + 1 : NONE,
                                .frozen = frozen};
    j->n++;
    at += length;
  }
}

/* Look the pair of a symbol and its next one up, and put it on the heap if it can be joined. */
static void look_up(joiner *j, uint32_t left) {
  symbol *s = &j->symbols[left];
  s->rank = NONE;
  if (s->next == NONE) return;
  const symbol *right = &j->symbols[s->next];
  if (s->frozen || right->frozen) return;
  const uint32_t id = vocab_find(&j->m->pieces, j->text + s->start, right->end - s->start);
  if (id == VOCAB_NONE || j->m->ranks[id] == NONE) return;
  s->rank = j->m->ranks[id];
  s->joined = id;
  heap_push(j->heap, &j->n_heap, (uint64_t)s->rank << 32 | left);
  if (j->m->types[id] == PIECE_UNUSED) j->scratch->splits[id] = s->end - s->start;
}

static void join_all(joiner *j) {
  for (uint32_t i = 0; i + 1 < j->n; i++) look_up(j, i);
  while (j->n_heap > 0) {
    const uint64_t top = heap_pop(j->heap, &j->n_heap);
    symbol *left = &j->symbols[(uint32_t)top];
    if (left->rank != (uint32_t)(top >> 32)) continue;
    symbol *right = &j->symbols[left->next];
    left->end = right->end;
    left->next = right->next;
    right->start = right->end;
    right->rank = NONE;
    if (left->next != NONE) j->symbols[left->next].previous = (uint32_t)top;
    if (left->previous != NONE) look_up(j, left->previous);
    look_up(j, (uint32_t)top);
  }
}

/* A symbol as ids: an unused piece is taken apart again, at most as often as it has bytes. */
static ellm_status append_text(joiner *j, uint32_t start, uint32_t end, id_list *ids, ellm_error *err) {
  const scored_model *m = j->m;
  const uint32_t id = vocab_find(&m->pieces, j->text + start, end - start);
  if (id == VOCAB_NONE || m->types[id] == PIECE_BYTE || m->types[id] == PIECE_UNKNOWN || m->types[id] == PIECE_CONTROL)
    return scored_append_unknown(m, j->scratch, j->text + start, end - start, ids, err);
  const uint32_t split = m->types[id] == PIECE_UNUSED ? j->scratch->splits[id] : 0;
  if (split == 0) return scored_append(j->scratch, id, ids, err);
  ELLM_TRY(append_text(j, start, start + split, ids, err));
  return append_text(j, start + split, end, ids, err);
}

ellm_status scored_bpe_encode(const scored_model *m, scored_scratch *scratch, const char *text, size_t bytes,
                              id_list *ids, ellm_error *err) {
  size_t symbols, all;
  joiner j = {.m = m, .scratch = scratch, .text = text};
  /* on the heap: an entry a pair, two more a join, of which one was taken */
  if (!ellm_mul_size(bytes, sizeof *j.symbols, &symbols) || !ellm_mul_size(bytes, 3 * sizeof *j.heap, &all) ||
      !ellm_add_size(symbols, all, &all) || !scored_scratch_reserve(scratch, all))
    return ellm_fail_memory(err, bytes * sizeof *j.symbols, "encoding");
  if (m->has_unused && scratch->splits == NULL) {
    scratch->splits = calloc(m->pieces.count, sizeof *scratch->splits);
    if (scratch->splits == NULL) return ellm_fail_memory(err, m->pieces.count * sizeof *scratch->splits, "encoding");
  }
  j.heap = scratch->memory;
  j.symbols = (symbol *)(j.heap + 3 * bytes);
  cut_symbols(&j, bytes);
  join_all(&j);
  for (uint32_t i = 0; i != NONE; i = j.symbols[i].next)
    ELLM_TRY(append_text(&j, j.symbols[i].start, j.symbols[i].end, ids, err));
  return ELLM_OK;
}
