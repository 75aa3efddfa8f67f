/* SPDX-License-Identifier: Apache-2.0 */
/* Activations of consecutive columns of one token, as the product kernels take them. */
#ifndef ELLM_KERNELS_COLUMNS_H
#define ELLM_KERNELS_COLUMNS_H

#include "kernels/tables.h"

typedef struct columns {
  const int8_t *low, *high;  /* high: NULL with one digit */
  const int16_t *wide;       /* both digits; of each four columns first 0 and 2, then 1 and 3 */
  size_t tiles_per_group;
} columns;

static inline columns columns_at(const kernel_activations *a, size_t token, size_t column) {
  const size_t at = token * a->stride + column;
  return (columns){a->low + at, a->high ? a->high + at : NULL, a->wide + at, a->group / CODER_TILE_COLUMNS};
}

/* Sums of the activations of a token, group by group from a block's first column on. */
static inline const int32_t *group_sums_at(const kernel_activations *a, size_t token, const coder_block *block) {
  return a->sum + token * a->n_groups + block->first_column / a->group;
}

#endif
