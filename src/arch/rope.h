/* SPDX-License-Identifier: Apache-2.0 */
/* Rotary position embedding of a model: the values of config.json. */
#ifndef ELLM_ARCH_ROPE_H
#define ELLM_ARCH_ROPE_H

#include <stdbool.h>
#include <stdint.h>

enum { CONFIG_MAX_HEAD_DIM = 1024, CONFIG_MAX_POSITIONS = 1 << 30 };

typedef enum rope_type { ROPE_DEFAULT, ROPE_LINEAR, ROPE_LLAMA3, ROPE_YARN, ROPE_LONGROPE } rope_type;

typedef struct rope_config {
  rope_type type;
  double theta;                    /* rope_theta */
  double partial_rotary_factor;    /* share of head_dim that rotates; 1 = all */
  double factor;                   /* linear, llama3, yarn, longrope (where not given: max_position_embeddings by
                                    * original_max_position_embeddings); else 1 */
  double low_freq_factor, high_freq_factor;              /* llama3 */
  uint32_t original_max_position_embeddings;             /* llama3, yarn, longrope: above 0; else 0 */
  double beta_fast, beta_slow, mscale, mscale_all_dim;   /* yarn; mscale 0 = not given */
  double attention_factor;         /* yarn, longrope; < 0 = not given */
  bool truncate;                   /* yarn, default true */
  uint32_t n_factors;              /* longrope: length of both lists */
  float short_factor[CONFIG_MAX_HEAD_DIM / 2], long_factor[CONFIG_MAX_HEAD_DIM / 2];
} rope_config;

#endif
