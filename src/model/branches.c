/* SPDX-License-Identifier: Apache-2.0 */
#include "model/branches.h"

#include <string.h>

static uint32_t fork_of(uint32_t length) { return length / CONTEXT_KEY_TILE * CONTEXT_KEY_TILE; }

size_t context_branch_slots(uint32_t length, size_t positions) {
  const size_t n = length - fork_of(length) + positions;
  return (n + CONTEXT_KEY_TILE - 1) / CONTEXT_KEY_TILE * CONTEXT_KEY_TILE;
}

uint32_t context_branch_first_slot(const ellm_context *context) {
  return fork_of(context->capacity + CONTEXT_KEY_TILE - 1);
}

void context_branch_begin(ellm_context *context, uint32_t slot, context_branch *branch) {
  const model_config *c = &context->model->config;
  const size_t dim = c->head_dim, element = context->half_precision ? sizeof(uint16_t) : sizeof(float);
  const size_t fork = fork_of(context->length), n = context->length - fork;
  *branch = (context_branch){.slot = slot, .length = context->length};
  if (n == 0) return;
  for (uint32_t layer = 0; layer < c->n_layers; layer++)
    for (uint32_t head = 0; head < c->n_kv_heads; head++) {
      const size_t at = context_head_offset(context, layer, head);
      uint8_t *keys = (uint8_t *)context->keys + at * element, *values = (uint8_t *)context->values + at * element;
      memcpy(keys + slot * dim * element, keys + fork * dim * element, CONTEXT_KEY_TILE * dim * element);
      memcpy(values + slot * dim * element, values + fork * dim * element, n * dim * element);
    }
}

bool context_can_branch(const ellm_context *context, size_t positions) {
  return positions <= context->capacity && context->cached == context->length &&
         (positions > context->model->ropes.long_above) == context->cached_long;
}

static ellm_status check(const ellm_context *context, const context_branch *branches, size_t n_branches,
                         ellm_error *err) {
  const ellm_model *model = context->model;
  size_t total = 0;
  for (size_t b = 0; b < n_branches; b++) {
    const context_branch *branch = &branches[b];
    total += branch->n;
    if (branch->n_logits > branch->n || branch->length + branch->n > context->capacity ||
        branch->slot + context_branch_slots(context->length, branch->length - context->length + branch->n) >
            context->slots ||
        total > context->batch || !context_can_branch(context, branch->length + branch->n))
      return ellm_fail(err, ELLM_ERR_INTERNAL, "%s: a branch of %zu ids does not fit", model->path, branch->n);
    for (size_t i = 0; i < branch->n; i++)
      if (branch->ids[i] >= model->config.vocab_size)
        return ellm_fail(err, ELLM_ERR_INPUT, "%s: token id %u is beyond the %u rows of the embedding", model->path,
                         (unsigned)branch->ids[i], (unsigned)model->config.vocab_size);
  }
  return ELLM_OK;
}

ellm_status context_branches_eval(ellm_context *context, context_branch *branches, size_t n_branches, float *logits,
                                  ellm_error *err) {
  uint32_t ids[CONTEXT_MAX_BATCH], rows[CONTEXT_MAX_BATCH];
  const uint32_t fork = fork_of(context->length);
  size_t n = 0, n_rows = 0;
  ELLM_TRY(check(context, branches, n_branches, err));
  for (size_t b = 0; b < n_branches; b++) {
    const context_branch *branch = &branches[b];
    for (size_t i = 0; i < branch->n; i++, n++) {
      ids[n] = branch->ids[i];
      context->places[n] = (token_place){branch->length + (uint32_t)i, fork, branch->slot - fork};
      if (i + branch->n_logits >= branch->n) rows[n_rows++] = (uint32_t)n;
    }
  }
  if (n == 0) return ELLM_OK;
  pthread_mutex_lock(&context->model->lock);
  const ellm_status status = forward_batch(context, ids, n, rows, n_rows, logits, err);
  pthread_mutex_unlock(&context->model->lock);
  for (size_t b = 0; status == ELLM_OK && b < n_branches; b++) branches[b].length += (uint32_t)branches[b].n;
  return status;
}
