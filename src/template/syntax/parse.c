/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chat templates: expressions. The grammar and its oddities are Jinja's: a
 * unary minus binds closer than a filter, powers associate to the left, a test
 * takes one operand without parentheses. Chains become lists, not depth.
 */
#include "template/syntax/parse.h"

#include <string.h>

#include "template/library/filters.h"
#include "template/library/is_tests.h"

typedef struct list { tpl_node *first, **end; } list;

static void append(list *nodes, tpl_node *node) {
  if (!nodes->first) nodes->first = node;
  else *nodes->end = node;
  nodes->end = &node->next;
}

/* ------------------------------------------------------------------ primary */

static tpl_node *constant(tpl_parser *p, const tpl_token *at, tpl_value value) {
  tpl_node *node = tpl_new_node(p, NODE_CONST, at);
  if (node) node->value = value;
  return node;
}

/* Strings that stand side by side are one. */
static tpl_node *string_constant(tpl_parser *p) {
  const tpl_token *first = p->token;
  size_t bytes = 0, at = 0;
  for (const tpl_token *t = first; t->type == TOKEN_STRING; t++) bytes += t->bytes;
  tpl_string *string = tpl_arena_alloc(&p->t->arena, sizeof *string);
  char *data = tpl_arena_alloc(&p->t->arena, bytes);
  if (!string || !data) return tpl_parse_no_memory(p);
  for (; p->token->type == TOKEN_STRING; p->token++) {
    memcpy(data + at, p->token->text, p->token->bytes);
    at += p->token->bytes;
  }
  *string = (tpl_string){.data = data, .bytes = bytes};
  return constant(p, first, tpl_of_string(string));
}

static bool token_is(const tpl_token *token, const char *name) {
  return token->type == TOKEN_NAME && token->bytes == strlen(name) && memcmp(token->text, name, token->bytes) == 0;
}

static tpl_node *name_or_constant(tpl_parser *p) {
  const tpl_token *token = p->token++;
  if (token_is(token, "true") || token_is(token, "True")) return constant(p, token, tpl_bool(true));
  if (token_is(token, "false") || token_is(token, "False")) return constant(p, token, tpl_bool(false));
  if (token_is(token, "none") || token_is(token, "None")) return constant(p, token, tpl_none());
  static const char *const refused[] = {"self", "super", "cycler", "joiner", "lipsum"};
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
    if (token_is(token, refused[i])) return tpl_parse_error(p, token, "'%s' is not supported", refused[i]);
  tpl_node *node = tpl_new_node(p, NODE_NAME, token);
  if (!node || !tpl_node_name(p, node, token)) return NULL;
  if (p->macro) {
    p->macro->uses_caller |= node->id == NAME_CALLER;
    p->macro->uses_varargs |= node->id == NAME_VARARGS;
    p->macro->uses_kwargs |= node->id == NAME_KWARGS;
  }
  return node;
}

/* [a, b] and {a: b, c: d}; a comma may be before the end. */
static tpl_node *collection(tpl_parser *p, char closing) {
  tpl_node *node = tpl_new_node(p, closing == ']' ? NODE_LIST : NODE_DICT, p->token++);
  if (!node) return NULL;
  list items = {0};
  while (!tpl_at_operator(p, closing)) {
    if (items.first && !tpl_expect_operator(p, ',')) return NULL;
    if (tpl_at_operator(p, closing)) break;
    tpl_node *item = tpl_parse_expression(p, true);
    if (!item) return NULL;
    append(&items, item);
    if (closing == ']') continue;
    if (!tpl_expect_operator(p, ':')) return NULL;
    item = tpl_parse_expression(p, true);
    if (!item) return NULL;
    append(&items, item);
  }
  p->token++;
  node->a = items.first;
  return node;
}

tpl_node *tpl_parse_primary(tpl_parser *p) {
  const tpl_token *token = p->token;
  char text[80];
  switch (token->type) {
    case TOKEN_NAME: return name_or_constant(p);
    case TOKEN_STRING: return string_constant(p);
    case TOKEN_INT: p->token++; return constant(p, token, tpl_int(token->integer));
    case TOKEN_FLOAT: p->token++; return constant(p, token, tpl_float(token->real));
    default: break;
  }
  if (tpl_at_operator(p, '[')) return collection(p, ']');
  if (tpl_at_operator(p, '{')) return collection(p, '}');
  if (!tpl_skip_operator(p, '(')) return tpl_parse_error(p, token, "unexpected %s", tpl_describe(token, text));
  tpl_node *node = tpl_parse_tuple(p, true, true, NULL);
  return node && tpl_expect_operator(p, ')') ? node : NULL;
}

tpl_node *tpl_parse_tuple(tpl_parser *p, bool with_condition, bool parenthesized, const char *stop) {
  const tpl_token *first = p->token;
  list items = {0};
  bool is_tuple = false;
  char text[80];
  for (;;) {
    if (items.first && !tpl_expect_operator(p, ',')) return NULL;
    if (p->token->type == TOKEN_PRINT_END || p->token->type == TOKEN_TAG_END || tpl_at_operator(p, ')')) break;
    if (stop && tpl_at_name(p, stop)) break;
    tpl_node *item = tpl_parse_expression(p, with_condition);
    if (!item) return NULL;
    append(&items, item);
    if (!tpl_at_operator(p, ',')) break;
    is_tuple = true;
  }
  if (!is_tuple && items.first) return items.first;
  if (!is_tuple && !parenthesized)
    return tpl_parse_error(p, p->token, "an expression is missing before %s", tpl_describe(p->token, text));
  tpl_node *node = tpl_new_node(p, NODE_TUPLE, first);
  if (node) node->a = items.first;
  return node;
}

/* ------------------------------------------------------------------ postfix */

/* "*list" or "**dict" among arguments. */
static tpl_node *spread(tpl_parser *p) {
  tpl_node *item = tpl_new_node(p, NODE_SPREAD, p->token);
  if (!item) return NULL;
  item->op = p->token++->op;
  item->a = tpl_parse_expression(p, true);
  return item->a ? item : NULL;
}

static tpl_node *keyword(tpl_parser *p) {
  tpl_node *item = tpl_new_node(p, NODE_KEYWORD, p->token);
  if (!item || !tpl_node_name(p, item, p->token)) return NULL;
  p->token += 2;
  item->a = tpl_parse_expression(p, true);
  return item->a ? item : NULL;
}

bool tpl_parse_arguments(tpl_parser *p, tpl_node **arguments) {
  list items = {0};
  int stage = 0; /* positional arguments, then keywords and one *list, then one **dict */
  bool has_list = false;
  for (p->token++; !tpl_at_operator(p, ')');) {
    if (items.first && !tpl_expect_operator(p, ',')) return false;
    if (tpl_at_operator(p, ')')) break;
    const tpl_token *token = p->token;
    const bool is_list = tpl_at_operator(p, '*'), is_dict = tpl_at_operator(p, OP_POWER);
    const bool is_keyword = token->type == TOKEN_NAME && token[1].type == TOKEN_OPERATOR && token[1].op == '=';
    const int own = is_dict ? 2 : is_list || is_keyword ? 1 : 0;
    if (own < stage || (is_dict && stage == 2) || (is_list && has_list))
      return tpl_parse_error(p, token, "an argument in a place where it cannot be") != NULL;
    stage = own;
    has_list |= is_list;
    tpl_node *item = is_keyword ? keyword(p) : own > 0 ? spread(p) : tpl_parse_expression(p, true);
    if (!item) return false;
    append(&items, item);
  }
  p->token++;
  *arguments = items.first;
  return true;
}

/* The part of a slice before ":", "]" or ","; NULL without an error if there is none. */
static tpl_node *slice_part(tpl_parser *p) {
  if (tpl_at_operator(p, ':') || tpl_at_operator(p, ']') || tpl_at_operator(p, ',')) return NULL;
  return tpl_parse_expression(p, true);
}

/* After "[": an item or a slice. */
static tpl_node *subscript(tpl_parser *p, const tpl_token *at) {
  tpl_node *step = tpl_new_node(p, STEP_ITEM, at);
  if (!step) return NULL;
  if (tpl_at_operator(p, ']')) { /* x[] means the item () */
    step->a = tpl_new_node(p, NODE_TUPLE, at);
    if (!step->a) return NULL;
  } else {
    step->a = slice_part(p);
    if (p->status != ELLM_OK) return NULL;
    if (tpl_skip_operator(p, ':')) {
      step->type = STEP_SLICE;
      step->b = slice_part(p);
      if (p->status == ELLM_OK && tpl_skip_operator(p, ':')) step->c = slice_part(p);
      if (p->status != ELLM_OK) return NULL;
    } else if (!step->a) {
      char text[80];
      return tpl_parse_error(p, p->token, "unexpected %s", tpl_describe(p->token, text));
    }
  }
  if (tpl_at_operator(p, ',')) return tpl_parse_error(p, p->token, "an item of several parts is not supported");
  return tpl_expect_operator(p, ']') ? step : NULL;
}

/* ".name", ".0", "[...]" or "(...)"; NULL without an error if none of them is next. */
static tpl_node *postfix_step(tpl_parser *p) {
  const tpl_token *at = p->token;
  if (tpl_skip_operator(p, '.')) {
    const tpl_token *token = p->token++;
    if (token->type != TOKEN_NAME && token->type != TOKEN_INT) {
      p->token--;
      return tpl_parse_error(p, token, "a name or a number is expected after '.'");
    }
    tpl_node *step = tpl_new_node(p, token->type == TOKEN_NAME ? STEP_ATTRIBUTE : STEP_ITEM, token);
    if (!step) return NULL;
    if (token->type == TOKEN_NAME) return tpl_node_name(p, step, token) ? step : NULL;
    step->a = constant(p, token, tpl_int(token->integer));
    return step->a ? step : NULL;
  }
  if (tpl_skip_operator(p, '[')) return subscript(p, at);
  if (!tpl_at_operator(p, '(')) return NULL;
  tpl_node *step = tpl_new_node(p, STEP_CALL, at);
  return step && tpl_parse_arguments(p, &step->a) ? step : NULL;
}

/* Which filter or test; those of environments may have dots in their names. */
static bool find_builtin(tpl_parser *p, tpl_node *step, const tpl_token *token, const char *what) {
  int builtin = step->type == STEP_FILTER ? tpl_find_filter(token->text, token->bytes)
                                          : tpl_find_test(token->text, token->bytes);
  while (tpl_skip_operator(p, '.')) {
    if (p->token->type != TOKEN_NAME) return tpl_parse_error(p, p->token, "a name is expected after '.'") != NULL;
    p->token++;
    builtin = -1;
  }
  step->builtin = builtin < 0 ? TPL_UNKNOWN : (uint16_t)builtin;
  if (builtin < 0) tpl_note_unknown(p, token, what);
  return true;
}

static tpl_node *filter_step(tpl_parser *p) {
  const tpl_token *token = p->token;
  char text[80];
  if (token->type != TOKEN_NAME)
    return tpl_parse_error(p, token, "the name of a filter is expected, not %s", tpl_describe(token, text));
  p->token++;
  tpl_node *step = tpl_new_node(p, STEP_FILTER, token);
  if (!step || !tpl_node_name(p, step, token)) return NULL;
  if (!find_builtin(p, step, token, "filter")) return NULL;
  return !tpl_at_operator(p, '(') || tpl_parse_arguments(p, &step->a) ? step : NULL;
}

static tpl_node *postfix(tpl_parser *p, tpl_node *base);

/* After "is". */
static tpl_node *test_step(tpl_parser *p) {
  const bool negated = tpl_skip_name(p, "not");
  const tpl_token *token = p->token;
  char text[80];
  if (token->type != TOKEN_NAME)
    return tpl_parse_error(p, token, "the name of a test is expected, not %s", tpl_describe(token, text));
  p->token++;
  tpl_node *step = tpl_new_node(p, STEP_TEST, token);
  if (!step || !tpl_node_name(p, step, token)) return NULL;
  step->negated = negated;
  if (!find_builtin(p, step, token, "test")) return NULL;
  if (tpl_at_operator(p, '(')) return tpl_parse_arguments(p, &step->a) ? step : NULL;
  const bool literal = p->token->type == TOKEN_NAME || p->token->type == TOKEN_STRING || p->token->type == TOKEN_INT ||
                       p->token->type == TOKEN_FLOAT || tpl_at_operator(p, '[') || tpl_at_operator(p, '{');
  if (!literal || tpl_at_name(p, "else") || tpl_at_name(p, "or") || tpl_at_name(p, "and")) return step;
  if (tpl_at_name(p, "is")) return tpl_parse_error(p, p->token, "tests cannot be chained with is");
  tpl_node *operand = tpl_parse_primary(p);
  step->a = operand ? postfix(p, operand) : NULL;
  return step->a ? step : NULL;
}

static tpl_node *with_steps(tpl_parser *p, tpl_node *base, list *steps) {
  if (!steps->first) return base;
  tpl_node *node = tpl_new_node(p, NODE_POSTFIX, NULL);
  if (!node) return NULL;
  node->place = base->place;
  node->a = base;
  node->b = steps->first;
  return node;
}

static bool collect_postfix(tpl_parser *p, list *steps) {
  for (tpl_node *step; (step = postfix_step(p)) != NULL;) append(steps, step);
  return p->status == ELLM_OK;
}

static tpl_node *postfix(tpl_parser *p, tpl_node *base) {
  list steps = {0};
  return collect_postfix(p, &steps) ? with_steps(p, base, &steps) : NULL;
}

tpl_node *tpl_parse_filters(tpl_parser *p, tpl_node *base, bool inline_start) {
  list steps = {0};
  while (inline_start || tpl_skip_operator(p, '|')) {
    inline_start = false;
    tpl_node *step = filter_step(p);
    if (!step) return NULL;
    append(&steps, step);
  }
  return tpl_check_unknown(p) ? with_steps(p, base, &steps) : NULL;
}

/* ---------------------------------------------------------------- operators */

static tpl_node *unary_inside(tpl_parser *p, bool with_filters) {
  const tpl_token *token = p->token;
  tpl_node *base;
  if (tpl_at_operator(p, '-') || tpl_at_operator(p, '+')) {
    base = tpl_new_node(p, token->op == '-' ? NODE_NEGATE : NODE_PLUS, token);
    if (!base || !tpl_enter(p)) return NULL;
    p->token++;
    base->a = unary_inside(p, false);
    tpl_leave(p);
    if (!base->a) return NULL;
  } else {
    base = tpl_parse_primary(p);
    if (!base) return NULL;
  }
  list steps = {0};
  if (!collect_postfix(p, &steps)) return NULL;
  while (with_filters) {
    tpl_node *step = NULL;
    if (tpl_skip_operator(p, '|')) step = filter_step(p);
    else if (tpl_skip_name(p, "is")) step = test_step(p);
    else if (tpl_at_operator(p, '(')) step = postfix_step(p);
    else break;
    if (!step) return NULL;
    append(&steps, step);
  }
  return with_steps(p, base, &steps);
}

/* Operators of two operands, loosest first. */
enum {
  LEVEL_OR,
  LEVEL_AND,
  LEVEL_NOT,
  LEVEL_COMPARE,
  LEVEL_SUM,
  LEVEL_CONCAT,
  LEVEL_PRODUCT,
  LEVEL_POWER,
  LEVEL_UNARY
};

/* The operator of this level that is next, 0 if there is none; it is skipped. */
static int level_operator(tpl_parser *p, int level) {
  const tpl_token *token = p->token;
  if (level == LEVEL_OR) return tpl_skip_name(p, "or");
  if (level == LEVEL_AND) return tpl_skip_name(p, "and");
  if (level == LEVEL_COMPARE && tpl_skip_name(p, "in")) return OP_IN;
  if (level == LEVEL_COMPARE && token_is(token, "not") && token_is(token + 1, "in")) {
    p->token += 2;
    return OP_NOT_IN;
  }
  if (token->type != TOKEN_OPERATOR) return 0;
  bool found = false;
  switch (token->op) {
    case OP_EQUAL: case OP_NOT_EQUAL: case '<': case '>': case OP_LESS_EQUAL: case OP_GREATER_EQUAL:
      found = level == LEVEL_COMPARE;
      break;
    case '+': case '-': found = level == LEVEL_SUM; break;
    case '~': found = level == LEVEL_CONCAT; break;
    case '*': case '/': case OP_FLOOR_DIVIDE: case '%': found = level == LEVEL_PRODUCT; break;
    case OP_POWER: found = level == LEVEL_POWER; break;
    default: break;
  }
  if (!found) return 0;
  p->token++;
  return token->op;
}

static tpl_node *parse_level(tpl_parser *p, int level);

static tpl_node *parse_not(tpl_parser *p) {
  const tpl_token *token = p->token;
  bool negated = false, any = false;
  while (tpl_skip_name(p, "not")) {
    negated = !negated;
    any = true;
  }
  tpl_node *operand = parse_level(p, LEVEL_COMPARE);
  if (!operand || !any) return operand;
  tpl_node *node = tpl_new_node(p, NODE_NOT, token);
  if (!node) return NULL;
  node->a = operand;
  node->negated = !negated; /* an even number of times: the truth itself */
  return node;
}

static tpl_node *parse_level(tpl_parser *p, int level) {
  static const tpl_node_type types[] = {[LEVEL_OR] = NODE_OR,          [LEVEL_AND] = NODE_AND,
                                        [LEVEL_COMPARE] = NODE_COMPARE, [LEVEL_SUM] = NODE_ARITH,
                                        [LEVEL_CONCAT] = NODE_CONCAT,   [LEVEL_PRODUCT] = NODE_ARITH,
                                        [LEVEL_POWER] = NODE_ARITH};
  if (level == LEVEL_NOT) return parse_not(p);
  if (level == LEVEL_UNARY) return unary_inside(p, true);
  const tpl_token *first_token = p->token;
  tpl_node *first = parse_level(p, level + 1), *node = NULL;
  list rest = {0};
  while (first) {
    const tpl_token *token = p->token;
    const int op = level_operator(p, level);
    if (op == 0) break;
    tpl_node *operand = parse_level(p, level + 1);
    if (!operand) return NULL;
    if (!node && !(node = tpl_new_node(p, types[level], first_token))) return NULL;
    if (types[level] == NODE_COMPARE || types[level] == NODE_ARITH) {
      tpl_node *step = tpl_new_node(p, NODE_OPERAND, token);
      if (!step) return NULL;
      step->op = op;
      step->a = operand;
      operand = step;
    }
    append(&rest, operand);
  }
  if (!node) return first;
  node->a = first;
  if (types[level] == NODE_COMPARE || types[level] == NODE_ARITH) node->b = rest.first;
  else first->next = rest.first;
  return node;
}

static tpl_node *expression_inside(tpl_parser *p, bool with_condition) {
  const tpl_token *token = p->token, *unknown = p->unknown;
  tpl_node *node = parse_level(p, LEVEL_OR);
  unsigned deeper = 0; /* a if b if c: each is one level deeper */
  while (node && with_condition && tpl_skip_name(p, "if")) {
    tpl_node *condition = tpl_new_node(p, NODE_COND, token);
    if (!condition || !tpl_enter(p)) return NULL;
    deeper++;
    condition->a = node;
    condition->b = parse_level(p, LEVEL_OR);
    if (!condition->b) return NULL;
    if (tpl_skip_name(p, "else") && !(condition->c = tpl_parse_expression(p, true))) return NULL;
    node = condition;
  }
  if (deeper > 0) p->unknown = unknown;
  while (deeper-- > 0) tpl_leave(p);
  return node;
}

tpl_node *tpl_parse_expression(tpl_parser *p, bool with_condition) {
  if (!tpl_enter(p)) return NULL;
  p->expressions++;
  tpl_node *node = expression_inside(p, with_condition);
  p->expressions--;
  tpl_leave(p);
  return node && tpl_check_unknown(p) ? node : NULL;
}
