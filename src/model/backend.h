/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interface between a forward pass and what computes it: some fifteen operations on the rows of a batch. forward.c
 * calls them in order and computes nothing itself. The buffers, the memory of pages and the threads belong to the
 * backend. src/model/cpu is the first backend.
 *
 * No operation hands out an address of the backend's memory, which need not be memory of the host. What the host reads
 * or writes is copied: pages by page_read and page_write, rows by read_rows and write_rows. Weights are in the host's
 * memory. They are identified by their address and change only between passes.
 *
 * A batch has 1 .. BACKEND_MAX_ROWS rows. A row is a token at a position of a sequence. Every operation works on the
 * current rows: after `begin` these are all rows, and after `select` those whose logits are asked for. The result for a
 * row depends only on that row and on the pages of its sequence, never on its neighbours. So logits do not depend on
 * what else is in a batch.
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

/* Buffers of floats for the current rows, [row][columns]; backend_columns gives the columns. */
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

/* Sees what the matrices of one expert read: x[n][stride] of the current rows that chose it, whose numbers are rows[n],
 * ascending. If `inner`, it is the input of `down`, else that of gate and up. Called by the thread that evaluates. */
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

  /* Make room for n_pages, at least as many as there are. Pages keep their content. An error changes nothing. */
  ellm_status (*grow)(backend *b, uint32_t n_pages, ellm_error *err);
  /* Copy the first n positions of a page to another page. */
  void (*page_copy)(backend *b, uint32_t from, uint32_t to, uint32_t n);
  /* Copy one page of a KV head to or from the host: its elements and scales. Heads are numbered through all layers. */
  ellm_status (*page_read)(backend *b, page_part part, size_t head, uint32_t page, void *out, ellm_error *err);
  void (*page_write)(backend *b, page_part part, size_t head, uint32_t page, const void *data);

  /* --- a pass over a batch */

  /* Begin a pass over rows[n], which stay the caller's. STREAM = their rows of the embedding, scaled. */
  ellm_status (*begin)(backend *b, const batch_row *rows, size_t n, ellm_error *err);
  /* Copy the first n current rows of a buffer to the host, out[n][stride], stride >= the buffer's columns, with zeros
   * after these. The results of all earlier operations are complete then. */
  void (*read_rows)(backend *b, backend_buffer buffer, size_t n, float *out, size_t stride);
  /* Copy rows from the host; `data` may be freed afterwards. Only the buffer's columns are read. */
  void (*write_rows)(backend *b, backend_buffer buffer, size_t n, const float *data, size_t stride);
  /* out = (x / rms(x)) * weight; all of a row, hidden_size columns. */
  void (*norm)(backend *b, const float *weight, backend_buffer x, backend_buffer out);
  /* out = W x + bias, where W is the matrices of the group, stacked. */
  ellm_status (*product)(backend *b, const matrix_group *group, backend_buffer x, backend_buffer out, ellm_error *err);
  /* In QKV, norm each head of queries and keys if weights are given ([head_dim], or NULL). Then rotate it to the row's
   * position by rotary table number `rope`; ARCH_NO_ROPE: do not rotate. */
  void (*rotate)(backend *b, uint32_t rope, const float *q_norm, const float *k_norm);
  /* Store keys and values of QKV in the rows' pages. Then MIXED = softmax(scores) v over the last `window` positions up
   * to the row's (0: all). The scores are score_scale * q k, soft-capped. Window, scale and cap are facts of the
   * layer. */
  ellm_status (*attention)(backend *b, uint32_t layer, const layer_facts *facts, ellm_error *err);
  /* INNER = activation(gate) * up of GATE_UP: intermediate_size columns each. */
  ellm_status (*activate)(backend *b, arch_activation activation, uint32_t intermediate_size, ellm_error *err);
  /* PROJECTED = the weighted sum of the networks of the experts that the router of a layer chooses for a row, by facts
   * of the layer; NORMED is what router and networks read. Only matrices of experts that a row needs are read. `watch`
   * (NULL: nobody) sees the inputs of experts. */
  ellm_status (*experts)(backend *b, const layer_weights *w, const layer_facts *facts,
                         const backend_expert_watch *watch, ellm_error *err);
  /* STREAM += scale * PROJECTED. If scale is not 1, the product is rounded before it is added. */
  void (*add)(backend *b, float scale);
  /* From now on, the current rows are only those whose logits are asked for, in their order. STREAM then holds only
   * these. Returns their number. */
  size_t (*select)(backend *b);
  /* The rows' logits: the product of `head` with x, scaled and soft-capped as the configuration says. */
  ellm_status (*logits)(backend *b, const matrix_group *head, backend_buffer x, ellm_error *err);
} backend_ops;

/* The head of every backend. One pass at a time. */
struct backend { const backend_ops *ops; };

/* Columns of a buffer. */
uint32_t backend_columns(const model_config *config, backend_buffer buffer);

#endif
