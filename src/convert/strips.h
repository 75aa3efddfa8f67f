/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A matrix in pieces of bounded size: a strip is either several whole row groups
 * (all columns) or some column ranges of one row group. Strips in ascending
 * order cover the blocks of the geometry in ascending order, so that a pass over
 * a matrix can spread them over threads and write them out in order.
 */
#ifndef ELLM_CONVERT_STRIPS_H
#define ELLM_CONVERT_STRIPS_H

#include "coder/geometry.h"

typedef struct strip_plan {
  coder_geometry geometry;
  uint64_t n_strips;
  uint64_t groups_per_strip;      /* whole row groups; 0: parts of one */
  uint64_t ranges_per_strip;      /* column ranges, where groups_per_strip is 0 */
  uint64_t strips_per_group;      /* where groups_per_strip is 0 */
  size_t max_codes;               /* rows * columns of the largest strip */
  size_t max_blocks;
} strip_plan;

typedef struct strip {
  uint64_t first_block, n_blocks;
  uint64_t first_row, rows, first_column, columns;
} strip;

/* Strips of at most `codes` codes where that is at least a block, and, for
 * matrices that have so many blocks, at least `wanted` strips. */
void strip_plan_init(strip_plan *plan, const coder_geometry *geometry, size_t codes, uint64_t wanted);
strip strip_plan_at(const strip_plan *plan, uint64_t index);

/* Codes that one thread of n_threads works on at a time: bounds the memory of
 * all threads together. */
size_t strip_codes_for(int n_threads);

#endif
