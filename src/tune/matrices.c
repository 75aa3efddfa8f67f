/* SPDX-License-Identifier: Apache-2.0 */
#include "tune/matrices.h"

#include <stdlib.h>

#include "base/bytes.h"

static void add(tune_matrices *all, weight_matrix *matrix, forward_place place) {
  const tune_matrix *before = all->n > 0 ? &all->at[all->n - 1] : NULL;
  const bool beside = before != NULL && before->layer == place.layer && before->input == place.input &&
                      before->expert == place.expert;
  all->at[all->n++] = (tune_matrix){.matrix = matrix,
                                    .layer = place.layer,
                                    .input = place.input,
                                    .expert = place.expert,
                                    .part = beside ? before->part + 1 : 0};
  all->weights += (uint64_t)matrix->rows * matrix->columns;
}

static void add_group(tune_matrices *all, matrix_group *group, forward_place place) {
  for (size_t i = 0; i < group->n; i++) add(all, &group->matrix[i], place);
}

/* The router is not among them: it is small, and what it chooses should not be changed for the size of a file. */
static void add_experts(tune_matrices *all, layer_weights *w, uint32_t layer, forward_input input) {
  for (uint32_t i = 0; i < w->n_experts; i++) {
    const forward_place place = {layer, input, i};
    if (input == INPUT_GATE_UP) add_group(all, &w->experts[i].gate_up, place);
    if (input == INPUT_DOWN) add_group(all, &w->experts[i].down, place);
  }
}

ellm_status tune_matrices_of(ellm_model *model, tune_matrices *out, ellm_error *err) {
  model_weights *w = &model->weights;
  *out = (tune_matrices){0};
  size_t most = (size_t)w->n_layers * LAYER_INPUTS * 3 + 2;
  for (uint32_t layer = 0; layer < w->n_layers; layer++) most += 3 * (size_t)w->layers[layer].n_experts;
  out->at = calloc(most, sizeof *out->at);
  if (out->at == NULL) return ellm_fail_memory(err, most * sizeof *out->at, "the list of matrices");
  for (uint32_t layer = 0; layer < w->n_layers; layer++)
    for (int input = 0; input < LAYER_INPUTS; input++) {
      const forward_place place = {layer, (forward_input)input, FORWARD_NO_EXPERT};
      add_group(out, layer_group(&w->layers[layer], place.input), place);
      add_experts(out, &w->layers[layer], layer, (forward_input)input);
    }
  const forward_place end = {w->n_layers, INPUT_HEAD, FORWARD_NO_EXPERT};
  add(out, &w->head.matrix[0], end);
  if (w->head.matrix[0].data == w->embedding.data) {
    out->at[out->n - 1].twin = &w->embedding;
  } else {
    add(out, &w->embedding, end);
    out->at[out->n - 1].looked_up = true;
  }
  for (size_t i = 0; i < out->n; i++)
    if (out->at[i].matrix->data == NULL) {
      tune_matrices_free(out);
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s is quantized already", model->path,
                       out->at[i].matrix->name);
    }
  return ELLM_OK;
}

void tune_matrices_weigh(const tune_matrices *m, const float *factors, size_t vocab_size) {
  for (size_t i = 0; i < m->n; i++)
    if (m->at[i].input == INPUT_HEAD && m->at[i].matrix->rows == vocab_size) m->at[i].row_factors = factors;
}

void tune_matrices_free(tune_matrices *m) {
  free(m->at);
  *m = (tune_matrices){0};
}

bool tune_same_input(const tune_matrix *a, const tune_matrix *b) {
  return a->layer == b->layer && a->input == b->input && a->expert == b->expert && a->looked_up == b->looked_up;
}

forward_place tune_place(const tune_matrix *m) { return (forward_place){m->layer, m->input, m->expert}; }

void tune_matrix_floats(const weight_matrix *m, uint64_t row, size_t n, float *out) {
  const size_t count = n * m->columns, element = ellm_dtype_size(m->dtype);
  const uint8_t *from = m->data + row * m->columns * element;
  switch (m->dtype) {
    case ELLM_BF16:
      for (size_t i = 0; i < count; i++) out[i] = float_from_bf16(load_u16(from + 2 * i));
      break;
    case ELLM_F16:
      for (size_t i = 0; i < count; i++) out[i] = float_from_f16(load_u16(from + 2 * i));
      break;
    default:
      for (size_t i = 0; i < count; i++) out[i] = float_from_bits(load_u32(from + 4 * i));
  }
}

tune_elements tune_matrix_replace(tune_matrix *m, tune_elements elements) {
  const tune_elements before = {m->matrix->data, m->matrix->dtype};
  weight_matrix *const places[] = {m->matrix, m->twin};
  for (size_t i = 0; i < 2; i++) {
    if (places[i] == NULL) continue;
    places[i]->data = elements.data;
    places[i]->dtype = elements.dtype;
  }
  return before;
}
