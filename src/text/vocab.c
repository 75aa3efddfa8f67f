/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hash tables of pieces and merges; see vocab.h. Both are open: a collision goes to the next slot. Hashes have a seed
 * that an author of a file cannot know, so that no vocabulary can be made in which all pieces collide. Pieces lie one
 * after the other in an arena, each with a NUL behind it.
 */
#include "text/vocab.h"

#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

/* Load factor at most one half. */
static size_t table_size(size_t count) {
  size_t size = 16;
  while (size / 2 < count) size *= 2;
  return size;
}

/* What an author of a file cannot know: addresses, which the system varies. */
static uint64_t secret(const void *heap, uint64_t salt) {
  const uintptr_t addresses[2] = {(uintptr_t)heap, (uintptr_t)&heap};
  return XXH3_64bits_withSeed(addresses, sizeof addresses, salt);
}

/* All bits set: UINT32_MAX as offset means empty. */
static vocab_slot *make_slots(size_t count) {
  vocab_slot *slots = malloc(count * sizeof *slots);
  if (slots) memset(slots, 0xFF, count * sizeof *slots);
  return slots;
}

ellm_status vocab_init(vocab *v, size_t count, ellm_error *err) {
  memset(v, 0, sizeof *v);
  if (count > VOCAB_ID_LIMIT) count = VOCAB_ID_LIMIT;
  size_t slots = table_size(count);
  v->capacity = slots / 2;
  v->pieces = malloc(v->capacity * sizeof *v->pieces);
  v->slots = make_slots(slots);
  v->slot_mask = slots - 1;
  v->seed = secret(v->slots, 0);
  if (!v->pieces || !v->slots || !ellm_buffer_reserve(&v->arena, count * 8 + 1)) {
    vocab_free(v);
    return ellm_fail_memory(err, v->capacity * sizeof *v->pieces, "vocabulary");
  }
  return ELLM_OK;
}

void vocab_free(vocab *v) {
  ellm_buffer_free(&v->arena);
  free(v->pieces);
  free(v->slots);
  memset(v, 0, sizeof *v);
}

/* The slot that holds the piece, or the empty one where it belongs; its tag into *tag. */
static vocab_slot *find_slot(const vocab *v, const char *piece, size_t bytes, uint32_t *tag) {
  const uint64_t hash = XXH3_64bits_withSeed(piece, bytes, v->seed);
  *tag = (uint32_t)(hash >> 32);
  for (size_t at = (size_t)hash & v->slot_mask;; at = (at + 1) & v->slot_mask) {
    vocab_slot *slot = &v->slots[at];
    if (slot->offset == UINT32_MAX) return slot;
    if (slot->tag == *tag && slot->length == bytes && memcmp(v->arena.data + slot->offset, piece, bytes) == 0)
      return slot;
  }
}

/* Twice as many slots and pieces. */
static ellm_status vocab_grow(vocab *v, ellm_error *err) {
  if (v->capacity > VOCAB_ID_LIMIT) {
    return ellm_fail(err, ELLM_ERR_INPUT, "vocabulary of more than %u pieces", VOCAB_ID_LIMIT);
  }
  size_t capacity = v->capacity * 2;
  vocab_piece *pieces = realloc(v->pieces, capacity * sizeof *pieces);
  if (pieces) v->pieces = pieces;
  vocab_slot *slots = make_slots(capacity * 2);
  if (!pieces || !slots) {
    free(slots);
    return ellm_fail_memory(err, capacity * sizeof *pieces, "vocabulary");
  }
  free(v->slots);
  v->slots = slots;
  v->slot_mask = capacity * 2 - 1;
  v->capacity = capacity;
  for (size_t i = 0; i < v->count; ++i) {
    const vocab_piece *piece = &v->pieces[i];
    uint32_t tag;
    vocab_slot *slot = find_slot(v, vocab_string(v, piece), piece->length, &tag);
    *slot = (vocab_slot){tag, piece->offset, piece->length, piece->id};
  }
  return ELLM_OK;
}

/* ELLM_ERR_USAGE, without a message, where the piece is there already: the caller knows what to say. */
ellm_status vocab_add(vocab *v, const char *piece, size_t bytes, uint32_t id, ellm_error *err) {
  if (v->count == v->capacity) ELLM_TRY(vocab_grow(v, err));
  uint32_t tag;
  vocab_slot *slot = find_slot(v, piece, bytes, &tag);
  if (slot->offset != UINT32_MAX) return ELLM_ERR_USAGE;
  if (v->arena.size + bytes >= UINT32_MAX) return ellm_fail(err, ELLM_ERR_INPUT, "vocabulary is larger than 4 GiB");
  vocab_piece added = {(uint32_t)v->arena.size, (uint32_t)bytes, id};
  if ((bytes > 0 && !ellm_buffer_append(&v->arena, piece, bytes)) || !ellm_buffer_append(&v->arena, "", 1)) {
    return ellm_fail_memory(err, v->arena.size + bytes, "vocabulary");
  }
  v->pieces[v->count++] = added;
  *slot = (vocab_slot){tag, added.offset, added.length, id};
  if (bytes > v->longest) v->longest = bytes;
  return ELLM_OK;
}

/* Fetch the slot, and then the string, of a piece that will be looked for soon. */
void vocab_expect(const vocab *v, const char *piece, size_t bytes) {
  __builtin_prefetch(&v->slots[XXH3_64bits_withSeed(piece, bytes, v->seed) & v->slot_mask]);
}

void vocab_expect_string(const vocab *v, const char *piece, size_t bytes) {
  const vocab_slot *slot = &v->slots[XXH3_64bits_withSeed(piece, bytes, v->seed) & v->slot_mask];
  if (slot->offset != UINT32_MAX) __builtin_prefetch(v->arena.data + slot->offset);
}

/* Nothing is longer than the longest piece, which saves hashing long texts. */
uint32_t vocab_find(const vocab *v, const char *piece, size_t bytes) {
  if (bytes > v->longest || v->count == 0) return VOCAB_NONE;
  uint32_t tag;
  const vocab_slot *slot = find_slot(v, piece, bytes, &tag);
  return slot->offset == UINT32_MAX ? VOCAB_NONE : slot->id;
}

ellm_status merge_table_init(merge_table *table, size_t count, ellm_error *err) {
  size_t slots = table_size(count < VOCAB_ID_LIMIT ? count : VOCAB_ID_LIMIT);
  *table = (merge_table){.slots = calloc(slots, sizeof *table->slots), .mask = slots - 1};
  for (uint64_t i = 0; i < 2; ++i) table->factors[i] = secret(table->slots, i + 1) | 1;
  return table->slots ? ELLM_OK : ellm_fail_memory(err, slots * sizeof *table->slots, "merges");
}

void merge_table_free(merge_table *table) {
  free(table->slots);
  memset(table, 0, sizeof *table);
}

/* The slot of the key, or the empty one where it belongs. */
static merge *merge_slot(const merge_table *table, uint64_t key) {
  uint32_t left = (uint32_t)((key - 1) >> VOCAB_ID_BITS), right = (uint32_t)(key - 1) & (VOCAB_ID_LIMIT - 1);
  size_t slot = merge_hash(table, left, right) & table->mask;
  while (table->slots[slot].key != 0 && table->slots[slot].key != key) slot = (slot + 1) & table->mask;
  return &table->slots[slot];
}

/* Of two merges of one pair the later one counts. Grows at half full. */
ellm_status merge_table_add(merge_table *table, uint32_t left, uint32_t right, uint32_t rank, uint32_t id,
                            ellm_error *err) {
  if (table->count > table->mask / 2) {
    merge_table larger;
    ELLM_TRY(merge_table_init(&larger, table->count * 2, err));
    if (larger.mask <= table->mask) {
      merge_table_free(&larger);
      return ellm_fail(err, ELLM_ERR_INPUT, "more than %zu merges", table->count);
    }
    for (size_t i = 0; i <= table->mask; ++i) {
      if (table->slots[i].key != 0) *merge_slot(&larger, table->slots[i].key) = table->slots[i];
    }
    larger.count = table->count;
    merge_table_free(table);
    *table = larger;
  }
  uint64_t key = merge_key(left, right);
  merge *slot = merge_slot(table, key);
  if (slot->key == 0) ++table->count;
  *slot = (merge){key, rank, id};
  return ELLM_OK;
}
