/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: tags. Those of Jinja that reach other templates or extensions are refused by name. */
#include "template/syntax/statements.h"

#include <string.h>

#include "template/syntax/parse.h"

static bool expect_tag_end(tpl_parser *p) {
  char text[80];
  if (p->token->type == TOKEN_TAG_END) {
    p->token++;
    return true;
  }
  tpl_parse_error(p, p->token, "'%%}' is expected, not %s", tpl_describe(p->token, text));
  return false;
}

/* The body of a tag up to one of `ends`, which becomes the current token. */
static bool body_until(tpl_parser *p, const char *const *ends, tpl_node **body) {
  return expect_tag_end(p) && tpl_enter(p) && tpl_parse_statements(p, ends, body) && (tpl_leave(p), true);
}

/* The same with one end, which is skipped. */
static bool body_to(tpl_parser *p, const char *end, tpl_node **body) {
  const char *const ends[] = {end, NULL};
  if (!body_until(p, ends, body)) return false;
  p->token++;
  return expect_tag_end(p);
}

/* ------------------------------------------------------------------ targets */

static tpl_node *target_name(tpl_parser *p) {
  const tpl_token *token = p->token;
  char text[80];
  static const char *const reserved[] = {"true", "false", "none", "True", "False", "None"};
  bool bad = token->type != TOKEN_NAME;
  for (size_t i = 0; !bad && i < sizeof reserved / sizeof *reserved; i++) bad = tpl_at_name(p, reserved[i]);
  if (bad) return tpl_parse_error(p, token, "a name to assign to is expected, not %s", tpl_describe(token, text));
  p->token++;
  tpl_node *node = tpl_new_node(p, NODE_NAME, token);
  if (!node || !tpl_node_name(p, node, token)) return NULL;
  if (node->id == NAME_LOOP && p->all_loops > 0)
    return tpl_parse_error(p, token, "'loop' cannot be assigned to within a loop");
  return node;
}

/* a, or (a, b), or, with `attribute`, a.b */
static tpl_node *one_target(tpl_parser *p, bool attribute);

/* One target, or several with commas: a TUPLE. `closing`: ')' when in parentheses, else 0. */
static tpl_node *target(tpl_parser *p, bool attribute, bool parenthesized) {
  const tpl_token *first = p->token;
  tpl_node *head = one_target(p, attribute), *last = head;
  if (!head || !tpl_at_operator(p, ',')) return head;
  tpl_node *tuple = tpl_new_node(p, NODE_TUPLE, first);
  if (!tuple) return NULL;
  tuple->a = head;
  while (tpl_skip_operator(p, ',')) {
    if (parenthesized && tpl_at_operator(p, ')')) break;
    last->next = one_target(p, attribute);
    if (!last->next) return NULL;
    last = last->next;
  }
  return tuple;
}

static tpl_node *one_target(tpl_parser *p, bool attribute) {
  if (tpl_skip_operator(p, '(')) {
    if (!tpl_enter(p)) return NULL;
    tpl_node *node = target(p, attribute, true);
    tpl_leave(p);
    return node && tpl_expect_operator(p, ')') ? node : NULL;
  }
  tpl_node *name = target_name(p);
  if (!name || !attribute || !tpl_at_operator(p, '.')) return name;
  tpl_node *node = tpl_new_node(p, NODE_TARGET_ATTRIBUTE, ++p->token);
  char text[80];
  if (p->token->type != TOKEN_NAME)
    return tpl_parse_error(p, p->token, "the name of an attribute is expected, not %s", tpl_describe(p->token, text));
  if (!node || !tpl_node_name(p, node, p->token++)) return NULL;
  node->a = name;
  return node;
}

/* --------------------------------------------------------------------- tags */

static tpl_node *if_inside(tpl_parser *p, const tpl_token *at) {
  static const char *const ends[] = {"elif", "else", "endif", NULL};
  tpl_node *node = tpl_new_node(p, NODE_IF, at), **end;
  if (!node) return NULL;
  end = &node->a;
  for (;;) {
    tpl_node *branch = *end = tpl_new_node(p, NODE_BRANCH, p->token);
    if (!branch) return NULL;
    end = &branch->next;
    branch->a = tpl_parse_tuple(p, false, false, NULL);
    if (!branch->a || !body_until(p, ends, &branch->body)) return NULL;
    if (tpl_skip_name(p, "elif")) continue;
    if (tpl_skip_name(p, "else")) {
      branch = *end = tpl_new_node(p, NODE_BRANCH, p->token);
      return branch && body_to(p, "endif", &branch->body) ? node : NULL;
    }
    p->token++;
    return expect_tag_end(p) ? node : NULL;
  }
}

static tpl_node *parse_if(tpl_parser *p, const tpl_token *at) {
  p->branches++;
  tpl_node *node = if_inside(p, at);
  p->branches--;
  return node;
}

static tpl_node *parse_for(tpl_parser *p, const tpl_token *at) {
  static const char *const ends[] = {"endfor", "else", NULL};
  tpl_node *node = tpl_new_node(p, NODE_FOR, at);
  char text[80];
  if (!node) return NULL;
  p->all_loops++; /* the target is part of the loop */
  node->a = target(p, false, false);
  if (!node->a) return NULL;
  if (!tpl_skip_name(p, "in"))
    return tpl_parse_error(p, p->token, "'in' is expected, not %s", tpl_describe(p->token, text));
  node->b = tpl_parse_tuple(p, false, false, "recursive");
  if (!node->b) return NULL;
  if (tpl_skip_name(p, "if") && !(node->c = tpl_parse_expression(p, true))) return NULL;
  if (tpl_at_name(p, "recursive")) return tpl_parse_error(p, p->token, "a recursive loop is not supported");
  p->loops++;
  const bool parsed = body_until(p, ends, &node->body);
  p->loops--;
  if (!parsed) return NULL;
  if (tpl_skip_name(p, "else")) {
    if (!body_to(p, "endfor", &node->other)) return NULL;
  } else {
    p->token++;
    if (!expect_tag_end(p)) return NULL;
  }
  p->all_loops--;
  return node;
}

/* What a block of text is passed through: a POSTFIX of filters over BODY_TEXT; NULL if none. */
static bool body_filters(tpl_parser *p, bool inline_start, tpl_node **filters) {
  if (!inline_start && !tpl_at_operator(p, '|')) return true;
  tpl_node *text = tpl_new_node(p, NODE_BODY_TEXT, p->token);
  *filters = text ? tpl_parse_filters(p, text, inline_start) : NULL;
  return *filters != NULL;
}

static tpl_node *parse_set(tpl_parser *p, const tpl_token *at) {
  tpl_node *node = tpl_new_node(p, NODE_SET, at);
  if (!node || !(node->a = target(p, true, false))) return NULL;
  if (tpl_skip_operator(p, '=')) {
    node->b = tpl_parse_tuple(p, true, false, NULL);
    return node->b && expect_tag_end(p) ? node : NULL;
  }
  node->type = NODE_SET_BLOCK;
  return body_filters(p, false, &node->b) && body_to(p, "endset", &node->body) ? node : NULL;
}

static tpl_node *parse_filter(tpl_parser *p, const tpl_token *at) {
  tpl_node *node = tpl_new_node(p, NODE_FILTER_BLOCK, at);
  return node && body_filters(p, true, &node->b) && body_to(p, "endfilter", &node->body) ? node : NULL;
}

/* "(a, b=1)" into node->a */
static bool signature(tpl_parser *p, tpl_node *node) {
  tpl_node **end = &node->a;
  bool defaults = false;
  if (!tpl_expect_operator(p, '(')) return false;
  while (!tpl_at_operator(p, ')')) {
    if (node->a && !tpl_expect_operator(p, ',')) return false;
    const tpl_token *at = p->token;
    tpl_node *parameter = target_name(p);
    if (!parameter) return false;
    parameter->type = NODE_PARAMETER;
    for (const tpl_node *other = node->a; other; other = other->next)
      if (other->id == parameter->id) return tpl_parse_error(p, at, "two parameters of the same name") != NULL;
    *end = parameter;
    end = &parameter->next;
    if (tpl_skip_operator(p, '=')) {
      defaults = true;
      if (!(parameter->a = tpl_parse_expression(p, true))) return false;
    } else if (defaults) {
      return tpl_parse_error(p, at, "a parameter without a default after one with a default") != NULL;
    }
  }
  p->token++;
  return true;
}

/* The body of a macro, or of a caller: a function of its own. */
static bool macro_body(tpl_parser *p, tpl_node *macro, const char *end) {
  tpl_node *outer = p->macro;
  const unsigned loops = p->loops;
  p->macro = macro;
  p->loops = 0;
  const bool parsed = body_to(p, end, &macro->body);
  p->macro = outer;
  p->loops = loops;
  for (const tpl_node *parameter = macro->a; parameter;
       parameter = parameter->next) { /* then they are no special names */
    if (parameter->id == NAME_VARARGS) macro->uses_varargs = false;
    if (parameter->id == NAME_KWARGS) macro->uses_kwargs = false;
  }
  if (outer) { /* a name inside may be that of the outer macro */
    outer->uses_varargs |= macro->uses_varargs;
    outer->uses_kwargs |= macro->uses_kwargs;
    outer->uses_caller |= macro->uses_caller;
  }
  return parsed;
}

static tpl_node *parse_macro(tpl_parser *p, const tpl_token *at) {
  tpl_node *node = tpl_new_node(p, NODE_MACRO, at);
  tpl_node *name = node ? target_name(p) : NULL;
  if (!name) return NULL;
  node->name = name->name;
  node->id = name->id;
  const unsigned branches = p->branches; /* a macro is compiled on its own */
  p->branches = 0;
  const bool parsed = signature(p, node) && macro_body(p, node, "endmacro");
  p->branches = branches;
  return parsed ? node : NULL;
}

static tpl_node *parse_call(tpl_parser *p, const tpl_token *at) {
  tpl_node *node = tpl_new_node(p, NODE_CALL_BLOCK, at);
  if (!node || !(node->b = tpl_new_node(p, NODE_MACRO, at))) return NULL;
  node->b->id = NAME_CALLER;
  node->b->name = p->t->names[NAME_CALLER];
  if (tpl_at_operator(p, '(') && !signature(p, node->b)) return NULL;
  const tpl_token *start = p->token;
  node->a = tpl_parse_expression(p, true);
  if (!node->a) return NULL;
  const tpl_node *last = node->a->type == NODE_POSTFIX ? node->a->b : NULL;
  while (last && last->next) last = last->next;
  if (!last || last->type != STEP_CALL) return tpl_parse_error(p, start, "a call is expected");
  const unsigned branches = p->branches;
  p->branches = 0;
  const bool parsed = macro_body(p, node->b, "endcall");
  p->branches = branches;
  return parsed ? node : NULL;
}

static tpl_node *parse_with(tpl_parser *p, const tpl_token *at) {
  tpl_node *node = tpl_new_node(p, NODE_WITH, at), **end;
  if (!node) return NULL;
  end = &node->a;
  while (p->token->type != TOKEN_TAG_END) {
    if (node->a && !tpl_expect_operator(p, ',')) return NULL;
    tpl_node *variable = *end = one_target(p, false);
    if (!variable || !tpl_expect_operator(p, '=')) return NULL;
    variable->next = tpl_parse_expression(p, true);
    if (!variable->next) return NULL;
    end = &variable->next->next;
  }
  return body_to(p, "endwith", &node->body) ? node : NULL;
}

static tpl_node *parse_generation(tpl_parser *p, const tpl_token *at) {
  tpl_node *node = tpl_new_node(p, NODE_SCOPE, at);
  const unsigned loops = p->loops;
  p->loops = 0; /* it is a function in Transformers: break and continue do not reach out of it */
  const bool parsed = node && body_to(p, "endgeneration", &node->body);
  p->loops = loops;
  return parsed ? node : NULL;
}

static tpl_node *parse_jump(tpl_parser *p, const tpl_token *at) {
  const bool is_break = at->bytes == strlen("break");
  if (p->loops == 0) return tpl_parse_error(p, at, "'%s' outside of a loop", is_break ? "break" : "continue");
  tpl_node *node = tpl_new_node(p, is_break ? NODE_BREAK : NODE_CONTINUE, at);
  return node && expect_tag_end(p) ? node : NULL;
}

static tpl_node *parse_print(tpl_parser *p, const tpl_token *at) {
  tpl_node *node = tpl_new_node(p, NODE_PRINT, at), **end;
  if (!node) return NULL;
  for (end = &node->a; p->token->type != TOKEN_TAG_END; end = &(*end)->next) {
    if (node->a && !tpl_expect_operator(p, ',')) return NULL;
    *end = tpl_parse_expression(p, true);
    if (!*end) return NULL;
  }
  return expect_tag_end(p) ? node : NULL;
}

typedef struct tag { const char *name; tpl_node *(*parse)(tpl_parser *p, const tpl_token *at); } tag;

static tpl_node *parse_tag(tpl_parser *p) {
  static const tag tags[] = {{"if", parse_if},       {"for", parse_for},     {"set", parse_set},
                             {"macro", parse_macro}, {"call", parse_call},   {"filter", parse_filter},
                             {"with", parse_with},   {"print", parse_print}, {"generation", parse_generation},
                             {"break", parse_jump},  {"continue", parse_jump}};
  const tpl_token *at = p->token;
  char text[80];
  for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
    if (tpl_skip_name(p, tags[i].name)) return tags[i].parse(p, at);
  return tpl_parse_error(p, at, "the tag %s is not supported here", tpl_describe(at, text));
}

/* {{ expression }} */
static tpl_node *parse_output(tpl_parser *p) {
  tpl_node *node = tpl_new_node(p, NODE_PRINT, p->token);
  char text[80];
  if (!node || !(node->a = tpl_parse_tuple(p, true, false, NULL))) return NULL;
  if (p->token->type != TOKEN_PRINT_END)
    return tpl_parse_error(p, p->token, "'}}' is expected, not %s", tpl_describe(p->token, text));
  p->token++;
  return node;
}

static tpl_node *parse_data(tpl_parser *p) {
  const tpl_token *token = p->token++;
  tpl_node *node = tpl_new_node(p, NODE_DATA, token);
  tpl_string *string = tpl_arena_alloc(&p->t->arena, sizeof *string);
  if (!node || !string) return tpl_parse_no_memory(p);
  *string = (tpl_string){.data = token->text, .bytes = token->bytes};
  node->value = tpl_of_string(string);
  return node;
}

bool tpl_parse_statements(tpl_parser *p, const char *const *ends, tpl_node **body) {
  tpl_node **end = body;
  for (;;) {
    tpl_node *node;
    if (p->token->type == TOKEN_DATA) {
      node = parse_data(p);
    } else if (p->token->type == TOKEN_PRINT_BEGIN) {
      p->token++;
      node = parse_output(p);
    } else if (p->token->type == TOKEN_TAG_BEGIN) {
      p->token++;
      for (size_t i = 0; ends && ends[i]; i++)
        if (tpl_at_name(p, ends[i])) return true;
      node = parse_tag(p);
    } else { /* the end of the source */
      if (!ends) return true;
      tpl_parse_error(p, p->token, "the template ends where '%s' is expected", ends[0]);
      return false;
    }
    if (!node) return false;
    *end = node;
    end = &node->next;
  }
}
