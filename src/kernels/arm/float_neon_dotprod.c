/* SPDX-License-Identifier: Apache-2.0 */
/* The table for NEON with dot-product instructions: only integer products differ from plain NEON. */
#include "kernels/arm/lanes_neon.h"

#define KERNEL_NAME neon_dotprod
#define KERNEL_DECODE decode_block_neon
#include "kernels/float_template.inc.h"
