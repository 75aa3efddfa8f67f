/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What mutators of formats with a structure share: an output with a limit, random numbers, numbers that are likely to
 * lie at a border. A mutator takes an input apart, changes one thing and puts it together again, so that counts,
 * lengths, offsets and (in the target) checksums fit; what it cannot take apart, and each fourth input, libFuzzer
 * changes as plain bytes.
 */
#ifndef ENTROLLM_FUZZ_MUTATE_H
#define ENTROLLM_FUZZ_MUTATE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

/* Both of libFuzzer. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);

typedef struct span { const uint8_t *data; size_t bytes; } span;

/* Bytes being put together; `full`: they are more than the limit, and the rest was dropped. */
typedef struct draft { uint8_t *data; size_t bytes, limit; bool full; } draft;

static inline void draft_add(draft *d, const void *data, size_t bytes) {
  if (d->full || bytes > d->limit - d->bytes) {
    d->full = true;
    return;
  }
  if (bytes > 0) memcpy(d->data + d->bytes, data, bytes);
  d->bytes += bytes;
}

static inline void draft_u32(draft *d, uint32_t value) {
  uint8_t bytes[4];
  store_u32(bytes, value);
  draft_add(d, bytes, sizeof bytes);
}

static inline void draft_u64(draft *d, uint64_t value) {
  uint8_t bytes[8];
  store_u64(bytes, value);
  draft_add(d, bytes, sizeof bytes);
}

static inline void draft_pad(draft *d, size_t align) {
  static const uint8_t zeros[64];
  while (d->bytes % align != 0 && !d->full) {
    const size_t left = align - d->bytes % align;
    draft_add(d, zeros, left < sizeof zeros ? left : sizeof zeros);
  }
}

static inline uint32_t mutate_random(uint64_t *state, uint32_t below) {
  *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (uint32_t)((*state >> 33) % below);
}

/* A number near `old`, or small, or at a border of some width. */
static inline uint64_t mutate_number(uint64_t *state, uint64_t old) {
  switch (mutate_random(state, 5)) {
    case 0: return old + 1;
    case 1: return old - 1;
    case 2: return mutate_random(state, 20);
    case 3: return (UINT64_C(1) << mutate_random(state, 64)) - mutate_random(state, 2);
    default: return old ^ UINT64_C(1) << mutate_random(state, 64);
  }
}

/* A span changed by libFuzzer, of at most `most` bytes, as a copy that the caller frees. */
static inline span mutate_span(span old, size_t most) {
  const size_t limit = old.bytes > most ? old.bytes : most;
  uint8_t *copy = malloc(limit > 0 ? limit : 1);
  if (copy == NULL) abort();
  if (old.bytes > 0) memcpy(copy, old.data, old.bytes);
  return (span){copy, limit > 0 ? LLVMFuzzerMutate(copy, old.bytes, limit) : 0};
}

#endif
