/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of pages: taken at once, touched as pages fill. */
#include "model/cpu/cpu_pages.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static size_t heads_of(const cpu_backend *c) {
  return (size_t)c->shape.config->n_layers * c->shape.config->n_kv_heads; /* <= 2^40 */
}

static size_t score_stride(const cpu_backend *c, uint32_t n_pages) {
  const uint32_t most = pages_of(c->shape.config->max_context);
  return ((size_t)(n_pages < most ? n_pages : most) + 1) * PAGE_POSITIONS;
}

static bool is_zero(const uint8_t *bytes, size_t n) { return bytes[0] == 0 && memcmp(bytes, bytes + 1, n - 1) == 0; }

/* Each head's pages to where they lie among n_pages, which are zero: pages that hold nothing stay untouched. */
static void move_pages(const cpu_backend *c, const uint8_t *from, uint8_t *to, uint32_t n_pages) {
  const size_t page = cpu_page_elements(c) * cpu_element_bytes(c);
  for (size_t head = 0; head < heads_of(c); head++, to += (size_t)(n_pages - c->n_pages) * page)
    for (uint32_t i = 0; i < c->n_pages; i++, from += page, to += page)
      if (!is_zero(from, page)) memcpy(to, from, page);
}

ellm_status cpu_grow(backend *b, uint32_t n_pages, ellm_error *err) {
  cpu_backend *c = cpu_of(b);
  const size_t threads = (size_t)thread_pool_size(compute_pool(c->compute)), stride = score_stride(c, n_pages);
  size_t pages, bytes;
  if (n_pages <= c->n_pages) return ELLM_OK;
  if (!ellm_mul_size(heads_of(c), n_pages, &pages) ||
      !ellm_mul_size(pages, cpu_page_elements(c) * cpu_element_bytes(c), &bytes))
    bytes = SIZE_MAX;
  void *keys = ellm_aligned_calloc(1, bytes), *values = ellm_aligned_calloc(1, bytes);
  float *scores = ellm_aligned_calloc(threads, stride * sizeof *scores);
  if (keys == NULL || values == NULL || scores == NULL) {
    ellm_aligned_free(keys);
    ellm_aligned_free(values);
    ellm_aligned_free(scores);
    return ellm_fail_memory(err, bytes < SIZE_MAX / 2 ? 2 * bytes : SIZE_MAX,
                            "the KV cache; fewer positions need less");
  }
  if (c->n_pages > 0) {
    move_pages(c, c->keys, keys, n_pages);
    move_pages(c, c->values, values, n_pages);
  }
  ellm_aligned_free(c->keys);
  ellm_aligned_free(c->values);
  ellm_aligned_free(c->scores);
  c->keys = keys;
  c->values = values;
  c->scores = scores;
  c->score_stride = stride;
  c->n_pages = n_pages;
  return ELLM_OK;
}

/* All of the keys, whose positions lie element by element; the first n of the values. */
void cpu_page_copy(backend *b, uint32_t from, uint32_t to, uint32_t n) {
  cpu_backend *c = cpu_of(b);
  const size_t element = cpu_element_bytes(c), page = cpu_page_elements(c) * element;
  for (size_t head = 0; head < heads_of(c); head++) {
    const size_t source = cpu_page_offset(c, head, from) * element, target = cpu_page_offset(c, head, to) * element;
    memcpy((uint8_t *)c->keys + target, (const uint8_t *)c->keys + source, page);
    memcpy((uint8_t *)c->values + target, (const uint8_t *)c->values + source,
           n * (size_t)c->shape.config->head_dim * element);
  }
}

static uint8_t *page_at(const cpu_backend *c, page_part part, size_t head, uint32_t page) {
  return (uint8_t *)(part == PAGE_KEYS ? c->keys : c->values) + cpu_page_offset(c, head, page) * cpu_element_bytes(c);
}

void cpu_page_read(backend *b, page_part part, size_t head, uint32_t page, void *out) {
  const cpu_backend *c = cpu_of(b);
  memcpy(out, page_at(c, part, head, page), cpu_page_elements(c) * cpu_element_bytes(c));
}

void cpu_page_write(backend *b, page_part part, size_t head, uint32_t page, const void *data) {
  const cpu_backend *c = cpu_of(b);
  memcpy(page_at(c, part, head, page), data, cpu_page_elements(c) * cpu_element_bytes(c));
}
