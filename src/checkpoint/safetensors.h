/* SPDX-License-Identifier: Apache-2.0 */
/* The header of one .safetensors file, parsed from memory. */
#ifndef ELLM_CHECKPOINT_SAFETENSORS_H
#define ELLM_CHECKPOINT_SAFETENSORS_H

#include "base/status.h"

enum { SAFETENSORS_MAX_HEADER = 100 * 1000 * 1000 };

typedef struct checkpoint_tensor {
  const char *name;          /* owned by the header, then by the checkpoint */
  ellm_dtype dtype;
  int n_dims;                /* 0..ELLM_MAX_DIMS */
  uint64_t shape[ELLM_MAX_DIMS];
  uint64_t n_elements;       /* product of shape; 1 for a scalar */
  uint64_t bytes;            /* n_elements * element size */
  uint32_t shard;            /* index of its file */
  uint64_t offset;           /* absolute, in that file */
} checkpoint_tensor;

typedef struct safetensors_header {
  checkpoint_tensor *tensors; /* by ascending offset; names malloc'ed; shard 0 */
  size_t n_tensors;
  char *metadata; /* "__metadata__" as JSON text, NULL if there is none */
} safetensors_header;

/* The length of the JSON text from the first 8 bytes of a file; checked against
 * the limit of the format and `file_bytes`. */
ellm_status safetensors_header_bytes(const uint8_t first[8], uint64_t file_bytes, const char *path, size_t *bytes,
                                     ellm_error *err);

/* Parse the JSON text of a file of file_bytes bytes. Every rule of the format is
 * checked: known element types, products without overflow, offsets that start at 0,
 * leave no hole, do not overlap and end at the end of the file. */
ellm_status safetensors_parse(const char *json, size_t bytes, uint64_t file_bytes, const char *path,
                              safetensors_header *header, ellm_error *err);
void safetensors_free(safetensors_header *header);

#endif
