/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One matrix after the other of a model that is compressed to a size: its step is planned with what the matrices before
 * it have left over, it is rounded and stored. The last one is rounded until it fills what is left.
 */
#ifndef ELLM_CONVERT_SIZED_MATRIX_H
#define ELLM_CONVERT_SIZED_MATRIX_H

#include "base/scratch_file.h"
#include "convert/calibration.h"
#include "convert/quantized.h"

/* What matrices have in common, and how far they are. */
typedef struct sized_matrices {
  const ellm_compress_options *options;
  convert_workers *workers;
  container_writer *writer;
  ellm_model *model;          /* NULL: it cannot be run */
  tune_matrices matrices;
  calibration calibration;
  plan plan;
  scratch_file codes;         /* int16, row after row, of the matrix at work */
  uint64_t bytes_before;      /* that the file would have without matrices */
  uint64_t target_bits;       /* of all matrices */
  double planned_bits;        /* of the matrices that are stored, as they were planned */
  /* Matrices with the same input are a group, known by the number of its first one. */
  input_columns columns;      /* of ... */
  size_t columns_group;       /* ... this one; SIZE_MAX: of none */
  size_t stored_group;        /* the scales of columns of this one are in the file: */
  uint32_t columns_record;
  ellm_status (*columns_stored)(void *user, ellm_error *err); /* called when they are; NULL: nobody wants to know */
  void *user;
} sized_matrices;

/* Before the first matrix is stored, and to begin again. */
void sized_matrices_begin(sized_matrices *s);

/* Matrix number i, after those before it, into the writer; *tensor describes it. */
ellm_status sized_matrix_store(sized_matrices *s, size_t i, container_tensor *tensor, ellm_error *err);

/* Takes over what an earlier run stored next: the scales of columns (matrix false) or the matrix itself. *adopted: it
 * was there. */
typedef ellm_status (*sized_adopt_fn)(void *user, size_t i, bool matrix, bool *adopted, ellm_error *err);
/* The same as storing matrix i, from an earlier run. *adopted is false where that had not come so far: store it. */
ellm_status sized_matrix_adopt(sized_matrices *s, size_t i, sized_adopt_fn adopt, void *user, bool *adopted,
                               ellm_error *err);

#endif
