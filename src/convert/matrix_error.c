/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/matrix_error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { STRIP = 1 << 16 }; /* weights at once: some row groups of blocks */

/* Sums of squares are chains in the order of the weights, so that the result is the same wherever it is computed. */
typedef struct sums { double differences, weights; } sums;

static ellm_status add_strip(const ellm_source *file, size_t at, const ellm_source *source, size_t from,
                             uint64_t first, size_t n, float *have, float *want, sums *s, ellm_error *err) {
  ELLM_TRY(ellm_source_read(file, at, first, n, have, err));
  ELLM_TRY(ellm_source_read(source, from, first, n, want, err));
  for (size_t i = 0; i < n; i++) {
    const double w = (double)want[i], d = (double)have[i] - w;
    s->differences += d * d;
    s->weights += w * w;
  }
  return ELLM_OK;
}

ellm_status matrix_error(const ellm_source *file, const ellm_source *source, const char *name, double *error,
                         ellm_error *err) {
  size_t at, from;
  ellm_tensor_info info, original;
  if (!ellm_source_find(file, name, &at) || !ellm_source_find(source, name, &from) ||
      !ellm_source_tensor(file, at, &info) || !ellm_source_tensor(source, from, &original) ||
      info.n_elements != original.n_elements || info.n_dims != 2)
    return ellm_fail(err, ELLM_ERR_INPUT, "tensor %s is not in the source, or of another shape", name);
  const uint64_t columns = info.shape[1] > 0 ? info.shape[1] : 1;
  /* whole row groups of blocks, or a block is decoded more than once */
  const uint64_t rows = (STRIP / columns + 64) / 64 * 64;
  const uint64_t strip = rows * columns < info.n_elements ? rows * columns : info.n_elements;
  float *have = malloc((size_t)strip * sizeof *have + 1), *want = malloc((size_t)strip * sizeof *want + 1);
  ellm_status status = have != NULL && want != NULL ? ELLM_OK : ellm_fail_memory(err, (size_t)strip * 8, "weights");
  sums s = {0, 0};
  for (uint64_t i = 0; i < info.n_elements && status == ELLM_OK; i += strip) {
    const uint64_t left = info.n_elements - i;
    status = add_strip(file, at, source, from, i, (size_t)(left < strip ? left : strip), have, want, &s, err);
  }
  free(have);
  free(want);
  *error = s.differences > 0 ? s.differences / (s.weights > 0 ? s.weights : 1) : 0;
  return status;
}

void matrix_error_text(double error, char text[MATRIX_ERROR_BYTES]) {
  snprintf(text, MATRIX_ERROR_BYTES, "%.6g", error);
}

const char *matrix_errors_name(size_t i, char name[32]) {
  if (i == 0) snprintf(name, 32, "entrollm.errors");
  else snprintf(name, 32, "entrollm.errors.%zu", i + 1);
  return name;
}

void matrix_errors_free(matrix_errors *e) {
  for (size_t i = 0; i < e->n; i++) free(e->values[i]);
  free(e->values);
  *e = (matrix_errors){0};
}

/* One number more, the k-th of all. */
static ellm_status add_number(matrix_errors *e, size_t k, double error, ellm_error *err) {
  const size_t in_record = k % MATRIX_ERRORS_A_RECORD;
  if (in_record == 0) {
    char **grown = realloc(e->values, (e->n + 1) * sizeof *grown);
    if (grown == NULL) return ellm_fail_memory(err, sizeof *grown, "errors of matrices");
    e->values = grown;
    e->values[e->n] = malloc((size_t)MATRIX_ERRORS_A_RECORD * MATRIX_ERROR_BYTES + 2);
    if (e->values[e->n] == NULL) return ellm_fail_memory(err, MATRIX_ERROR_BYTES, "errors of matrices");
    strcpy(e->values[e->n++], "[]");
  }
  char *value = e->values[e->n - 1], *end = value + strlen(value) - 1;
  char text[MATRIX_ERROR_BYTES];
  matrix_error_text(error, text);
  sprintf(end, "%s%s]", in_record > 0 ? "," : "", text);
  return ELLM_OK;
}

static ellm_status find_all(const ellm_source *file, const ellm_source *source, progress_meter *meter,
                            matrix_errors *out, ellm_error *err) {
  ellm_tensor_info info;
  size_t k = 0;
  for (size_t i = 0; ellm_source_tensor(file, i, &info); i++) {
    double error;
    if (info.kept) continue;
    ELLM_TRY(matrix_error(file, source, info.name, &error, err));
    ELLM_TRY(add_number(out, k++, error, err));
    ELLM_TRY(progress_report(meter, "errors", info.name, meter->done + info.stored_bytes, err));
  }
  return ELLM_OK;
}

ellm_status matrix_errors_find(const char *path, const char *source_path, progress_meter *meter, matrix_errors *out,
                               ellm_error *err) {
  ellm_source *file = NULL, *source = NULL;
  *out = (matrix_errors){0};
  ellm_status status = ellm_source_open(path, &file, err);
  if (status == ELLM_OK) status = ellm_source_open(source_path, &source, err);
  if (status == ELLM_OK) status = find_all(file, source, meter, out, err);
  ellm_source_close(file);
  ellm_source_close(source);
  return status;
}
