/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tensor of a source, and how a source is opened: what source.h, for those who
 * ask, and kind.h, for those who answer, have in common.
 */
#ifndef ELLM_SOURCE_TENSOR_H
#define ELLM_SOURCE_TENSOR_H

#include "checkpoint/assets.h"
#include "container/reader.h"

typedef struct tensor_source tensor_source;

typedef struct source_tensor {
  const char *name;              /* owned by the source, as all of this */
  ellm_dtype dtype;              /* of its elements; of a coded one: before it was quantized */
  int n_dims;                    /* 0..ELLM_MAX_DIMS */
  uint64_t shape[ELLM_MAX_DIMS];
  uint64_t n_elements;           /* product of shape; 1 for a scalar */
  uint64_t bytes;                /* n_elements * element size */
  const container_tensor *coded; /* its blocks in source_file(); NULL: it has elements to read */
} source_tensor;

typedef struct source_options {
  bool load;              /* a .ellm file is copied into memory, not mapped */
  ellm_progress_fn progress; /* of that (file_map_load); may be NULL */
  void *progress_user;
  bool parts;             /* a part of a model is welcome; else it is refused: a whole one is needed */
/* of a folder, which then need not have weights; tensors of a .ellm file are there all the same */
  bool small_files_only;
  asset_selection assets; /* of a folder */
} source_options;

#endif
