/* SPDX-License-Identifier: Apache-2.0 */
/* See strips.h. */
#include "convert/strips.h"

enum { STRIP_CODES_MAX = 1 << 18, STRIP_CODES_ALL = 1 << 22 };

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }
static uint64_t ceil_div(uint64_t a, uint64_t b) { return a / b + (a % b != 0); }

size_t strip_codes_for(int n_threads) {
  size_t codes = STRIP_CODES_ALL / (size_t)(n_threads < 1 ? 1 : n_threads);
  if (codes > STRIP_CODES_MAX) codes = STRIP_CODES_MAX;
  return codes < CODER_MAX_CODES ? CODER_MAX_CODES : codes;
}

void strip_plan_init(strip_plan *plan, const coder_geometry *geometry, size_t codes, uint64_t wanted) {
  *plan = (strip_plan){.geometry = *geometry};
  uint64_t group_rows = least((uint64_t)geometry->panel_rows * geometry->panels_per_block, geometry->rows);
  /* A block has at most CODER_MAX_CODES codes, so that these products are small. */
  uint64_t block_codes = group_rows * least(geometry->block_columns, geometry->columns);
  uint64_t blocks = codes / block_codes;
  if (wanted > 0) blocks = least(blocks, geometry->n_blocks / wanted);
  if (blocks < 1) blocks = 1;
  if (geometry->column_ranges <= blocks) {
    plan->groups_per_strip = least(blocks / geometry->column_ranges, geometry->row_groups);
    plan->n_strips = ceil_div(geometry->row_groups, plan->groups_per_strip);
    plan->max_codes = (size_t)(plan->groups_per_strip * group_rows * geometry->columns);
    plan->max_blocks = (size_t)(plan->groups_per_strip * geometry->column_ranges);
  } else {
    plan->ranges_per_strip = blocks;
    plan->strips_per_group = ceil_div(geometry->column_ranges, blocks);
    plan->n_strips = plan->strips_per_group * geometry->row_groups;
    plan->max_codes = (size_t)(blocks * block_codes);
    plan->max_blocks = (size_t)blocks;
  }
}

strip strip_plan_at(const strip_plan *plan, uint64_t index) {
  const coder_geometry *geometry = &plan->geometry;
  uint64_t group_rows = (uint64_t)geometry->panel_rows * geometry->panels_per_block;
  strip s;
  uint64_t group, groups, range, ranges;
  if (plan->groups_per_strip > 0) {
    group = index * plan->groups_per_strip;
    groups = least(plan->groups_per_strip, geometry->row_groups - group);
    range = 0;
    ranges = geometry->column_ranges;
  } else {
    group = index / plan->strips_per_group;
    groups = 1;
    range = index % plan->strips_per_group * plan->ranges_per_strip;
    ranges = least(plan->ranges_per_strip, geometry->column_ranges - range);
  }
  s.first_block = group * geometry->column_ranges + range;
  s.n_blocks = groups * ranges;
  s.first_row = group * group_rows;
  s.rows = least(groups * group_rows, geometry->rows - s.first_row);
  s.first_column = range * geometry->block_columns;
  s.columns = least(ranges * geometry->block_columns, geometry->columns - s.first_column);
  return s;
}
