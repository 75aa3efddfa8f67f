/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sequence being computed: its ids, its KV cache, and scratch memory for one
 * batch of tokens. All memory is taken when the context is made; evaluation
 * allocates nothing.
 */
#ifndef ELLM_MODEL_CONTEXT_H
#define ELLM_MODEL_CONTEXT_H

#include "model/model.h"

enum {
  CONTEXT_MAX_BATCH = MATRIX_MAX_TOKENS,
  CONTEXT_DEFAULT_CAPACITY = 4096,
  ATTENTION_TOKENS = 8 /* that a thread takes at a time */
};

/* A token of a batch stands at a position; its own keys and values and those of all positions from `fork` on lie
 * `shift` slots behind. Both are multiples of 16; shift is 0 but for branches. */
typedef struct token_place { uint32_t position, fork, shift; } token_place;

struct ellm_context {
  ellm_model *model;
  uint32_t capacity, length;
  uint32_t slots;            /* places of the cache, a multiple of 16: more than capacity where branches lie */
  uint32_t *ids;             /* [length]: kept so that the cache can be rebuilt */

  /* KV cache, F32 or F16: keys [layer][kv head][slot / 16][head_dim][slot % 16], so that a vector holds one
   * element of 16 keys; values [layer][kv head][slot][head_dim]. A position's slot is its number, but for
   * those of branches. */
  bool half_precision;
  void *keys, *values;
  uint32_t cached;           /* positions whose keys and values are there ... */
  bool cached_long;          /* ... and whether longrope's long factors made them */

  /* One batch; [token][stride], strides multiples of 16, zero beyond the columns. */
  uint32_t batch;            /* room, in tokens */
  token_place *places;
  size_t hidden_stride, q_stride, qkv_stride, inner_stride, gate_up_stride;
  float *x;                  /* the residual stream, [hidden] */
  float *normed, *projected; /* [hidden] */
  float *qkv;                /* [queries, keys, values] */
  float *mixed;              /* output of attention, [queries] */
  float *gate_up, *inner;    /* [2 * intermediate], [intermediate] */
  float *cos_sin;            /* [2 * rope.half] */
  void *digits;              /* kernel_activations of any product; NULL with f32 activations */
  /* by thread */
  size_t score_stride;
  float *scores;             /* [thread][score_stride] */
};
enum { CONTEXT_KEY_TILE = 16 };

/* Elements of the first n positions of a head's keys or values, whole tiles. */
static inline size_t context_prefix(const ellm_context *context, size_t n) {
  return (n + CONTEXT_KEY_TILE - 1) / CONTEXT_KEY_TILE * CONTEXT_KEY_TILE * context->model->config.head_dim;
}
/* Elements from one KV head's slot 0 to the next head's. */
static inline size_t context_head_stride(const ellm_context *context) {
  return context_prefix(context, context->slots);
}
/* First element of a head's keys or values, counted in elements. */
static inline size_t context_head_offset(const ellm_context *context, uint32_t layer, uint32_t kv_head) {
  return ((size_t)layer * context->model->config.n_kv_heads + kv_head) * context_head_stride(context);
}

/* ellm_context_create with room for branches beside the sequence: `more` slots. */
ellm_status context_create(ellm_model *model, uint32_t n_ctx, size_t more, ellm_context **out, ellm_error *err);

/* How many ids a and b begin alike with, of the first `most`. */
size_t context_common_ids(const uint32_t *a, const uint32_t *b, size_t most);

/* Make the context hold ids[n_ids] and no more: positions that agree are kept, the rest is evaluated. *kept (may be
 * NULL) is their number: 0 where longrope's factors change, as all is evaluated anew then. logits (NULL: none): those
 * of the last position, which is evaluated then; n_ids is 1 or more. go_on (NULL: none) is asked before every batch;
 * false: ELLM_INTERRUPTED. After an error the context holds what was evaluated so far. */
ellm_status context_follow(ellm_context *context, const uint32_t *ids, size_t n_ids, float *logits,
                           bool (*go_on)(void *user), void *user, size_t *kept, ellm_error *err);

/* Stores keys and values of the first n tokens of the batch from context->qkv. */
void attention_store(ellm_context *context, uint32_t layer, size_t n_tokens);
/* context->mixed = softmax(q k / sqrt(head_dim)) v for the first n tokens of the batch. */
void attention_run(ellm_context *context, uint32_t layer, size_t n_tokens);

/* Computes ids[n] (n <= context->batch) at context->places. Logits of the n_rows tokens rows[], ascending numbers
 * within the batch. */
ellm_status forward_batch(ellm_context *context, const uint32_t *ids, size_t n, const uint32_t *rows, size_t n_rows,
                          float *logits, ellm_error *err);

#endif
