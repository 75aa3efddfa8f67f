/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chat templates: which names a scope hides from its beginning. Jinja decides
 * when it compiles a template what a name means in a scope: where the first
 * thing that a scope itself does with a name is to set it, outside of any
 * branch, the name is undefined in that scope before, even if a variable of
 * that name was given, unless a scope around uses the name as well. Scopes
 * inside see that too: after {% for ... %}{{ tools }}{% endfor %} a
 * {% set tools = ... %} makes tools undefined within the loop.
 */
#include "template/syntax/symbols.h"

typedef struct symbols {
  tpl_parser *parser;
  uint32_t *uses;        /* by name: how many of the scopes that are open use it */
  tpl_unset **unset;     /* of the scope being looked at */
  struct use *own;       /* names that it uses first */
  unsigned branches;     /* branches of if around */
} symbols;

typedef struct use { uint32_t id; struct use *next; } use;

static bool note(symbols *s, uint32_t id, bool store) {
  if (s->uses[id] > 0) return true;
  use *own = tpl_arena_alloc(&s->parser->t->arena, sizeof *own);
  if (!own) return tpl_parse_no_memory(s->parser) != NULL;
  *own = (use){.id = id, .next = s->own};
  s->own = own;
  s->uses[id]++;
  if (!store || s->branches > 0) return true;
  tpl_unset *unset = tpl_arena_alloc(&s->parser->t->arena, sizeof *unset);
  if (!unset) return tpl_parse_no_memory(s->parser) != NULL;
  *unset = (tpl_unset){.id = id, .next = *s->unset};
  *s->unset = unset;
  return true;
}

/* ------------------------------------------------- what a scope does itself */

static bool note_list(symbols *s, const tpl_node *list);

/* The names of an expression. */
static bool note_expression(symbols *s, const tpl_node *node) {
  if (node->type == NODE_NAME) return note(s, node->id, false);
  return note_list(s, node->a) && note_list(s, node->b) && note_list(s, node->c);
}

static bool note_list(symbols *s, const tpl_node *list) {
  for (const tpl_node *node = list; node; node = node->next)
    if (!note_expression(s, node)) return false;
  return true;
}

static bool note_target(symbols *s, const tpl_node *target) {
  if (target->type == NODE_NAME || target->type == NODE_PARAMETER) return note(s, target->id, true);
  if (target->type == NODE_TARGET_ATTRIBUTE) return note(s, target->a->id, false);
  for (const tpl_node *part = target->a; part; part = part->next)
    if (!note_target(s, part)) return false;
  return true;
}

static bool note_statements(symbols *s, const tpl_node *statements);

static bool note_if(symbols *s, const tpl_node *node) {
  bool good = true;
  for (const tpl_node *branch = node->a; good && branch; branch = branch->next) {
    good = !branch->a || note_expression(s, branch->a);
    s->branches++;
    good = good && note_statements(s, branch->body);
    s->branches--;
  }
  return good;
}

static bool note_statement(symbols *s, const tpl_node *node) {
  switch (node->type) {
    case NODE_PRINT: return note_list(s, node->a);
    case NODE_IF: return note_if(s, node);
    case NODE_FOR: return note_expression(s, node->b);
    case NODE_SET: return note_expression(s, node->b) && note_target(s, node->a);
    case NODE_SET_BLOCK: return note_target(s, node->a);
    case NODE_FILTER_BLOCK: return note_expression(s, node->b);
    case NODE_MACRO: return note(s, node->id, true);
    case NODE_CALL_BLOCK: return note_expression(s, node->a);
    case NODE_WITH:
      for (const tpl_node *target = node->a; target; target = target->next->next)
        if (!note_expression(s, target->next)) return false;
      return true;
    default: return true;
  }
}

static bool note_statements(symbols *s, const tpl_node *statements) {
  for (const tpl_node *node = statements; node; node = node->next)
    if (!note_statement(s, node)) return false;
  return true;
}

/* ------------------------------------------------------------------- scopes */

static bool inner_scopes(symbols *s, tpl_node *statements);

/* One scope: its parameters (which are set, whatever comes then), its body, and then the scopes inside. */
static bool scope(symbols *s, const tpl_node *parameters, const tpl_node *arguments, tpl_node *body,
                  tpl_unset **unset) {
  const symbols outer = *s;
  tpl_unset *ignored = NULL;
  s->own = NULL;
  s->branches = 0;
  s->unset = &ignored;
  bool good = true;
  for (const tpl_node *p = parameters; good && p; p = p->next) good = note_target(s, p);
  for (const tpl_node *p = arguments; good && p; p = p->next) good = note_target(s, p);
  for (const tpl_node *p = arguments; good && p; p = p->next) good = !p->a || note_expression(s, p->a);
  s->unset = unset;
  good = good && note_statements(s, body) && inner_scopes(s, body);
  for (const use *own = s->own; own; own = own->next) s->uses[own->id]--;
  *s = outer;
  return good;
}

/* The names that with sets: every other node of its list. */
static bool with_scope(symbols *s, tpl_node *node) {
  tpl_node *names = NULL, **end = &names;
  for (const tpl_node *target = node->a; target; target = target->next->next) {
    tpl_node *copy = tpl_arena_alloc(&s->parser->t->arena, sizeof *copy);
    if (!copy) return tpl_parse_no_memory(s->parser) != NULL;
    *copy = *target;
    copy->next = NULL;
    *end = copy;
    end = &copy->next;
  }
  return scope(s, names, NULL, node->body, &node->unset);
}

static bool loop_scopes(symbols *s, tpl_node *node) {
  tpl_node loop = {.type = NODE_NAME, .id = NAME_LOOP}, target = *node->a;
  target.next = &loop;
  return scope(s, &target, NULL, node->body, &node->unset) && scope(s, NULL, NULL, node->other, &node->unset_other);
}

static bool inner_scopes(symbols *s, tpl_node *statements) {
  bool good = true;
  for (tpl_node *node = statements; good && node; node = node->next) {
    switch (node->type) {
      case NODE_IF:
        for (tpl_node *branch = node->a; good && branch; branch = branch->next) good = inner_scopes(s, branch->body);
        break;
      case NODE_FOR: good = loop_scopes(s, node); break;
      case NODE_MACRO: good = scope(s, NULL, node->a, node->body, &node->unset); break;
      case NODE_CALL_BLOCK: good = scope(s, NULL, node->b->a, node->b->body, &node->b->unset); break;
      case NODE_SET_BLOCK: case NODE_FILTER_BLOCK: case NODE_SCOPE:
        good = scope(s, NULL, NULL, node->body, &node->unset);
        break;
      case NODE_WITH: good = with_scope(s, node); break;
      default: break;
    }
  }
  return good;
}

bool tpl_find_unset(tpl_parser *parser) {
  symbols s = {.parser = parser};
  s.uses = tpl_arena_alloc(&parser->t->arena, TPL_MAX_NAMES * sizeof *s.uses);
  if (!s.uses) return tpl_parse_no_memory(parser) != NULL;
  for (uint32_t i = 0; i < TPL_MAX_NAMES; i++) s.uses[i] = 0;
  return scope(&s, NULL, NULL, parser->t->body, &parser->t->unset);
}
