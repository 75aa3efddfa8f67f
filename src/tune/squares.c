/* SPDX-License-Identifier: Apache-2.0 */
#include "tune/squares.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "calib/moments.h"

/* Where the sums of an input begin. */
static size_t offset_of(const squares *s, uint32_t layer, forward_input input) {
  size_t a_layer = 0, before = 0;
  for (int i = 0; i < LAYER_INPUTS; i++) {
    if (i < (int)input) before += s->columns[i];
    a_layer += s->columns[i];
  }
  return input == INPUT_HEAD ? a_layer * s->n_layers : a_layer * layer + before;
}

ellm_status squares_create(const ellm_model *model, size_t together, squares *out, ellm_error *err) {
  const model_config *c = &model->config;
  *out = (squares){.n_layers = c->n_layers, .together = together, .most = together};
  out->columns[INPUT_QKV] = out->columns[INPUT_GATE_UP] = out->columns[INPUT_HEAD] = c->hidden_size;
  out->columns[INPUT_OUTPUT] = c->n_heads * c->head_dim;
  out->columns[INPUT_DOWN] = c->intermediate_size;
  out->total = offset_of(out, 0, INPUT_HEAD) + c->hidden_size;
  size_t bytes = SIZE_MAX;
  if (ellm_mul_size(out->total, together + 1, &bytes) && ellm_mul_size(bytes, sizeof *out->sum, &bytes)) {
    out->sum = calloc(out->total, sizeof *out->sum);
    out->open = calloc(out->total * together, sizeof *out->open);
    out->open_tokens = calloc(together, sizeof *out->open_tokens);
    out->open_head = calloc(together, sizeof *out->open_head);
  }
  if (out->sum != NULL && out->open != NULL && out->open_tokens != NULL && out->open_head != NULL) return ELLM_OK;
  squares_free(out);
  return ellm_fail_memory(err, bytes, "mean squares of activations");
}

void squares_free(squares *s) {
  free(s->sum);
  free(s->open);
  free(s->open_tokens);
  free(s->open_head);
  *s = (squares){0};
}

static void see(void *user, uint32_t layer, forward_input input, const batch_row *rows, size_t n, const float *x,
                size_t stride) {
  squares *s = user;
  const size_t at = offset_of(s, layer, input);
  for (size_t i = 0, k; i < n; i = k) {
    for (k = i + 1; k < n && rows[k].item == rows[i].item;) k++;
    const size_t item = rows[i].item;
    if (item >= s->most) continue;
    moments_add_squares(x + i * stride, k - i, stride, s->columns[input], s->open + item * s->total + at);
    if (input == INPUT_HEAD) s->open_head[item] += k - i;
    else if (layer == 0 && input == INPUT_QKV) s->open_tokens[item] += k - i;
  }
}

forward_watch squares_watch(squares *s) { return (forward_watch){see, s}; }

void squares_close(squares *s, size_t n) {
  for (size_t item = 0; item < n && item < s->together; item++) {
    double *from = s->open + item * s->total;
    for (size_t i = 0; i < s->total; i++) s->sum[i] += from[i];
    s->tokens += s->open_tokens[item];
    s->head_tokens += s->open_head[item];
    memset(from, 0, s->total * sizeof *from);
    s->open_tokens[item] = s->open_head[item] = 0;
  }
}

const double *squares_of(const squares *s, uint32_t layer, forward_input input, uint64_t *tokens) {
  *tokens = input == INPUT_HEAD ? s->head_tokens : s->tokens;
  return s->sum + offset_of(s, layer, input);
}
