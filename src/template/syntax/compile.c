/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: from a source to a tree, and the end of one. Tokens (lex.c), statements (statements.c) with their
 * expressions (parse.c), and the names that are undefined in a scope (symbols.c). */
#include <stdlib.h>
#include <string.h>

#include "template/syntax/lex.h"
#include "template/syntax/parser.h"
#include "template/syntax/statements.h"
#include "template/syntax/symbols.h"

static ellm_status parse(tpl_parser *parser) {
  static const char *const fixed[N_FIXED_NAMES] = {
      [NAME_LOOP] = "loop", [NAME_CALLER] = "caller", [NAME_VARARGS] = "varargs", [NAME_KWARGS] = "kwargs"};
  chat_template *t = parser->t;
  t->names = tpl_arena_alloc(&t->arena, TPL_MAX_NAMES * sizeof *t->names);
  if (!t->names) tpl_parse_no_memory(parser);
  for (size_t i = 0; parser->status == ELLM_OK && i < N_FIXED_NAMES; i++) {
    uint32_t id;
    tpl_intern(parser, fixed[i], strlen(fixed[i]), &id);
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
