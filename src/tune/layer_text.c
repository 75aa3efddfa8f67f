/* SPDX-License-Identifier: Apache-2.0 */
#include "tune/layer_text.h"

#include <stdlib.h>

#include "base/memory.h"

static size_t stream_bytes(const layer_text *t) {
  return t->text->length * t->model->config.hidden_size * sizeof *t->stream;
}

static ellm_status load(layer_text *t, size_t sequence, ellm_error *err) {
  return scratch_file_read(&t->streams, (uint64_t)sequence * stream_bytes(t), t->stream, stream_bytes(t), err);
}

static ellm_status store(layer_text *t, size_t sequence, ellm_error *err) {
  return scratch_file_write(&t->streams, (uint64_t)sequence * stream_bytes(t), t->stream, stream_bytes(t), err);
}

ellm_status layer_text_open(ellm_model *model, const corpus *text, size_t n, const char *path, layer_text *out,
                            ellm_error *err) {
  *out = (layer_text){.model = model, .text = text, .n = n, .streams = {.fd = -1}};
  size_t bytes = SIZE_MAX;
  if (ellm_mul_size(text->length, model->config.hidden_size * sizeof(float), &bytes)) out->stream = malloc(bytes);
  if (out->stream == NULL) return ellm_fail_memory(err, bytes, "a text between two layers");
  ELLM_TRY(layerwise_create(model, (uint32_t)text->length, &out->layers, err));
  ELLM_TRY(scratch_file_open(path, &out->streams, err));
  return layer_text_rewind(out, err);
}

ellm_status layer_text_rewind(layer_text *t, ellm_error *err) {
  const size_t length = t->text->length;
  for (size_t k = 0; k < t->n; k++) {
    ELLM_TRY(layerwise_begin(t->layers, t->text->ids + k * length, length, t->stream, err));
    ELLM_TRY(store(t, k, err));
  }
  return ELLM_OK;
}

void layer_text_close(layer_text *t) {
  layerwise_free(t->layers);
  scratch_file_close(&t->streams);
  free(t->stream);
  *t = (layer_text){.streams = {.fd = -1}};
}

typedef struct gathering {
  layer_moments *m;
  thread_pool *pool;
} gathering;

static void gather(void *user, forward_place place, const batch_row *rows, size_t n, const float *x, size_t stride) {
  const gathering *g = user;
  layer_moments *m = g->m;
  (void)rows;
  if (place.expert == FORWARD_NO_EXPERT) {
    if (m->inputs[place.input] != NULL) moments_add(m->inputs[place.input], g->pool, x, n, stride);
    return;
  }
  if (m->n_experts == 0 || place.input != m->expert_input) return;
  const uint32_t which = place.expert - m->first_expert; /* wraps for those before it */
  if (which < m->n_experts) moments_add(&m->experts[which], g->pool, x, n, stride);
  if (m->expert_squares != NULL) moments_add_squares(x, n, stride, m->experts[0].sum.n, m->expert_squares);
  m->expert_tokens += n;
}

static ellm_status pass_layer(layer_text *t, uint32_t layer, layer_moments *m, bool stays, ellm_error *err) {
  gathering g = {m, compute_pool(t->model->compute)};
  const forward_watch watch = {gather, &g};
  for (size_t k = 0; k < t->n; k++) {
    ELLM_TRY(load(t, k, err));
    ELLM_TRY(layerwise_layer(t->layers, layer, t->text->length, t->stream, m != NULL ? &watch : NULL, err));
    if (!stays) ELLM_TRY(store(t, k, err));
  }
  return ELLM_OK;
}

ellm_status layer_text_moments(layer_text *t, uint32_t layer, layer_moments *m, ellm_error *err) {
  return pass_layer(t, layer, m, true, err);
}

ellm_status layer_text_advance(layer_text *t, uint32_t layer, layer_moments *m, ellm_error *err) {
  return pass_layer(t, layer, m, false, err);
}

ellm_status layer_text_head(layer_text *t, moments *m, ellm_error *err) {
  layer_moments all = {.inputs = {[INPUT_HEAD] = m}};
  gathering g = {&all, compute_pool(t->model->compute)};
  const forward_watch watch = {gather, &g};
  for (size_t k = 0; k < t->n; k++) {
    ELLM_TRY(load(t, k, err));
    ELLM_TRY(layerwise_head(t->layers, 0, t->text->length, t->stream, NULL, &watch, err));
  }
  return ELLM_OK;
}
