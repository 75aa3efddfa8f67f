/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of a model before it is quantized, as far as options ask for it: a calibration text, mean squares of
 * all inputs (quick) or, layer by layer, their second moments (full), and what each matrix matters.
 *
 * With full effort a layer is quantized for what the quantized layers before it make of the text: matrices come in the
 * order of tune_matrices, each is handed back when it is rounded, and the model multiplies with its new weights until
 * the text has gone through the layer.
 *
 * Of an expert only the tokens that have chosen it count. One that fewer than CALIBRATION_EXPERT_TOKENS have is rounded
 * by what all tokens of its layer say of gate and up; of the columns of its down nothing is known.
 */
#ifndef ELLM_CONVERT_CALIBRATION_H
#define ELLM_CONVERT_CALIBRATION_H

#include "convert/measurements.h"
#include "tune/layer_text.h"
#include "tune/plan.h"

enum { CALIBRATION_EXPERT_TOKENS = 128 };

typedef struct calibration_replaced {
  tune_matrix *matrix;
  uint16_t *weights;         /* that it has now, owned */
  tune_elements before;
} calibration_replaced;

/* What a calibration is made of. */
typedef struct calibration_size {
  size_t sequences, length, held; /* sequences that are calibrated with, and those beside them */
  size_t together;                /* that are written at a time */
  size_t alone, alone_length;     /* sequences that each matrix is tried on, and how much of each */
  bool full;
} calibration_size;

typedef struct calibration {
  ellm_model *model;         /* NULL: none that can be run */
  thread_pool *pool;
  calibration_size size;     /* zero where there is no text; .full: second moments and error feedback */
  double lambda;             /* of rate-aware rounding */
  corpus text;               /* its first `watched` sequences; the others measure */
  size_t watched;
  bool chat;                 /* every second sequence is a conversation; of those that are held: */
  size_t conversation;       /* this one */
  measurements *known;       /* what was measured before, and where it is kept */
  squares squares;           /* all zero: no text; with full effort the sums are zero */
  token_chances chances;     /* of the text; what follows from them: */
  float *row_factors;        /* [vocab_size], see chances.h */
  damage_meter held;         /* what the result does, on sequences that nothing else saw */
  layer_text layers;         /* full */
  uint32_t layer;            /* that is at work; the text stands before it, or behind it already */
  bool planning, behind;     /* planning: nothing will be replaced before the text goes on */
  bool gathered;             /* its moments: */
  moments inputs[LAYER_INPUTS];
  layer_moments experts;     /* n_experts 0: of none */
  uint64_t expert_memory;    /* that their moments may take, but those of one expert are always kept */
  calibration_replaced *replaced; /* matrices of this layer that are rounded */
  size_t n_replaced;
} calibration;

/* Does a model of so many weights get full effort by default? Below a billion it takes minutes. */
bool calibration_is_full(const ellm_compress_options *options, uint64_t weights);

calibration_size calibration_size_of(const ellm_model *model, const ellm_compress_options *options, uint64_t weights);

/* Writes or reads the text and gathers what is needed, as far as it is not known; scratch files lie in the folder of
 * `path`. `model` NULL: nothing is gathered. `known` outlives the calibration, which takes its text. `notes`: what could
 * not be done and was not asked for by name. Free with calibration_free, also after a failure. */
ellm_status calibrate(ellm_model *model, thread_pool *pool, const ellm_compress_options *options, uint64_t weights,
                      const char *path, measurements *known, progress_meter *meter, const ellm_notes *notes,
                      calibration *out, ellm_error *err);
void calibration_free(calibration *c);

/* Curves of all matrices, with full effort for rounding with feedback, by the moments of the model as it is. Scratch files
 * lie in the folder of `path`. */
ellm_status calibration_plan(calibration *c, const tune_matrices *matrices, const char *path, progress_meter *meter,
                             plan *out, ellm_error *err);
/* What rounding is to know of the input of a matrix. Those that read the same input ask once, in the order of
 * tune_matrices. */
ellm_status calibration_columns(calibration *c, const tune_matrix *m, input_columns *out, ellm_error *err);
/* From the first matrix on again, with the weights that the model had at first. */
ellm_status calibration_restart(calibration *c, ellm_error *err);
/* A matrix that an earlier run rounded, as calibration_rounded; `last_layer`: some of its matrices are still to come. */
ellm_status calibration_adopted(calibration *c, tune_matrix *m, uint16_t *weights, uint32_t last_layer, ellm_error *err);
/* Does calibration go on with the rounded weights of this matrix? */
bool calibration_wants(const calibration *c, const tune_matrix *m);
/* It does, with these: BF16 [rows][columns], malloc'ed, the calibration's from here on. */
void calibration_rounded(calibration *c, tune_matrix *m, uint16_t *weights);

#endif
