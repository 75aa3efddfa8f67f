/* SPDX-License-Identifier: Apache-2.0 */
/* Rotary position embedding (arXiv 2104.09864) and its ways to longer contexts,
 * as transformers.modeling_rope_utils computes them. */
#ifndef ELLM_MODEL_ROPE_H
#define ELLM_MODEL_ROPE_H

#include "arch/arch.h"

/* One way of rotating. */
typedef struct rope_frequencies {
  uint32_t half;             /* pairs of a head that rotate: i and i + half */
  uint32_t offset;           /* where its cosines begin in a token's row of angles */
  float attention_factor;    /* cosines and sines are multiplied with it */
  uint32_t long_above;       /* longrope: sequences longer than this take inverse[1]; else UINT32_MAX */
  float inverse[2][CONFIG_MAX_HEAD_DIM / 2]; /* radians a position */
} rope_frequencies;

/* All ways of a model: layer_facts.rope is an index into table. */
typedef struct rope_tables {
  uint32_t n;
  uint32_t stride;           /* floats of a token's row of angles: cosines and sines of all tables */
  uint32_t long_above;       /* the least of the tables' */
  rope_frequencies table[ARCH_MAX_ROPES];
} rope_tables;

void rope_tables_init(rope_tables *ropes, const model_config *config);

/* The angles of one position, cos_sin[stride]: of each table, from its offset on, `half` cosines and `half` sines.
 * `long_factors` selects inverse[1] of the tables that have it. */
void rope_angles(const rope_tables *ropes, bool long_factors, uint32_t position, float *cos_sin);

#endif
