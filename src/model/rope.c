/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Formulas: transformers.modeling_rope_utils. Frequencies are computed in double
 * by exact functions and rounded to float once; the angle is then a float
 * product, position times frequency, as in Transformers.
 */
#include "model/rope.h"

#include <math.h>

#include "base/exact_math.h"

static const double two_pi = 6.283185307179586;

static double llama3_frequency(double frequency, const rope_config *rope) {
  const double wavelength = two_pi / frequency, original = rope->original_max_position_embeddings;
  if (wavelength < original / rope->high_freq_factor) return frequency;
  if (wavelength > original / rope->low_freq_factor) return frequency / rope->factor;
  const double smooth =
      (original / wavelength - rope->low_freq_factor) / (rope->high_freq_factor - rope->low_freq_factor);
  return (1 - smooth) * frequency / rope->factor + smooth * frequency;
}

/* YaRN (arXiv 2309.00071): between `low` and `high` from extrapolation to interpolation. */
typedef struct yarn_ramp { double low, high; } yarn_ramp;

static double yarn_dimension(double rotations, double dimensions, const rope_config *rope) {
  const double turns = rope->original_max_position_embeddings / (rotations * two_pi);
  return dimensions * exact_log(turns) / (2 * exact_log(rope->theta));
}

static yarn_ramp yarn_ramp_of(double dimensions, const rope_config *rope) {
  yarn_ramp ramp = {yarn_dimension(rope->beta_fast, dimensions, rope),
                    yarn_dimension(rope->beta_slow, dimensions, rope)};
  if (rope->truncate) {
    ramp.low = floor(ramp.low);
    ramp.high = ceil(ramp.high);
  }
  if (ramp.low < 0) ramp.low = 0;
  if (ramp.high > dimensions - 1) ramp.high = dimensions - 1;
  if (ramp.low == ramp.high) ramp.high += 0.001;
  return ramp;
}

static double yarn_frequency(double frequency, uint32_t index, yarn_ramp ramp, double factor) {
  double share = (index - ramp.low) / (ramp.high - ramp.low);
  share = share < 0 ? 0 : share > 1 ? 1 : share;
  return frequency / factor * share + frequency * (1 - share);
}

static double yarn_mscale(double factor, double mscale) {
  return factor <= 1 ? 1 : 0.1 * mscale * exact_log(factor) + 1;
}

static double attention_factor(const rope_config *rope) {
  if (rope->type != ROPE_YARN && rope->type != ROPE_LONGROPE) return 1;
  if (rope->attention_factor >= 0) return rope->attention_factor;
  if (rope->type == ROPE_LONGROPE)
    return rope->factor <= 1
               ? 1
               : sqrt(1 + exact_log(rope->factor) / exact_log(rope->original_max_position_embeddings));
  if (rope->mscale != 0 && rope->mscale_all_dim != 0)
    return yarn_mscale(rope->factor, rope->mscale) / yarn_mscale(rope->factor, rope->mscale_all_dim);
  return yarn_mscale(rope->factor, 1);
}

static void frequencies_init(rope_frequencies *out, const rope_config *rope, uint32_t head_dim) {
  const uint32_t dimensions = (uint32_t)(head_dim * rope->partial_rotary_factor);
  *out = (rope_frequencies){.half = dimensions / 2,
                            .attention_factor = (float)attention_factor(rope),
                            .long_above = UINT32_MAX};
  yarn_ramp ramp = {0, 1};
  if (rope->type == ROPE_YARN) ramp = yarn_ramp_of(dimensions, rope);
  if (rope->type == ROPE_LONGROPE) out->long_above = rope->original_max_position_embeddings;
  for (uint32_t i = 0; i < out->half; i++) {
    const double frequency = 1 / exact_pow(rope->theta, 2.0 * i / dimensions);
    double scaled = frequency;
    switch (rope->type) {
    case ROPE_DEFAULT: break;
    case ROPE_LINEAR: scaled = frequency / rope->factor; break;
    case ROPE_LLAMA3: scaled = llama3_frequency(frequency, rope); break;
    case ROPE_YARN: scaled = yarn_frequency(frequency, i, ramp, rope->factor); break;
    case ROPE_LONGROPE:
      scaled = frequency / rope->short_factor[i];
      out->inverse[1][i] = (float)(frequency / rope->long_factor[i]);
      break;
    }
    out->inverse[0][i] = (float)scaled;
  }
}

void rope_tables_init(rope_tables *ropes, const model_config *config) {
  *ropes = (rope_tables){.n = config->n_ropes, .long_above = UINT32_MAX};
  for (uint32_t i = 0; i < ropes->n; i++) {
    rope_frequencies *table = &ropes->table[i];
    frequencies_init(table, &config->ropes[i], config->head_dim);
    table->offset = ropes->stride;
    ropes->stride += 2 * table->half;
    if (table->long_above < ropes->long_above) ropes->long_above = table->long_above;
  }
}

void rope_angles(const rope_tables *ropes, bool long_factors, uint32_t position, float *cos_sin) {
  for (uint32_t r = 0; r < ropes->n; r++) {
    const rope_frequencies *table = &ropes->table[r];
    const float *inverse = table->inverse[long_factors && table->long_above != UINT32_MAX ? 1 : 0];
    float *cosines = cos_sin + table->offset, *sines = cosines + table->half;
    for (uint32_t i = 0; i < table->half; i++) {
      const float angle = (float)position * inverse[i];
      cosines[i] = (float)exact_cos(angle) * table->attention_factor;
      sines[i] = (float)exact_sin(angle) * table->attention_factor;
    }
  }
}
