/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether what is compressed can be run: the same that opening a model does (configurations, names, shapes and types of
 * tensors, the tokenizer, the chat template), before an hour of compressing and not after. Each refusal is a warning of
 * the report, or, strictly taken, an error.
 */
#ifndef ELLM_CONVERT_RUNNABLE_H
#define ELLM_CONVERT_RUNNABLE_H

#include "source/source.h"

typedef struct runnable {
  bool known;  /* the model can be run; then */
  bool *used;  /* [source_count]: which tensors it takes. Owned */
} runnable;

/* `strict`: the first refusal is ELLM_ERR_INPUT. Free with runnable_free, after an error, too. */
ellm_status runnable_find(tensor_source *input, bool strict, ellm_report *report, runnable *out, ellm_error *err);
void runnable_free(runnable *r);

#endif
