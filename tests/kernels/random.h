/* SPDX-License-Identifier: Apache-2.0 */
/* Reproducible random numbers (splitmix64, public domain algorithm by S. Vigna) and buffers that end at a page
 * that must not be touched. */
#ifndef ELLM_TESTS_KERNELS_RANDOM_H
#define ELLM_TESTS_KERNELS_RANDOM_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static uint64_t random_state = 1;

static inline uint64_t random_u64(void) {
  uint64_t z = random_state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}
static inline uint32_t random_below(uint32_t n) { return (uint32_t)(random_u64() >> 32) % n; }

/* A mapping whose last byte is followed by a page without access. */
typedef struct guarded { uint8_t *map, *end; size_t size; } guarded;

static inline guarded guarded_create(size_t capacity) {
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  guarded g;
  g.size = (capacity + page - 1) / page * page;
  g.map = mmap(NULL, g.size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (g.map == MAP_FAILED || mprotect(g.map + g.size, page, PROT_NONE) != 0) abort();
  g.end = g.map + g.size;
  g.size += page;
  return g;
}
static inline void guarded_free(guarded *g) { munmap(g->map, g->size); }
/* The last `bytes` bytes before the guard. */
static inline uint8_t *guarded_tail(const guarded *g, size_t bytes) { return g->end - bytes; }

/* Bits of a factor of rows or columns: about 2^-4 to 2^4, any mantissa. */
static inline uint16_t random_factor(void) { return (uint16_t)(0x3d80 + random_below(0x400)); }

#endif
