/* SPDX-License-Identifier: Apache-2.0 */
#include "container/groups.h"

bool container_groups_valid(const container_groups *groups, const coder_geometry *geometry) {
  if (!groups->some) return groups->n == 0;
  if (groups->n > CONTAINER_MAX_RANGES) return false;
  for (uint32_t i = 0; i < groups->n; i++) {
    const container_range r = groups->range[i];
    if (r.first >= r.end || r.end > geometry->row_groups) return false;
    if (i > 0 && r.first <= groups->range[i - 1].end) return false;
  }
  return true;
}

uint64_t container_groups_blocks(const container_groups *groups, const coder_geometry *geometry) {
  if (!groups->some) return geometry->n_blocks;
  uint64_t n = 0;
  for (uint32_t i = 0; i < groups->n; i++) n += groups->range[i].end - groups->range[i].first;
  return n * geometry->column_ranges;
}

uint64_t container_groups_elements(const container_groups *groups, const coder_geometry *geometry) {
  if (!groups->some) return geometry->rows * geometry->columns;
  const uint64_t height = (uint64_t)geometry->panels_per_block * geometry->panel_rows;
  uint64_t rows = 0;
  for (uint32_t i = 0; i < groups->n; i++) {
    const uint64_t end = groups->range[i].end * height;
    rows += (end < geometry->rows ? end : geometry->rows) - groups->range[i].first * height;
  }
  return rows * geometry->columns;
}

bool container_groups_place(const container_groups *groups, const coder_geometry *geometry, uint64_t index,
                            uint64_t *place) {
  *place = index;
  if (!groups->some) return index < geometry->n_blocks;
  const uint64_t group = index / geometry->column_ranges;
  uint64_t before = 0;
  for (uint32_t i = 0; i < groups->n; i++) {
    const container_range r = groups->range[i];
    if (group >= r.first && group < r.end) {
      *place = (before + group - r.first) * geometry->column_ranges + index % geometry->column_ranges;
      return true;
    }
    before += r.end - r.first;
  }
  return false;
}

uint64_t container_groups_index(const container_groups *groups, const coder_geometry *geometry, uint64_t place) {
  if (!groups->some) return place;
  uint64_t group = place / geometry->column_ranges;
  for (uint32_t i = 0; i < groups->n; i++) {
    const container_range r = groups->range[i];
    if (group < r.end - r.first) {
      group += r.first;
      break;
    }
    group -= r.end - r.first;
  }
  return group * geometry->column_ranges + place % geometry->column_ranges;
}

bool container_groups_include(const container_groups *groups, const container_groups *needed,
                              const coder_geometry *geometry) {
  const container_groups all = {.some = true, .n = 1, .range = {{0, (uint32_t)geometry->row_groups}}};
  if (!groups->some) return true;
  if (!needed->some) needed = &all;
  for (uint32_t i = 0; i < needed->n; i++) {
    bool found = false; /* in one range: between two of them a group is missing */
    for (uint32_t k = 0; k < groups->n; k++)
      found = found || (needed->range[i].first >= groups->range[k].first && needed->range[i].end <= groups->range[k].end);
    if (!found) return false;
  }
  return true;
}

void container_groups_add(container_groups *groups, uint32_t first, uint32_t end) {
  if (first >= end) return;
  container_range *last = groups->n > 0 ? &groups->range[groups->n - 1] : NULL;
  if (last != NULL && first <= last->end) {
    if (end > last->end) last->end = end;
  } else {
    groups->range[groups->n++] = (container_range){first, end};
  }
}
