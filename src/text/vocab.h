/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables of a vocabulary: pieces by their bytes and by id, and merges by
 * the pair of ids. Open addressing, one arena for all strings. Written once
 * while loading, then read by any number of threads. Hashes depend on where
 * memory happens to lie, so that no file can be made whose keys collide; what
 * is found does not.
 */
#ifndef ELLM_TEXT_VOCAB_H
#define ELLM_TEXT_VOCAB_H

#include "base/memory.h"
#include "base/status.h"

enum { VOCAB_ID_BITS = 24 };
#define VOCAB_ID_LIMIT (UINT32_C(1) << VOCAB_ID_BITS)
#define VOCAB_NONE UINT32_MAX

typedef struct vocab_piece { uint32_t offset, length, id; } vocab_piece;
/* A piece with a part of its hash that does not choose the slot, so that looking for a piece touches few others and the
 * list of pieces not at all. offset UINT32_MAX: empty. */
typedef struct vocab_slot { uint32_t tag, offset, length, id; } vocab_slot;

typedef struct vocab {
  ellm_buffer arena;     /* strings, each followed by NUL */
  vocab_piece *pieces;
  size_t count, capacity;
  vocab_slot *slots;
  size_t slot_mask;
  size_t longest;        /* bytes of the longest piece */
  uint64_t seed;
} vocab;

/* `count` is how many pieces to expect; more are fine. */
ellm_status vocab_init(vocab *v, size_t count, ellm_error *err);
void vocab_free(vocab *v);
/* ELLM_ERR_USAGE when the string is there already (err is not written). */
ellm_status vocab_add(vocab *v, const char *piece, size_t bytes, uint32_t id, ellm_error *err);
/* Where many pieces are looked for, memory is what is waited for. The first fetches what a piece's hash leads to, the
 * second, some calls later, the string there, so that vocab_find or vocab_add finds both in the cache. */
void vocab_expect(const vocab *v, const char *piece, size_t bytes);
void vocab_expect_string(const vocab *v, const char *piece, size_t bytes);
/* Id of a piece, or VOCAB_NONE. */
uint32_t vocab_find(const vocab *v, const char *piece, size_t bytes);
static inline const char *vocab_string(const vocab *v, const vocab_piece *piece) {
  return (const char *)v->arena.data + piece->offset;
}

/* (left id, right id) -> rank (order of appearance) and id of the merged piece. */
typedef struct merge { uint64_t key; uint32_t rank, id; } merge;

typedef struct merge_table {
  merge *slots;          /* key 0 = empty */
  size_t mask, count;
  uint64_t factors[2];   /* secret */
} merge_table;

static inline uint64_t merge_key(uint32_t left, uint32_t right) {
  return ((uint64_t)left << VOCAB_ID_BITS | right) + 1;
}
/* Universal: two pairs share the upper half for one in 2^32 choices of factors. */
static inline size_t merge_hash(const merge_table *table, uint32_t left, uint32_t right) {
  return (size_t)((left * table->factors[0] + right * table->factors[1]) >> 32);
}

ellm_status merge_table_init(merge_table *table, size_t count, ellm_error *err);
void merge_table_free(merge_table *table);
/* A pair given twice keeps the later rank, as in the `tokenizers` library. */
ellm_status merge_table_add(merge_table *table, uint32_t left, uint32_t right, uint32_t rank, uint32_t id,
                            ellm_error *err);

/* Fetches what merge_table_add or merge_find will look at. */
static inline void merge_table_expect(const merge_table *table, uint32_t left, uint32_t right) {
  __builtin_prefetch(&table->slots[merge_hash(table, left, right) & table->mask], 1);
}

/* NULL if the pair does not merge. */
static inline const merge *merge_find(const merge_table *table, uint32_t left, uint32_t right) {
  uint64_t key = merge_key(left, right);
  for (size_t slot = merge_hash(table, left, right) & table->mask;; slot = (slot + 1) & table->mask) {
    if (table->slots[slot].key == key) return &table->slots[slot];
    if (table->slots[slot].key == 0) return NULL;
  }
}

#endif
