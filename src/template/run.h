/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chat templates: limits and errors of one rendering. Functions of this folder that
 * take it and return bool return false after an error, which lies in run->status
 * and *run->err then; its position is that of run->at.
 */
#ifndef ELLM_TEMPLATE_RUN_H
#define ELLM_TEMPLATE_RUN_H

#include "base/memory.h"
#include "template/arena.h"
#include "template/place.h"
#include "template/template.h"

typedef struct tpl_run {
  const char *origin;      /* of the template, for errors */
  ellm_error *err;
  ellm_status status;
  tpl_arena arena;
  uint64_t steps_left;
  unsigned depth;
  const tpl_place *at;     /* what is being evaluated, for errors */
  struct tpl_state *state; /* of the evaluation; what is done to values alone does not look at it */
} tpl_run;

bool tpl_fail(tpl_run *run, const char *format, ...) ELLM_PRINTF(2, 3);

bool tpl_no_memory(tpl_run *run, size_t bytes);

/* Count work: an operation over n elements or 16 n bytes. */
bool tpl_charge(tpl_run *run, size_t n);
bool tpl_deeper(tpl_run *run); /* followed by run->depth-- if true */
void *tpl_alloc(tpl_run *run, size_t bytes);
void *tpl_alloc_array(tpl_run *run, size_t count, size_t size);

#endif
