/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of a template or of one rendering: chunks that are freed together. */
#include "template/value/arena.h"

#include <stdalign.h>
#include <stdlib.h>

enum { CHUNK_BYTES = 16 << 10, MAX_CHUNK_BYTES = 1 << 20 };

typedef struct tpl_chunk {
  struct tpl_chunk *previous;
  size_t size, used; /* of the data after the head */
} tpl_chunk;

static const size_t alignment = alignof(max_align_t);

static size_t aligned(size_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

void *tpl_arena_alloc(tpl_arena *arena, size_t bytes) {
  const size_t head = aligned(sizeof(tpl_chunk));
  if (bytes > SIZE_MAX / 2) return NULL;
  bytes = aligned(bytes > 0 ? bytes : 1);
  tpl_chunk *chunk = arena->chunks;
  if (!chunk || chunk->size - chunk->used < bytes) {
    tpl_chunk *current = chunk;
    size_t size = current ? 2 * current->size : CHUNK_BYTES;
    if (size > MAX_CHUNK_BYTES) size = MAX_CHUNK_BYTES;
    const bool alone = current && bytes > size / 8; /* then the current one is not given up */
    if (alone || size < bytes) size = bytes;
    if (arena->used > arena->limit || head + size > arena->limit - arena->used) {
      arena->limited = true;
      return NULL;
    }
    chunk = malloc(head + size);
    if (!chunk) return NULL;
    *chunk = (tpl_chunk){.previous = alone ? current->previous : current, .size = size};
    if (alone) current->previous = chunk;
    else arena->chunks = chunk;
    arena->used += head + size;
  }
  void *memory = (char *)chunk + head + chunk->used;
  chunk->used += bytes;
  return memory;
}

void tpl_arena_free(tpl_arena *arena) {
  for (tpl_chunk *chunk = arena->chunks; chunk;) {
    tpl_chunk *previous = chunk->previous;
    free(chunk);
    chunk = previous;
  }
  arena->chunks = NULL;
  arena->used = 0;
}
