/* SPDX-License-Identifier: Apache-2.0 */
#include "tune/squares.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "calib/moments.h"

/* Of an expert: how many tokens have chosen it, then the columns of its two inputs. */
static size_t expert_size(const squares *s, uint32_t layer) {
  return 1 + (size_t)s->hidden + s->layers[layer].intermediate_size;
}

size_t squares_columns(const squares *s, uint32_t layer, forward_input input) {
  return input == INPUT_OUTPUT ? s->mixed : input == INPUT_DOWN ? s->layers[layer].intermediate_size : s->hidden;
}

/* Where the sums of an input begin. */
static size_t offset_of(const squares *s, forward_place place) {
  if (place.input == INPUT_HEAD) return s->begin[s->n_layers];
  const size_t network = s->begin[place.layer] + s->hidden + s->mixed + s->hidden;
  if (place.expert != FORWARD_NO_EXPERT)
    return network + place.expert * expert_size(s, place.layer) + 1 + (place.input == INPUT_DOWN ? s->hidden : 0);
  switch (place.input) {
    case INPUT_QKV: return s->begin[place.layer];
    case INPUT_OUTPUT: return s->begin[place.layer] + s->hidden;
    case INPUT_GATE_UP: return network - s->hidden;
    default: return network;
  }
}

/* Where the tokens are counted that have chosen an expert. */
static size_t count_of(const squares *s, uint32_t layer, uint32_t expert) {
  return offset_of(s, (forward_place){layer, INPUT_GATE_UP, expert}) - 1;
}

static ellm_status find_places(squares *s, ellm_error *err) {
  s->begin = malloc(((size_t)s->n_layers + 1) * sizeof *s->begin);
  if (s->begin == NULL) return ellm_fail_memory(err, s->n_layers * sizeof *s->begin, "mean squares of activations");
  for (uint32_t i = 0; i < s->n_layers; i++) {
    const size_t network = s->layers[i].n_experts > 0 ? s->layers[i].n_experts * expert_size(s, i)
                                                      : s->layers[i].intermediate_size;
    s->begin[i] = s->total;
    s->total += 2 * (size_t)s->hidden + s->mixed + network;
  }
  s->begin[s->n_layers] = s->total;
  s->total += s->hidden;
  return ELLM_OK;
}

ellm_status squares_create(const ellm_model *model, size_t together, squares *out, ellm_error *err) {
  const model_config *c = &model->config;
  *out = (squares){.n_layers = c->n_layers,
                   .layers = c->layers,
                   .hidden = c->hidden_size,
                   .mixed = c->n_heads * c->head_dim,
                   .together = together,
                   .most = together};
  ELLM_TRY(find_places(out, err));
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
  free(s->begin);
  free(s->sum);
  free(s->open);
  free(s->open_tokens);
  free(s->open_head);
  *s = (squares){0};
}

static void see(void *user, forward_place place, const batch_row *rows, size_t n, const float *x, size_t stride) {
  squares *s = user;
  const size_t at = offset_of(s, place), columns = squares_columns(s, place.layer, place.input);
  const bool expert = place.expert != FORWARD_NO_EXPERT;
  for (size_t i = 0, k; i < n; i = k) {
    for (k = i + 1; k < n && rows[k].item == rows[i].item;) k++;
    const size_t item = rows[i].item;
    if (item >= s->most) continue;
    double *open = s->open + item * s->total;
    moments_add_squares(x + i * stride, k - i, stride, columns, open + at);
    if (place.input == INPUT_HEAD) s->open_head[item] += k - i;
    else if (expert && place.input == INPUT_GATE_UP) open[at - 1] += (double)(k - i);
    else if (place.layer == 0 && place.input == INPUT_QKV) s->open_tokens[item] += k - i;
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

const double *squares_of(const squares *s, forward_place place, uint64_t *tokens) {
  if (place.expert != FORWARD_NO_EXPERT) *tokens = (uint64_t)s->sum[count_of(s, place.layer, place.expert)];
  else *tokens = place.input == INPUT_HEAD ? s->head_tokens : s->tokens;
  return s->sum + offset_of(s, place);
}
