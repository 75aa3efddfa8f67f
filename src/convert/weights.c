/* SPDX-License-Identifier: Apache-2.0 */
/* Sources as entrollm.h has them: descriptions of tensors, and their elements as floats, coded or not. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "kernels/exact.h"
#include "kernels/kernels.h"
#include "source/describe.h"
#include "source/source.h"

enum { PIECE = 1 << 14 }; /* elements converted at once */

struct ellm_source { tensor_source *tensors; };

ellm_status ellm_source_open(const char *path, ellm_source **source, ellm_error *err) {
  *source = NULL;
  ellm_source *s = calloc(1, sizeof *s);
  if (s == NULL) return ellm_fail_memory(err, sizeof *s, "a source");
  const ellm_status status = source_open(path, NULL, &s->tensors, err);
  if (status == ELLM_OK) *source = s;
  else free(s);
  return status;
}

void ellm_source_close(ellm_source *source) {
  if (source == NULL) return;
  source_close(source->tensors);
  free(source);
}

size_t ellm_source_tensor_count(const ellm_source *source) { return source_count(source->tensors); }

bool ellm_source_tensor(const ellm_source *source, size_t index, ellm_tensor_info *info) {
  if (index >= source_count(source->tensors)) return false;
  const source_tensor *t = source_at(source->tensors, index);
  if (t->coded != NULL) {
    container_tensor_describe(t->coded, info);
    return true;
  }
  *info = (ellm_tensor_info){.name = t->name,
                             .n_dims = t->n_dims,
                             .n_elements = t->n_elements,
                             .dtype = t->dtype,
                             .kept = true,
                             .stored_bytes = t->bytes,
                             .stored_elements = t->n_elements};
  memcpy(info->shape, t->shape, sizeof info->shape);
  return true;
}

bool ellm_source_find(const ellm_source *source, const char *name, size_t *index) {
  const source_tensor *t = source_find(source->tensors, name);
  if (t != NULL) *index = source_index(source->tensors, t);
  return t != NULL;
}

ellm_status ellm_source_describe(const ellm_source *source, char **json, ellm_error *err) {
  return source_describe(source->tensors, json, err);
}

const void *ellm_source_asset(const ellm_source *source, const char *name, size_t *bytes) {
  return source_asset(source->tensors, name, bytes);
}

/* ------------------------------------------------------------------ elements */

static float load_element(ellm_dtype dtype, const uint8_t *p) {
  double wide;
  uint64_t bits;
  switch (dtype) {
    case ELLM_F16: return float_from_f16(load_u16(p));
    case ELLM_BF16: return float_from_bf16(load_u16(p));
    case ELLM_F64:
      bits = load_u64(p);
      memcpy(&wide, &bits, sizeof wide);
      return (float)wide;
    default: return float_from_bits(load_u32(p));
  }
}

static ellm_status read_elements(const tensor_source *s, const source_tensor *t, uint64_t first, size_t n,
                                 float *values, ellm_error *err) {
  const size_t size = ellm_dtype_size(t->dtype);
  if (t->dtype != ELLM_F32 && t->dtype != ELLM_F16 && t->dtype != ELLM_BF16 && t->dtype != ELLM_F64)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s has elements of type %s, which are not read as floats",
                     source_origin(s, t), t->name, ellm_dtype_name(t->dtype));
  uint8_t *raw = malloc(PIECE * size);
  if (raw == NULL) return ellm_fail_memory(err, PIECE * size, "elements");
  ellm_status status = ELLM_OK;
  for (size_t done = 0; status == ELLM_OK && done < n; done += PIECE) {
    const size_t count = n - done < PIECE ? n - done : PIECE;
    status = source_read(s, t, (first + done) * size, raw, count * size, err);
    for (size_t i = 0; status == ELLM_OK && i < count; i++)
      values[done + i] = load_element(t->dtype, raw + i * size);
  }
  free(raw);
  return status;
}

typedef struct decoder {
  coder_scratch scratch;
  uint8_t tiles[CODER_MAX_CODES + CODER_SLACK];
  int32_t whole[CODER_MAX_CODES]; /* codes with their patches, in tile order */
  float row[CODER_MAX_CODES];     /* of a block that is stored exactly */
} decoder;

/* Place of a row and column of a block in tile order. */
static size_t place_of(const coder_block *block, uint32_t row, uint32_t column) {
  const size_t tile = (size_t)(row / block->panel_rows) * block->tiles + column / CODER_TILE_COLUMNS;
  return (tile * block->panel_rows + row % block->panel_rows) * CODER_TILE_COLUMNS + column % CODER_TILE_COLUMNS;
}

/* The weights of one block that are in [first, first + n), of a matrix that is stored exactly. */
static ellm_status read_exact(const ellm_file *file, const container_tensor *t, uint64_t index, decoder *d,
                              uint64_t first, size_t n, float *values, ellm_error *err) {
  const coder_block block = coder_geometry_block(&t->geometry, index);
  container_block coded;
  ELLM_TRY(container_decode_block(file, t, index, kernels_best()->decode_block, &d->scratch, d->tiles, NULL, err));
  ELLM_TRY(container_checked_block(file, t, index, &coded, err));
  for (uint32_t r = 0; r < block.rows; r++) {
    const uint64_t at = (block.first_row + r) * t->geometry.columns + block.first_column;
    if (at >= first + n || at + block.columns <= first) continue;
    exact_row(&block, t->dtype, &t->exact, d->tiles, coded.rests, r, d->row);
    for (uint32_t c = 0; c < block.columns; c++)
      if (at + c >= first && at + c - first < n) values[at + c - first] = d->row[c];
  }
  return ELLM_OK;
}

/* The same of a quantized one. */
static ellm_status read_block(const ellm_file *file, const container_tensor *t, uint64_t index, decoder *d,
                              uint64_t first, size_t n, float *values, ellm_error *err) {
  const coder_block block = coder_geometry_block(&t->geometry, index);
  coder_patches patches;
  ELLM_TRY(container_decode_block(file, t, index, kernels_best()->decode_block, &d->scratch, d->tiles, &patches, err));
  for (size_t i = 0; i < coder_block_codes(&block); i++) d->whole[i] = d->tiles[i];
  for (uint32_t i = 0; i < patches.n; i++) {
    const coder_patch patch = coder_patch_at(&patches, i);
    d->whole[patch.place] += patch.difference;
  }
  for (uint32_t r = 0; r < block.rows; r++)
    for (uint32_t c = 0; c < block.columns; c++) {
      const uint64_t row = block.first_row + r, column = block.first_column + c;
      const uint64_t at = row * t->geometry.columns + column;
      if (at >= first && at - first < n)
        values[at - first] = quant_weight(&t->quant.scales, d->whole[place_of(&block, r, c)], row, column);
    }
  return ELLM_OK;
}

static ellm_status read_coded(const tensor_source *s, const source_tensor *t, uint64_t first, size_t n, float *values,
                              ellm_error *err) {
  const coder_geometry *g = &t->coded->geometry;
  const uint64_t group_weights = (uint64_t)g->panels_per_block * g->panel_rows * g->columns;
  decoder *d = ellm_aligned_calloc(1, sizeof *d);
  if (d == NULL) return ellm_fail_memory(err, sizeof *d, "a block");
  ellm_status status = ELLM_OK;
  const uint64_t from = first / group_weights * g->column_ranges;
  const uint64_t to = ((first + n - 1) / group_weights + 1) * g->column_ranges;
  for (uint64_t i = from; status == ELLM_OK && i < to; i++)
    status = (t->coded->exact.used ? read_exact : read_block)(source_file(s), t->coded, i, d, first, n, values, err);
  ellm_aligned_free(d);
  return status;
}

ellm_status ellm_source_read(const ellm_source *source, size_t index, uint64_t first, size_t n, float *values,
                             ellm_error *err) {
  if (index >= source_count(source->tensors))
    return ellm_fail(err, ELLM_ERR_USAGE, "%s: no tensor %zu", source_path(source->tensors), index);
  const source_tensor *t = source_at(source->tensors, index);
  if (first > t->n_elements || n > t->n_elements - first)
    return ellm_fail(err, ELLM_ERR_USAGE, "%s: tensor %s has %llu elements, not %zu from %llu on",
                     source_origin(source->tensors, t), t->name, (unsigned long long)t->n_elements, n,
                     (unsigned long long)first);
  if (n == 0) return ELLM_OK;
  return t->coded != NULL ? read_coded(source->tensors, t, first, n, values, err)
                          : read_elements(source->tensors, t, first, n, values, err);
}
