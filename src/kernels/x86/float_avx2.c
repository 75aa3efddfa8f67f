/* SPDX-License-Identifier: Apache-2.0 */
/* Float kernels and table for AVX2 + FMA + F16C. */
#include "kernels/x86/lanes_avx2.h"

#define KERNEL_NAME avx2
#define ATTENTION_HALF_NAME avx2
#define KERNEL_DECODE decode_block_avx2
#define KERNEL_MULTIPLY_FINISH multiply_finish_avx2
#define KERNEL_MULTIPLY_FUSED multiply_fused_avx2
#include "kernels/float_template.inc.h"
