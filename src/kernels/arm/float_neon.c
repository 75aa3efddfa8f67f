/* SPDX-License-Identifier: Apache-2.0 */
/* Float kernels and table for NEON; and the tables of sets that differ from it by their products of integers. */
#include "kernels/arm/lanes_neon.h"

#define KERNEL_NAME neon
#define KERNEL_DECODE decode_block_neon
#include "kernels/float_template.inc.h"

#undef KERNEL_NAME
#define KERNEL_NAME neon_dotprod
#include "kernels/products_template.inc.h"

const kernel_table kernel_table_neon_dotprod = KERNEL_TABLE(neon_dotprod, decode_block_neon);

#undef KERNEL_NAME
#define KERNEL_NAME neon_i8mm
#include "kernels/products_template.inc.h"

const kernel_table kernel_table_neon_i8mm = KERNEL_TABLE(neon_i8mm, decode_block_neon);
