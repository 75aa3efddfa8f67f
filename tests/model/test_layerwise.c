/* SPDX-License-Identifier: Apache-2.0 */
/* Layer by layer a text gives the logits of an evaluation to the bit, and who watches sees what is multiplied. */
#include "model/layerwise.h"
#include "model_testing.h"

enum { N = 300 }; /* more than a pass has rows */

static void some_ids(const ellm_model_info *info, uint32_t *ids, size_t n) {
  for (size_t i = 0; i < n; i++) ids[i] = (uint32_t)((i * i * 7 + 3 * i + 1) % info->vocab_size);
}

typedef struct seen { size_t rows[LAYER_INPUTS + 1]; bool finite; } seen;

static void see(void *user, forward_place place, const batch_row *rows, size_t n, const float *x, size_t stride) {
  seen *s = user;
  s->rows[place.input] += n;
  assert_int_equal(place.expert, FORWARD_NO_EXPERT);
  for (size_t i = 0; i < n; i++)
    if (!isfinite(x[i * stride]) || rows[i].position >= N) s->finite = false;
}

static void layers_equal_an_evaluation(void **state) {
  (void)state;
  ellm_model *model = open_model(STORIES_FOLDER, 2, ELLM_ACTIVATIONS_F32);
  ellm_model_info info;
  ellm_model_get_info(model, &info);
  uint32_t ids[N];
  some_ids(&info, ids, N);
  const size_t vocab = info.vocab_size;
  float *expected = malloc(N * vocab * sizeof *expected), *logits = malloc(N * vocab * sizeof *logits);
  float *stream = malloc((size_t)N * info.hidden_size * sizeof *stream);
  ellm_sequence *s = NULL;
  ASSERT_OK(ellm_sequence_create(model, &s, ERR));
  ASSERT_OK(append(model, s, ids, N, expected, N, ERR));
  ellm_sequence_free(s);

  layerwise *w = NULL;
  seen watched = {.finite = true};
  const forward_watch watch = {see, &watched};
  ASSERT_OK(layerwise_create(model, N, &w, ERR));
  ASSERT_OK(layerwise_begin(w, ids, N, stream, ERR));
  for (uint32_t i = 0; i < info.n_layers; i++) ASSERT_OK(layerwise_layer(w, i, N, stream, &watch, ERR));
  ASSERT_OK(layerwise_head(w, 0, N, stream, logits, &watch, ERR));
  assert_memory_equal(logits, expected, N * vocab * sizeof *logits);
  for (int i = 0; i < LAYER_INPUTS; i++) assert_int_equal(watched.rows[i], N * info.n_layers);
  assert_int_equal(watched.rows[INPUT_HEAD], N);
  assert_true(watched.finite);

  /* a part of the logits; the stream is as it was */
  ASSERT_OK(layerwise_head(w, N - 3, N, stream, logits, NULL, ERR));
  assert_memory_equal(logits, expected + (N - 3) * vocab, 3 * vocab * sizeof *logits);
  layerwise_free(w);

  /* all pages are free again */
  uint32_t positions, free_positions;
  ellm_model_cache_usage(model, &positions, &free_positions);
  assert_int_equal(positions, free_positions);
  free(stream);
  free(logits);
  free(expected);
  ellm_model_close(model);
}

static void what_does_not_fit_is_refused(void **state) {
  (void)state;
  ellm_model *model = open_model(STORIES_FOLDER, 1, ELLM_ACTIVATIONS_F32);
  ellm_model_info info;
  ellm_model_get_info(model, &info);
  layerwise *w = NULL;
  ellm_error err;
  assert_int_equal(layerwise_create(model, 1u << 20, &w, &err), ELLM_ERR_FULL);
  assert_null(w);
  ASSERT_OK(layerwise_create(model, 32, &w, ERR));
  float *stream = malloc((size_t)64 * info.hidden_size * sizeof *stream);
  uint32_t ids[64] = {info.vocab_size};
  assert_int_equal(layerwise_begin(w, ids, 1, stream, &err), ELLM_ERR_INPUT);
  assert_int_equal(layerwise_begin(w, ids, 64, stream, &err), ELLM_ERR_INTERNAL);
  free(stream);
  layerwise_free(w);
  ellm_model_close(model);
}

/* What write_rows puts into a buffer read_rows gives back, whatever the strides; other rows stay, zeros follow columns. */
static void rows_are_copied_both_ways(void **state) {
  (void)state;
  enum { ROWS = 3, MORE = 5 };
  ellm_model *model = open_model(STORIES_FOLDER, 1, ELLM_ACTIVATIONS_F32);
  layerwise *w = NULL;
  ASSERT_OK(layerwise_create(model, 16, &w, ERR)); /* makes the backend */
  backend *b = model->backend;
  const batch_row rows[ROWS] = {{.position = 0}, {.position = 1}, {.position = 2}};
  for (int buffer = 0; buffer < BACKEND_BUFFERS; buffer++) {
    const size_t columns = backend_columns(&model->config, (backend_buffer)buffer), stride = columns + MORE;
    float *in = malloc(ROWS * stride * sizeof *in), *out = malloc(ROWS * stride * sizeof *out);
    assert_true(columns > 0);
    for (size_t i = 0; i < ROWS * stride; i++) in[i] = (float)(i + 1);
    ASSERT_OK(b->ops->begin(b, rows, ROWS, ERR));
    b->ops->write_rows(b, (backend_buffer)buffer, ROWS, in, stride);
    b->ops->write_rows(b, (backend_buffer)buffer, 1, in + stride, stride); /* the first row alone */
    b->ops->read_rows(b, (backend_buffer)buffer, ROWS, out, stride);
    assert_memory_equal(out, in + stride, columns * sizeof *out);
    for (size_t row = 1; row < ROWS; row++)
      assert_memory_equal(out + row * stride, in + row * stride, columns * sizeof *out);
    for (size_t i = 0; i < ROWS * MORE; i++) assert_true(out[i / MORE * stride + columns + i % MORE] == 0);
    memset(out, 0x55, ROWS * stride * sizeof *out);
    b->ops->read_rows(b, (backend_buffer)buffer, 2, out, columns); /* packed */
    assert_memory_equal(out, in + stride, columns * sizeof *out);
    assert_memory_equal(out + columns, in + stride, columns * sizeof *out);
    free(in);
    free(out);
  }
  layerwise_free(w);
  ellm_model_close(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(layers_equal_an_evaluation),
                                     cmocka_unit_test(what_does_not_fit_is_refused),
                                     cmocka_unit_test(rows_are_copied_both_ways)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
