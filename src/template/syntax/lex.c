/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chat templates: from source to tokens. Whitespace control happens here, as
 * in Jinja with trim_blocks and lstrip_blocks: a tag or comment takes the
 * newline after it and the spaces before it on its line, unless "+" forbids it;
 * "-" takes all white space on its side. One newline at the end of the source
 * is dropped, and every line ending becomes "\n".
 */
#include "template/syntax/lex.h"

#include <stdlib.h>
#include <string.h>

#include "template/syntax/lexer.h"
#include "template/syntax/literal.h"
#include "text/unicode.h"
#include "text/utf8.h"

enum { MAX_BRACKETS = 2 * CHAT_TEMPLATE_MAX_NESTING };

static bool has(const tpl_lexer *lexer, size_t at, const char *text) {
  const size_t n = strlen(text);
  return n <= lexer->bytes - at && memcmp(lexer->source + at, text, n) == 0;
}

static ellm_status add(tpl_lexer *lexer, size_t at, tpl_token token) {
  if (lexer->count == lexer->capacity) {
    const size_t capacity = lexer->capacity ? 2 * lexer->capacity : 256;
    tpl_token *grown = realloc(lexer->tokens, capacity * sizeof *grown);
    if (!grown) return ellm_fail_memory(lexer->err, capacity * sizeof *grown, "the tokens of a chat template");
    lexer->tokens = grown;
    lexer->capacity = capacity;
  }
  tpl_lex_locate(lexer, at);
  token.line = lexer->line;
  token.column = lexer->column;
  lexer->tokens[lexer->count++] = token;
  return ELLM_OK;
}

/* First position from `at` on that is no white space. */
static size_t skip_space(const tpl_lexer *lexer, size_t at) {
  while (at < lexer->bytes) {
    uint32_t cp;
    const size_t n = utf8_decode(lexer->source + at, &cp);
    if (!unicode_is_python_space(cp)) break;
    at += n;
  }
  return at;
}

/* Length of text[from..to) without the white space at its end. */
static size_t strip_end(const char *source, size_t from, size_t to) {
  while (to > from) {
    size_t last = to - 1;
    while (last > from && ((unsigned char)source[last] & 0xC0) == 0x80) last--;
    uint32_t cp;
    utf8_decode(source + last, &cp);
    if (!unicode_is_python_space(cp)) break;
    to = last;
  }
  return to;
}

/* The text before a tag that begins at `end` with `sign` ('-', '+' or 0). */
static ellm_status add_data(tpl_lexer *lexer, size_t start, size_t end, char sign, bool is_print) {
  size_t kept = end;
  if (sign == '-') {
    kept = strip_end(lexer->source, start, end);
  } else if (sign != '+' && !is_print) {
    size_t line = end;
    while (line > start && lexer->source[line - 1] != '\n') line--;
    if ((line > start || lexer->line_starting) && strip_end(lexer->source, line, end) == line) kept = line;
  }
  if (kept == start) return ELLM_OK;
  return add(lexer, start, (tpl_token){.type = TOKEN_DATA, .text = lexer->source + start, .bytes = kept - start});
}

/* The length of an end of a tag, comment or raw block at `at`: "-X" and white space, "+X", or
 * "X" and a newline if `trim`. 0: none there. */
static size_t end_length(const tpl_lexer *lexer, size_t at, const char *end, bool plus, bool trim) {
  const size_t n = strlen(end);
  if (at < lexer->bytes && lexer->source[at] == '-' && has(lexer, at + 1, end))
    return skip_space(lexer, at + 1 + n) - at;
  if (plus && at < lexer->bytes && lexer->source[at] == '+' && has(lexer, at + 1, end)) return 1 + n;
  if (!has(lexer, at, end)) return 0;
  return n + (trim && has(lexer, at + n, "\n") ? 1 : 0);
}

/* At "{%": the length of a "{% raw %}" with its signs, 0 if it is another tag. */
static size_t raw_begin_length(const tpl_lexer *lexer, size_t at) {
  size_t p = at + 2;
  if (p < lexer->bytes && (lexer->source[p] == '-' || lexer->source[p] == '+')) p++;
  p = skip_space(lexer, p);
  if (!has(lexer, p, "raw")) return 0;
  p = skip_space(lexer, p + 3);
  const size_t end = end_length(lexer, p, "%}", false, false);
  return end ? p + end - at : 0;
}

/* At "{%": the length of a "{% endraw %}", 0 if it is none; *sign is that at its beginning. */
static size_t raw_end_length(const tpl_lexer *lexer, size_t at, char *sign) {
  size_t p = at + 2;
  *sign = p < lexer->bytes && (lexer->source[p] == '-' || lexer->source[p] == '+') ? lexer->source[p++] : '\0';
  p = skip_space(lexer, p);
  if (!has(lexer, p, "endraw")) return 0;
  p = skip_space(lexer, p + 6);
  const size_t end = end_length(lexer, p, "%}", true, true);
  return end ? p + end - at : 0;
}

static void advance(tpl_lexer *lexer, size_t to) {
  lexer->line_starting = to > 0 && lexer->source[to - 1] == '\n';
  lexer->at = to;
}

static ellm_status lex_raw(tpl_lexer *lexer, size_t begin, size_t length) {
  advance(lexer, begin + length);
  const size_t start = lexer->at;
  for (size_t p = start; p + 1 < lexer->bytes; p++) {
    char sign;
    if (!has(lexer, p, "{%")) continue;
    const size_t end = raw_end_length(lexer, p, &sign);
    if (end == 0) continue;
    ELLM_TRY(add_data(lexer, start, p, sign, false));
    advance(lexer, p + end);
    return ELLM_OK;
  }
  return tpl_lex_fail(lexer, begin, "the end of this raw block is missing");
}

static ellm_status lex_comment(tpl_lexer *lexer, size_t begin, size_t start) {
  for (size_t p = start; p + 1 < lexer->bytes; p++) {
    if (!has(lexer, p, "#}")) continue;
    if (p > start && (lexer->source[p - 1] == '-' || lexer->source[p - 1] == '+')) p--;
    advance(lexer, p + end_length(lexer, p, "#}", true, true));
    return ELLM_OK;
  }
  return tpl_lex_fail(lexer, begin, "the end of this comment is missing");
}

static ellm_status lex_operator(tpl_lexer *lexer) {
  static const struct {
    char text[3];
    int op;
  } twos[] = {{"**", OP_POWER},     {"//", OP_FLOOR_DIVIDE}, {"==", OP_EQUAL},
              {"!=", OP_NOT_EQUAL}, {"<=", OP_LESS_EQUAL},   {">=", OP_GREATER_EQUAL}};
  const size_t at = lexer->at;
  for (size_t i = 0; i < sizeof twos / sizeof *twos; i++) {
    if (!has(lexer, at, twos[i].text)) continue;
    lexer->at += 2;
    return add(lexer, at, (tpl_token){.type = TOKEN_OPERATOR, .op = twos[i].op});
  }
  const char c = lexer->source[at];
  if (c == '\0' || !strchr("+-/*%~[](){}<>=.:|,;", c)) return tpl_lex_fail(lexer, at, "an unexpected character");
  if (strchr("([{", c)) {
    if (lexer->n_brackets == MAX_BRACKETS) return tpl_lex_fail(lexer, at, "brackets are nested too deeply");
    lexer->brackets[lexer->n_brackets++] = c == '(' ? ')' : c == '[' ? ']' : '}';
  } else if (strchr(")]}", c)) {
    if (lexer->n_brackets == 0 || lexer->brackets[lexer->n_brackets - 1] != c) {
      char problem[32];
      snprintf(problem, sizeof problem, "unexpected '%c'", c);
      return tpl_lex_fail(lexer, at, problem);
    }
    lexer->n_brackets--;
  }
  lexer->at++;
  return add(lexer, at, (tpl_token){.type = TOKEN_OPERATOR, .op = c});
}

static bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* The tokens within a tag, up to and with its end. */
static ellm_status lex_tag(tpl_lexer *lexer, size_t begin, bool is_print) {
  lexer->n_brackets = 0;
  for (;;) {
    lexer->at = skip_space(lexer, lexer->at);
    const size_t at = lexer->at;
    if (at == lexer->bytes) return tpl_lex_fail(lexer, begin, "the end of this tag is missing");
    const size_t end = lexer->n_brackets ? 0 : end_length(lexer, at, is_print ? "}}" : "%}", !is_print, !is_print);
    if (end) {
      ELLM_TRY(add(lexer, at, (tpl_token){.type = is_print ? TOKEN_PRINT_END : TOKEN_TAG_END}));
      advance(lexer, at + end);
      return ELLM_OK;
    }
    const char c = lexer->source[at];
    tpl_token token = {.type = TOKEN_NAME, .text = lexer->source + at};
    if (c >= '0' && c <= '9') {
      ELLM_TRY(tpl_lex_number(lexer, &token));
    } else if (c == '\'' || c == '"') {
      ELLM_TRY(tpl_lex_string(lexer, &token));
    } else if (is_name_character(c)) {
      while (lexer->at < lexer->bytes && is_name_character(lexer->source[lexer->at])) lexer->at++;
      token.bytes = lexer->at - at;
    } else {
      ELLM_TRY(lex_operator(lexer));
      continue;
    }
    ELLM_TRY(add(lexer, at, token));
  }
}

static ellm_status lex_root(tpl_lexer *lexer) {
  while (lexer->at < lexer->bytes) {
    const size_t start = lexer->at;
    size_t p = start;
    while (p < lexer->bytes && !has(lexer, p, "{%") && !has(lexer, p, "{{") && !has(lexer, p, "{#")) p++;
    if (p == lexer->bytes)
      return add(lexer, start, (tpl_token){.type = TOKEN_DATA, .text = lexer->source + start, .bytes = p - start});
    const char kind = lexer->source[p + 1];
    size_t inside = p + 2;
    char sign = '\0';
    if (inside < lexer->bytes && (lexer->source[inside] == '-' || lexer->source[inside] == '+'))
      sign = lexer->source[inside++];
    ELLM_TRY(add_data(lexer, start, p, sign, kind == '{'));
    const size_t raw = kind == '%' ? raw_begin_length(lexer, p) : 0;
    if (raw) {
      ELLM_TRY(lex_raw(lexer, p, raw));
    } else if (kind == '#') {
      ELLM_TRY(lex_comment(lexer, p, inside));
    } else {
      ELLM_TRY(add(lexer, p, (tpl_token){.type = kind == '{' ? TOKEN_PRINT_BEGIN : TOKEN_TAG_BEGIN}));
      lexer->at = inside;
      ELLM_TRY(lex_tag(lexer, p, kind == '{'));
    }
  }
  return ELLM_OK;
}

/* A copy with "\n" for every line ending and without the last one. */
static ellm_status normalize_lines(tpl_lexer *lexer, const char *source, size_t bytes) {
  char *copy = tpl_arena_alloc(lexer->arena, bytes + 4); /* utf8_decode may look at what follows */
  if (!copy) return ellm_fail_memory(lexer->err, bytes, "a chat template");
  size_t n = 0;
  for (size_t i = 0; i < bytes; i++) {
    if (source[i] == '\r' && i + 1 < bytes && source[i + 1] == '\n') continue;
    copy[n++] = source[i] == '\r' ? '\n' : source[i];
  }
  if (n > 0 && copy[n - 1] == '\n') n--;
  memset(copy + n, 0, 4);
  lexer->source = copy;
  lexer->bytes = n;
  return ELLM_OK;
}

ellm_status tpl_lex(const char *source, size_t bytes, const char *origin, tpl_arena *arena, tpl_token **tokens,
                    size_t *n_tokens, ellm_error *err) {
  *tokens = NULL;
  *n_tokens = 0;
  if (bytes > CHAT_TEMPLATE_MAX_SOURCE)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: chat template: %zu bytes, at most %d are read", origin, bytes,
                     CHAT_TEMPLATE_MAX_SOURCE);
  if (!utf8_is_valid(source, bytes))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: chat template: not valid UTF-8", origin);
  tpl_lexer lexer = {.origin = origin, .arena = arena, .err = err, .line = 1, .column = 1, .line_starting = true};
  ellm_status status = normalize_lines(&lexer, source, bytes);
  if (status == ELLM_OK) status = lex_root(&lexer);
  if (status == ELLM_OK) status = add(&lexer, lexer.bytes, (tpl_token){.type = TOKEN_END});
  if (status != ELLM_OK) {
    free(lexer.tokens);
    return status;
  }
  *tokens = lexer.tokens;
  *n_tokens = lexer.count;
  return ELLM_OK;
}
