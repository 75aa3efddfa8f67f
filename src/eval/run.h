/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every evaluation is a list of items, each of which yields the same number of
 * values. Here they are run one by one, with progress, and kept in a state file
 * from which an interrupted evaluation continues where it stopped.
 *
 * A state file is text: a line with format and version, a line with the JSON of
 * what is evaluated on what, then a line an item: its number and its values as
 * the 16 hex digits of their bits, so that they come back exactly. A last line
 * without newline was cut off and is forgotten.
 */
#ifndef ELLM_EVAL_RUN_H
#define ELLM_EVAL_RUN_H

#include <jansson.h>

#include "base/status.h"

enum { EVAL_RUNNING_TEXT = 96 };

typedef struct eval_task {
  const char *stage;      /* for progress */
  const json_t *identity; /* model, data and parameters: all that the values depend on */
  size_t n_items, n_values;
  /* Compute the values of an item. */
  ellm_status (*item)(void *self, size_t index, double *values, ellm_error *err);
  /* The result so far in a few words; values[n_items][n_values], of which `done` items are there. */
  void (*running)(void *self, const double *values, size_t done, char text[EVAL_RUNNING_TEXT]);
  void *self;
} eval_task;

/* Items 0 .. n_items - 1 in order into values[n_items][n_values]. *n_resumed
 * (may be NULL): how many came from the state file. */
ellm_status eval_run(const eval_task *task, const ellm_eval_options *options, double *values, size_t *n_resumed,
                     ellm_error *err);

#endif
