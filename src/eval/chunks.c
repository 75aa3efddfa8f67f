/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/chunks.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "eval/identity.h"
#include "eval/perplexity.h"

/* A hash of the ids as little-endian numbers. */
static ellm_status identify(text_chunks *c, ellm_error *err) {
  uint8_t *bytes = malloc(4 * c->n_ids + 1);
  if (!bytes) return ellm_fail_memory(err, 4 * c->n_ids, "ids");
  for (size_t i = 0; i < c->n_ids; i++) store_u32(bytes + 4 * i, c->ids[i]);
  eval_data_identity(bytes, 4 * c->n_ids, c->identity);
  free(bytes);
  return ELLM_OK;
}

ellm_status text_chunks_create(ellm_model *model, const char *text, size_t bytes, const char *origin, uint32_t n_ctx,
                               text_chunks *c, ellm_error *err) {
  memset(c, 0, sizeof *c);
  ELLM_TRY(perplexity_context(model, n_ctx, &c->n_ctx, err));
  ELLM_TRY(perplexity_encode(model, text, bytes, &c->ids, &c->n_ids, err));
  ellm_status status = perplexity_bos(model, c->ids, c->n_ids, &c->bos, err);
  c->first = c->n_ctx / 2 + 1;
  c->count = c->n_ids / c->n_ctx;
  if (status == ELLM_OK && c->count == 0)
    status =
        ellm_fail(err, ELLM_ERR_INPUT, "%s: its %zu tokens are fewer than one chunk of %u (choose shorter chunks)",
                  origin, c->n_ids, (unsigned)c->n_ctx);
  if (status == ELLM_OK) status = identify(c, err);
  if (status == ELLM_OK && !(c->chunk = calloc(c->n_ctx, sizeof *c->chunk)))
    status = ellm_fail_memory(err, c->n_ctx * sizeof *c->chunk, "a chunk");
  if (status != ELLM_OK) text_chunks_free(c);
  return status;
}

void text_chunks_free(text_chunks *c) {
  free(c->ids);
  free(c->chunk);
  memset(c, 0, sizeof *c);
}

const uint32_t *text_chunks_get(text_chunks *c, size_t index) {
  memcpy(c->chunk, c->ids + index * c->n_ctx, c->n_ctx * sizeof *c->chunk);
  if (c->bos >= 0) c->chunk[0] = (uint32_t)c->bos;
  return c->chunk;
}
