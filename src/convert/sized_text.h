/* SPDX-License-Identifier: Apache-2.0 */
/* What a model that is compressed to a size says of itself, as JSON: what is expected of it, and what it became. */
#ifndef ELLM_CONVERT_SIZED_TEXT_H
#define ELLM_CONVERT_SIZED_TEXT_H

#include "convert/sized_matrix.h"

/* A plan: the chosen steps of s->plan. `file_bytes`: of the whole file; seconds: that measuring took or will take. */
enum { SIZED_CURVE_POINTS = 21 };
typedef struct sized_expectation {
  double file_bytes, seconds;
  uint64_t memory_bytes;
  /* What the plan predicts of other sizes: bits per weight, divergence. */
  struct { double bits, divergence; } curve[SIZED_CURVE_POINTS];
  size_t n_curve;
} sized_expectation;
/* For ellm_report.plan; malloc'ed. */
ellm_status sized_plan_text(const sized_matrices *s, const sized_expectation *e, char **text, ellm_error *err);

/* What a file was found to be; conversation: of held-out conversations, tokens 0 where there are none. */
typedef struct sized_quality {
  damage_comparison i16, i8, conversation; /* from the source */
  double i8_from_i16;      /* divergence of i8 from i16, which is what one digit adds */
  double predicted;        /* divergence that was expected; negative: nothing was */
} sized_quality;
/* For metadata "entrollm.quality"; `q` NULL: nothing was measured. */
void sized_quality_text(const sized_matrices *s, const sized_quality *q, char *text, size_t bytes);

#endif
