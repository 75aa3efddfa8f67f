/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chat templates: iterators. What Jinja's filters return lazily is lazy here
 * too: a generator is true whatever it holds, has no length, is gone through
 * once, and its errors come when its items are asked for.
 */
#ifndef ELLM_TEMPLATE_ITERATE_H
#define ELLM_TEMPLATE_ITERATE_H

#include "template/run/run.h"
#include "template/run/state.h"

typedef enum tpl_iterator_kind {
  ITERATE_ITEMS,    /* list, from `at` on */
  ITERATE_REVERSED, /* list, `at` items are left */
  ITERATE_TEXT,     /* characters of value, from byte `at` on */
  ITERATE_ENTRIES,  /* of a dict: keys, values or pairs */
  ITERATE_RANGE,
  ITERATE_MAP,      /* source through a filter or an attribute */
  ITERATE_SELECT,   /* those of source that pass a test */
  ITERATE_LOOP      /* those of source that pass the condition of a for loop */
} tpl_iterator_kind;

typedef struct tpl_iterator {
  tpl_iterator_kind kind;
  size_t at;
  const tpl_list *list;
  const tpl_string *text;
  const tpl_dict *dict;
  tpl_view_kind entries;
  const tpl_range *range;
  struct tpl_iterator *source;
  /* of MAP and SELECT */
  int which;               /* filter or test; -1: none, the attribute itself or its truth */
  tpl_value attribute;     /* path; TPL_UNDEFINED: the item itself */
  tpl_value default_value; /* of a missing attribute; TPL_UNDEFINED: none */
  tpl_arguments arguments;
  bool negated;
  /* of LOOP */
  const tpl_node *loop;
  tpl_scope *scope;
} tpl_iterator;

/* A generator over a list. */
bool tpl_generator(tpl_run *run, const tpl_list *list, tpl_value *out);

/* The variable `loop`. */
typedef struct tpl_loop {
  tpl_iterator *iterator;
  tpl_value source;      /* TPL_UNDEFINED where its length is not that of the loop */
  int64_t index;         /* from 1 */
  tpl_value before, current, after;
  bool has_after, ended, has_length;
  int64_t length;
  tpl_value changed;     /* what changed() was given last: a tuple, or TPL_UNDEFINED */
} tpl_loop;

/* Go on to the next item; *end when there is none. */
bool tpl_loop_next(tpl_run *run, tpl_loop *loop, bool *end);
bool tpl_loop_attribute(tpl_run *run, tpl_loop *loop, const tpl_string *name, tpl_value *out);

/* An iterator over a value; a value that has none is an error. */
bool tpl_iterate(tpl_run *run, tpl_value value, struct tpl_iterator **out);
bool tpl_next(tpl_run *run, struct tpl_iterator *iterator, tpl_value *item, bool *end);
bool tpl_to_list(tpl_run *run, tpl_value value, tpl_list **out); /* a new list */

/* len(value); a value that has none is an error. */
bool tpl_count(tpl_run *run, tpl_value value, size_t *count);
bool tpl_has_count(tpl_value value);

#endif
