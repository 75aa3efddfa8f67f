/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: numbers and strings in the source, with Python's escapes. */
#include "template/syntax/literal.h"

#include <stdlib.h>
#include <string.h>

#include "text/utf8.h"

static int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return 99;
}

/* ------------------------------------------------------------------ numbers */

/* End of digits of a base from `at` on, single underscores between them; `at` if there is none. */
static size_t digits_end(const tpl_lexer *lexer, size_t at, int base) {
  size_t end = at;
  for (size_t p = at; p < lexer->bytes; p++) {
    if (digit_value(lexer->source[p]) < base) end = p + 1;
    else if (lexer->source[p] != '_' || p == at || lexer->source[p - 1] == '_') break;
  }
  return end;
}

static char at_or_nul(const tpl_lexer *lexer, size_t at) { return at < lexer->bytes ? lexer->source[at] : '\0'; }

static ellm_status integer(tpl_lexer *lexer, size_t at, size_t end, int base, tpl_token *token) {
  int64_t value = 0;
  for (size_t p = at; p < end; p++) {
    if (lexer->source[p] == '_') continue;
    const int digit = digit_value(lexer->source[p]);
    if (value > (INT64_MAX - digit) / base) return tpl_lex_fail(lexer, at, "an integer beyond 64 bits");
    value = value * base + digit;
  }
  token->type = TOKEN_INT;
  token->integer = value;
  lexer->at = end;
  return ELLM_OK;
}

/* By way of jansson, which knows how to read a number whatever the locale. */
static ellm_status real(tpl_lexer *lexer, size_t at, size_t end, tpl_token *token) {
  char text[512];
  size_t n = 0;
  while (at + 1 < end && (lexer->source[at] == '0' || lexer->source[at] == '_') &&
         digit_value(lexer->source[at + 1]) < 10)
    at++;
  for (size_t p = at; p < end; p++) {
    if (lexer->source[p] == '_') continue;
    if (n == sizeof text) return tpl_lex_fail(lexer, at, "a number of too many digits");
    text[n++] = lexer->source[p];
  }
  json_t *number = json_loadb(text, n, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);
  if (!json_is_real(number)) {
    json_decref(number);
    return tpl_lex_fail(lexer, at, "a number that is too large");
  }
  token->type = TOKEN_FLOAT;
  token->real = json_real_value(number);
  json_decref(number);
  lexer->at = end;
  return ELLM_OK;
}

ellm_status tpl_lex_number(tpl_lexer *lexer, tpl_token *token) {
  const size_t at = lexer->at;
  const char *source = lexer->source;
  /* x.0.1 is two items, not the item 0.1 */
  const bool after_dot = at > 0 && source[at - 1] == '.';
  const size_t whole = digits_end(lexer, at, 10);
  size_t end = whole;
  if (at_or_nul(lexer, end) == '.' && digits_end(lexer, end + 1, 10) > end + 1) end = digits_end(lexer, end + 1, 10);
  if (at_or_nul(lexer, end) == 'e' || at_or_nul(lexer, end) == 'E') {
    size_t exponent = end + 1;
    if (at_or_nul(lexer, exponent) == '+' || at_or_nul(lexer, exponent) == '-') exponent++;
    if (digits_end(lexer, exponent, 10) > exponent) end = digits_end(lexer, exponent, 10);
  }
  if (end > whole && !after_dot) return real(lexer, at, end, token);
  if (source[at] == '0') {
    const char letter = at_or_nul(lexer, at + 1) | 0x20;
    const int base = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 0;
    size_t first = at + 2;
    if (base && at_or_nul(lexer, first) == '_') first++;
    if (base && digits_end(lexer, first, base) > first)
      return integer(lexer, first, digits_end(lexer, first, base), base, token);
    end = at + 1;
    while (at_or_nul(lexer, end) == '0' || (at_or_nul(lexer, end) == '_' && at_or_nul(lexer, end + 1) == '0')) end++;
    return integer(lexer, at, end, 10, token);
  }
  return integer(lexer, at, whole, 10, token);
}

/* ------------------------------------------------------------------ strings */

typedef struct writer { char *out; size_t n; } writer;

static void put(writer *w, const char *text, size_t bytes) {
  memcpy(w->out + w->n, text, bytes);
  w->n += bytes;
}

/* Python takes the text through ASCII first, where a character beyond it is an escape of its own; a
 * backslash before it then stands for itself and leaves the escape's letters. */
static void put_escaped_letters(writer *w, uint32_t cp) {
  static const char hex[] = "0123456789abcdef";
  const int digits = cp < 0x100 ? 2 : cp < 0x10000 ? 4 : 8;
  const char letter = digits == 2 ? 'x' : digits == 4 ? 'u' : 'U';
  put(w, "\\", 1);
  put(w, &letter, 1);
  for (int i = digits - 1; i >= 0; i--) put(w, &hex[cp >> (4 * i) & 15], 1);
}

/* The digits of \x, \u, \U or octal from `at` on, at most `most` and, unless octal, no fewer. */
static ellm_status code_point(tpl_lexer *lexer, size_t *at, int most, int base, writer *w) {
  uint32_t cp = 0;
  int n = 0;
  while (n < most && digit_value(at_or_nul(lexer, *at)) < base) {
    cp = cp * (uint32_t)base + (uint32_t)digit_value(lexer->source[(*at)++]);
    n++;
  }
  if (base == 16 && n < most) return tpl_lex_fail(lexer, *at, "an escape with too few digits");
  if (cp >= 0x110000 || (cp >= 0xD800 && cp < 0xE000))
    return tpl_lex_fail(lexer, *at, "an escape that is not a character");
  char utf8[4];
  put(w, utf8, utf8_encode(cp, utf8));
  return ELLM_OK;
}

/* At the character after a backslash. */
static ellm_status escape(tpl_lexer *lexer, size_t *at, writer *w) {
  static const char letters[] = "\\'\"abfnrtv", meanings[] = "\\'\"\a\b\f\n\r\t\v";
  const char c = lexer->source[*at];
  const char *known = c ? strchr(letters, c) : NULL;
  if (c >= '0' && c <= '7') return code_point(lexer, at, 3, 8, w);
  if (c == 'N') return tpl_lex_fail(lexer, *at, "the escape \\N{...} is not supported");
  if ((unsigned char)c >= 0x80) {
    uint32_t cp;
    *at += utf8_decode(lexer->source + *at, &cp);
    put_escaped_letters(w, cp);
    return ELLM_OK;
  }
  ++*at;
  if (c == 'x' || c == 'u' || c == 'U') return code_point(lexer, at, c == 'x' ? 2 : c == 'u' ? 4 : 8, 16, w);
  if (c == '\n') return ELLM_OK;
  if (known) {
    put(w, &meanings[known - letters], 1);
  } else {
    put(w, "\\", 1);
    put(w, &c, 1);
  }
  return ELLM_OK;
}

ellm_status tpl_lex_string(tpl_lexer *lexer, tpl_token *token) {
  const size_t begin = lexer->at;
  const char quote = lexer->source[begin];
  size_t end = begin + 1;
  while (end < lexer->bytes && lexer->source[end] != quote) end += lexer->source[end] == '\\' ? 2 : 1;
  if (end >= lexer->bytes) return tpl_lex_fail(lexer, begin, "the end of this string is missing");
  /* the longest that two bytes can become: a backslash and a character of 2 bytes, \xe9 or \u03b1 */
  writer w = {.out = tpl_arena_alloc(lexer->arena, 3 * (end - begin))};
  if (!w.out) return ellm_fail_memory(lexer->err, end - begin, "a string of a chat template");
  for (size_t p = begin + 1; p < end;) {
    if (lexer->source[p] == '\\') {
      p++;
      ELLM_TRY(escape(lexer, &p, &w));
    } else {
      put(&w, &lexer->source[p++], 1);
    }
  }
  token->type = TOKEN_STRING;
  token->text = w.out;
  token->bytes = w.n;
  lexer->at = end + 1;
  return ELLM_OK;
}
