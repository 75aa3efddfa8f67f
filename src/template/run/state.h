/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chat templates: the state of an evaluation: variables, output, and what goes on
 * around a node.
 */
#ifndef ELLM_TEMPLATE_STATE_H
#define ELLM_TEMPLATE_STATE_H

#include "template/run/run.h"
#include "template/syntax/syntax.h"

typedef struct tpl_binding { uint32_t id; struct tpl_binding *next; tpl_value value; } tpl_binding;

typedef struct tpl_scope { struct tpl_scope *outer; tpl_binding *first; } tpl_scope;

typedef struct tpl_state {
  const chat_template *t;
  const struct tm *now;
  ellm_buffer *out;    /* where output goes now */
  size_t pending;      /* bytes of all outputs that are being written */
  tpl_scope *scope;
  const tpl_value *body_text; /* what NODE_BODY_TEXT means */
  const tpl_node *call_step;  /* the call of a call tag, which gets */
  tpl_value call_caller;      /* this as its argument `caller` */
  tpl_node_type jump;         /* NODE_BREAK or NODE_CONTINUE on the way to its loop, else NODE_CONST */
} tpl_state;

typedef struct tpl_macro { const tpl_node *node; tpl_scope *scope; } tpl_macro;

bool tpl_bind(tpl_run *run, uint32_t id, tpl_value value); /* in the current scope */

/* `unset`: the names that are undefined in it. */
tpl_scope *tpl_new_scope(tpl_run *run, tpl_scope *outer, const tpl_unset *unset);

#endif
