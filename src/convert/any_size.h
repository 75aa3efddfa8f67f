/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compressing a model to a size: calibrate, plan, then round the matrices one after the other and store them. What a
 * matrix takes is known when it is stored, so the plan for those that are left is made again after each; the last one
 * is given what is left over. So the size is met, and never exceeded.
 */
#ifndef ELLM_CONVERT_ANY_SIZE_H
#define ELLM_CONVERT_ANY_SIZE_H

#include "convert/quantized.h"
#include "convert/passes.h"
#include "tune/layer_text.h"
#include "tune/plan.h"

typedef struct any_size any_size;

/* What it is made of; all of it outlives it. */
typedef struct any_size_setup {
  const ellm_compress_options *options;
  tensor_source *input;
  const char *out_path;        /* scratch files lie in its folder; NULL: in the source's */
  team *team;
  container_writer *writer;
  progress_meter *meter;
  ellm_report *report;
} any_size_setup;

/* Opens the model and lists its matrices. ELLM_ERR_INPUT where it cannot be run. */
ellm_status any_size_open(const any_size_setup *setup, any_size **out, ellm_error *err);
void any_size_close(any_size *a); /* NULL is fine */

/* Is this tensor one of the matrices that are quantized? */
bool any_size_takes(const any_size *a, const char *name);

/* Called for every matrix that was stored. */
typedef ellm_status (*any_size_stored_fn)(void *user, const source_tensor *source, const uint8_t digest[16],
                                          container_tensor *tensor, ellm_error *err);

/* Calibrates, plans and stores all matrices, after everything else that the file is to hold. */
ellm_status any_size_write(any_size *a, any_size_stored_fn stored, void *user, ellm_error *err);

/* What the file is like, for metadata "entrollm.quality": a JSON object (docs/FORMAT.md), to `text`. `path`: the file as
 * it is so far; NULL in a dry run: nothing is measured then. */
ellm_status any_size_quality(any_size *a, const char *path, char *text, size_t bytes, ellm_error *err);

#endif
