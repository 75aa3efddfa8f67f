/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chat templates: what one rendering may take, and its error. All that is done to values alone takes a tpl_limits and
 * knows nothing of an evaluation; it is a part of tpl_run (run/run.h). Functions that take either and return bool
 * return false after an error, which is in limits->status and *limits->err then; its position is that of limits->at.
 */
#ifndef ELLM_TEMPLATE_LIMITS_H
#define ELLM_TEMPLATE_LIMITS_H

#include "base/memory.h"
#include "template/syntax/place.h"
#include "template/template.h"
#include "template/value/arena.h"

typedef struct tpl_limits {
  const char *origin;      /* of the template, for errors */
  ellm_error *err;
  ellm_status status;
  tpl_arena arena;         /* all values of the rendering */
  uint64_t steps_left;
  unsigned depth;          /* of evaluation */
  const tpl_place *at;     /* what is being evaluated, for errors */
} tpl_limits;

bool tpl_fail(tpl_limits *limits, const char *format, ...) ELLM_PRINTF(2, 3);

bool tpl_no_memory(tpl_limits *limits, size_t bytes);

/* Count work: an operation over n elements or 16 n bytes. */
bool tpl_charge(tpl_limits *limits, size_t n);
bool tpl_deeper(tpl_limits *limits); /* followed by limits->depth-- if true */
void *tpl_alloc(tpl_limits *limits, size_t bytes);
void *tpl_alloc_array(tpl_limits *limits, size_t count, size_t size);

#endif
