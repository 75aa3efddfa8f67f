/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam between a forward pass and what computes it: some fifteen operations on
 * the rows of a batch. forward.c calls them in order and touches no number
 * itself; the buffers, the memory of the pages and the threads belong to the
 * backend. src/model/cpu is the first one.
 *
 * No operation hands out an address of the backend's memory, which need not be
 * the host's: what the host reads or writes is copied, pages by page_read and
 * page_write, rows by read_rows and write_rows. Weights are the host's. They are
 * named by address and change only between passes.
 *
 * A batch is 1 .. BACKEND_MAX_ROWS rows. A row is a token at a position of a
 * sequence. Every operation works on the rows at work: all from `begin` on, those
 * whose logits are expected from `select` on. What an operation does to a row
 * depends on that row and on the pages of its sequence only, never on its
 * neighbours: so logits do not depend on what else is in a batch.
 *
 * Invariants of a batch (evaluate.c makes it so):
 *  1. The rows of a sequence are consecutive, and so are their positions.
 *  2. Row and position together occur once.
 *  3. The page of a row is held by its sequence alone; the runs of the row hold
 *     that page and, before it, those of all earlier positions.
 *  4. All earlier positions are computed already, or are rows before it.
 *  5. `long_factors` is that of all pages of its sequence.
 */
#ifndef ELLM_MODEL_BACKEND_H
#define ELLM_MODEL_BACKEND_H

#include "model/pages.h"
#include "model/weights.h"

enum { BACKEND_MAX_ROWS = MATRIX_MAX_TOKENS };

typedef struct batch_row {
  uint32_t id, position;
  uint32_t page;          /* that holds the position */
  bool long_factors;      /* rotary factors */
  const page_run *runs;   /* pages of the sequence in order, up to the position's at least */
  float *logits;          /* [vocab_size], or NULL: not wanted */
  uint32_t item;          /* of the batch that it belongs to; for those who watch, no operation looks at it */
} batch_row;

/* Floats of the rows at work, [row][columns]; backend_columns gives the columns. */
typedef enum backend_buffer {
  BUFFER_STREAM,     /* the residual stream: hidden_size */
  BUFFER_NORMED,     /* hidden_size */
  BUFFER_PROJECTED,  /* hidden_size: what a block adds to the stream */
  BUFFER_QKV,        /* queries, keys and values: (n_heads + 2 n_kv_heads) * head_dim */
  BUFFER_MIXED,      /* what attention mixes from values: n_heads * head_dim */
  BUFFER_GATE_UP,    /* 2 * intermediate_size of the widest layer */
  BUFFER_INNER,      /* intermediate_size of the widest layer */
  BACKEND_BUFFERS
} backend_buffer;

/* What is computed of a page, for page_read and page_write. */
typedef enum page_part { PAGE_KEYS, PAGE_VALUES } page_part;

/* Sees what the matrices of one expert read: x[n][stride], of the rows at work that have chosen it, rows[n] being their
 * numbers, ascending. `inner`: what `down` multiplies; else what gate and up do. Called by the thread that
 * evaluates. */
typedef struct backend_expert_watch {
  void (*see)(void *user, uint32_t expert, bool inner, const uint32_t *rows, size_t n, const float *x, size_t stride);
  void *user;
} backend_expert_watch;

typedef struct backend backend;

typedef struct backend_ops {
  void (*free)(backend *b);

  /* --- the memory of pages: of each page, layer and KV head the keys [head_dim][PAGE_POSITIONS] and the values
   * [PAGE_POSITIONS][head_dim], F32 or F16. In 8 bits, row being head_dim rounded up to a multiple of 4: the keys
   * [row / 4][PAGE_POSITIONS][4] or the values [PAGE_POSITIONS][row], then PAGE_POSITIONS scales of BF16 */

  /* Room for n_pages, not fewer than there are; what is in them stays. An error leaves all as it was. */
  ellm_status (*grow)(backend *b, uint32_t n_pages, ellm_error *err);
  /* The first n positions of a page to another one. */
  void (*page_copy)(backend *b, uint32_t from, uint32_t to, uint32_t n);
  /* One page of KV head number `head`, counted through all layers: as many elements as said, and the scales. */
  ellm_status (*page_read)(backend *b, page_part part, size_t head, uint32_t page, void *out, ellm_error *err);
  void (*page_write)(backend *b, page_part part, size_t head, uint32_t page, const void *data);

  /* --- a pass over a batch */

  /* rows[n] are at work, and stay the caller's; STREAM = their rows of the embedding, scaled. */
  ellm_status (*begin)(backend *b, const batch_row *rows, size_t n, ellm_error *err);
  /* The first n rows at work of a buffer to memory of the host, out[n][stride], stride >= the buffer's columns; zeros
   * beyond these. What earlier operations have put there is complete. */
  void (*read_rows)(backend *b, backend_buffer buffer, size_t n, float *out, size_t stride);
  /* The other way; `data` may be freed afterwards. What lies beyond the columns is not looked at. */
  void (*write_rows)(backend *b, backend_buffer buffer, size_t n, const float *data, size_t stride);
  /* out = (x / rms(x)) * weight; all of a row, hidden_size columns. */
  void (*norm)(backend *b, const float *weight, backend_buffer x, backend_buffer out);
  /* out = W x + bias, W the matrices of the group one below the other. */
  ellm_status (*product)(backend *b, const matrix_group *group, backend_buffer x, backend_buffer out, ellm_error *err);
  /* QKV: each head of queries and keys is normed where weights are given ([head_dim], or NULL), then rotated to the
   * row's position by rotary table number `rope`, or not at all: ARCH_NO_ROPE. */
  void (*rotate)(backend *b, uint32_t rope, const float *q_norm, const float *k_norm);
  /* Keys and values of QKV go to the rows' pages; then MIXED = softmax(scores) v over the positions up to the row's,
   * the last `window` of them (0: all); scores are score_scale * q k, soft-capped. All three are facts of the layer. */
  ellm_status (*attention)(backend *b, uint32_t layer, const layer_facts *facts, ellm_error *err);
  /* INNER = activation(gate) * up of GATE_UP: intermediate_size columns each. */
  ellm_status (*activate)(backend *b, arch_activation activation, uint32_t intermediate_size, ellm_error *err);
  /* PROJECTED = the weighted sum of the networks of the experts that the router of a layer chooses for a row, by facts
   * of the layer; NORMED is what router and networks read. Only matrices of experts that a row needs are read. `watch`
   * (NULL: nobody) sees the inputs of experts. */
  ellm_status (*experts)(backend *b, const layer_weights *w, const layer_facts *facts,
                         const backend_expert_watch *watch, ellm_error *err);
  /* STREAM += scale * PROJECTED, which is scaled and rounded first where scale is not 1. */
  void (*add)(backend *b, float scale);
  /* Only rows whose logits are expected are at work from here on, in their order; their number. STREAM is theirs. */
  size_t (*select)(backend *b);
  /* The product of `head` with x, scaled and soft-capped as the configuration says, to the rows' logits. */
  ellm_status (*logits)(backend *b, const matrix_group *head, backend_buffer x, ellm_error *err);
} backend_ops;

/* The head of every backend. One pass at a time. */
struct backend { const backend_ops *ops; };

/* Columns of a buffer. */
uint32_t backend_columns(const model_config *config, backend_buffer buffer);

#endif
