/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compressing one matrix after the other. The source is read twice: once for
 * range, counts of all codes and digest, once to be turned into codes, in tile
 * order. As these are made their pairs are counted, and they wait in a scratch
 * file until all are there and the code book can be chosen; then they are coded.
 * (F32 is read once more for the counts: its range must be known before.)
 *
 * A pass is spread over the threads by strips. Nothing depends on their number:
 * sums are of integers, blocks are coded independently and written in order.
 * Memory is that of the workers, whatever the matrix's size.
 */
#ifndef ELLM_CONVERT_COMPRESS_MATRIX_H
#define ELLM_CONVERT_COMPRESS_MATRIX_H

#include "base/scratch_file.h"
#include "container/container.h"
#include "convert/passes.h"

typedef struct strip_output strip_output; /* one encoded strip on its way to the file */

/* What all matrices share. Zero-initialize; the first five fields are the caller's. */
typedef struct matrix_writer {
  const ellm_compress_options *options;
  const tensor_source *input;
  convert_workers *workers;
  container_writer *writer;
  progress_meter *meter;
  scratch_file codes;          /* not in a dry run, which reads the source once more */
  uint64_t *patterns;          /* counts of 16-bit patterns */
  strip_output *outputs;
  size_t n_outputs;            /* of a batch: what is coded before it is written */
} matrix_writer;

/* The codes wait in a scratch file beside out_path, which a dry run need not have. */
ellm_status matrix_writer_open(matrix_writer *shared, const char *out_path, ellm_error *err);
void matrix_writer_close(matrix_writer *shared);

/* The matrix into the writer. `done`: the source bytes before it, for the progress. digest: D(data) of
 * docs/FORMAT.md. `tensor` describes what was written; its name is the source's. */
ellm_status compress_matrix(matrix_writer *shared, const source_tensor *source, uint64_t done, uint8_t digest[16],
                            container_tensor *tensor, ellm_error *err);

/* Name, type and shape of the source; all else zero. */
void compress_take_shape(container_tensor *tensor, const source_tensor *source);

#endif
