/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chat templates: iterators and loops; see iterate.h. One struct stands for all kinds, and tpl_next goes one item
 * further. An iterator over another one (a map, a selection, the condition of a loop) asks that one for its next item
 * when it is asked itself, so nothing is computed that nobody looks at.
 */
#include "template/run/iterate.h"

#include <string.h>

#include "template/library/builtins.h"
#include "template/library/filters.h"
#include "template/library/is_tests.h"
#include "template/run/access.h"
#include "template/run/eval.h"
#include "template/run/exec.h"
#include "template/value/text.h"
#include "text/utf8.h"

bool tpl_has_count(tpl_value v) {
  return v.kind == TPL_UNDEFINED || v.kind == TPL_STRING || v.kind == TPL_LIST || v.kind == TPL_TUPLE ||
         v.kind == TPL_DICT || v.kind == TPL_RANGE || v.kind == TPL_VIEW;
}

/* A string has as many characters as it has, not bytes. */
bool tpl_count(tpl_run *run, tpl_value v, size_t *count) {
  switch (v.kind) {
    case TPL_UNDEFINED: *count = 0; return true;
    case TPL_STRING: *count = tpl_length(v.u.string); return tpl_charge(&run->limits, v.u.string->bytes / 16);
    case TPL_LIST: case TPL_TUPLE: *count = v.u.list->count; return true;
    case TPL_DICT: *count = v.u.dict->count; return true;
    case TPL_RANGE: *count = v.u.range->count; return true;
    case TPL_VIEW: *count = v.u.view->dict->count; return true;
    default: return tpl_fail(&run->limits, "object of type '%s' has no len()", tpl_kind_name(v));
  }
}

/* An iterator continues where it is; what is undefined has no items. */
bool tpl_iterate(tpl_run *run, tpl_value v, tpl_iterator **out) {
  static const tpl_list empty = {0};
  tpl_iterator it = {.kind = ITERATE_ITEMS, .list = &empty};
  switch (v.kind) {
    case TPL_ITERATOR: *out = v.u.iterator; return true;
    case TPL_UNDEFINED: break;
    case TPL_LIST: case TPL_TUPLE: it.list = v.u.list; break;
    case TPL_STRING: it = (tpl_iterator){.kind = ITERATE_TEXT, .text = v.u.string}; break;
    case TPL_DICT: it = (tpl_iterator){.kind = ITERATE_ENTRIES, .dict = v.u.dict, .entries = VIEW_KEYS}; break;
    case TPL_VIEW:
      it = (tpl_iterator){.kind = ITERATE_ENTRIES, .dict = v.u.view->dict, .entries = v.u.view->what};
      break;
    case TPL_RANGE: it = (tpl_iterator){.kind = ITERATE_RANGE, .range = v.u.range}; break;
    default: return tpl_fail(&run->limits, "'%s' object is not iterable", tpl_kind_name(v));
  }
  *out = tpl_alloc(&run->limits, sizeof it);
  if (*out) **out = it;
  return *out != NULL;
}

bool tpl_generator(tpl_run *run, const tpl_list *list, tpl_value *out) {
  tpl_iterator *it = tpl_alloc(&run->limits, sizeof *it);
  if (!it) return false;
  *it = (tpl_iterator){.kind = ITERATE_ITEMS, .list = list};
  *out = (tpl_value){.kind = TPL_ITERATOR, .u = {.iterator = it}};
  return true;
}

/* The attribute that a map or a selection looks at. */
static bool looked_at(tpl_run *run, const tpl_iterator *it, tpl_value item, tpl_value *out) {
  *out = item;
  if (it->attribute.kind == TPL_UNDEFINED) return true;
  if (!tpl_attribute_path(run, item, it->attribute, out)) return false;
  if (out->kind == TPL_UNDEFINED && it->default_value.kind != TPL_UNDEFINED) *out = it->default_value;
  return true;
}

/* Does the item pass the test of a selection, or its attribute, where there is no test, count as true? */
static bool selected(tpl_run *run, const tpl_iterator *it, tpl_value item, bool *result) {
  tpl_value value;
  if (!looked_at(run, it, item, &value)) return false;
  if (it->which < 0) *result = tpl_truth(value);
  else if (!tpl_apply_test(run, (unsigned)it->which, value, &it->arguments, result)) return false;
  if (it->negated) *result = !*result;
  return true;
}

/* The condition of a loop sees the loop's variables in a scope of its own. */
static bool loop_condition(tpl_run *run, const tpl_iterator *it, tpl_value item, bool *result) {
  tpl_scope *outer = run->state->scope;
  tpl_value value;
  run->state->scope = tpl_new_scope(run, it->scope, NULL);
  const bool done = run->state->scope && tpl_assign(run, it->loop->a, item) && tpl_eval(run, it->loop->c, &value);
  run->state->scope = outer;
  if (done) *result = tpl_truth(value);
  return done;
}

static bool next_of_source(tpl_run *run, tpl_iterator *it, tpl_value *item, bool *end) {
  bool result = false;
  for (;;) {
    if (!tpl_next(run, it->source, item, end)) return false;
    if (*end) return true;
    if (it->kind == ITERATE_MAP) {
      tpl_value value;
      if (!looked_at(run, it, *item, &value)) return false;
      *item = value;
      return it->which < 0 || tpl_apply_filter(run, (unsigned)it->which, value, &it->arguments, item);
    }
    if (!(it->kind == ITERATE_SELECT ? selected(run, it, *item, &result) : loop_condition(run, it, *item, &result)))
      return false;
    if (result) return true;
  }
}

static bool next_entry(tpl_run *run, tpl_iterator *it, tpl_value *item) {
  const tpl_entry *entry = &it->dict->entries[it->at++];
  if (it->entries == VIEW_ITEMS) return tpl_new_pair(&run->limits, entry->key, entry->value, item);
  *item = it->entries == VIEW_KEYS ? entry->key : entry->value;
  return true;
}

bool tpl_next(tpl_run *run, tpl_iterator *it, tpl_value *item, bool *end) {
  *end = false;
  if (!tpl_charge(&run->limits, 1)) return false;
  switch (it->kind) {
    case ITERATE_ITEMS:
      *end = it->at >= it->list->count;
      if (!*end) *item = it->list->items[it->at++];
      return true;
    case ITERATE_REVERSED:
      *end = it->at == 0;
      if (!*end) *item = it->list->items[--it->at];
      return true;
    case ITERATE_TEXT: {
      *end = it->at >= it->text->bytes;
      if (*end) return true;
      const size_t from = it->at;
      it->at += utf8_length(it->text->data[from]);
      return tpl_substring(&run->limits, it->text, from, it->at, item);
    }
    case ITERATE_ENTRIES: *end = it->at >= it->dict->count; return *end || next_entry(run, it, item);
    case ITERATE_RANGE:
      *end = it->at >= it->range->count;
      if (!*end) *item = tpl_int(it->range->start + (int64_t)it->at++ * it->range->step);
      return true;
    default: break;
  }
  if (!tpl_deeper(&run->limits)) return false;
  const bool done = next_of_source(run, it, item, end);
  run->limits.depth--;
  return done;
}

bool tpl_to_list(tpl_run *run, tpl_value value, tpl_list **out) {
  tpl_iterator *it;
  *out = tpl_new_list(&run->limits, 0);
  if (!*out || !tpl_iterate(run, value, &it)) return false;
  for (;;) {
    tpl_value item;
    bool end;
    if (!tpl_next(run, it, &item, &end)) return false;
    if (end) return true;
    if (!tpl_list_add(&run->limits, *out, item)) return false;
  }
}

/* --------------------------------------------------------------------- loop */

/* Look one item ahead. */
static bool peek(tpl_run *run, tpl_loop *loop) {
  if (loop->has_after || loop->ended) return true;
  if (!tpl_next(run, loop->iterator, &loop->after, &loop->ended)) return false;
  loop->has_after = !loop->ended;
  return true;
}

bool tpl_loop_next(tpl_run *run, tpl_loop *loop, bool *end) {
  tpl_value item = loop->after;
  *end = false;
  if (loop->has_after) loop->has_after = false;
  else if (loop->ended) *end = true;
  else if (!tpl_next(run, loop->iterator, &item, end)) return false;
  if (*end) return true;
  loop->index++;
  loop->before = loop->current;
  loop->current = item;
  return true;
}

/* Of a generator: by reading the rest of it. */
static bool loop_length(tpl_run *run, tpl_loop *loop) {
  if (loop->has_length) return true;
  size_t count;
  if (loop->source.kind != TPL_UNDEFINED) {
    if (!tpl_count(run, loop->source, &count)) return false;
    loop->length = (int64_t)count;
  } else {
    tpl_list *rest;
    tpl_value generator, old = {.kind = TPL_ITERATOR, .u = {.iterator = loop->iterator}};
    if (!tpl_to_list(run, old, &rest) || !tpl_generator(run, rest, &generator)) return false;
    loop->iterator = generator.u.iterator;
    loop->length = (int64_t)rest->count + loop->index + (loop->has_after ? 1 : 0);
  }
  loop->has_length = true;
  return true;
}

bool tpl_loop_attribute(tpl_run *run, tpl_loop *loop, const tpl_string *name, tpl_value *out) {
  static const char *const names[] = {"index",  "index0", "first",   "last",  "length",   "revindex",
                                      "revindex0", "depth", "depth0", "previtem", "nextitem"};
  enum { INDEX, INDEX0, FIRST, LAST, LENGTH, REVINDEX, REVINDEX0, DEPTH, DEPTH0, PREVITEM, NEXTITEM, N_NAMES };
  int which = 0;
  while (which < N_NAMES && !tpl_text_is(tpl_of_string(name), names[which])) which++;
  if ((which == LENGTH || which == REVINDEX || which == REVINDEX0) && !loop_length(run, loop)) return false;
  if ((which == LAST || which == NEXTITEM) && !peek(run, loop)) return false;
  switch (which) {
    case INDEX: *out = tpl_int(loop->index); break;
    case INDEX0: *out = tpl_int(loop->index - 1); break;
    case FIRST: *out = tpl_bool(loop->index == 1); break;
    case LAST: *out = tpl_bool(!loop->has_after); break;
    case LENGTH: *out = tpl_int(loop->length); break;
    case REVINDEX: *out = tpl_int(loop->length - loop->index + 1); break;
    case REVINDEX0: *out = tpl_int(loop->length - loop->index); break;
    case DEPTH: *out = tpl_int(1); break;
    case DEPTH0: *out = tpl_int(0); break;
    case PREVITEM: *out = loop->index == 1 ? tpl_undefined(name) : loop->before; break;
    case NEXTITEM: *out = loop->has_after ? loop->after : tpl_undefined(name); break;
    default:
      if (tpl_find_method(run, (tpl_value){.kind = TPL_LOOP, .u = {.loop = loop}}, name, out)) return true;
      *out = tpl_undefined(name);
      return run->limits.status == ELLM_OK;
  }
  return true;
}
