/* SPDX-License-Identifier: Apache-2.0 */
/* The chunks of perplexity (a), shared by what compares distributions over them. */
#ifndef ELLM_EVAL_CHUNKS_H
#define ELLM_EVAL_CHUNKS_H

#include "base/status.h"

typedef struct text_chunks {
  uint32_t *ids;
  size_t n_ids, count; /* count: whole chunks */
  uint32_t n_ctx;
  int64_t bos;         /* replaces the first id of a chunk, if not negative */
  uint32_t first;      /* the first label that is scored; labels = n_ctx - first */
  uint32_t *chunk;     /* [n_ctx] */
  char identity[33];   /* of the ids */
} text_chunks;

/* Cut a text (as the file is) for a model. n_ctx 0: the default. */
ellm_status text_chunks_create(ellm_model *model, const char *text, size_t bytes, const char *origin, uint32_t n_ctx,
                               text_chunks *chunks, ellm_error *err);
void text_chunks_free(text_chunks *chunks);
/* The ids of a chunk, valid until the next call. */
const uint32_t *text_chunks_get(text_chunks *chunks, size_t index);

#endif
