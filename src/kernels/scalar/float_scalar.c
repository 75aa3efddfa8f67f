/* SPDX-License-Identifier: Apache-2.0 */
/* The scalar table: the oracle, and what runs where nothing better does. */
#include "kernels/scalar/lanes_scalar.h"

#define KERNEL_NAME scalar
#define KERNEL_DECODE coder_decode_block_scalar
#include "kernels/float_template.inc.h"
