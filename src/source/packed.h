/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matrices that other programs quantized to integers, as float32: (code - zero) x scale, one product. The integers lie
 * in words of 32 bits (GPTQ, AWQ, compressed-tensors "pack-quantized") or in bytes (compressed-tensors "int-quantized"
 * and "naive-quantized"); a scale and, mostly, a zero belong to a row and a group of columns. What a matrix is made of
 * are tensors of one name with several endings, of which only the matrix itself is a tensor of the source.
 *
 *   GPTQ                qweight I32 [columns x bits / 32, rows], down the columns; qzeros I32 [groups, rows x bits / 32];
 *                       scales [groups, rows]; g_idx I32 [columns], the group of a column
 *   AWQ                 qweight I32 [columns, rows / 8], qzeros I32 [groups, rows / 8], both along the rows, in an
 *                       order of their own; scales [groups, rows]
 *   compressed-tensors  weight_packed I32 [rows, columns x bits / 32], weight_shape; or weight I8 [rows, columns];
 *                       weight_scale [rows, groups], [rows, 1] or [1]; weight_zero_point, packed down the rows or I8;
 *                       weight_g_idx
 *
 * Bits are counted from the lowest of the first word; a value may straddle words (3 bits).
 */
#ifndef ELLM_SOURCE_PACKED_H
#define ELLM_SOURCE_PACKED_H

#include "checkpoint/checkpoint.h"
#include "source/kind.h"
#include "source/quantization.h"

enum { PACKED_PARTS = 5 };

/* A matrix that was found: what it is and the stored tensors that went into it. */
typedef struct packed_found {
  made_tensor *made;    /* NULL: the tensor is none of such a matrix */
  int n_dims;
  uint64_t shape[ELLM_MAX_DIMS];
  const checkpoint_tensor *parts[PACKED_PARTS]; /* beside the one that was asked about */
  size_t n_parts;
} packed_found;

/* Is `tensor` the integers of such a matrix? ELLM_ERR_INPUT names the tensor where something that belongs to it is
 * missing or does not fit, a group does not exist, or the configuration asks for what is not supported. Maps the files
 * that it is in; elements are looked at when they are read. */
ellm_status packed_find(checkpoint *ckpt, const quantization *q, const checkpoint_tensor *tensor, packed_found *found,
                        ellm_error *err);

#endif
