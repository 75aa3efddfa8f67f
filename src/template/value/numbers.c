/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: numbers from texts and texts of numbers, whatever the locale. */
#include "template/value/numbers.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/unicode.h"
#include "text/utf8.h"

/* The shortest digits that give the number back, as Python writes them. */
void tpl_float_repr(double value, char text[32]) {
  char raw[40], digits[24];
  if (isnan(value) || isinf(value)) {
    snprintf(text, 32, "%s", isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
    return;
  }
  int precision = 0;
  do snprintf(raw, sizeof raw, "%.*e", precision, value); /* reading back uses the same locale as writing */
  while (strtod(raw, NULL) != value && ++precision < 17);
  size_t n = 0, at = 0;
  const char *mark = strchr(raw, 'e');
  for (const char *c = raw; c < mark; c++)
    if (*c >= '0' && *c <= '9' && n < sizeof digits - 1) digits[n++] = *c;
  const int exponent = (int)strtol(mark + 1, NULL, 10);
  if (signbit(value)) text[at++] = '-';
  if (exponent < -4 || exponent >= 16) {
    text[at++] = digits[0];
    if (n > 1) text[at++] = '.';
    for (size_t i = 1; i < n; i++) text[at++] = digits[i];
    snprintf(text + at, 32 - at, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
    return;
  }
  if (exponent < 0) text[at++] = '0';
  for (int i = 0; i <= exponent; i++) text[at++] = (size_t)i < n ? digits[i] : '0';
  text[at++] = '.';
  for (int i = -1; i > exponent; i--) text[at++] = '0';
  const size_t whole = exponent < 0 ? 0 : (size_t)exponent + 1;
  for (size_t i = whole; i < n; i++) text[at++] = digits[i];
  if (n <= whole) text[at++] = '0';
  text[at] = '\0';
}

/* The text without white space around it and without its sign and underscores; false: too long or an
 * underscore that is not between digits. */
static bool bare(const tpl_string *text, char out[128], bool *negative) {
  size_t from = 0, to = text->bytes, n = 0;
  uint32_t cp;
  for (; from < to; from += utf8_length(text->data[from])) {
    utf8_decode(text->data + from, &cp);
    if (!unicode_is_python_space(cp)) break;
  }
  while (to > from) {
    size_t last = to - 1;
    while (last > from && ((unsigned char)text->data[last] & 0xC0) == 0x80) last--;
    utf8_decode(text->data + last, &cp);
    if (!unicode_is_python_space(cp)) break;
    to = last;
  }
  *negative = from < to && text->data[from] == '-';
  if (from < to && (text->data[from] == '-' || text->data[from] == '+')) from++;
  for (size_t i = from; i < to; i++) {
    const char c = text->data[i];
    const bool digit_before = i > from && text->data[i - 1] >= '0' && text->data[i - 1] <= '9';
    const bool digit_after = i + 1 < to && text->data[i + 1] >= '0' && text->data[i + 1] <= '9';
    if (c == '_' && digit_before && digit_after) continue;
    if (c == '_' || c == '\0' || n + 1 == 128) return false;
    out[n++] = c;
  }
  out[n] = '\0';
  return n > 0;
}

bool tpl_read_int(const tpl_string *text, int64_t *out) {
  char digits[128];
  bool negative;
  int64_t value = 0;
  if (!bare(text, digits, &negative)) return false;
  for (const char *c = digits; *c; c++) {
    if (*c < '0' || *c > '9' || value < (INT64_MIN + (*c - '0')) / 10) return false;
    value = 10 * value - (*c - '0'); /* below zero there is one more */
  }
  if (!negative && value == INT64_MIN) return false;
  *out = negative ? value : -value;
  return true;
}

static bool equals_ignoring_case(const char *text, const char *word) {
  for (; *text && *word; text++, word++)
    if ((*text | 0x20) != *word) return false;
  return !*text && !*word;
}

bool tpl_read_float(const tpl_string *text, double *out) {
  char digits[128], json[2 * 128 + 8];
  bool negative;
  size_t n = 0;
  if (!bare(text, digits, &negative)) return false;
  if (equals_ignoring_case(digits, "inf") || equals_ignoring_case(digits, "infinity")) {
    *out = negative ? -INFINITY : INFINITY;
    return true;
  }
  if (equals_ignoring_case(digits, "nan")) {
    *out = NAN;
    return true;
  }
  /* jansson reads numbers as JSON has them: no zeros before, digits on both sides of the point */
  const char *c = digits;
  while (c[0] == '0' && c[1] >= '0' && c[1] <= '9') c++;
  if (*c == '.' && c[1] >= '0' && c[1] <= '9') json[n++] = '0';
  for (; *c; c++) {
    json[n++] = *c;
    if (*c == '.' && c > digits && !(c[1] >= '0' && c[1] <= '9')) json[n++] = '0';
  }
  if (json[0] < '0' || json[0] > '9') return false;
  json_t *number = json_loadb(json, n, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);
  const bool is_real = json_is_real(number);
  if (is_real) *out = negative ? -json_real_value(number) : json_real_value(number);
  json_decref(number);
  return is_real;
}

/* -------------------------------------------------------------------- order */

/* An integer against a float, exactly. */
static int order_mixed(int64_t i, double d) {
  if (isnan(d)) return TPL_UNORDERED;
  if (d >= 9223372036854775808.0) return -1;
  if (d < -9223372036854775808.0) return 1;
  const double whole = trunc(d);
  const int64_t j = (int64_t)whole;
  if (i != j) return i < j ? -1 : 1;
  return d > whole ? -1 : d < whole ? 1 : 0;
}

int tpl_order_numbers(tpl_value a, tpl_value b) {
  if (a.kind == TPL_FLOAT && b.kind == TPL_FLOAT) {
    if (isnan(a.u.real) || isnan(b.u.real)) return TPL_UNORDERED;
    return a.u.real < b.u.real ? -1 : a.u.real > b.u.real;
  }
  if (b.kind == TPL_FLOAT) return order_mixed(tpl_integer_of(a), b.u.real);
  if (a.kind == TPL_FLOAT) {
    const int order = order_mixed(tpl_integer_of(b), a.u.real);
    return order == TPL_UNORDERED ? order : -order;
  }
  const int64_t i = tpl_integer_of(a), j = tpl_integer_of(b);
  return i < j ? -1 : i > j;
}
