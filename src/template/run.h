/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One rendering of a chat template: its state and its limits. Functions of this
 * folder that take it and return bool return false after an error, which lies in
 * run->status and *run->err then; its position is that of run->at.
 */
#ifndef ELLM_TEMPLATE_RUN_H
#define ELLM_TEMPLATE_RUN_H

#include "template/syntax.h"

typedef struct tpl_binding { uint32_t id; struct tpl_binding *next; tpl_value value; } tpl_binding;

typedef struct tpl_scope { struct tpl_scope *outer; tpl_binding *first; } tpl_scope;

struct tpl_run {
  const chat_template *t;
  const struct tm *now;
  ellm_error *err;
  ellm_status status;
  tpl_arena arena;
  uint64_t steps_left;
  unsigned depth;
  const tpl_node *at;  /* what is being evaluated, for errors */
  ellm_buffer *out;    /* where output goes now */
  size_t pending;      /* bytes of all outputs that are being written */
  tpl_scope *scope;
  const tpl_value *body_text; /* what NODE_BODY_TEXT means */
  const tpl_node *call_step;  /* the call of a call tag, which gets */
  tpl_value call_caller;      /* this as its argument `caller` */
  tpl_node_type jump;         /* NODE_BREAK or NODE_CONTINUE on the way to its loop, else NODE_CONST */
};

bool tpl_fail(tpl_run *run, const char *format, ...) ELLM_PRINTF(2, 3);

/* A string for "%.*s" of a message, cut. */
#define TPL_CUT(string) ((string)->bytes < 100 ? (int)(string)->bytes : 100), (string)->data
bool tpl_fail_undefined(tpl_run *run, tpl_value value); /* "'x' is undefined" */
bool tpl_no_memory(tpl_run *run, size_t bytes);

/* Count work: an operation over n elements or 16 n bytes. */
bool tpl_charge(tpl_run *run, size_t n);
bool tpl_deeper(tpl_run *run); /* followed by run->depth-- if true */
void *tpl_alloc(tpl_run *run, size_t bytes);
void *tpl_alloc_array(tpl_run *run, size_t count, size_t size);

typedef struct tpl_argument { const tpl_string *name; tpl_value value; } tpl_argument;

typedef struct tpl_arguments {
  tpl_value *items;
  size_t count;
  tpl_argument *keywords;
  size_t n_keywords;
} tpl_arguments;

bool tpl_bind(tpl_run *run, uint32_t id, tpl_value value); /* in the current scope */

/* `unset`: the names that are undefined in it. */
tpl_scope *tpl_new_scope(tpl_run *run, tpl_scope *outer, const tpl_unset *unset);

typedef struct tpl_macro { const tpl_node *node; tpl_scope *scope; } tpl_macro;

#endif
