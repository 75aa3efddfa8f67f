/* SPDX-License-Identifier: Apache-2.0 */
/* Making contexts, and evaluation: ids are checked here, cut into batches, and
 * the cache is rebuilt where the length changes the rotary frequencies. */
#include "model/context.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static size_t round_up(size_t n) { return (n + 15) / 16 * 16; }

/* Zeroed floats [count][size]; remembers in *status that there was no memory. */
static void *floats(size_t count, size_t size, ellm_status *status, ellm_error *err) {
  size_t bytes;
  void *memory = NULL;
  if (*status != ELLM_OK) return NULL;
  if (ellm_mul_size(size, sizeof(float), &bytes)) memory = ellm_aligned_calloc(count, bytes);
  if (memory == NULL) *status = ellm_fail_memory(err, count * size * sizeof(float), "a context");
  return memory;
}

static ellm_status allocate_cache(ellm_context *context, ellm_error *err) {
  const model_config *c = &context->model->config;
  const size_t heads = (size_t)c->n_layers * c->n_kv_heads; /* <= 2^40 */
  const size_t element = context->half_precision ? sizeof(uint16_t) : sizeof(float);
  size_t bytes;
  if (ellm_mul_size(heads, context_head_stride(context) * element, &bytes)) {
    context->keys = ellm_aligned_calloc(1, bytes);
    context->values = ellm_aligned_calloc(1, bytes);
    if (context->keys != NULL && context->values != NULL) return ELLM_OK;
  } else {
    bytes = SIZE_MAX / 2;
  }
  return ellm_fail_memory(err, 2 * bytes, "the KV cache; a shorter context needs less");
}

static ellm_status allocate_batch(ellm_context *context, ellm_error *err) {
  const model_config *c = &context->model->config;
  const size_t n = context->batch, threads = (size_t)thread_pool_size(compute_pool(context->model->compute));
  const uint32_t q = c->n_heads * c->head_dim, kv = c->n_kv_heads * c->head_dim;
  context->hidden_stride = round_up(c->hidden_size);
  context->q_stride = round_up(q);
  context->qkv_stride = round_up((size_t)q + 2 * kv);
  context->inner_stride = round_up(c->intermediate_size);
  context->gate_up_stride = round_up(2 * (size_t)c->intermediate_size);
  context->score_stride = round_up(context->capacity) + CONTEXT_KEY_TILE;
  ellm_status status = ELLM_OK;
  context->x = floats(n, context->hidden_stride, &status, err);
  context->normed = floats(n, context->hidden_stride, &status, err);
  context->projected = floats(n, context->hidden_stride, &status, err);
  context->qkv = floats(n, context->qkv_stride, &status, err);
  context->mixed = floats(n, context->q_stride, &status, err);
  context->gate_up = floats(n, context->gate_up_stride, &status, err);
  context->inner = floats(n, context->inner_stride, &status, err);
  context->cos_sin = floats(n, context->model->ropes.stride, &status, err);
  context->scores = floats(threads, context->score_stride, &status, err);
  if (status == ELLM_OK && !(context->places = calloc(n, sizeof *context->places)))
    status = ellm_fail_memory(err, n * sizeof *context->places, "a context");
  if (context->model->activations == ELLM_ACTIVATIONS_F32 || status != ELLM_OK) return status;
  uint32_t widest = c->hidden_size > q ? c->hidden_size : q;
  if (c->intermediate_size > widest) widest = c->intermediate_size;
  const unsigned digits = context->model->activations == ELLM_ACTIVATIONS_I8 ? 1 : 2;
  const size_t bytes = kernel_activations_bytes(widest, n, digits);
  context->digits = bytes > 0 ? ellm_aligned_calloc(1, bytes) : NULL;
  return context->digits != NULL ? ELLM_OK : ellm_fail_memory(err, bytes, "a context");
}

ellm_status context_create(ellm_model *model, uint32_t n_ctx, size_t more, ellm_context **out, ellm_error *err) {
  const uint32_t most = model->config.max_context;
  *out = NULL;
  if (n_ctx > most)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: a context of %u positions is beyond the model's %u", model->path,
                     (unsigned)n_ctx, (unsigned)most);
  ellm_context *context = calloc(1, sizeof *context);
  if (context == NULL) return ellm_fail_memory(err, sizeof *context, "a context");
  context->model = model;
  context->capacity = n_ctx > 0 ? n_ctx : most < CONTEXT_DEFAULT_CAPACITY ? most : CONTEXT_DEFAULT_CAPACITY;
  const size_t slots = round_up(context->capacity) + (more < UINT32_MAX / 4 ? round_up(more) : UINT32_MAX / 4);
  context->slots = (uint32_t)slots;
  const size_t tokens = more > 0 ? slots : context->capacity;
  context->batch = (uint32_t)(tokens < CONTEXT_MAX_BATCH ? tokens : CONTEXT_MAX_BATCH);
  context->half_precision = model->half_precision;
  context->ids = calloc(context->capacity, sizeof *context->ids);
  ellm_status status = context->ids != NULL
                           ? allocate_cache(context, err)
                           : ellm_fail_memory(err, context->capacity * sizeof *context->ids, "a context");
  if (status == ELLM_OK) status = allocate_batch(context, err);
  if (status != ELLM_OK) {
    ellm_context_free(context);
    return status;
  }
  *out = context;
  return ELLM_OK;
}

ellm_status ellm_context_create(ellm_model *model, uint32_t n_ctx, ellm_context **out, ellm_error *err) {
  return context_create(model, n_ctx, 0, out, err);
}

void ellm_context_free(ellm_context *context) {
  if (context == NULL) return;
  void *const memory[] = {context->keys,    context->values, context->x,       context->normed, context->projected,
                          context->qkv,     context->mixed,  context->gate_up, context->inner,  context->cos_sin,
                          context->scores,  context->digits};
  for (size_t i = 0; i < sizeof memory / sizeof *memory; i++) ellm_aligned_free(memory[i]);
  free(context->places);
  free(context->ids);
  free(context);
}

uint32_t ellm_context_capacity(const ellm_context *context) { return context->capacity; }
uint32_t ellm_context_length(const ellm_context *context) { return context->length; }
const uint32_t *ellm_context_ids(const ellm_context *context) { return context->ids; }

void ellm_context_truncate(ellm_context *context, uint32_t length) {
  if (length < context->length) context->length = length;
  if (length < context->cached) context->cached = length;
}

static ellm_status check_request(const ellm_context *context, const uint32_t *ids, size_t n_ids, size_t n_logits,
                                 ellm_error *err) {
  const ellm_model *model = context->model;
  if (n_logits > n_ids)
    return ellm_fail(err, ELLM_ERR_USAGE, "logits of %zu positions were asked for, of %zu", n_logits, n_ids);
  if (n_ids > context->capacity - context->length)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: the context is full: %zu positions after %u of %u", model->path, n_ids,
                     (unsigned)context->length, (unsigned)context->capacity);
  for (size_t i = 0; i < n_ids; i++)
    if (ids[i] >= model->config.vocab_size)
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: token id %u is beyond the %u rows of the embedding", model->path,
                       (unsigned)ids[i], (unsigned)model->config.vocab_size);
  return ELLM_OK;
}

/* Computes positions [cached, end) of context->ids; logits of the last n_logits. */
static ellm_status compute_to(ellm_context *context, uint32_t end, float *logits, size_t n_logits, ellm_error *err) {
  const uint32_t first_logit = end - (uint32_t)n_logits;
  while (context->cached < end) {
    const uint32_t first = context->cached, left = end - first, n = left < context->batch ? left : context->batch;
    const uint32_t wanted = first + n > first_logit ? first_logit > first ? first + n - first_logit : n : 0;
    uint32_t rows[CONTEXT_MAX_BATCH];
    for (uint32_t t = 0; t < n; t++) context->places[t] = (token_place){first + t, 0, 0};
    for (uint32_t i = 0; i < wanted; i++) rows[i] = n - wanted + i;
    ELLM_TRY(forward_batch(context, context->ids + first, n, rows, wanted, logits, err));
    if (wanted > 0) logits += (size_t)wanted * context->model->config.vocab_size;
    context->cached = first + n;
  }
  return ELLM_OK;
}

ellm_status ellm_context_eval(ellm_context *context, const uint32_t *ids, size_t n_ids, float *logits, size_t n_logits,
                              ellm_error *err) {
  ELLM_TRY(check_request(context, ids, n_ids, n_logits, err));
  if (n_ids == 0) return ELLM_OK;
  const uint32_t end = context->length + (uint32_t)n_ids;
  const bool long_factors = end > context->model->ropes.long_above;
  memcpy(context->ids + context->length, ids, n_ids * sizeof *ids);
  if (long_factors != context->cached_long) context->cached = 0;
  context->cached_long = long_factors;
  pthread_mutex_lock(&context->model->lock);
  const ellm_status status = compute_to(context, end, logits, n_logits, err);
  pthread_mutex_unlock(&context->model->lock);
  if (status == ELLM_OK) context->length = end;
  else if (context->cached > context->length) context->cached = context->length;
  return status;
}

size_t context_common_ids(const uint32_t *a, const uint32_t *b, size_t most) {
  size_t n = 0;
  while (n < most && a[n] == b[n]) n++;
  return n;
}

ellm_status context_follow(ellm_context *context, const uint32_t *ids, size_t n_ids, float *logits,
                           bool (*go_on)(void *user), void *user, size_t *kept, ellm_error *err) {
  size_t most = logits != NULL ? n_ids - 1 : n_ids;
  if (most > context->length) most = context->length;
  if (most > context->cached) most = context->cached;
  size_t same = context_common_ids(context->ids, ids, most);
  const bool long_factors = n_ids > context->model->ropes.long_above;
  if (same < n_ids && long_factors != context->cached_long) same = 0;
  if (kept != NULL) *kept = same;
  ellm_context_truncate(context, (uint32_t)same);
  ELLM_TRY(check_request(context, ids + same, n_ids - same, 0, err));
  if (same == n_ids) return ELLM_OK;
  memcpy(context->ids + same, ids + same, (n_ids - same) * sizeof *ids);
  context->cached_long = long_factors; /* at once those of the whole: nothing is evaluated twice */
  while (context->length < n_ids) {
    const size_t left = n_ids - context->length, n = left < context->batch ? left : context->batch;
    const bool last = logits != NULL && n == left;
    if (go_on != NULL && !go_on(user)) return ellm_fail(err, ELLM_INTERRUPTED, "interrupted");
    pthread_mutex_lock(&context->model->lock);
    const ellm_status status = compute_to(context, context->length + (uint32_t)n, last ? logits : NULL, last, err);
    pthread_mutex_unlock(&context->model->lock);
    ELLM_TRY(status);
    context->length = context->cached;
  }
  return ELLM_OK;
}
