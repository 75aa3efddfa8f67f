/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: what the parser's files share: tokens, nodes, names, errors. See syntax.h. */
#include "template/syntax/parser.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    node->place = (tpl_place){at->line, at->column};
  }
  return node;
}

bool tpl_enter(tpl_parser *parser) {
  if (parser->nesting++ < CHAT_TEMPLATE_MAX_NESTING) return true;
  tpl_parse_error(parser, parser->token, "nested more than %d deep", CHAT_TEMPLATE_MAX_NESTING);
  return false;
}

void tpl_leave(tpl_parser *parser) { parser->nesting--; }

void tpl_note_unknown(tpl_parser *parser, const tpl_token *name, const char *what) {
  if (parser->branches > 0 || parser->unknown) return;
  parser->unknown = name;
  parser->unknown_what = what;
}

bool tpl_check_unknown(tpl_parser *parser) {
  char text[80];
  if (!parser->unknown || parser->expressions > 0) return true;
  tpl_parse_error(parser, parser->unknown, "the %s %s is not supported", parser->unknown_what,
                  tpl_describe(parser->unknown, text));
  return false;
}

/* -------------------------------------------------------------------- names */

bool tpl_intern(tpl_parser *parser, const char *text, size_t bytes, uint32_t *id) {
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
  if (!tpl_intern(parser, name->text, name->bytes, &node->id)) return false;
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
