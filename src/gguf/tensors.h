/* SPDX-License-Identifier: Apache-2.0 */
/* The descriptions of a GGUF file's tensors. */
#ifndef ELLM_GGUF_TENSORS_H
#define ELLM_GGUF_TENSORS_H

#include "gguf/cursor.h"
#include "gguf/types.h"

enum {
  GGUF_MAX_TENSORS = 262144, /* of a set of files, too */
  GGUF_MAX_NAME = 64,        /* bytes of a tensor's name, the format's limit */
  GGUF_MAX_DIMS = 4
};

typedef struct gguf_tensor {
  char name[GGUF_MAX_NAME + 1]; /* without control characters */
  gguf_type type;
  int n_dims;                    /* 1 to GGUF_MAX_DIMS */
  uint64_t shape[GGUF_MAX_DIMS]; /* rows first, columns last, each at least 1: the reverse of the file's order */
  uint64_t n_elements;           /* product of shape */
  uint64_t bytes;                /* of its blocks; rows are whole blocks */
  const uint8_t *data;           /* its blocks, in the mapped file */
  const char *path;              /* of the file that it is in; not owned */
} gguf_tensor;

/*
 * Read n_tensors descriptions from the cursor on into out[n_tensors], find the data behind them, at the next multiple
 * of `alignment` (a power of two), and check that every tensor is in it, begins at a multiple of the alignment, and
 * shares no byte with another. ELLM_ERR_INPUT names file, tensor and value.
 */
ellm_status gguf_tensors_read(gguf_cursor *c, uint32_t alignment, size_t n_tensors, gguf_tensor *out, ellm_error *err);

/* Least bytes of a description: a number of tensors beyond what is left of the file over this is wrong. */
enum { GGUF_LEAST_TENSOR = 8 + 1 + 4 + 8 + 4 + 8 };

#endif
