/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: memory of a template or of one rendering: chunks that are freed together. */
#ifndef ELLM_TEMPLATE_ARENA_H
#define ELLM_TEMPLATE_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct tpl_arena {
  struct tpl_chunk *chunks;
  size_t used, limit; /* bytes asked of the system */
  bool limited;       /* an allocation failed because of the limit */
} tpl_arena;

/* Aligned for any value, not cleared. NULL: no memory, or beyond the limit. */
void *tpl_arena_alloc(tpl_arena *arena, size_t bytes);
void tpl_arena_free(tpl_arena *arena);

#endif
