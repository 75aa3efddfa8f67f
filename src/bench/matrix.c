/* SPDX-License-Identifier: Apache-2.0 */
/* Matrices to measure kernels with: made-up ones, and those of files. */
#include "bench/matrix.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/sized.h"
#include "container/reader.h"

void ellm_bench_matrix_options_init_sized(ellm_bench_matrix_options *given, size_t size) {
  const ellm_bench_matrix_options own = {.size = size, .step = 0.4, .bits = 8, .prefer = ELLM_PREFER_BALANCED,
                                         .code = ELLM_CODE_HUFFMAN, .n_codes = 1 << 20};
  ellm_sized_init(given, &own, sizeof own);
}

static void describe(ellm_bench_matrix *m) {
  const coder_geometry *g = &m->coded.geometry;
  m->info = (ellm_bench_matrix_info){.layout = coder_codebook_layout(&m->coded.book),
                                     .entropy = m->coded.entropy,
                                     .coded_bits = bench_coded_bits(&m->coded),
                                     .weights = g->rows * g->columns,
                                     .coded_bytes = m->coded.offset[g->n_blocks] - m->coded.offset[0]};
}

ellm_status ellm_bench_matrix_create(const ellm_bench_matrix_options *options, ellm_bench_matrix **matrix,
                                     ellm_error *err) {
  *matrix = NULL;
  ELLM_SIZED(ellm_bench_matrix_options, o, options, err);
  if (o.bits < 2 || o.bits > 8 || !(o.step > 0) || o.n_codes > SIZE_MAX / 2)
    return ellm_fail(err, ELLM_ERR_USAGE, "a matrix of %llu codes of %d bits, %g apart, makes no sense",
                     (unsigned long long)o.n_codes, o.bits, o.step);
  ellm_bench_matrix *m = calloc(1, sizeof *m);
  if (m == NULL) return ellm_fail_memory(err, sizeof *m, "a matrix");
  const ellm_status status =
      bench_coded_normal(&m->coded, o.step, o.bits, (coder_aim){o.prefer, o.machine, o.code, 0}, (size_t)o.n_codes, err);
  if (status != ELLM_OK) {
    free(m);
    return status;
  }
  describe(m);
  *matrix = m;
  return ELLM_OK;
}

/* Blocks with their patches stand one after the other in a file, or are copied so, without the rests between them; each is
 * checked here, once. */
static ellm_status find_blocks(ellm_bench_matrix *m, const ellm_file *file, const container_tensor *tensor,
                               ellm_error *err) {
  const uint64_t n = tensor->geometry.n_blocks;
  ELLM_TRY(container_need_whole(file, err));
  uint64_t *offset = ellm_aligned_calloc((size_t)n + 1, sizeof *offset);
  if (offset == NULL) return ellm_fail_memory(err, (size_t)(n + 1) * sizeof *offset, "offsets of blocks");
  m->coded.offset = m->coded.owned[0] = offset;
  uint8_t *copy = NULL;
  m->coded.patched = tensor->quant.scales.outliers != 0;
  if (tensor->exact.used) {
    m->coded.owned[1] = copy = ellm_aligned_calloc((size_t)tensor->payload_bytes + CODER_SLACK, 1);
    if (copy == NULL) return ellm_fail_memory(err, (size_t)tensor->payload_bytes, "blocks of a matrix");
  }
  for (uint64_t i = 0; i < n; i++) {
    container_block block;
    const uint8_t *data;
    size_t bytes;
    ELLM_TRY(container_checked_block(file, tensor, i, &block, err));
    ELLM_TRY(container_block_at(file, tensor, i, &data, &bytes, NULL, err));
    if (copy != NULL) {
      memcpy(copy + offset[i], block.data, block.bytes);
      data = copy;
      bytes = block.bytes;
    }
    if (i == 0) m->coded.data = data;
    offset[i + 1] = offset[i] + bytes;
  }
  return ELLM_OK;
}

ellm_status ellm_bench_matrix_of_file(const ellm_file *file, size_t index, ellm_bench_matrix **matrix,
                                      ellm_error *err) {
  *matrix = NULL;
  const container_tensor *tensor = container_tensor_at(file, index);
  if (tensor == NULL || tensor->storage != CONTAINER_CODED || tensor->n_elements == 0)
    return ellm_fail(err, ELLM_ERR_USAGE, "%s: tensor %zu is not a quantized one", container_path(file), index);
  ellm_bench_matrix *m = calloc(1, sizeof *m);
  if (m == NULL) return ellm_fail_memory(err, sizeof *m, "a matrix");
  m->coded.book = tensor->book;
  m->coded.geometry = tensor->geometry;
  m->coded.entropy = tensor->entropy_bits / (double)tensor->n_elements;
  const ellm_status status = find_blocks(m, file, tensor, err);
  if (status != ELLM_OK) {
    ellm_bench_matrix_free(m);
    return status;
  }
  describe(m);
  *matrix = m;
  return ELLM_OK;
}

void ellm_bench_matrix_free(ellm_bench_matrix *matrix) {
  if (matrix == NULL) return;
  bench_coded_free(&matrix->coded);
  free(matrix);
}

const ellm_bench_matrix_info *ellm_bench_matrix_get_info(const ellm_bench_matrix *matrix) { return &matrix->info; }
