/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader of GBNF: a rule a line, `name ::= alternatives`, where a line goes on after `::=`, after `|` and inside of
 * parentheses. Recursive descent; parentheses are limited by the depth of rules.
 */
#include "grammar/gbnf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/utf8.h"

enum { MOST_PARENTHESES = 200, MOST_RANGES = 1 << 16 };

typedef struct reader {
  grammar_rules *rules;
  const char *text;
  size_t bytes, at;
  unsigned line, depth;
  const char *origin;
  ellm_error *err;
} reader;



static ELLM_PRINTF(2, 3) ellm_status fail(reader *r, const char *format, ...) {
  char text[300];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return ellm_fail(r->err, ELLM_ERR_INPUT, "%s: line %u: %s", r->origin, r->line, text);
}

static int peek(const reader *r) { return r->at < r->bytes ? (unsigned char)r->text[r->at] : -1; }

static bool next_is(const reader *r, const char *text) {
  const size_t n = strlen(text);
  return r->bytes - r->at >= n && memcmp(r->text + r->at, text, n) == 0;
}

/* Space and comments; newlines only where `lines`. */
static void skip(reader *r, bool lines) {
  for (;; r->at++) {
    int c = peek(r);
    if (c == '#') {
      while (r->at < r->bytes && r->text[r->at] != '\n' && r->text[r->at] != '\r') r->at++;
      c = peek(r);
    }
    if (c == '\n' && lines) r->line++;
    else if (c != ' ' && c != '\t' && !(c == '\r' && lines)) return;
  }
}

static bool is_name(int c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static ellm_status read_name(reader *r, uint32_t *rule) {
  const size_t begin = r->at;
  while (is_name(peek(r))) r->at++;
  if (r->at == begin) return fail(r, "the name of a rule is expected");
  *rule = rules_named(r->rules, r->text + begin, r->at - begin, r->line);
  return ELLM_OK;
}

/* ----------------------------------------------------------------- characters */

static ellm_status read_hex(reader *r, unsigned digits, uint32_t *value) {
  *value = 0;
  for (unsigned i = 0; i < digits; i++, r->at++) {
    const int c = peek(r);
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) return fail(r, "%u hexadecimal digits are expected after the backslash", digits);
    *value = *value << 4 | (uint32_t)digit;
  }
  if (*value > CODE_POINT_LAST || (*value >= 0xD800 && *value <= 0xDFFF))
    return fail(r, "U+%04X is not a character", (unsigned)*value);
  return ELLM_OK;
}

static ellm_status read_character(reader *r, uint32_t *character) {
  size_t length;
  if (r->at >= r->bytes) return fail(r, "the grammar ends inside of a text or class");
  if (r->text[r->at] != '\\') {
    if (utf8_next(r->text + r->at, r->bytes - r->at, character, &length) != UTF8_CHARACTER)
      return fail(r, "byte 0x%02X is not valid UTF-8", (unsigned char)r->text[r->at]);
    if (*character == '\n') r->line++;
    r->at += length;
    return ELLM_OK;
  }
  r->at++;
  const int c = peek(r);
  r->at++;
  switch (c) {
    case 'x': return read_hex(r, 2, character);
    case 'u': return read_hex(r, 4, character);
    case 'U': return read_hex(r, 8, character);
    case 'n': *character = '\n'; return ELLM_OK;
    case 'r': *character = '\r'; return ELLM_OK;
    case 't': *character = '\t'; return ELLM_OK;
    case '\\': case '"': case '[': case ']': case '-': case '^': case '/': *character = (uint32_t)c; return ELLM_OK;
    default: return fail(r, "there is no escape \"\\%c\"", c > 32 && c < 127 ? c : '?');
  }
}

static ellm_status read_text(reader *r, expr_id *made) {
  ellm_buffer text = {0};
  ellm_status status = ELLM_OK;
  uint32_t character;
  r->at++;
  while (status == ELLM_OK && peek(r) != '"') {
    status = read_character(r, &character);
    if (status == ELLM_OK && !utf8_append(&text, character)) status = ellm_fail_memory(r->err, text.size, "a grammar");
  }
  r->at++;
  if (status == ELLM_OK) *made = rules_literal(r->rules, text.size > 0 ? (const char *)text.data : "", text.size);
  ellm_buffer_free(&text);
  return status;
}

static ellm_status read_ranges(reader *r, code_range **ranges, size_t *n) {
  size_t room = 0;
  while (peek(r) != ']') {
    code_range range;
    ELLM_TRY(read_character(r, &range.first));
    range.last = range.first;
    if (peek(r) == '-' && r->at + 1 < r->bytes && r->text[r->at + 1] != ']') {
      r->at++;
      ELLM_TRY(read_character(r, &range.last));
    }
    if (range.last < range.first)
      return fail(r, "a range of characters goes from U+%04X down to U+%04X", (unsigned)range.first,
                  (unsigned)range.last);
    if (*n >= MOST_RANGES) return fail(r, "a class has more than %d ranges", MOST_RANGES);
    if (!rules_grow(r->rules, ranges, &room, *n, sizeof **ranges)) return ELLM_OK; /* the rules know */
    (*ranges)[(*n)++] = range;
  }
  return ELLM_OK;
}

static ellm_status read_class(reader *r, expr_id *made) {
  code_range *ranges = NULL;
  size_t n = 0;
  const bool inverted = next_is(r, "[^");
  r->at += inverted ? 2 : 1;
  ellm_status status = read_ranges(r, &ranges, &n);
  r->at++;
  if (status == ELLM_OK && n == 0 && !inverted && r->rules->status == ELLM_OK)
    status = fail(r, "a class is empty: nothing can match it");
  if (status == ELLM_OK) *made = rules_class(r->rules, ranges, n, inverted);
  free(ranges);
  return status;
}

/* ---------------------------------------------------------------- repetitions */

static ellm_status read_count(reader *r, uint32_t *count) {
  uint64_t value = 0;
  if (peek(r) < '0' || peek(r) > '9') return fail(r, "a number is expected in the braces of a repetition");
  for (; peek(r) >= '0' && peek(r) <= '9'; r->at++) {
    value = 10 * value + (uint64_t)(peek(r) - '0');
    if (value > RULES_MOST_COUNT) return fail(r, "a repetition of more than %d is not supported", RULES_MOST_COUNT);
  }
  *count = (uint32_t)value;
  skip(r, true);
  return ELLM_OK;
}

static ellm_status read_braces(reader *r, uint32_t *min, uint32_t *max) {
  r->at++;
  skip(r, true);
  ELLM_TRY(read_count(r, min));
  *max = *min;
  if (peek(r) == ',') {
    r->at++;
    skip(r, true);
    *max = RULES_NO_LIMIT;
    if (peek(r) != '}') ELLM_TRY(read_count(r, max));
  }
  if (peek(r) != '}') return fail(r, "\"}\" is expected after a repetition");
  if (*max < *min) return fail(r, "a repetition of %u to %u times makes no sense", (unsigned)*min, (unsigned)*max);
  return ELLM_OK;
}

static ellm_status read_repetitions(reader *r, expr_id *made) {
  for (;; r->at++, skip(r, r->depth > 0)) {
    uint32_t min = 0, max = RULES_NO_LIMIT;
    switch (peek(r)) {
      case '*': break;
      case '+': min = 1; break;
      case '?': max = 1; break;
      case '{': ELLM_TRY(read_braces(r, &min, &max)); break;
      default: return ELLM_OK;
    }
    *made = rules_repeat(r->rules, *made, min, max);
  }
}

/* --------------------------------------------------------------- alternatives */

static ellm_status read_alternatives(reader *r, expr_id *made);

static ellm_status read_group(reader *r, expr_id *made) {
  const unsigned line = r->line;
  if (++r->depth > MOST_PARENTHESES) return fail(r, "more than %d parentheses inside each other", MOST_PARENTHESES);
  r->at++;
  skip(r, true);
  ELLM_TRY(read_alternatives(r, made));
  if (peek(r) != ')') {
    r->line = line;
    return fail(r, "a parenthesis is not closed");
  }
  r->depth--;
  r->at++;
  return ELLM_OK;
}

/* *found: there was one. */
static ellm_status read_element(reader *r, expr_id *made, bool *found) {
  const int c = peek(r);
  *found = true;
  if (c == '"') return read_text(r, made);
  if (c == '[') return read_class(r, made);
  if (c == '(') return read_group(r, made);
  if (c == '<' || (c == '!' && next_is(r, "!<"))) return fail(r, "tokens (\"<...>\") in grammars are not supported");
  if (c == '.') {
    r->at++;
    *made = rules_class(r->rules, NULL, 0, true);
    return ELLM_OK;
  }
  if (is_name(c)) {
    uint32_t rule = EXPR_NONE;
    ELLM_TRY(read_name(r, &rule));
    *made = rules_call(r->rules, rule);
    return ELLM_OK;
  }
  *found = false;
  return c == '*' || c == '+' || c == '?' || c == '{' ? fail(r, "\"%c\" follows nothing that it could repeat", c)
                                                      : ELLM_OK;
}

static ellm_status read_sequence(reader *r, expr_id *made) {
  expr_list list = {0};
  ellm_status status = ELLM_OK;
  for (bool found = true; status == ELLM_OK && r->rules->status == ELLM_OK;) {
    expr_id element = EXPR_NONE;
    status = read_element(r, &element, &found);
    if (status != ELLM_OK || !found) break;
    skip(r, r->depth > 0);
    status = read_repetitions(r, &element);
    expr_list_add(r->rules, &list, element);
  }
  *made = expr_list_sequence(r->rules, &list);
  return status;
}

static ellm_status read_alternatives(reader *r, expr_id *made) {
  expr_list list = {0};
  ellm_status status;
  for (;;) {
    expr_id one = EXPR_NONE;
    status = read_sequence(r, &one);
    expr_list_add(r->rules, &list, one);
    if (status != ELLM_OK || peek(r) != '|' || r->rules->status != ELLM_OK) break;
    r->at++;
    skip(r, true);
  }
  *made = expr_list_choice(r->rules, &list);
  return status;
}

static ellm_status read_rule(reader *r) {
  uint32_t rule = EXPR_NONE;
  expr_id body = EXPR_NONE;
  const size_t begin = r->at;
  ELLM_TRY(read_name(r, &rule));
  const size_t end = r->at;
  skip(r, false);
  if (!next_is(r, "::=")) return fail(r, "\"::=\" is expected after the name of a rule");
  r->at += 3;
  skip(r, true);
  if (rule != EXPR_NONE && r->rules->rules[rule].body != EXPR_NONE)
    return fail(r, "rule \"%.*s\" is defined twice", (int)(end - begin > 80 ? 80 : end - begin), r->text + begin);
  ELLM_TRY(read_alternatives(r, &body));
  rules_define(r->rules, rule, body);
  if (r->rules->status != ELLM_OK) return ELLM_OK;
  const int c = peek(r);
  if (c == -1 || c == '\n' || c == '\r') return ELLM_OK;
  return c > 32 && c < 127 ? fail(r, "\"%c\" is not expected here", c) : fail(r, "byte 0x%02X is not expected here", (unsigned)c);
}

ellm_status gbnf_read(grammar_rules *rules, const char *text, size_t bytes, const char *origin, ellm_error *err) {
  reader r = {.rules = rules, .text = text, .bytes = bytes, .line = 1, .origin = origin, .err = err};
  ellm_status status = ELLM_OK;
  for (skip(&r, true); status == ELLM_OK && rules->status == ELLM_OK && r.at < r.bytes; skip(&r, true))
    status = read_rule(&r);
  if (rules->status != ELLM_OK)
    return ellm_fail(err, rules->status, "%s: line %u: %s", origin, r.line, rules->err.message);
  if (status != ELLM_OK) return status; /* else what was wrong came of what the rules could not hold */
  const uint32_t root = vocab_find(&rules->names, "root", 4);
  if (root == VOCAB_NONE || rules->rules[root].body == EXPR_NONE)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: there is no rule \"root\", with which a text begins", origin);
  rules->root = root;
  return ELLM_OK;
}
