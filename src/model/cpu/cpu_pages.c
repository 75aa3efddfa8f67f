/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of pages: taken at once, touched as pages fill. */
#include "model/cpu/cpu_pages.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model/cpu/cpu_team.h"

static size_t heads_of(const cpu_backend *c) {
  return (size_t)c->shape.config->n_layers * c->shape.config->n_kv_heads; /* <= 2^40 */
}

static bool is_own(const cpu_backend *c, size_t head) {
  const size_t in_layer = head % c->shape.config->n_kv_heads;
  return in_layer >= c->heads.kv_first && in_layer < c->heads.kv_end;
}

static size_t score_stride(const cpu_backend *c, uint32_t n_pages) {
  const uint32_t most = pages_of(c->shape.config->max_context);
  return ((size_t)(n_pages < most ? n_pages : most) + 1) * PAGE_POSITIONS;
}

static bool is_zero(const uint8_t *bytes, size_t n) { return bytes[0] == 0 && memcmp(bytes, bytes + 1, n - 1) == 0; }

/* Each head's pages, of `page` bytes, to where they lie among n_pages, which are zero: pages that hold nothing stay
 * untouched. */
static void move_pages(const cpu_backend *c, const void *old, void *grown, size_t page, uint32_t n_pages) {
  const uint8_t *from = old;
  uint8_t *to = grown;
  for (size_t head = 0; head < heads_of(c); head++, to += (size_t)(n_pages - c->n_pages) * page)
    for (uint32_t i = 0; i < c->n_pages; i++, from += page, to += page)
      if (!is_zero(from, page)) memcpy(to, from, page);
}

/* All that grows with the pages. */
typedef struct page_memory {
  void *keys, *values;
  uint16_t *key_scales, *value_scales;
  float *scores;
} page_memory;

static void free_memory(const page_memory *m) {
  void *const all[] = {m->keys, m->values, m->key_scales, m->value_scales, m->scores};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) ellm_aligned_free(all[i]);
}

enum { SCALES_BYTES = PAGE_POSITIONS * sizeof(uint16_t) /* of a head in a page */ };

static ellm_status allocate(const cpu_backend *c, uint32_t n_pages, size_t stride, page_memory *m, ellm_error *err) {
  const size_t threads = (size_t)thread_pool_size(compute_pool(c->compute));
  const bool scales = c->shape.cache == KERNEL_CACHE_Q8;
  size_t pages, bytes = 0, scale_bytes = 0;
  const bool fits = ellm_mul_size(heads_of(c), n_pages, &pages) && ellm_mul_size(pages, cpu_page_bytes(c), &bytes) &&
                    ellm_mul_size(pages, scales ? SCALES_BYTES : 0, &scale_bytes);
  if (!fits) bytes = SIZE_MAX;
  *m = (page_memory){.keys = ellm_aligned_calloc(1, bytes),
                     .values = ellm_aligned_calloc(1, bytes),
                     .key_scales = scales ? ellm_aligned_calloc(1, scale_bytes) : NULL,
                     .value_scales = scales ? ellm_aligned_calloc(1, scale_bytes) : NULL,
                     .scores = ellm_aligned_calloc(threads, KERNEL_MAX_QUERIES * stride * sizeof *m->scores)};
  if (m->keys != NULL && m->values != NULL && m->scores != NULL &&
      (!scales || (m->key_scales != NULL && m->value_scales != NULL)))
    return ELLM_OK;
  free_memory(m);
  return ellm_fail_memory(err, bytes < SIZE_MAX / 4 ? 2 * (bytes + scale_bytes) : SIZE_MAX,
                          "the KV cache; fewer positions need less");
}

ellm_status cpu_grow(backend *b, uint32_t n_pages, ellm_error *err) {
  cpu_backend *c = cpu_of(b);
  const size_t stride = score_stride(c, n_pages);
  page_memory m;
  if (n_pages <= c->n_pages) return ELLM_OK;
  ELLM_TRY(allocate(c, n_pages, stride, &m, err));
  if (c->n_pages > 0) {
    move_pages(c, c->keys, m.keys, cpu_page_bytes(c), n_pages);
    move_pages(c, c->values, m.values, cpu_page_bytes(c), n_pages);
    if (m.key_scales != NULL) move_pages(c, c->key_scales, m.key_scales, SCALES_BYTES, n_pages);
    if (m.value_scales != NULL) move_pages(c, c->value_scales, m.value_scales, SCALES_BYTES, n_pages);
  }
  const page_memory old = {c->keys, c->values, c->key_scales, c->value_scales, c->scores};
  free_memory(&old);
  c->keys = m.keys;
  c->values = m.values;
  c->key_scales = m.key_scales;
  c->value_scales = m.value_scales;
  c->scores = m.scores;
  c->score_stride = stride;
  c->n_pages = n_pages;
  return ELLM_OK;
}

typedef struct page_parts { uint8_t *elements; uint16_t *scales; } page_parts; /* scales: NULL where there are none */

static page_parts page_at(const cpu_backend *c, page_part part, size_t head, uint32_t page) {
  const size_t index = cpu_page_index(c, head, page);
  uint16_t *scales = part == PAGE_KEYS ? c->key_scales : c->value_scales;
  return (page_parts){(uint8_t *)(part == PAGE_KEYS ? c->keys : c->values) + index * cpu_page_bytes(c),
                      scales != NULL ? scales + index * PAGE_POSITIONS : NULL};
}

/* All of the keys, whose positions lie element by element; the first n of the values. */
void cpu_page_copy(backend *b, uint32_t from, uint32_t to, uint32_t n) {
  cpu_backend *c = cpu_of(b);
  const size_t page = cpu_page_bytes(c);
  const struct { page_part part; size_t bytes; } parts[] = {{PAGE_KEYS, page},
                                                            {PAGE_VALUES, n * page / PAGE_POSITIONS}};
  for (size_t head = 0; head < heads_of(c); head++)
    for (size_t i = 0; i < 2 && is_own(c, head); i++) { /* nothing is in others, and nothing shall be */
      const page_parts source = page_at(c, parts[i].part, head, from), target = page_at(c, parts[i].part, head, to);
      memcpy(target.elements, source.elements, parts[i].bytes);
      if (source.scales != NULL) memcpy(target.scales, source.scales, SCALES_BYTES);
    }
}

ellm_status cpu_page_read(backend *b, page_part part, size_t head, uint32_t page, void *out, ellm_error *err) {
  const cpu_backend *c = cpu_of(b);
  const page_parts from = page_at(c, part, head, page);
  size_t bytes = cpu_page_bytes(c);
  memcpy(out, from.elements, bytes);
  if (from.scales != NULL) {
    memcpy((uint8_t *)out + bytes, from.scales, SCALES_BYTES);
    bytes += SCALES_BYTES;
  }
  return cpu_gather_head(c, (uint32_t)(head % c->shape.config->n_kv_heads), out, bytes, err);
}

void cpu_page_write(backend *b, page_part part, size_t head, uint32_t page, const void *data) {
  const cpu_backend *c = cpu_of(b);
  if (!is_own(c, head)) return;
  const page_parts to = page_at(c, part, head, page);
  memcpy(to.elements, data, cpu_page_bytes(c));
  if (to.scales != NULL) memcpy(to.scales, (const uint8_t *)data + cpu_page_bytes(c), SCALES_BYTES);
}
