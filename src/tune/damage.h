/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much a matrix matters: the divergence KL(model || model with this matrix quantized) in nats per token, on a few
 * tokens of the model's own text. It varies by more than a hundred times between the matrices of a model, and adds up:
 * all of them quantized do about the damage of the sum.
 *
 * Nobody else may use the model meanwhile. The text is computed once, layer by layer, and kept between layers. Changing
 * a matrix then costs only its own layer and those after it.
 */
#ifndef ELLM_TUNE_DAMAGE_H
#define ELLM_TUNE_DAMAGE_H

#include "base/scratch_file.h"
#include "model/layerwise.h"
#include "tune/corpus.h"
#include "tune/matrices.h"

typedef struct damage_meter {
  ellm_model *model;
  layerwise *layers;
  const uint32_t *ids[8];   /* sequences, each of `length` ids */
  size_t n, length;
  size_t skipped, scored;   /* of each sequence: tokens of context, then tokens that are scored; together `length` */
  scratch_file streams;     /* [sequence][layer][length][hidden_size], before each layer */
  float *stream;            /* of a sequence */
  float *reference, *logits; /* [n * scored][vocab_size]; [scored][vocab_size] */
  double *log_sum, *divergence; /* [n * scored]; [scored] */
} damage_meter;
enum { DAMAGE_MOST_SEQUENCES = sizeof((damage_meter *)0)->ids / sizeof(uint32_t *) };

/* The text to measure on: the first `length` ids of the sequences first .. first + n - 1, n <= DAMAGE_MOST_SEQUENCES.
 * The first `skipped` ids are only context, because predictions with little context say little about real use. */
typedef struct damage_text { const corpus *text; size_t first, n, length, skipped; } damage_text;

/* The text must outlive the meter. The scratch file is made in the folder of `path`. Free with damage_close, also after
 * a failure. */
ellm_status damage_open(ellm_model *model, const damage_text *on, const char *path, damage_meter *out, ellm_error *err);
void damage_close(damage_meter *d);

/* Elements in place of a matrix's. */
typedef struct damage_change { tune_matrix *matrix; tune_elements elements; } damage_change;
/* The divergence with n >= 1 changes, all in one layer. ELLM_ERR_INPUT if it is not a number. */
ellm_status damage_of(damage_meter *d, damage_change *changes, size_t n, double *divergence, ellm_error *err);

/* Compares another model on the sequences first .. first + n - 1: the mean divergence from this model, and the share of
 * positions at which both have the same most likely token. ELLM_ERR_INPUT if these are not numbers. */
typedef struct damage_comparison { double divergence, equal_top; uint64_t tokens; } damage_comparison;
ellm_status damage_compare(damage_meter *d, ellm_model *other, size_t first, size_t n, damage_comparison *out,
                           ellm_error *err);

/* The mean divergence KL(base || other) of two other models on the same tokens: what `other` adds to the damage of
 * `base`. Both are evaluated piece by piece, so that no further memory is needed. */
ellm_status damage_between(damage_meter *d, ellm_model *base, ellm_model *other, size_t first, size_t n,
                           double *divergence, ellm_error *err);

#endif
