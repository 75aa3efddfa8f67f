/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compressing a model to a size: calibrate, plan, then round the matrices one after the other and store them. What a
 * matrix takes is known when it is stored, so the plan for those that are left is made again after each; the last one
 * is given what is left over. So the size is met, and never exceeded.
 */
#ifndef ELLM_CONVERT_ANY_SIZE_H
#define ELLM_CONVERT_ANY_SIZE_H

#include "container/writer.h"
#include "convert/passes.h"

typedef struct any_size any_size;

/* What it is made of; all of it outlives it. */
typedef struct any_size_setup {
  const ellm_compress_options *options;
  tensor_source *input;
  const char *out_path;        /* scratch files are in its folder; NULL: in the source's */
  convert_workers *workers;
  container_writer *writer;
  progress_meter *meter;
  ellm_report *report;
  const char *kept_plan;       /* where measurements are kept where options name no file; NULL: nowhere */
} any_size_setup;

/* Opens the model, lists its matrices and reads what was measured before. A model that cannot be run is compressed
 * without calibration, with a warning of the report; ELLM_ERR_INPUT where options ask for more. */
ellm_status any_size_open(const any_size_setup *setup, any_size **out, ellm_error *err);
void any_size_close(any_size *a); /* NULL is fine */

bool any_size_has_matrices(const any_size *a);
/* Is this tensor one of the matrices that are quantized? */
bool any_size_takes(const any_size *a, const char *name);

/* Calibrates and plans, when everything else that the file is to hold is in it. ELLM_ERR_INPUT, naming the least or the
 * largest size, where the target cannot be reached. */
ellm_status any_size_measure(any_size *a, ellm_error *err);
/* What is expected after that, for ellm_report.plan; malloc'ed. */
ellm_status any_size_plan(any_size *a, char **text, ellm_error *err);

/* What happens with sections of the file. */
typedef struct any_size_hooks {
  void *user;
  /* A matrix, or scales of columns (source NULL), was stored. */
  ellm_status (*stored)(void *user, const source_tensor *source, const uint8_t digest[16], container_tensor *tensor,
                        ellm_error *err);
  /* Takes over the section that an earlier run stored next, if it did; `source` as above. */
  ellm_status (*adopt)(void *user, const source_tensor *source, bool *adopted, ellm_error *err);
} any_size_hooks;
/*
 * Stores all matrices. For a target divergence that is a try: when it is measured, any_size_again says whether it was
 * the last one. If not, all that was written is taken away again by the caller, and the next one begins.
 */
ellm_status any_size_write(any_size *a, const any_size_hooks *hooks, ellm_error *err);
ellm_status any_size_again(any_size *a, bool *again, ellm_error *err);
/* The last try: bits of all matrices, and the divergence that was measured. And one of an earlier run, before the first
 * any_size_write. */
typedef struct any_size_try { double bits, divergence; } any_size_try;
any_size_try any_size_tried(const any_size *a);
ellm_status any_size_recall(any_size *a, const any_size_try *tried, ellm_error *err);

/* What the file is like, for metadata "entrollm.quality": a JSON object (docs/FORMAT.md), to `text`. `path`: the file as
 * it is so far; NULL: nothing is measured. */
ellm_status any_size_quality(any_size *a, const char *path, char *text, size_t bytes, ellm_error *err);

#endif
