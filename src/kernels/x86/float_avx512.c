/* SPDX-License-Identifier: Apache-2.0 */
/* Float kernels and table for AVX-512. */
#include "kernels/x86/lanes_avx512.h"

#define KERNEL_NAME avx512
#define ATTENTION_HALF_OF avx2   /* vcvtph2ps to 512 bits takes four times as long as to 256 on Zen 4, */
#define ATTENTION_HALF_QUERIES 3 /* which matters where few products follow */
#define KERNEL_DECODE decode_block_avx512
#define KERNEL_MULTIPLY_FINISH multiply_finish_avx512
#define KERNEL_MULTIPLY_FUSED multiply_fused_avx512
#include "kernels/float_template.inc.h"
