/* SPDX-License-Identifier: Apache-2.0 */
/* See fp8.h. */
#include "source/fp8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "json/json.h"

typedef struct fp8_matrix {
  made_tensor made;
  const checkpoint *ckpt;
  const checkpoint_tensor *tensor;
  float *scales;          /* row after row of blocks */
  fp8_blocks blocks;      /* what one scale stands for */
  uint64_t scales_a_row;
  float values[256];
} fp8_matrix;

/* ----------------------------------------------------------------- elements */

float fp8_value(ellm_dtype dtype, uint8_t bits) {
  if (dtype == ELLM_F8_E5M2) return float_from_f16((uint16_t)(bits << 8)); /* the upper half of an F16 */
  const int exponent = bits >> 3 & 15, fraction = bits & 7;
  float value;
  if (exponent == 15 && fraction == 7) value = NAN;
  else if (exponent == 0) value = ldexpf((float)fraction, -9);
  else value = ldexpf((float)(8 + fraction), exponent - 10);
  return (bits & 0x80) != 0 ? -value : value;
}

/* The codes are in the last quarter of `out` and become floats from the first on: none is overwritten unread. */
static void scale_row_part(const fp8_matrix *m, uint64_t row, uint64_t column, const uint8_t *codes, size_t n,
                           uint8_t *out) {
  const float *scales = m->scales + row / m->blocks.rows * m->scales_a_row;
  for (size_t i = 0; i < n;) {
    const uint64_t block = (column + i) / m->blocks.columns;
    const uint64_t end = (block + 1) * m->blocks.columns - column; /* the block's, counted as i is */
    const float scale = scales[block];
    for (; i < n && i < end; i++) store_u32(out + 4 * i, float_bits(m->values[codes[i]] * scale));
  }
}

static ellm_status read_elements(const made_tensor *made, uint64_t first, void *out, size_t n, ellm_error *err) {
  const fp8_matrix *m = (const fp8_matrix *)made;
  const uint64_t columns = m->tensor->shape[1];
  uint8_t *floats = out, *codes = floats + 3 * n;
  ELLM_TRY(checkpoint_read(m->ckpt, m->tensor, first, codes, n, err));
  for (size_t i = 0; i < n;) {
    const uint64_t row = (first + i) / columns, column = (first + i) % columns;
    const uint64_t left = columns - column;
    const size_t part = n - i < left ? n - i : (size_t)left;
    scale_row_part(m, row, column, codes + i, part, floats + 4 * i);
    i += part;
  }
  return ELLM_OK;
}

static void free_matrix(made_tensor *made) {
  fp8_matrix *m = (fp8_matrix *)made;
  free(m->scales);
  free(m);
}

/* ------------------------------------------------------------------- scales */

static uint64_t size_of(const json_t *list, size_t index, uint64_t otherwise) {
  const json_t *value = json_array_get(list, index);
  const json_int_t n = json_is_integer(value) ? json_integer_value(value) : 0;
  return n > 0 ? (uint64_t)n : otherwise;
}

fp8_blocks fp8_blocks_of(const checkpoint *ckpt) {
  fp8_blocks blocks = {128, 128};
  size_t bytes = 0;
  json_t *root = NULL;
  const uint8_t *config = checkpoint_asset(ckpt, "config.json", &bytes);
  if (config == NULL || json_parse(config, bytes, "config.json", &root, NULL) != ELLM_OK) return blocks;
  const json_t *list = json_object_get(json_object_get(root, "quantization_config"), "weight_block_size");
  blocks.rows = size_of(list, 0, blocks.rows);
  blocks.columns = size_of(list, 1, blocks.columns);
  json_decref(root);
  return blocks;
}

static uint64_t parts(uint64_t size, uint64_t part) { return size / part + (size % part != 0); }

/* Which weights a scale stands for, by the shape of the scales; false: it fits no way. */
static bool fit_scales(fp8_matrix *m, const checkpoint_tensor *scale, fp8_blocks blocks) {
  const uint64_t rows = m->tensor->shape[0], columns = m->tensor->shape[1];
  if (scale->n_dims <= 2 && scale->n_elements == 1) {
    m->blocks = (fp8_blocks){rows, columns};
  } else if ((scale->n_dims == 1 || (scale->n_dims == 2 && scale->shape[1] == 1)) && scale->shape[0] == rows) {
    m->blocks = (fp8_blocks){1, columns};
  } else if (scale->n_dims == 2 && scale->shape[0] == parts(rows, blocks.rows) &&
             scale->shape[1] == parts(columns, blocks.columns)) {
    m->blocks = blocks;
  } else {
    return false;
  }
  m->scales_a_row = parts(columns, m->blocks.columns);
  return true;
}

static ellm_status read_scales(fp8_matrix *m, const checkpoint_tensor *scale, ellm_error *err) {
  const size_t n = (size_t)scale->n_elements, size = ellm_dtype_size(scale->dtype);
  uint8_t *data = malloc(n * size + 1);
  m->scales = malloc(n * sizeof *m->scales + 1);
  if (data == NULL || m->scales == NULL) {
    free(data);
    return ellm_fail_memory(err, n * sizeof *m->scales, "the scales of a matrix");
  }
  const ellm_status status = checkpoint_read(m->ckpt, scale, 0, data, n * size, err);
  for (size_t i = 0; status == ELLM_OK && i < n; i++)
    m->scales[i] = scale->dtype == ELLM_F32   ? float_from_bits(load_u32(data + 4 * i))
                   : scale->dtype == ELLM_F16 ? float_from_f16(load_u16(data + 2 * i))
                                              : float_from_bf16(load_u16(data + 2 * i));
  free(data);
  return status;
}

/* "NAME_scale_inv" or "NAME_scale", of floats. */
static const checkpoint_tensor *find_scale(const checkpoint *ckpt, const checkpoint_tensor *tensor) {
  static const char *const endings[] = {"_scale_inv", "_scale"};
  char name[1100];
  for (size_t i = 0; i < 2; i++) {
    const int n = snprintf(name, sizeof name, "%s%s", tensor->name, endings[i]);
    if (n < 0 || (size_t)n >= sizeof name) return NULL;
    const checkpoint_tensor *scale = checkpoint_find(ckpt, name);
    if (scale != NULL && scale->dtype <= ELLM_BF16) return scale;
  }
  return NULL;
}

ellm_status fp8_find(const checkpoint *ckpt, const checkpoint_tensor *tensor, fp8_blocks blocks, made_tensor **out,
                     const checkpoint_tensor **scale, ellm_error *err) {
  *out = NULL;
  *scale = NULL;
  if (tensor->dtype != ELLM_F8_E4M3 && tensor->dtype != ELLM_F8_E5M2) return ELLM_OK;
  if (tensor->n_dims != 2 || tensor->n_elements == 0 || tensor->n_elements > UINT64_MAX / 4) return ELLM_OK;
  const checkpoint_tensor *found = find_scale(ckpt, tensor);
  if (found == NULL) return ELLM_OK;
  fp8_matrix *m = calloc(1, sizeof *m);
  if (m == NULL) return ellm_fail_memory(err, sizeof *m, "a matrix");
  *m = (fp8_matrix){.made = {.read = read_elements, .free = free_matrix, .what = "FP8"}, .ckpt = ckpt, .tensor = tensor};
  for (int i = 0; i < 256; i++) m->values[i] = fp8_value(tensor->dtype, (uint8_t)i);
  ellm_status status = ELLM_OK;
  if (fit_scales(m, found, blocks)) {
    status = read_scales(m, found, err);
    if (status == ELLM_OK) {
      *out = &m->made;
      *scale = found;
      return ELLM_OK;
    }
  }
  free_matrix(&m->made);
  return status;
}
