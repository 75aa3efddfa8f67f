/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of GGUF tensors to float32. */
#ifndef ELLM_GGUF_DEQUANTIZE_H
#define ELLM_GGUF_DEQUANTIZE_H

#include "gguf/types.h"

enum { GGUF_MAX_BLOCK = 256 }; /* elements of a block at most */

/* Are elements of this type turned into floats? F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K to Q6_K, IQ4_NL,
 * IQ4_XS, MXFP4, TQ1_0, TQ2_0. */
bool gguf_can_dequantize(gguf_type type);

/* n_blocks blocks, at any alignment, into out[n_blocks * elements of a block]. The bits are those of the `gguf` Python
 * package, except the signs and payloads of NaN. The type is one that can be dequantized. */
void gguf_dequantize(gguf_type type, const uint8_t *blocks, size_t n_blocks, float *out);

#endif
