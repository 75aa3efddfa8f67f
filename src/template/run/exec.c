/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chat templates: execution of tags. Loops (every turn anew), macros, with and
 * blocks have scopes of their own; if has none. A macro sees the scope that it
 * was defined in, as it is when the macro is called.
 */
#include "template/run/exec.h"

#include <string.h>

#include "template/run/eval.h"
#include "template/run/iterate.h"
#include "template/value/dict.h"
#include "template/value/text.h"

static bool write_out(tpl_run *run, const char *data, size_t bytes) {
  if (bytes > CHAT_TEMPLATE_MAX_TEXT - run->state->pending)
    return tpl_fail(&run->limits, "more than %d bytes of output", CHAT_TEMPLATE_MAX_TEXT);
  run->state->pending += bytes;
  return tpl_put(&run->limits, run->state->out, data, bytes);
}

static bool write_value(tpl_run *run, tpl_value value) {
  tpl_value text;
  if (value.kind == TPL_UNDEFINED) return true;
  return tpl_str(&run->limits, value, &text) && write_out(run, text.u.string->data, text.u.string->bytes);
}

/* Execute a body in a scope, its output going into a string. */
static bool capture(tpl_run *run, const tpl_node *body, tpl_value *text) {
  ellm_buffer buffer = {0}, *outer = run->state->out;
  const size_t pending = run->state->pending;
  run->state->out = &buffer;
  tpl_exec(run, body);
  run->state->out = outer;
  run->state->pending = pending;
  return tpl_take_text(&run->limits, &buffer, text);
}

/* --------------------------------------------------------------- assignment */

static bool assign_attribute(tpl_run *run, const tpl_node *target, tpl_value value) {
  tpl_value space;
  if (!tpl_eval(run, target->a, &space)) return false;
  run->limits.at = &target->place;
  if (space.kind != TPL_NAMESPACE)
    return tpl_fail(&run->limits, "an attribute can be set of a namespace only, not of %s", tpl_kind_name(space));
  tpl_value key = tpl_of_string(target->name);
  return tpl_dict_set(&run->limits, space.u.space, key, value);
}

bool tpl_assign(tpl_run *run, const tpl_node *target, tpl_value value) {
  if (target->type == NODE_NAME) return tpl_bind(run, target->id, value);
  if (target->type == NODE_TARGET_ATTRIBUTE) return assign_attribute(run, target, value);
  tpl_list *items;
  size_t wanted = 0, i = 0;
  run->limits.at = &target->place;
  for (const tpl_node *part = target->a; part; part = part->next) wanted++;
  if (!tpl_to_list(run, value, &items)) return false;
  if (items->count != wanted)
    return tpl_fail(&run->limits, "%zu values to unpack into %zu names", items->count, wanted);
  for (const tpl_node *part = target->a; part; part = part->next)
    if (!tpl_assign(run, part, items->items[i++])) return false;
  return true;
}

/* --------------------------------------------------------------------- tags */

static bool exec_if(tpl_run *run, const tpl_node *node) {
  for (const tpl_node *branch = node->a; branch; branch = branch->next) {
    tpl_value test = tpl_bool(true);
    if (branch->a && !tpl_eval(run, branch->a, &test)) return false;
    if (tpl_truth(test)) return tpl_exec(run, branch->body);
  }
  return true;
}

static bool exec_scoped(tpl_run *run, const tpl_node *body, const tpl_unset *unset) {
  tpl_scope *outer = run->state->scope;
  run->state->scope = tpl_new_scope(run, outer, unset);
  const bool done = run->state->scope && tpl_exec(run, body);
  run->state->scope = outer;
  return done;
}

static bool make_loop(tpl_run *run, const tpl_node *node, tpl_loop **out) {
  tpl_value value;
  tpl_iterator *iterator;
  tpl_loop *loop = tpl_alloc(&run->limits, sizeof *loop);
  if (!loop || !tpl_eval(run, node->b, &value)) return false;
  run->limits.at = &node->b->place;
  if (!tpl_iterate(run, value, &iterator)) return false;
  *loop = (tpl_loop){.iterator = iterator, .source = tpl_undefined(NULL), .changed = tpl_undefined(NULL)};
  if (tpl_has_count(value) && !node->c) loop->source = value;
  if (node->c) {
    loop->iterator = tpl_alloc(&run->limits, sizeof *loop->iterator);
    if (!loop->iterator) return false;
    *loop->iterator =
        (tpl_iterator){.kind = ITERATE_LOOP, .source = iterator, .loop = node, .scope = run->state->scope};
  }
  *out = loop;
  return true;
}

static bool exec_turn(tpl_run *run, const tpl_node *node, tpl_loop *loop, tpl_scope *outer) {
  run->state->scope = tpl_new_scope(run, outer, node->unset);
  return run->state->scope && tpl_bind(run, NAME_LOOP, (tpl_value){.kind = TPL_LOOP, .u = {.loop = loop}}) &&
         tpl_assign(run, node->a, loop->current) && tpl_exec(run, node->body);
}

static bool exec_for(tpl_run *run, const tpl_node *node) {
  tpl_loop *loop;
  tpl_scope *outer = run->state->scope;
  bool turned = false; /* to the end of the body: what jinja2 goes by, so that `else` follows an early break or continue */
  if (!make_loop(run, node, &loop)) return false;
  for (;;) {
    bool end;
    run->limits.at = &node->place;
    if (!tpl_loop_next(run, loop, &end)) return false;
    if (end) break;
    const bool done = exec_turn(run, node, loop, outer);
    run->state->scope = outer;
    if (!done) return false;
    const tpl_node_type jump = run->state->jump;
    run->state->jump = NODE_CONST;
    if (jump == NODE_BREAK) break;
    turned = turned || jump != NODE_CONTINUE;
  }
  return turned || !node->other || exec_scoped(run, node->other, node->unset_other);
}

static bool exec_text_block(tpl_run *run, const tpl_node *node) {
  tpl_scope *outer = run->state->scope;
  const tpl_value *outer_text = run->state->body_text;
  tpl_value text;
  run->state->scope = tpl_new_scope(run, outer, node->unset);
  bool done = run->state->scope && capture(run, node->body, &text);
  if (done && run->state->jump == NODE_CONST && node->b) {
    tpl_value body = text;
    run->state->body_text = &body;
    done = tpl_eval(run, node->b, &text);
    run->state->body_text = outer_text;
  }
  run->state->scope = outer;
  if (!done || run->state->jump != NODE_CONST) return done; /* left by break or continue: the text is lost */
  return node->type == NODE_SET_BLOCK ? tpl_assign(run, node->a, text) : write_value(run, text);
}

static bool new_macro(tpl_run *run, const tpl_node *node, tpl_value *out) {
  tpl_macro *macro = tpl_alloc(&run->limits, sizeof *macro);
  if (!macro) return false;
  *macro = (tpl_macro){.node = node, .scope = run->state->scope};
  *out = (tpl_value){.kind = TPL_MACRO, .u = {.macro = macro}};
  return true;
}

static bool exec_call_block(tpl_run *run, const tpl_node *node) {
  const tpl_node *outer_step = run->state->call_step, *last = node->a->b;
  const tpl_value outer_caller = run->state->call_caller;
  tpl_value result;
  while (last->next) last = last->next;
  run->state->call_step = last;
  const bool done = new_macro(run, node->b, &run->state->call_caller) && tpl_eval(run, node->a, &result);
  run->state->call_step = outer_step;
  run->state->call_caller = outer_caller;
  return done && write_value(run, result);
}

static bool exec_with(tpl_run *run, const tpl_node *node) {
  tpl_scope *outer = run->state->scope, *inner = tpl_new_scope(run, outer, node->unset);
  bool done = inner != NULL;
  for (const tpl_node *target = node->a; done && target; target = target->next->next) {
    tpl_value value;
    run->state->scope = outer; /* values do not see the names before them */
    done = tpl_eval(run, target->next, &value);
    run->state->scope = inner;
    done = done && tpl_assign(run, target, value);
  }
  run->state->scope = inner;
  done = done && tpl_exec(run, node->body);
  run->state->scope = outer;
  return done;
}

static bool exec_node(tpl_run *run, const tpl_node *node) {
  tpl_value value;
  switch (node->type) {
    case NODE_DATA: return write_out(run, node->value.u.string->data, node->value.u.string->bytes);
    case NODE_PRINT:
      for (const tpl_node *what = node->a; what; what = what->next) {
        if (!tpl_eval(run, what, &value)) return false;
        run->limits.at = &what->place;
        if (!write_value(run, value)) return false;
      }
      return true;
    case NODE_IF: return exec_if(run, node);
    case NODE_FOR: return exec_for(run, node);
    case NODE_SET: return tpl_eval(run, node->b, &value) && tpl_assign(run, node->a, value);
    case NODE_SET_BLOCK: case NODE_FILTER_BLOCK: return exec_text_block(run, node);
    case NODE_MACRO: return new_macro(run, node, &value) && tpl_bind(run, node->id, value);
    case NODE_CALL_BLOCK: return exec_call_block(run, node);
    case NODE_WITH: return exec_with(run, node);
    case NODE_SCOPE: return exec_scoped(run, node->body, node->unset);
    case NODE_BREAK: case NODE_CONTINUE: run->state->jump = node->type; return true;
    default: return tpl_fail(&run->limits, "an expression where a tag belongs");
  }
}

bool tpl_exec(tpl_run *run, const tpl_node *statements) {
  if (!tpl_deeper(&run->limits)) return false;
  for (const tpl_node *node = statements; node && run->state->jump == NODE_CONST; node = node->next) {
    run->limits.at = &node->place;
    if (!tpl_charge(&run->limits, 1) || !exec_node(run, node)) return false;
  }
  run->limits.depth--;
  return true;
}

/* ------------------------------------------------------------------- macros */

/* The keyword argument of this name, marked in `used`; NULL if there is none. */
static const tpl_value *keyword(const tpl_arguments *arguments, const tpl_string *name, bool *used) {
  for (size_t i = 0; i < arguments->n_keywords; i++)
    if (!used[i] && tpl_strings_equal(arguments->keywords[i].name, name)) {
      used[i] = true;
      return &arguments->keywords[i].value;
    }
  return NULL;
}

/* What is left over goes to varargs and kwargs, if the macro looks at them. */
static bool bind_rest(tpl_run *run, const tpl_node *macro, const tpl_arguments *arguments, size_t from,
                      const bool *used) {
  tpl_list *rest = tpl_new_list(&run->limits, 0);
  tpl_dict *named = tpl_new_dict(&run->limits, 0);
  if (!rest || !named) return false;
  for (size_t i = 0; i < arguments->n_keywords; i++) {
    const tpl_string *name = arguments->keywords[i].name;
    if (used[i]) continue;
    if (!macro->uses_kwargs)
      return tpl_fail(&run->limits, "the macro '%.*s' takes no keyword argument '%.*s'", TPL_CUT(macro->name),
                      TPL_CUT(name));
    if (!tpl_dict_set(&run->limits, named, tpl_of_string(name), arguments->keywords[i].value)) return false;
  }
  if (arguments->count > from && !macro->uses_varargs)
    return tpl_fail(&run->limits, "the macro '%.*s' takes %zu arguments, not %zu", TPL_CUT(macro->name), from,
                    arguments->count);
  for (size_t i = from; i < arguments->count; i++)
    if (!tpl_list_add(&run->limits, rest, arguments->items[i])) return false;
  return (!macro->uses_kwargs || tpl_bind(run, NAME_KWARGS, tpl_of_dict(named))) &&
         (!macro->uses_varargs || tpl_bind(run, NAME_VARARGS, tpl_of_tuple(rest)));
}

static bool bind_parameters(tpl_run *run, const tpl_node *macro, const tpl_arguments *arguments) {
  size_t n = 0;
  bool own_caller = false;
  bool *used = tpl_alloc_array(&run->limits, arguments->n_keywords + 1, sizeof *used);
  if (!used) return false;
  memset(used, 0, (arguments->n_keywords + 1) * sizeof *used);
  for (const tpl_node *p = macro->a; p; p = p->next) {
    const tpl_value *given = n < arguments->count ? &arguments->items[n] : keyword(arguments, p->name, used);
    tpl_value value = tpl_undefined(p->name);
    if (given) value = *given;
    else if (p->a && !tpl_eval(run, p->a, &value)) return false;
    own_caller |= p->id == NAME_CALLER;
    if (!tpl_charge(&run->limits, 1 + arguments->n_keywords / 4) || !tpl_bind(run, p->id, value)) return false;
    n++;
  }
  if (macro->uses_caller && !own_caller) {
    const tpl_string *name = run->state->t->names[NAME_CALLER];
    const tpl_value *caller = keyword(arguments, name, used);
    if (!tpl_bind(run, NAME_CALLER, caller ? *caller : tpl_undefined(name))) return false;
  }
  return bind_rest(run, macro, arguments, n, used);
}

bool tpl_call_macro(tpl_run *run, const tpl_macro *macro, const tpl_arguments *arguments, tpl_value *out) {
  tpl_scope *outer = run->state->scope;
  if (!tpl_deeper(&run->limits)) return false;
  run->state->scope = tpl_new_scope(run, macro->scope, macro->node->unset);
  const bool done =
      run->state->scope && bind_parameters(run, macro->node, arguments) && capture(run, macro->node->body, out);
  run->state->scope = outer;
  run->limits.depth--;
  return done;
}
