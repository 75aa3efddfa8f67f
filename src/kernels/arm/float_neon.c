/* SPDX-License-Identifier: Apache-2.0 */
/* Float kernels and table for NEON. */
#include "kernels/arm/lanes_neon.h"

#define KERNEL_NAME neon
#define KERNEL_DECODE decode_block_neon
#include "kernels/float_template.inc.h"
