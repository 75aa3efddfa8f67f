/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chat templates: "..." % values and "...".format(values), the parts of them
 * that templates use. What is left out (grouping of digits, attributes within
 * fields, widths from arguments) is refused by name.
 */
#include "template/format.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "template/dict.h"
#include "template/numbers.h"
#include "template/text.h"
#include "text/utf8.h"

enum { MAX_PRECISION = 100, MAX_NUMBER = 512 };

typedef struct spec {
  char fill[4];
  size_t fill_bytes;
  char align;    /* '<', '>', '^', '=' (between sign and digits), 0: the type's own */
  char sign;     /* '-', '+' or ' ' */
  bool alternate;
  int64_t width, precision; /* precision < 0: none */
  char type;     /* 0: the value's own */
} spec;

static spec plain_spec(void) { return (spec){.fill = " ", .fill_bytes = 1, .sign = '-', .precision = -1}; }

/* ------------------------------------------------------------------ padding */

static bool put_fill(tpl_run *run, ellm_buffer *out, const spec *s, int64_t n) {
  for (; n > 0; n--)
    if (!tpl_charge(run, 1) || !tpl_put(run, out, s->fill, s->fill_bytes)) return false;
  return true;
}

/* The text filled up to the width; `sign` bytes of it are its sign. */
static bool put_padded(tpl_run *run, ellm_buffer *out, const spec *s, const tpl_string *text, size_t sign,
                       char own_align) {
  const char align = s->align ? s->align : own_align;
  const int64_t length = (int64_t)tpl_length(text), gap = s->width > length ? s->width - length : 0;
  const int64_t before = align == '<' ? 0 : align == '^' ? gap / 2 : gap;
  if (s->width > CHAT_TEMPLATE_MAX_TEXT) return tpl_fail(run, "a text of more than %d bytes", CHAT_TEMPLATE_MAX_TEXT);
  if (align == '=')
    return tpl_put(run, out, text->data, sign) && put_fill(run, out, s, gap) &&
           tpl_put(run, out, text->data + sign, text->bytes - sign);
  return put_fill(run, out, s, before) && tpl_put(run, out, text->data, text->bytes) &&
         put_fill(run, out, s, gap - before);
}

static bool put_text(tpl_run *run, ellm_buffer *out, const spec *s, const tpl_string *text) {
  tpl_string cut = *text;
  if (!tpl_charge(run, text->bytes / 16)) return false;
  if (s->precision >= 0) cut.bytes = tpl_offset(text, (size_t)s->precision);
  return put_padded(run, out, s, &cut, 0, '<');
}

/* ------------------------------------------------------------------ numbers */

static bool put_number(tpl_run *run, ellm_buffer *out, const spec *s, bool negative, const char *digits, size_t bytes) {
  char text[MAX_NUMBER + 2];
  const char sign = negative ? '-' : s->sign == '-' ? '\0' : s->sign;
  size_t n = 0;
  if (bytes > MAX_NUMBER) return tpl_fail(run, "a number of too many digits");
  if (sign) text[n++] = sign;
  memcpy(text + n, digits, bytes);
  const tpl_string string = {.data = text, .bytes = n + bytes};
  return put_padded(run, out, s, &string, n, '>');
}

static bool put_integer(tpl_run *run, ellm_buffer *out, const spec *s, int64_t value) {
  static const char low[] = "0123456789abcdef", high[] = "0123456789ABCDEF";
  const char *letters = s->type == 'X' ? high : low;
  const unsigned base = s->type == 'x' || s->type == 'X' ? 16 : s->type == 'o' ? 8 : s->type == 'b' ? 2 : 10;
  uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
  char digits[MAX_NUMBER];
  size_t at = sizeof digits;
  if (s->precision > MAX_PRECISION) return tpl_fail(run, "a precision of more than %d is not supported", MAX_PRECISION);
  do digits[--at] = letters[rest % base];
  while ((rest /= base) != 0);
  while (sizeof digits - at < (size_t)(s->precision < 0 ? 0 : s->precision)) digits[--at] = '0';
  if (s->alternate && base != 10) return tpl_fail(run, "the flag '#' is not supported");
  return put_number(run, out, s, value < 0, digits + at, sizeof digits - at);
}

/* A conversion of printf, with a point whatever the locale. */
static bool put_real(tpl_run *run, ellm_buffer *out, const spec *s, double value) {
  char raw[MAX_NUMBER], text[MAX_NUMBER], format[8] = "%.*f";
  const bool percent = s->type == '%';
  const int precision = s->precision < 0 ? 6 : (int)s->precision;
  size_t n = 0;
  if (s->precision > MAX_PRECISION) return tpl_fail(run, "a precision of more than %d is not supported", MAX_PRECISION);
  if (s->alternate) return tpl_fail(run, "the flag '#' is not supported");
  if (percent) value *= 100;
  else format[3] = s->type;
  if (isnan(value)) value = fabs(value);
  snprintf(raw, sizeof raw, format, precision, fabs(value));
  for (const char *c = raw; *c && n + 2 < sizeof text; c++) {
    const bool known =
        (*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || *c == '+' || *c == '-';
    if (known) text[n++] = *c;
    else if (n == 0 || text[n - 1] != '.') text[n++] = '.';
  }
  if (percent) text[n++] = '%';
  return put_number(run, out, s, signbit(value) != 0, text, n);
}

static bool is_integer_type(char type) {
  return type == 'd' || type == 'x' || type == 'X' || type == 'o' || type == 'b';
}
static bool is_real_type(char type) { return type && strchr("eEfFgG%", type); }

/* ------------------------------------------------------------------ percent */

typedef struct percent { const tpl_string *format; size_t at; tpl_value arguments; size_t used; } percent;

static bool next_argument(tpl_run *run, percent *p, tpl_value *out) {
  if (p->arguments.kind != TPL_TUPLE && p->used++ == 0) {
    *out = p->arguments;
    return true;
  }
  if (p->arguments.kind != TPL_TUPLE || p->used >= p->arguments.u.list->count)
    return tpl_fail(run, "not enough values for the format");
  *out = p->arguments.u.list->items[p->used++];
  return true;
}

static char peek(const percent *p) { return p->at < p->format->bytes ? p->format->data[p->at] : '\0'; }

static bool read_number(tpl_run *run, const tpl_string *text, size_t *at, int64_t *out) {
  *out = 0;
  for (; *at < text->bytes && text->data[*at] >= '0' && text->data[*at] <= '9'; ++*at) {
    *out = 10 * *out + (text->data[*at] - '0');
    if (*out > CHAT_TEMPLATE_MAX_TEXT) return tpl_fail(run, "a width of more than %d", CHAT_TEMPLATE_MAX_TEXT);
  }
  return true;
}

/* After "%": "(name)", flags, width, precision. */
static bool read_percent(tpl_run *run, percent *p, spec *s, tpl_value *named, bool *has_name) {
  *has_name = peek(p) == '(';
  if (*has_name) {
    const size_t from = ++p->at;
    const tpl_value *found;
    while (peek(p) && peek(p) != ')') p->at++;
    if (peek(p) != ')') return tpl_fail(run, "a format with a name that does not end");
    if (p->arguments.kind != TPL_DICT) return tpl_fail(run, "a format with names needs a dict");
    const tpl_string name = {.data = p->format->data + from, .bytes = p->at++ - from};
    if (!tpl_dict_find_text(run, p->arguments.u.dict, &name, &found)) return false;
    if (!found) return tpl_fail(run, "the format names a key that the dict lacks");
    *named = *found;
  }
  bool left = false, zero = false;
  for (; peek(p) && strchr("-+ 0#", peek(p)); p->at++) {
    const char flag = peek(p);
    left |= flag == '-';
    zero |= flag == '0';
    s->alternate |= flag == '#';
    if (flag == '+' || (flag == ' ' && s->sign == '-')) s->sign = flag;
  }
  if (peek(p) == '*') return tpl_fail(run, "a width from the values is not supported");
  if (!read_number(run, p->format, &p->at, &s->width)) return false;
  if (peek(p) == '.') {
    p->at++;
    if (peek(p) == '*') return tpl_fail(run, "a precision from the values is not supported");
    if (!read_number(run, p->format, &p->at, &s->precision)) return false;
  }
  while (peek(p) == 'l' || peek(p) == 'h' || peek(p) == 'L') p->at++;
  s->type = peek(p);
  s->align = left ? '<' : '>';
  if (zero && !left && s->type && strchr("diuxXoeEfFgG", s->type)) {
    s->align = '=';
    s->fill[0] = '0';
  }
  return true;
}

static bool put_converted(tpl_run *run, ellm_buffer *out, spec *s, tpl_value value) {
  tpl_value text;
  ellm_buffer buffer = {0};
  if (s->type == 'i' || s->type == 'u') s->type = 'd';
  if (s->type == 's') return tpl_str(run, value, &text) && put_text(run, out, s, text.u.string);
  if (s->type == 'r') {
    tpl_put_repr(run, &buffer, value);
    return tpl_take_text(run, &buffer, &text) && put_text(run, out, s, text.u.string);
  }
  if (is_integer_type(s->type) && s->type != 'b') {
    if (tpl_is_integer(value)) return put_integer(run, out, s, tpl_integer_of(value));
    if (value.kind == TPL_FLOAT && s->type == 'd' && fabs(value.u.real) < 9e18)
      return put_integer(run, out, s, (int64_t)value.u.real);
  } else if (is_real_type(s->type) && s->type != '%') {
    if (tpl_is_number(value)) return put_real(run, out, s, tpl_real_of(value));
  } else {
    return tpl_fail(run, "the conversion '%%%c' is not supported", s->type > 0x20 && s->type < 0x7F ? s->type : '?');
  }
  if (value.kind == TPL_UNDEFINED) return tpl_fail_undefined(run, value);
  return tpl_fail(run, "the conversion '%%%c' needs a number, not %s", s->type, tpl_kind_name(value));
}

static bool put_percent(tpl_run *run, ellm_buffer *out, percent *p) {
  const tpl_string *format = p->format;
  while (p->at < format->bytes) {
    const char *mark = memchr(format->data + p->at, '%', format->bytes - p->at);
    const size_t to = mark ? (size_t)(mark - format->data) : format->bytes;
    spec s = plain_spec();
    tpl_value value;
    bool has_name;
    if (!tpl_put(run, out, format->data + p->at, to - p->at)) return false;
    if (!mark) return true;
    p->at = to + 1;
    if (!tpl_charge(run, 1) || !read_percent(run, p, &s, &value, &has_name)) return false;
    if (p->at == format->bytes) return tpl_fail(run, "a format that ends in a conversion");
    p->at++;
    if (s.type == '%') {
      if (!tpl_put(run, out, "%", 1)) return false;
      continue;
    }
    if ((!has_name && !next_argument(run, p, &value)) || !put_converted(run, out, &s, value)) return false;
  }
  return true;
}

bool tpl_format_percent(tpl_run *run, const tpl_string *format, tpl_value arguments, tpl_value *out) {
  ellm_buffer buffer = {0};
  percent p = {.format = format, .arguments = arguments};
  if (format->markup) return tpl_fail(run, "a format of escaped text is not supported");
  bool good = put_percent(run, &buffer, &p);
  if (good && arguments.kind == TPL_TUPLE) good = p.used == arguments.u.list->count;
  else if (good && p.used == 0)
    good = arguments.kind == TPL_DICT || arguments.kind == TPL_LIST || arguments.kind == TPL_RANGE ||
           arguments.kind == TPL_UNDEFINED; /* what has items */
  if (!good) tpl_fail(run, "not all values are used by the format");
  return tpl_take_text(run, &buffer, out) && good;
}

/* ------------------------------------------------------------------- braces */

typedef struct braces {
  const tpl_string *format;
  const tpl_arguments *arguments;
  size_t next;
  bool automatic, manual;
} braces;

/* The value that the name of a field means. */
static bool field_value(tpl_run *run, braces *b, const char *name, size_t bytes, tpl_value *out) {
  const tpl_string text = {.data = name, .bytes = bytes};
  size_t at = 0;
  int64_t number = 0;
  for (size_t i = 0; i < bytes; i++)
    if (name[i] == '.' || name[i] == '[' || name[i] == '{')
      return tpl_fail(run, "format() with attributes or items in fields is not supported");
  if (!read_number(run, &text, &at, &number)) return false;
  if (at < bytes) {
    for (size_t i = 0; i < b->arguments->n_keywords; i++)
      if (tpl_strings_equal(b->arguments->keywords[i].name, &text)) {
        *out = b->arguments->keywords[i].value;
        return true;
      }
    return tpl_fail(run, "format(): a field names an argument that is not given");
  }
  b->automatic |= bytes == 0;
  b->manual |= bytes > 0;
  if (b->automatic && b->manual) return tpl_fail(run, "format(): fields with and without numbers");
  const size_t place = bytes == 0 ? b->next++ : (size_t)number;
  if (place >= b->arguments->count) return tpl_fail(run, "format(): more fields than arguments");
  *out = b->arguments->items[place];
  return true;
}

/* What stands after ":" in a field. */
static bool read_spec(tpl_run *run, const tpl_string *text, spec *s) {
  size_t at = 0;
  const size_t first = text->bytes > 0 ? utf8_length(text->data[0]) : 0;
  if (first > 0 && first < text->bytes && text->data[first] && strchr("<>=^", text->data[first])) {
    memcpy(s->fill, text->data, first);
    s->fill_bytes = first;
    s->align = text->data[first];
    at = first + 1;
  } else if (first > 0 && text->data[0] && strchr("<>=^", text->data[0])) {
    s->align = text->data[at++];
  }
  if (at < text->bytes && text->data[at] && strchr("+- ", text->data[at])) s->sign = text->data[at++];
  if (at < text->bytes && text->data[at] == '0') {
    if (!s->align) {
      s->align = '=';
      s->fill[0] = '0';
      s->fill_bytes = 1;
    }
    at++;
  }
  if (!read_number(run, text, &at, &s->width)) return false;
  if (at + 1 < text->bytes && text->data[at] == '.') {
    at++;
    if (!read_number(run, text, &at, &s->precision)) return false;
  }
  if (at < text->bytes) s->type = text->data[at++];
  if (at != text->bytes || (s->type && !strchr("sdxXobeEfFgG%", s->type)))
    return tpl_fail(run, "the format '%.*s' of a field is not supported", TPL_CUT(text));
  return true;
}

static bool put_field(tpl_run *run, ellm_buffer *out, spec *s, tpl_value value) {
  const bool is_real = value.kind == TPL_FLOAT || (tpl_is_number(value) && is_real_type(s->type));
  tpl_value text;
  if (value.kind == TPL_STRING && (s->type == 0 || s->type == 's') && s->align != '=')
    return put_text(run, out, s, value.u.string);
  if (is_real && is_real_type(s->type)) return put_real(run, out, s, tpl_real_of(value));
  if (tpl_is_integer(value) && s->precision < 0 &&
      (is_integer_type(s->type) || (value.kind == TPL_INT && s->type == 0)))
    return put_integer(run, out, s, tpl_integer_of(value));
  if (value.kind == TPL_FLOAT && s->type == 0 && s->precision < 0) {
    char digits[32];
    tpl_float_repr(fabs(value.u.real), digits);
    return put_number(run, out, s, signbit(value.u.real) != 0, digits, strlen(digits));
  }
  const spec none = plain_spec();
  if (s->type == 0 && s->width == 0 && s->precision < 0 && s->align == none.align && s->sign == none.sign)
    return tpl_str(run, value, &text) && tpl_put(run, out, text.u.string->data, text.u.string->bytes);
  return tpl_fail(run, "this format of a value of type %s is not supported", tpl_kind_name(value));
}

/* A field, from after "{" to before "}". */
static bool put_brace(tpl_run *run, ellm_buffer *out, braces *b, const char *field, size_t bytes) {
  spec s = plain_spec();
  const char *colon = memchr(field, ':', bytes);
  size_t name = colon ? (size_t)(colon - field) : bytes;
  const char *mark = memchr(field, '!', name);
  tpl_string text = {.data = field + bytes, .bytes = 0};
  tpl_value value;
  if (colon) text = (tpl_string){.data = colon + 1, .bytes = bytes - name - 1};
  if (mark && (name - (size_t)(mark - field) != 2 || (mark[1] != 'r' && mark[1] != 's')))
    return tpl_fail(run, "a conversion other than !r and !s is not supported");
  if (mark) name = (size_t)(mark - field);
  if (!field_value(run, b, field, name, &value) || !read_spec(run, &text, &s)) return false;
  if (mark && mark[1] == 's' && !tpl_str(run, value, &value)) return false;
  if (mark && mark[1] == 'r') {
    ellm_buffer buffer = {0};
    tpl_put_repr(run, &buffer, value);
    if (!tpl_take_text(run, &buffer, &value)) return false;
  }
  return put_field(run, out, &s, value);
}

static bool put_braces(tpl_run *run, ellm_buffer *out, braces *b) {
  const char *data = b->format->data;
  const size_t bytes = b->format->bytes;
  for (size_t at = 0; at < bytes;) {
    const char c = data[at];
    if (!tpl_charge(run, 1)) return false;
    if (c != '{' && c != '}') {
      size_t end = at + 1;
      while (end < bytes && data[end] != '{' && data[end] != '}') end++;
      if (!tpl_put(run, out, data + at, end - at)) return false;
      at = end;
    } else if (at + 1 < bytes && data[at + 1] == c) {
      if (!tpl_put(run, out, &c, 1)) return false;
      at += 2;
    } else {
      const char *end = c == '{' ? memchr(data + at, '}', bytes - at) : NULL;
      if (!end) return tpl_fail(run, "format(): a single '%c'", c);
      if (!put_brace(run, out, b, data + at + 1, (size_t)(end - data) - at - 1)) return false;
      at = (size_t)(end - data) + 1;
    }
  }
  return true;
}

bool tpl_format_braces(tpl_run *run, const tpl_string *format, const tpl_arguments *arguments, tpl_value *out) {
  ellm_buffer buffer = {0};
  braces b = {.format = format, .arguments = arguments};
  put_braces(run, &buffer, &b);
  return tpl_take_text(run, &buffer, out);
}
