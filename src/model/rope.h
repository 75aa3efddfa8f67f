/* SPDX-License-Identifier: Apache-2.0 */
/* Rotary position embedding (arXiv 2104.09864) and its ways to longer contexts,
 * as transformers.modeling_rope_utils computes them. */
#ifndef ELLM_MODEL_ROPE_H
#define ELLM_MODEL_ROPE_H

#include "checkpoint/config.h"

typedef struct rope_frequencies {
  uint32_t half;             /* pairs of a head that rotate: i and i + half */
  float attention_factor;    /* cosines and sines are multiplied with it */
  uint32_t long_above;       /* longrope: sequences longer than this take inverse[1]; else UINT32_MAX */
  float inverse[2][CONFIG_MAX_HEAD_DIM / 2]; /* radians a position */
} rope_frequencies;

void rope_frequencies_init(rope_frequencies *rope, const model_config *config);

/* Cosines, then sines, `half` each, of one position; `long_factors` selects inverse[1]. */
void rope_angles(const rope_frequencies *rope, bool long_factors, uint32_t position, float *cos_sin);

#endif
