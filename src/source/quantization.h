/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a checkpoint folder says of how its matrices were quantized: quantization_config of config.json, or the
 * quantize_config.json that older GPTQ folders have instead.
 */
#ifndef ELLM_SOURCE_QUANTIZATION_H
#define ELLM_SOURCE_QUANTIZATION_H

#include "checkpoint/checkpoint.h"

typedef enum quantization_method {
  QUANTIZATION_NONE, QUANTIZATION_GPTQ, QUANTIZATION_AWQ, QUANTIZATION_COMPRESSED_TENSORS, QUANTIZATION_MXFP4,
  QUANTIZATION_OTHER /* FP8, which says all in its tensors, and what is not known */
} quantization_method;

enum { QUANTIZATION_MAX_BITS = 8 };

typedef struct quantization {
  quantization_method method;
  bool widths[QUANTIZATION_MAX_BITS + 1]; /* of integers that occur */
  int64_t group_size;    /* columns that share a scale; -1: all; 0: not given */
  bool zeros_less_one;   /* GPTQ: zeros are stored less 1 */
  char unsupported[160]; /* why packed matrices cannot be read: field and value; "" where they can */
} quantization;

/* What is missing or makes no sense is no error here: a folder may name a method and have none of its matrices. */
void quantization_of(const checkpoint *ckpt, quantization *q);

#endif
