/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FP8 matrices of checkpoints: elements of 8 bits with a scale beside them, one for the tensor, for each row, or for each
 * block. As a source they are F32: element x scale, one product.
 */
#ifndef ELLM_SOURCE_FP8_H
#define ELLM_SOURCE_FP8_H

#include "checkpoint/checkpoint.h"
#include "source/kind.h"

/* How checkpoints cut matrices that have a scale for each block. */
typedef struct fp8_blocks { uint64_t rows, columns; } fp8_blocks;

/* quantization_config.weight_block_size of the checkpoint's config.json; 128 x 128 where nothing is given. */
fp8_blocks fp8_blocks_of(const checkpoint *ckpt);

/* *out is the matrix, NULL where `tensor` is none of FP8 or has no scale of a shape that fits, and *scale the tensor of
 * its scales: NAME_scale_inv or NAME_scale. */
ellm_status fp8_find(const checkpoint *ckpt, const checkpoint_tensor *tensor, fp8_blocks blocks, made_tensor **out,
                     const checkpoint_tensor **scale, ellm_error *err);

/* The value of an element's 8 bits: E4M3 (without infinities, one NaN of either sign) or E5M2. */
float fp8_value(ellm_dtype dtype, uint8_t bits);

#endif
