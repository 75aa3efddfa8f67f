/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The row groups of a coded tensor that a file has. A part of a model has some of them; its tensors keep the shape and
 * the geometry of the whole, and the blocks of its groups stand one after the other, in the order of the whole.
 */
#ifndef ELLM_CONTAINER_GROUPS_H
#define ELLM_CONTAINER_GROUPS_H

#include "coder/geometry.h"

enum { CONTAINER_MAX_RANGES = 3 };

/* Ranges [first, end) of row groups, ascending, none empty, at least one group between two of them. */
typedef struct container_range { uint32_t first, end; } container_range;
typedef struct container_groups {
  bool some;                                    /* those of the ranges; else all, and there are no ranges */
  uint32_t n;                                   /* ranges; 0: no group at all */
  container_range range[CONTAINER_MAX_RANGES];
} container_groups;

/* Are the ranges as said above, within the geometry's row groups? */
bool container_groups_valid(const container_groups *groups, const coder_geometry *geometry);
/* Blocks, and elements, that a file with these groups has. */
uint64_t container_groups_blocks(const container_groups *groups, const coder_geometry *geometry);
uint64_t container_groups_elements(const container_groups *groups, const coder_geometry *geometry);
/* Where block `index` of the whole stands among those of the file; false: the file does not have it. */
bool container_groups_place(const container_groups *groups, const coder_geometry *geometry, uint64_t index,
                            uint64_t *place);
/* Which block of the whole is at `place`, less than container_groups_blocks. */
uint64_t container_groups_index(const container_groups *groups, const coder_geometry *geometry, uint64_t place);
/* Has a file with `groups` all row groups that `needed` names? */
bool container_groups_include(const container_groups *groups, const container_groups *needed,
                              const coder_geometry *geometry);
/* One range more, behind the others or touching the last one; an empty one changes nothing. */
void container_groups_add(container_groups *groups, uint32_t first, uint32_t end);

#endif
