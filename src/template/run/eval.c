/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chat templates: evaluation of expressions. A node is evaluated by recursion over the tree; each costs a step and a
 * level of depth, so that neither a long template nor a deep one can take more than is allowed. Before a value is
 * looked at, limits->at is set to the node that it belongs to: an error then names that place. Operands are evaluated
 * from left to right, each once, as Python does.
 */
#include "template/run/eval.h"

#include <string.h>

#include "template/library/builtins.h"
#include "template/library/filters.h"
#include "template/library/is_tests.h"
#include "template/run/access.h"
#include "template/run/contains.h"
#include "template/run/iterate.h"
#include "template/run/state.h"
#include "template/value/dict.h"
#include "template/value/operators.h"
#include "template/value/text.h"

/* The innermost variable of this name; else a function of the environment; else undefined, which is no error yet. Work
 * is counted by the variables that were passed by. */
static bool eval_name(tpl_run *run, const tpl_node *node, tpl_value *out) {
  size_t seen = 0;
  for (const tpl_scope *scope = run->state->scope; scope; scope = scope->outer)
    for (const tpl_binding *b = scope->first; b; b = b->next, seen++)
      if (b->id == node->id) {
        *out = b->value;
        return tpl_charge(&run->limits, seen / 16);
      }
  if (!tpl_find_function(node->name, out)) *out = tpl_undefined(node->name);
  return tpl_charge(&run->limits, seen / 16);
}

/* The items of a list or a tuple that is written in the template. */
static bool eval_items(tpl_run *run, const tpl_node *node, tpl_list **out) {
  *out = tpl_new_list(&run->limits, 0);
  if (!*out) return false;
  for (const tpl_node *item = node->a; item; item = item->next) {
    tpl_value value;
    if (!tpl_eval(run, item, &value) || !tpl_list_add(&run->limits, *out, value)) return false;
  }
  return true;
}

/* Items come in pairs, key and value; of equal keys the last one counts. */
static bool eval_dict(tpl_run *run, const tpl_node *node, tpl_value *out) {
  tpl_dict *dict = tpl_new_dict(&run->limits, 0);
  if (!dict) return false;
  for (const tpl_node *item = node->a; item; item = item->next->next) {
    tpl_value key, value;
    if (!tpl_eval(run, item, &key) || !tpl_eval(run, item->next, &value)) return false;
    run->limits.at = &item->place;
    if (!tpl_dict_set(&run->limits, dict, key, value)) return false;
  }
  *out = tpl_of_dict(dict);
  return true;
}

/* a ~ b ~ c: the texts of all, whatever they are. */
static bool eval_concat(tpl_run *run, const tpl_node *node, tpl_value *out) {
  ellm_buffer buffer = {0};
  for (const tpl_node *operand = node->a; operand; operand = operand->next) {
    tpl_value value;
    if (!tpl_eval(run, operand, &value)) break;
    run->limits.at = &operand->place;
    if (!tpl_put_str(&run->limits, &buffer, value)) break;
  }
  return tpl_take_text(&run->limits, &buffer, out);
}

/* and, or: the value that decides, not its truth. */
static bool eval_logic(tpl_run *run, const tpl_node *node, tpl_value *out) {
  for (const tpl_node *operand = node->a; operand; operand = operand->next) {
    if (!tpl_eval(run, operand, out)) return false;
    if (tpl_truth(*out) == (node->type == NODE_OR)) return true;
  }
  return true;
}

/* a + b - c of one precedence is a list of steps, from left to right: no recursion by length. */
static bool eval_arith(tpl_run *run, const tpl_node *node, tpl_value *out) {
  tpl_value left, right;
  if (!tpl_eval(run, node->a, &left)) return false;
  for (const tpl_node *step = node->b; step; step = step->next) {
    if (!tpl_eval(run, step->a, &right)) return false;
    run->limits.at = &step->place;
    if (!tpl_charge(&run->limits, 1) || !tpl_arith(&run->limits, step->op, left, right, &left)) return false;
  }
  *out = left;
  return true;
}

/* a < b < c is a < b and b < c, each evaluated once. */
static bool eval_compare(tpl_run *run, const tpl_node *node, tpl_value *out) {
  tpl_value left, right;
  bool result = true;
  if (!tpl_eval(run, node->a, &left)) return false;
  for (const tpl_node *step = node->b; step && result; step = step->next) {
    if (!tpl_eval(run, step->a, &right)) return false;
    run->limits.at = &step->place;
    if (!tpl_compare(run, step->op, left, right, &result)) return false;
    left = right;
  }
  *out = tpl_bool(result);
  return true;
}

/* -0.0 is kept; -x of an integer is 0 - x, which notices the one that has no negative. */
static bool eval_sign(tpl_run *run, const tpl_node *node, tpl_value *out) {
  tpl_value value;
  if (!tpl_eval(run, node->a, &value)) return false;
  run->limits.at = &node->place;
  if (value.kind == TPL_UNDEFINED) return tpl_fail_undefined(&run->limits, value);
  if (!tpl_is_number(value)) return tpl_fail(&run->limits, "a sign before a value of type %s", tpl_kind_name(value));
  if (value.kind == TPL_FLOAT) {
    *out = tpl_float(node->type == NODE_NEGATE ? -value.u.real : value.u.real);
    return true;
  }
  return tpl_arith(&run->limits, node->type == NODE_NEGATE ? '-' : '+', tpl_int(0), value, out);
}

/* a if b else c; without else it is undefined. */
static bool eval_condition(tpl_run *run, const tpl_node *node, tpl_value *out) {
  tpl_value test;
  if (!tpl_eval(run, node->b, &test)) return false;
  if (tpl_truth(test)) return tpl_eval(run, node->a, out);
  if (node->c) return tpl_eval(run, node->c, out);
  *out = tpl_undefined(NULL);
  return true;
}

/* ------------------------------------------------------------------ postfix */

/* name=value of a call. A name that comes twice is an error, as in Python. */
static bool add_keyword(tpl_run *run, tpl_arguments *arguments, size_t *capacity, const tpl_string *name,
                        tpl_value value) {
  for (size_t i = 0; i < arguments->n_keywords; i++)
    if (tpl_strings_equal(arguments->keywords[i].name, name))
      return tpl_fail(&run->limits, "the keyword argument '%.*s' is repeated", TPL_CUT(name));
  if (arguments->n_keywords == *capacity) {
    const size_t larger = *capacity ? 2 * *capacity : 4;
    tpl_argument *grown = tpl_alloc_array(&run->limits, larger, sizeof *grown);
    if (!grown) return false;
    for (size_t i = 0; i < arguments->n_keywords; i++) grown[i] = arguments->keywords[i];
    arguments->keywords = grown;
    *capacity = larger;
  }
  arguments->keywords[arguments->n_keywords++] = (tpl_argument){.name = name, .value = value};
  return tpl_charge(&run->limits, 1 + arguments->n_keywords / 4);
}

/* *value or **value */
static bool add_spread(tpl_run *run, const tpl_node *node, tpl_value value, tpl_list *items, tpl_arguments *arguments,
                       size_t *capacity) {
  tpl_list *more;
  run->limits.at = &node->place;
  if (node->op == '*') {
    if (!tpl_to_list(run, value, &more)) return false;
    for (size_t i = 0; i < more->count; i++)
      if (!tpl_list_add(&run->limits, items, more->items[i])) return false;
    return true;
  }
  if (value.kind == TPL_UNDEFINED) return tpl_fail_undefined(&run->limits, value);
  if (value.kind != TPL_DICT) return tpl_fail(&run->limits, "** needs a dict, not %s", tpl_kind_name(value));
  for (size_t i = 0; i < value.u.dict->count; i++) {
    const tpl_entry *entry = &value.u.dict->entries[i];
    if (entry->key.kind != TPL_STRING) return tpl_fail(&run->limits, "the name of an argument must be a string");
    if (!add_keyword(run, arguments, capacity, entry->key.u.string, entry->value)) return false;
  }
  return true;
}

/* Arguments of a call, filter or test. The call of a call tag gets its body as one more, `caller`. */
static bool eval_arguments(tpl_run *run, const tpl_node *step, tpl_arguments *out) {
  size_t capacity = 0;
  *out = (tpl_arguments){0};
  if (!step->a && step != run->state->call_step) return true;
  tpl_list *items = tpl_new_list(&run->limits, 0);
  if (!items) return false;
  for (const tpl_node *node = step->a; node; node = node->next) {
    const bool plain = node->type != NODE_KEYWORD && node->type != NODE_SPREAD;
    tpl_value value;
    if (!tpl_eval(run, plain ? node : node->a, &value)) return false;
    run->limits.at = &node->place;
    if (!(plain                          ? tpl_list_add(&run->limits, items, value)
          : node->type == NODE_KEYWORD ? add_keyword(run, out, &capacity, node->name, value)
                                         : add_spread(run, node, value, items, out, &capacity)))
      return false;
  }
  out->items = items->items;
  out->count = items->count;
  run->limits.at = &step->place;
  const tpl_state *state = run->state;
  return step != state->call_step ||
         add_keyword(run, out, &capacity, state->t->names[NAME_CALLER], state->call_caller);
}

/* A part of a slice; None where it is not there. */
static bool eval_part(tpl_run *run, const tpl_node *node, tpl_value *out) {
  *out = tpl_none();
  return !node || tpl_eval(run, node, out);
}

/* A filter or test that is not known is refused here, when it is reached, and not in a branch that is not taken. */
static bool fail_unknown(tpl_run *run, const tpl_node *step, const char *what) {
  return tpl_fail(&run->limits, "the %s '%.*s' is not supported", what, TPL_CUT(step->name));
}

/* One step behind a value: .name, [key], [a:b:c], (arguments), | filter, is test. */
static bool eval_step(tpl_run *run, const tpl_node *step, tpl_value value, tpl_value *out) {
  tpl_arguments arguments;
  tpl_value a, b, c;
  bool result;
  switch (step->type) {
    case STEP_ATTRIBUTE: run->limits.at = &step->place; return tpl_attribute(run, value, step->name, out);
    case STEP_ITEM:
      if (!tpl_eval(run, step->a, &a)) return false;
      run->limits.at = &step->place;
      return tpl_item(run, value, a, out);
    case STEP_SLICE:
      if (!eval_part(run, step->a, &a) || !eval_part(run, step->b, &b) || !eval_part(run, step->c, &c)) return false;
      run->limits.at = &step->place;
      return tpl_slice(run, value, a, b, c, out);
    case STEP_CALL:
      if (!eval_arguments(run, step, &arguments)) return false;
      run->limits.at = &step->place;
      return tpl_call(run, value, &arguments, out);
    case STEP_FILTER:
      if (!eval_arguments(run, step, &arguments)) return false;
      run->limits.at = &step->place;
      if (step->builtin == TPL_UNKNOWN) return fail_unknown(run, step, "filter");
      return tpl_apply_filter(run, step->builtin, value, &arguments, out);
    default: /* STEP_TEST */
      if (!eval_arguments(run, step, &arguments)) return false;
      run->limits.at = &step->place;
      if (step->builtin == TPL_UNKNOWN) return fail_unknown(run, step, "test");
      if (!tpl_apply_test(run, step->builtin, value, &arguments, &result)) return false;
      *out = tpl_bool(result != step->negated);
      return true;
  }
}

static bool eval_postfix(tpl_run *run, const tpl_node *node, tpl_value *out) {
  tpl_value value;
  if (!tpl_eval(run, node->a, &value)) return false;
  for (const tpl_node *step = node->b; step; step = step->next)
    if (!tpl_charge(&run->limits, 1) || !eval_step(run, step, value, &value)) return false;
  *out = value;
  return true;
}

static bool eval_inside(tpl_run *run, const tpl_node *node, tpl_value *out) {
  tpl_list *list;
  switch (node->type) {
    case NODE_CONST: *out = node->value; return true;
    case NODE_NAME: return eval_name(run, node, out);
    case NODE_LIST: case NODE_TUPLE:
      if (!eval_items(run, node, &list)) return false;
      *out = node->type == NODE_LIST ? tpl_of_list(list) : tpl_of_tuple(list);
      return true;
    case NODE_DICT: return eval_dict(run, node, out);
    case NODE_CONCAT: return eval_concat(run, node, out);
    case NODE_AND: case NODE_OR: return eval_logic(run, node, out);
    case NODE_NOT:
      if (!tpl_eval(run, node->a, out)) return false;
      *out = tpl_bool(tpl_truth(*out) == node->negated);
      return true;
    case NODE_NEGATE: case NODE_PLUS: return eval_sign(run, node, out);
    case NODE_ARITH: return eval_arith(run, node, out);
    case NODE_COMPARE: return eval_compare(run, node, out);
    case NODE_COND: return eval_condition(run, node, out);
    case NODE_POSTFIX: return eval_postfix(run, node, out);
    case NODE_BODY_TEXT: *out = *run->state->body_text; return true;
    default: return tpl_fail(&run->limits, "a tag where an expression belongs");
  }
}

bool tpl_eval(tpl_run *run, const tpl_node *node, tpl_value *out) {
  run->limits.at = &node->place;
  if (!tpl_charge(&run->limits, 1) || !tpl_deeper(&run->limits)) return false;
  const bool done = eval_inside(run, node, out);
  run->limits.depth--;
  return done;
}
