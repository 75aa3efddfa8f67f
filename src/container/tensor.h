/* SPDX-License-Identifier: Apache-2.0 */
/* A tensor as the directory of a .ellm file describes it. */
#ifndef ELLM_CONTAINER_TENSOR_H
#define ELLM_CONTAINER_TENSOR_H

#include "coder/codebook.h"
#include "coder/geometry.h"
#include "container/groups.h"
#include "quant/exact.h"
#include "quant/quantize.h"

typedef enum container_storage {
  CONTAINER_KEPT = 0,   /* the source's bytes, verbatim */
  CONTAINER_CODED = 1   /* quantized, or exact; blocks of a coder_codebook (CODER_PLAIN included) */
} container_storage;

/* What makes a file a part of a model: one of several, which have the same whole, number of parts and shares. */
enum { CONTAINER_PARTS_MAX = 1024 };
typedef struct container_part {
  uint32_t number, n_parts;    /* 1 to n_parts, which is 2 to CONTAINER_PARTS_MAX */
  const uint32_t *shares;      /* [n_parts], none of them 0 */
  uint8_t whole[16];           /* identity of the file that was split */
  uint64_t whole_bytes;        /* its size */
} container_part;

enum { CONTAINER_NO_COLUMNS = UINT32_MAX };
enum { CONTAINER_METADATA_MAX = 16384 }; /* bytes of the value of a metadata record */

typedef struct container_tensor {
  const char *name;
  ellm_dtype dtype;            /* of the source */
  int n_dims;
  uint64_t shape[ELLM_MAX_DIMS];
  uint64_t n_elements;
  container_storage storage;
  /* CODED: */
  quant_params quant;          /* exact: bits is 8, all else 0 */
  exact_form exact;            /* its elements are stored exactly: codes and rests (quant/exact.h) */
  uint32_t columns_record;     /* of scales.columns, where these are not NULL */
  coder_codebook book;
  coder_geometry geometry;     /* of the whole matrix, also in a part of a model */
  container_groups groups;     /* which of its row groups the file has */
  double entropy_bits;         /* of the codes, in total */
  uint64_t huffman_bits;       /* unlimited single-symbol optimum, in total */
  uint64_t payload_bytes;      /* blocks only */
  uint64_t stored_bytes;       /* all that belongs to it: section with padding, directory record */
} container_tensor;

#endif
