/* SPDX-License-Identifier: Apache-2.0 */
/* Float kernels and table for AVX2 + FMA + F16C; and the table of AVX-VNNI, which differs by its products of integers. */
#include "kernels/x86/lanes_avx2.h"

#define KERNEL_NAME avx2
#define ATTENTION_HALF_NAME avx2
#define KERNEL_DECODE decode_block_avx2
#define KERNEL_MULTIPLY_FINISH multiply_finish_avx2
#define KERNEL_MULTIPLY_FUSED multiply_fused_avx2
#include "kernels/float_template.inc.h"

#undef KERNEL_NAME
#undef KERNEL_MULTIPLY_FINISH
#undef KERNEL_MULTIPLY_FUSED
#define KERNEL_NAME avxvnni
#define KERNEL_MULTIPLY_FINISH multiply_finish_avxvnni
#define KERNEL_MULTIPLY_FUSED multiply_fused_avxvnni
#include "kernels/products_template.inc.h"

const kernel_table kernel_table_avxvnni = KERNEL_TABLE(avxvnni, decode_block_avx2);
