/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known about a model before it is quantized, as far as options ask for it: a calibration text; mean squares of
 * all inputs (quick effort) or, layer by layer, their second moments (full effort); and how much each matrix matters.
 *
 * With full effort a layer is quantized for the inputs that the quantized layers before it produce. Matrices come in
 * the order of tune_matrices. Each is handed back when it is rounded, and the model multiplies with its new weights
 * until the text has passed through the layer.
 *
 * For an expert only the tokens that chose it count. If fewer than CALIBRATION_EXPERT_TOKENS chose it, its gate and up
 * are rounded by the moments of all tokens of the layer, and nothing is known about the columns of its down.
 */
#ifndef ELLM_CONVERT_CALIBRATION_H
#define ELLM_CONVERT_CALIBRATION_H

#include "convert/measurements.h"
#include "tune/layer_text.h"
#include "tune/plan.h"

enum { CALIBRATION_EXPERT_TOKENS = 128 };

typedef struct calibration_replaced {
  tune_matrix *matrix;
  uint16_t *weights;         /* its new weights, owned */
  tune_elements before;
} calibration_replaced;

/* What a calibration is made of. */
typedef struct calibration_size {
  size_t sequences, length, held; /* sequences of the text and their length; sequences kept apart to measure on */
  size_t together;                /* sequences written at a time */
  size_t alone, alone_length;     /* sequences on which each matrix is measured alone, and tokens of each */
  bool full;
} calibration_size;

typedef struct calibration {
  ellm_model *model;         /* NULL: the source cannot be run */
  thread_pool *pool;
  calibration_size size;     /* zero if there is no text; .full: second moments and error feedback */
  double lambda;             /* of rate-aware rounding */
  corpus text;               /* the first `watched` sequences calibrate; the others measure the result */
  size_t watched;
  bool chat;                 /* every second sequence is a conversation */
  size_t conversation;       /* which of the sequences kept apart is a conversation */
  measurements *known;       /* what was measured before, and where it is kept */
  squares squares;           /* all zero: no text; with full effort the sums are zero */
  token_chances chances;     /* of the text */
  float *row_factors;        /* [vocab_size], from the chances; see chances.h */
  damage_meter held;         /* measures the result on sequences that nothing else saw */
  layer_text layers;         /* with full effort */
  uint32_t layer;            /* the current layer; the text is before it, or, if `behind`, after it */
  bool planning, behind;     /* planning: nothing is replaced before the text moves on */
  bool gathered;             /* the moments of the current layer are in `inputs` and `experts` */
  moments inputs[LAYER_INPUTS];
  layer_moments experts;     /* n_experts 0: none */
  uint64_t expert_memory;    /* limit for their moments; those of one expert are always kept */
  calibration_replaced *replaced; /* matrices of this layer that are already rounded */
  size_t n_replaced;
} calibration;

/* Whether a model with this many weights gets full effort by default. Below a billion weights that takes minutes. */
bool calibration_is_full(const ellm_compress_options *options, uint64_t weights);

calibration_size calibration_size_of(const ellm_model *model, const ellm_compress_options *options, uint64_t weights);

/* Writes or reads the text and gathers what is needed and not yet known. Scratch files are made in the folder of
 * `path`. If `model` is NULL, nothing is gathered. `known` must outlive the calibration, which takes over its text.
 * `notes` receives what could not be done and was not asked for by name. Free with calibration_free, also after a
 * failure. */
ellm_status calibrate(ellm_model *model, thread_pool *pool, const ellm_compress_options *options, uint64_t weights,
                      const char *path, measurements *known, progress_meter *meter, const ellm_notes *notes,
                      calibration *out, ellm_error *err);
void calibration_free(calibration *c);

/* Measures the curves of all matrices. With full effort they are those of rounding with feedback, with the moments of
 * the unchanged model. Scratch files are made in the folder of `path`. */
ellm_status calibration_plan(calibration *c, const tune_matrices *matrices, const char *path, progress_meter *meter,
                             plan *out, ellm_error *err);
/* What rounding needs to know about the input of a matrix. Ask in the order of tune_matrices, once for matrices that
 * read the same input. */
ellm_status calibration_columns(calibration *c, const tune_matrix *m, input_columns *out, ellm_error *err);
/* Starts again at the first matrix, with the original weights of the model. */
ellm_status calibration_restart(calibration *c, ellm_error *err);
/* Like calibration_rounded, for a matrix that an earlier run rounded. `last_layer` is the layer that is not yet
 * complete. */
ellm_status calibration_adopted(calibration *c, tune_matrix *m, uint16_t *weights, uint32_t last_layer, ellm_error *err);
/* Whether calibration continues with the rounded weights of this matrix. */
bool calibration_wants(const calibration *c, const tune_matrix *m);
/* Hands over the rounded weights: BF16 [rows][columns], malloc'ed, owned by the calibration from now on. */
void calibration_rounded(calibration *c, tune_matrix *m, uint16_t *weights);

#endif
