/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MXFP4 as float32: numbers of 4 bits (0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives), 32 of them with one power of
 * two, 2^(scale - 127). A byte holds two, the first in its low bits.
 *
 *   quant_method mxfp4    NAME_blocks U8 [experts, rows, columns / 32, 16], NAME_scales U8 [experts, rows, columns / 32];
 *                         NAME is [experts, columns, rows], as Transformers has it
 *   compressed-tensors    weight_packed U8 [rows, columns / 2], weight_scale U8 [rows, columns / 32]
 */
#ifndef ELLM_SOURCE_MXFP4_H
#define ELLM_SOURCE_MXFP4_H

#include "source/packed.h"

/* As packed_find. A scale of 255, which is not a number, is an error when it is read. */
ellm_status mxfp4_find(checkpoint *ckpt, const quantization *q, const checkpoint_tensor *tensor, packed_found *found,
                       ellm_error *err);

#endif
