/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A .ellm file with everything that the paper's method does not need: scales of
 * rows and columns, shared where matrices read the same input, and outliers. Made
 * from a checkpoint folder by the simplest quantizer: scales of rows from their
 * root mean square, made-up scales of columns, codes rounded to nearest; and a few codes moved far out.
 */
#ifndef ELLM_TESTS_SCALED_MODEL_H
#define ELLM_TESTS_SCALED_MODEL_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "codes_in_memory.h"

typedef struct scaled_writer {
  container_writer *writer;
  convert_workers workers;
  ellm_source *source;
  double step;               /* in root mean squares of a row */
  ellm_prefer prefer;
  uint16_t *columns;         /* of the matrix before, and their record */
  uint32_t record;
  char group[256];           /* what it read */
} scaled_writer;

static inline uint32_t scaled_hash(const char *text, size_t index) {
  uint32_t h = 2166136261u ^ (uint32_t)index * 2654435761u;
  for (; *text != '\0'; text++) h = (h ^ (uint8_t)*text) * 16777619u;
  return h ^ h >> 15;
}

/* The input that a matrix reads: the same text for those that share it. */
static inline void scaled_group(const char *name, char *group, size_t bytes) {
  static const char *const parts[][2] = {{"q_proj", "qkv"}, {"k_proj", "qkv"}, {"v_proj", "qkv"},
                                         {"gate_proj", "gate_up"}, {"up_proj", "gate_up"}};
  snprintf(group, bytes, "%s", name);
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    char *at = strstr(group, parts[i][0]);
    if (at != NULL) snprintf(at, bytes - (size_t)(at - group), "%s", parts[i][1]);
  }
}

static inline ellm_status scaled_matrix(scaled_writer *w, const ellm_tensor_info *info, const float *values,
                                        ellm_error *err) {
  const uint64_t rows = info->shape[0], columns = info->shape[1];
  char group[256];
  scaled_group(info->name, group, sizeof group);
  if (strcmp(group, w->group) != 0) { /* scales between 1/2 and 2, a few far from these */
    snprintf(w->group, sizeof w->group, "%s", group);
    free(w->columns);
    w->columns = calloc((columns + 3) / 4 * 4, sizeof *w->columns);
    for (uint64_t c = 0; c < columns; c++) {
      const uint32_t h = scaled_hash(group, (size_t)c);
      w->columns[c] = (uint16_t)(0x3f00 + h % 256 + (h % 97 == 0 ? 0x180 : 0));
    }
    ELLM_TRY(container_writer_columns(w->writer, info->name, w->columns, columns, &w->record, err));
  }
  uint16_t *row_scales = malloc(rows * sizeof *row_scales);
  int32_t *codes = malloc(rows * columns * sizeof *codes);
  for (uint64_t r = 0; r < rows; r++) {
    double squares = 0;
    for (uint64_t c = 0; c < columns; c++) squares += (double)values[r * columns + c] * values[r * columns + c];
    const double rms = sqrt(squares / (double)columns);
    row_scales[r] = rms > 1e-30 ? bf16_from_float((float)rms) : QUANT_SCALE_ONE;
    for (uint64_t c = 0; c < columns; c++) {
      const double scale = w->step * float_from_bf16(row_scales[r]) * float_from_bf16(w->columns[c]);
      codes[r * columns + c] = (int32_t)nearbyint(values[r * columns + c] / scale);
      if (scaled_hash(info->name, (size_t)(r * columns + c)) % 5000 == 0)
        codes[r * columns + c] += 150; /* beyond any width */
    }
  }
  codes_in_memory memory = {codes, columns};
  const quantized_matrix matrix = {
      .name = info->name,
      .dtype = ELLM_F32,
      .rows = rows,
      .columns = columns,
      .scales = {.step = (float)w->step, .rows = row_scales, .columns = w->columns},
      .columns_record = w->record,
      .codes = codes_from_memory,
      .user = &memory};
  const ellm_status status = quantized_write(w->writer, &w->workers, &matrix, (coder_aim){.prefer = w->prefer}, NULL,
                                             err);
  free(row_scales);
  free(codes);
  return status;
}

static inline ellm_status scaled_tensor(scaled_writer *w, size_t index, ellm_error *err) {
  ellm_tensor_info info;
  ellm_source_tensor(w->source, index, &info);
  float *values = malloc(info.n_elements * sizeof *values);
  ellm_status status = ellm_source_read(w->source, index, 0, info.n_elements, values, err);
  if (status == ELLM_OK && info.n_dims == 2) {
    status = scaled_matrix(w, &info, values, err);
  } else if (status == ELLM_OK) {
    container_tensor kept = {
        .name = info.name, .dtype = ELLM_F32, .n_dims = info.n_dims, .n_elements = info.n_elements};
    memcpy(kept.shape, info.shape, sizeof kept.shape);
    status = container_writer_begin_kept(w->writer, &kept, err);
    if (status == ELLM_OK) status = container_writer_kept_bytes(w->writer, values, info.n_elements * 4, err);
    if (status == ELLM_OK) status = container_writer_end(w->writer, err);
  }
  free(values);
  return status;
}

static inline ellm_status scaled_sections(scaled_writer *w, ellm_error *err) {
  static const char *const assets[] = {"config.json", "generation_config.json", "tokenizer.json",
                                       "tokenizer_config.json"};
  for (size_t i = 0; i < sizeof assets / sizeof *assets; i++) {
    size_t bytes;
    const void *data = ellm_source_asset(w->source, assets[i], &bytes);
    if (data != NULL) ELLM_TRY(container_writer_asset(w->writer, assets[i], data, bytes, err));
  }
  for (size_t i = 0; i < ellm_source_tensor_count(w->source); i++) ELLM_TRY(scaled_tensor(w, i, err));
  return ELLM_OK;
}

/* `step`: in root mean squares of a row; 0.3 gives codes up to some tens. */
static inline ellm_status scaled_model_write(const char *folder, const char *path, double step, ellm_prefer prefer,
                                             int threads, ellm_error *err) {
  static const uint8_t identity[16];
  scaled_writer w = {.step = (float)step, .prefer = prefer};
  const file_writer_options options = {.overwrite = true};
  ELLM_TRY(ellm_source_open(folder, &w.source, err));
  ELLM_TRY(workers_create(threads, &w.workers, err));
  ELLM_TRY(container_writer_open(path, &options, &w.writer, err));
  ellm_status status = scaled_sections(&w, err);
  if (status == ELLM_OK) status = container_writer_commit(w.writer, identity, NULL, err);
  else container_writer_abort(w.writer);
  workers_free(&w.workers);
  ellm_source_close(w.source);
  free(w.columns);
  return status;
}

#endif
