/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: what the parser's files share (tokens, nodes, names, errors), and the entry. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "template/syntax.h"
#include "text/utf8.h"

void *tpl_parse_error(tpl_parser *parser, const tpl_token *at, const char *format, ...) {
  char text[400];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  parser->status = tpl_syntax_error(parser->t->origin, at->line, at->column, parser->err, "%s", text);
  return NULL;
}

void *tpl_parse_no_memory(tpl_parser *parser) {
  parser->status = parser->t->arena.limited
                       ? ellm_fail(parser->err, ELLM_ERR_INPUT, "%s: chat template: needs more than %zu bytes",
                                   parser->t->origin, parser->t->arena.limit)
                       : ellm_fail_memory(parser->err, sizeof(tpl_node), "a chat template");
  return NULL;
}

tpl_node *tpl_new_node(tpl_parser *parser, tpl_node_type type, const tpl_token *at) {
  tpl_node *node = tpl_arena_alloc(&parser->t->arena, sizeof *node);
  if (!node) return tpl_parse_no_memory(parser);
  *node = (tpl_node){.type = type};
  if (at) {
    node->line = at->line;
    node->column = at->column;
  }
  return node;
}

bool tpl_enter(tpl_parser *parser) {
  if (parser->nesting++ < CHAT_TEMPLATE_MAX_NESTING) return true;
  tpl_parse_error(parser, parser->token, "nested more than %d deep", CHAT_TEMPLATE_MAX_NESTING);
  return false;
}

void tpl_leave(tpl_parser *parser) { parser->nesting--; }

/* -------------------------------------------------------------------- names */

static bool intern(tpl_parser *parser, const char *text, size_t bytes, uint32_t *id) {
  chat_template *t = parser->t;
  uint32_t hash = 2166136261u; /* FNV-1a */
  for (size_t i = 0; i < bytes; i++) hash = (hash ^ (unsigned char)text[i]) * 16777619u;
  size_t slot = hash % TPL_NAME_SLOTS;
  for (; parser->slots[slot]; slot = (slot + 1) % TPL_NAME_SLOTS) {
    const tpl_string *name = t->names[parser->slots[slot] - 1];
    if (name->bytes == bytes && memcmp(name->data, text, bytes) == 0) {
      *id = parser->slots[slot] - 1u;
      return true;
    }
  }
  if (t->n_names == TPL_MAX_NAMES) {
    tpl_parse_error(parser, parser->token, "more than %d different names", TPL_MAX_NAMES);
    return false;
  }
  tpl_string *name = tpl_arena_alloc(&t->arena, sizeof *name);
  char *copy = tpl_arena_alloc(&t->arena, bytes + 1);
  if (!name || !copy) {
    tpl_parse_no_memory(parser);
    return false;
  }
  memcpy(copy, text, bytes);
  copy[bytes] = '\0';
  *name = (tpl_string){.data = copy, .bytes = bytes};
  *id = t->n_names++;
  t->names[*id] = name;
  parser->slots[slot] = (uint16_t)(*id + 1);
  return true;
}

bool tpl_node_name(tpl_parser *parser, tpl_node *node, const tpl_token *name) {
  if (!intern(parser, name->text, name->bytes, &node->id)) return false;
  node->name = parser->t->names[node->id];
  return true;
}

/* ------------------------------------------------------------------- tokens */

bool tpl_at_operator(const tpl_parser *parser, int op) {
  return parser->token->type == TOKEN_OPERATOR && parser->token->op == op;
}

bool tpl_at_name(const tpl_parser *parser, const char *name) {
  const tpl_token *token = parser->token;
  return token->type == TOKEN_NAME && token->bytes == strlen(name) && memcmp(token->text, name, token->bytes) == 0;
}

bool tpl_skip_operator(tpl_parser *parser, int op) {
  if (!tpl_at_operator(parser, op)) return false;
  parser->token++;
  return true;
}

bool tpl_skip_name(tpl_parser *parser, const char *name) {
  if (!tpl_at_name(parser, name)) return false;
  parser->token++;
  return true;
}

bool tpl_expect_operator(tpl_parser *parser, int op) {
  if (tpl_skip_operator(parser, op)) return true;
  char text[80];
  tpl_parse_error(parser, parser->token, "'%c' is expected, not %s", op, tpl_describe(parser->token, text));
  return false;
}

const char *tpl_describe(const tpl_token *token, char text[80]) {
  static const char *const operators[] = {"**", "//", "==", "!=", "<=", ">="};
  const size_t whole = token->bytes < 60 ? token->bytes : 60;
  const int cut = token->text ? (int)utf8_valid_prefix(token->text, whole) : 0;
  switch (token->type) {
    case TOKEN_NAME: snprintf(text, 80, "'%.*s'", cut, token->text); break;
    case TOKEN_STRING: snprintf(text, 80, "the string '%.*s'", cut, token->text); break;
    case TOKEN_INT: snprintf(text, 80, "the number %lld", (long long)token->integer); break;
    case TOKEN_FLOAT: snprintf(text, 80, "the number %g", token->real); break;
    case TOKEN_OPERATOR:
      if (token->op < OP_POWER) snprintf(text, 80, "'%c'", token->op);
      else snprintf(text, 80, "'%s'", operators[token->op - OP_POWER]);
      break;
    case TOKEN_PRINT_END: snprintf(text, 80, "'}}'"); break;
    case TOKEN_TAG_END: snprintf(text, 80, "'%%}'"); break;
    default: snprintf(text, 80, "the end of the template"); break;
  }
  return text;
}

/* -------------------------------------------------------------------- entry */

static ellm_status parse(tpl_parser *parser) {
  static const char *const fixed[N_FIXED_NAMES] = {
      [NAME_LOOP] = "loop", [NAME_CALLER] = "caller", [NAME_VARARGS] = "varargs", [NAME_KWARGS] = "kwargs"};
  chat_template *t = parser->t;
  t->names = tpl_arena_alloc(&t->arena, TPL_MAX_NAMES * sizeof *t->names);
  if (!t->names) tpl_parse_no_memory(parser);
  for (size_t i = 0; parser->status == ELLM_OK && i < N_FIXED_NAMES; i++) {
    uint32_t id;
    intern(parser, fixed[i], strlen(fixed[i]), &id);
  }
  if (parser->status == ELLM_OK) tpl_parse_statements(parser, NULL, &t->body);
  if (parser->status == ELLM_OK) tpl_find_unset(parser);
  return parser->status;
}

ellm_status chat_template_create(const char *source, size_t bytes, const char *origin, chat_template **out,
                                 ellm_error *err) {
  chat_template *t = calloc(1, sizeof *t);
  tpl_parser *parser = calloc(1, sizeof *parser);
  tpl_token *tokens = NULL;
  size_t n_tokens;
  *out = NULL;
  if (t) t->origin = malloc(strlen(origin) + 1);
  if (!t || !parser || !t->origin) {
    free(parser);
    chat_template_free(t);
    return ellm_fail_memory(err, sizeof *parser, "a chat template");
  }
  strcpy(t->origin, origin);
  t->arena.limit = CHAT_TEMPLATE_MAX_MEMORY;
  ellm_status status = tpl_lex(source, bytes, origin, &t->arena, &tokens, &n_tokens, err);
  if (status == ELLM_OK) {
    parser->t = t;
    parser->token = tokens;
    parser->err = err;
    status = parse(parser);
  }
  free(tokens);
  free(parser);
  if (status != ELLM_OK) chat_template_free(t);
  else *out = t;
  return status;
}

void chat_template_free(chat_template *t) {
  if (!t) return;
  tpl_arena_free(&t->arena);
  free(t->origin);
  free(t);
}
