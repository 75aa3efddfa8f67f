/* SPDX-License-Identifier: Apache-2.0 */
/* Byte pair encoding of one word; see bpe.h. bpe_build.c builds one. */
#include "text/bpe.h"

#include <stdlib.h>
#include <string.h>

#include "text/bpe_joins.h"
#include "text/min_heap.h"
#include "text/utf8.h"

bool id_list_append(id_list *list, const uint32_t *ids, size_t count) {
  if (list->capacity - list->count < count) {
    size_t capacity = list->capacity < 64 ? 64 : list->capacity, bytes;
    while (capacity - list->count < count) {
      if (!ellm_mul_size(capacity, 2, &capacity)) return false;
    }
    if (!ellm_mul_size(capacity, sizeof *list->items, &bytes)) return false;
    uint32_t *items = realloc(list->items, bytes);
    if (!items) return false;
    list->items = items;
    list->capacity = capacity;
  }
  if (count == 1) list->items[list->count] = ids[0];
  else if (count > 0) memcpy(list->items + list->count, ids, count * sizeof *ids);
  list->count += count;
  return true;
}

void bpe_scratch_free(bpe_scratch *scratch) {
  free(scratch->symbols.items);
  free(scratch->links);
  free(scratch->heap);
  memset(scratch, 0, sizeof *scratch);
}

/* ------------------------------------------------------- characters to symbols */

/* Append the byte pieces of a character; *done is false if one is missing. */
static bool append_byte_pieces(const bpe_model *bpe, const char *text, size_t length, id_list *symbols, bool *done) {
  uint32_t ids[4];
  *done = true;
  for (size_t i = 0; i < length; ++i) {
    ids[i] = bpe->byte_ids[(uint8_t)text[i]];
    if (ids[i] == VOCAB_NONE) *done = false;
  }
  return !*done || id_list_append(symbols, ids, length);
}

/* Where byte pieces and unknown characters mix, the unknown piece does not stay in its place: the `tokenizers` library
 * holds it back until the next known character or the end of the word, so that byte pieces overtake it. Ids must equal
 * those of the library, so this does the same. */
static ellm_status word_to_symbols(const bpe_model *bpe, const char *word, size_t bytes, id_list *symbols,
                                   ellm_error *err) {
  bool pending = false, ok = true;
  symbols->count = 0;
  for (size_t at = 0; at < bytes && ok;) {
    uint32_t cp, id;
    size_t length = utf8_decode(word + at, &cp);
    id = cp < 0x800 ? bpe->near_ids[cp] : vocab_find(&bpe->pieces, word + at, length);
    const char *character = word + at;
    at += length;
    if (id != VOCAB_NONE) {
      if (pending) ok = id_list_append(symbols, &bpe->unk, 1);
      pending = false;
      ok = ok && id_list_append(symbols, &id, 1);
      continue;
    }
    if (bpe->byte_fallback) {
      bool done;
      ok = append_byte_pieces(bpe, character, length, symbols, &done);
      if (done) continue;
    }
    if (bpe->unk_missing) {
      return ellm_fail(err, ELLM_ERR_INPUT, "tokenizer: no piece for U+%04X, and unk_token is not in the vocabulary",
                       (unsigned)cp);
    }
    if (bpe->unk == VOCAB_NONE) continue; /* the character is dropped, as in the library */
    if (pending && !bpe->fuse_unk) ok = ok && id_list_append(symbols, &bpe->unk, 1);
    pending = true;
  }
  if (pending) ok = ok && id_list_append(symbols, &bpe->unk, 1);
  return ok ? ELLM_OK : ellm_fail_memory(err, bytes, "encoding");
}

/* ------------------------------------------------------------------ merging */

/* Both ways below give the same symbols. Scanning takes quadratic time but needs no allocation, and nearly all
 * parts have a few symbols; the heap takes n log n and keeps a hostile word of a megabyte from stalling the program. */
enum { SHORT_PART = 40 };

/* Merge a short part in place: find the lowest rank (the leftmost of equals, since < keeps the first), join that pair,
 * and look up again only the two pairs that the join changed. Returns the new length. */
static size_t merge_short(const bpe_model *bpe, uint32_t *symbols, size_t count) {
  uint32_t rank[SHORT_PART], merged[SHORT_PART];
  for (size_t i = 0; i + 1 < count; ++i) {
    const merge *m = merge_find(&bpe->merges, symbols[i], symbols[i + 1]);
    rank[i] = m ? m->rank : UINT32_MAX;
    merged[i] = m ? m->id : 0;
  }
  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < count; ++i) {
      if (rank[i] < rank[best]) best = i;
    }
    if (rank[best] == UINT32_MAX) break;
    symbols[best] = merged[best];
    --count;
    for (size_t i = best + 1; i < count; ++i) {
      symbols[i] = symbols[i + 1];
      rank[i - 1] = rank[i];
      merged[i - 1] = merged[i];
    }
    for (size_t i = best > 0 ? best - 1 : 0; i <= best && i + 1 < count; ++i) {
      const merge *m = merge_find(&bpe->merges, symbols[i], symbols[i + 1]);
      rank[i] = m ? m->rank : UINT32_MAX;
      merged[i] = m ? m->id : 0;
    }
  }
  return count;
}

static bool reserve_long(bpe_scratch *scratch, size_t count) {
  size_t bytes;
  if (scratch->links_capacity < count) {
    if (!ellm_mul_size(count, 4 * sizeof *scratch->links, &bytes)) return false;
    free(scratch->links);
    scratch->links_capacity = 0;
    scratch->links = malloc(bytes);
    if (!scratch->links) return false;
    scratch->links_capacity = count;
  }
  if (scratch->heap_capacity < 3 * count) { /* n pairs at first; each join pops one and pushes two */
    if (!ellm_mul_size(count, 3 * sizeof *scratch->heap, &bytes)) return false;
    free(scratch->heap);
    scratch->heap_capacity = 0;
    scratch->heap = malloc(bytes);
    if (!scratch->heap) return false;
    scratch->heap_capacity = 3 * count;
  }
  return true;
}

/* Merge a long part in place with a linked list and a heap of rank << 32 | position, whose order is that of the scan:
 * lowest rank first, then leftmost. Entries are never removed from the middle of the heap. Instead, an entry is stale,
 * and skipped, when its rank is no longer that of the pair at its position; a symbol that was joined to its left
 * neighbour has no rank at all. */
static bool merge_long(const bpe_model *bpe, bpe_scratch *scratch, uint32_t *symbols, size_t *count) {
  size_t n = *count, heap_count = 0;
  if (!reserve_long(scratch, n)) return false;
  uint32_t *previous = scratch->links, *next = previous + n, *rank = next + n, *merged = rank + n;
  uint64_t *heap = scratch->heap;
  for (size_t i = 0; i < n; ++i) {
    previous[i] = (uint32_t)(i - 1);
    next[i] = (uint32_t)(i + 1);
    const merge *m = i + 1 < n ? merge_find(&bpe->merges, symbols[i], symbols[i + 1]) : NULL;
    rank[i] = m ? m->rank : UINT32_MAX;
    merged[i] = m ? m->id : 0;
    if (m) heap[heap_count++] = (uint64_t)m->rank << 32 | i;
  }
  for (size_t i = heap_count / 2; i-- > 0;) heap_sift_down(heap, heap_count, i);
  while (heap_count > 0) {
    const uint64_t top = heap_pop(heap, &heap_count);
    uint32_t at = (uint32_t)top;
    if (rank[at] != (uint32_t)(top >> 32)) continue;
    uint32_t right = next[at];
    symbols[at] = merged[at];
    next[at] = next[right];
    rank[right] = UINT32_MAX; /* joined: its entries in the heap are stale now */
    if (next[at] < n) previous[next[at]] = at;
    rank[at] = UINT32_MAX;
    uint32_t lefts[2] = {previous[at], at};
    for (int side = 0; side < 2; ++side) {
      uint32_t left = lefts[side];
      if (left >= n || next[left] >= n) continue; /* no left neighbour (previous[0] wraps round), or no right one */
      const merge *m = merge_find(&bpe->merges, symbols[left], symbols[next[left]]);
      rank[left] = m ? m->rank : UINT32_MAX;
      merged[left] = m ? m->id : 0;
      if (m) heap_push(heap, &heap_count, (uint64_t)m->rank << 32 | left);
    }
  }
  size_t kept = 0;
  for (uint32_t i = 0; i < n; i = next[i]) symbols[kept++] = symbols[i];
  *count = kept;
  return true;
}

ellm_status bpe_encode(const bpe_model *bpe, bpe_scratch *scratch, const char *word, size_t bytes, id_list *ids,
                       ellm_error *err) {
  if (bytes == 0) return ELLM_OK;
  if (bytes >= UINT32_MAX / 4) {
    return ellm_fail(err, ELLM_ERR_INPUT, "a word of %zu bytes is too long to encode", bytes);
  }
  bool ok = true;
  if (bpe->ignore_merges) {
    uint32_t id = vocab_find(&bpe->pieces, word, bytes);
    if (id != VOCAB_NONE) {
      ok = id_list_append(ids, &id, 1);
      return ok ? ELLM_OK : ellm_fail_memory(err, bytes, "ids");
    }
  }
  ELLM_TRY(word_to_symbols(bpe, word, bytes, &scratch->symbols, err));
  uint32_t *symbols = scratch->symbols.items;
  size_t count = scratch->symbols.count;
  for (size_t start = 0; ok && start < count;) {
    size_t end = start + 1; /* of the part: it ends where no merge can ever join the two symbols (bpe.h) */
    while (end < count && (!bpe->cut || joins_test(bpe->joins, symbols[end - 1], symbols[end]))) ++end;
    size_t length = end - start;
    if (length <= SHORT_PART) length = merge_short(bpe, symbols + start, length);
    else ok = merge_long(bpe, scratch, symbols + start, &length);
    ok = ok && id_list_append(ids, symbols + start, length);
    start = end;
  }
  return ok ? ELLM_OK : ellm_fail_memory(err, bytes * sizeof *symbols, "encoding");
}
