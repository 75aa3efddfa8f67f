/* SPDX-License-Identifier: Apache-2.0 */
/* Activations as integers. */
#ifndef ELLM_KERNELS_ACTIVATIONS_H
#define ELLM_KERNELS_ACTIVATIONS_H

#include <stddef.h>
#include <stdint.h>

#include "coder/geometry.h"

/* x[i] is about q[i] * scale[group of i].
 *   two digits ("i16"): q = 256 * high + low, |q| <= 32639, groups of 256 columns.
 *     Both digits are signed bytes, so 127 * 256 + 127 = 32639 is the largest number
 *     that has its negative, too. A group is as long as sums of codes to 255 fit
 *     int32: 255 * 32639 * 256 = 2,130,673,920 < 2^31, and 512 columns would not.
 *   one digit  ("i8"):  q = low, |q| <= 127, groups of 32 columns
 * Column ranges of blocks begin at multiples of 256, so a group never straddles
 * blocks. Columns from `columns` to the next multiple of 256 are zero, as are the
 * sums and scales of their groups. */
enum {
  KERNEL_GROUP_I16 = 256, KERNEL_GROUP_I8 = 32, /* columns of a group */
  KERNEL_MAX_GROUPS = CODER_MAX_CODES / KERNEL_GROUP_I8, /* panels * groups of any block */
  KERNEL_MAX_SUMS = KERNEL_MAX_GROUPS * CODER_PANEL_ROWS
};
typedef struct kernel_activations {
  uint32_t digits, group;      /* 1 or 2; columns of a group */
  size_t columns, stride;      /* stride: bytes (low, high) or int16 (wide) from token to token */
  size_t n_tokens, n_groups;   /* groups of a token, those of padding included */
  int8_t *low, *high;          /* [token][stride]; high only with two digits */
  uint8_t *raised;             /* low + 128; only with one digit */
  int16_t *wide;               /* q again; of each four columns first 0 and 2, then 1 and 3 */
  int32_t *sum;                /* [token][n_groups]: sum of q */
  float *scale;                /* [token][n_groups] */
} kernel_activations;
/* Bytes of memory for them; 0 if the size overflows. */
size_t kernel_activations_bytes(size_t columns, size_t n_tokens, unsigned digits);
/* Lays them out in `memory` (64-byte aligned; to be written by quantize_activations). */
void kernel_activations_init(kernel_activations *a, void *memory, size_t columns, size_t n_tokens, unsigned digits);
/* Groups that a block spans. */
static inline size_t kernel_block_groups(const coder_block *block, const kernel_activations *a) {
  return (block->columns + a->group - 1) / a->group;
}

#endif
