/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: filters of texts, numbers and single values; and calling any filter. */
#include "template/library/filters.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "template/library/filters_lists.h"
#include "template/library/split.h"
#include "template/run/iterate.h"
#include "template/value/case.h"
#include "template/value/json.h"
#include "template/value/numbers.h"
#include "template/value/operators.h"
#include "template/value/text.h"
#include "text/unicode.h"
#include "text/utf8.h"

static const char *const no_names[] = {NULL};

static bool no_arguments(tpl_run *run, const char *what, const tpl_arguments *arguments) {
  return tpl_take_arguments(run, what, arguments, no_names, 0, NULL);
}

static bool change_case(tpl_run *run, tpl_value v, const tpl_arguments *arguments, tpl_case how, const char *what,
                        tpl_value *out) {
  tpl_value text;
  return no_arguments(run, what, arguments) && tpl_str(&run->limits, v, &text) &&
         tpl_change_case(&run->limits, text.u.string, how, out);
}

static bool filter_upper(tpl_run *run, tpl_value v, const tpl_arguments *arguments, tpl_value *out) {
  return change_case(run, v, arguments, CASE_UPPER, "upper", out);
}

static bool filter_lower(tpl_run *run, tpl_value v, const tpl_arguments *arguments, tpl_value *out) {
  return change_case(run, v, arguments, CASE_LOWER, "lower", out);
}

static bool filter_capitalize(tpl_run *run, tpl_value v, const tpl_arguments *arguments, tpl_value *out) {
  return change_case(run, v, arguments, CASE_CAPITALIZE, "capitalize", out);
}

/* Words begin after white space, hyphens and opening brackets, unlike str.title's. */
static bool filter_title(tpl_run *run, tpl_value v, const tpl_arguments *arguments, tpl_value *out) {
  ellm_buffer buffer = {0};
  tpl_value text, part;
  if (!no_arguments(run, "title", arguments) || !tpl_str(&run->limits, v, &text)) return false;
  const tpl_string *s = text.u.string;
  bool first = true, good = true;
  for (size_t i = 0; good && i < s->bytes;) {
    uint32_t cp;
    size_t n = utf8_decode(s->data + i, &cp);
    const bool between = unicode_is_python_space(cp) || (cp < 0x80 && cp && strchr("-({[<", (int)cp));
    size_t end = i + n;
    while (!between && !first && end < s->bytes) { /* the rest of a word at once */
      n = utf8_decode(s->data + end, &cp);
      if (unicode_is_python_space(cp) || (cp < 0x80 && cp && strchr("-({[<", (int)cp))) break;
      end += n;
    }
    const tpl_string piece = {.data = s->data + i, .bytes = end - i};
    good = tpl_change_case(&run->limits, &piece, first && !between ? CASE_UPPER : CASE_LOWER, &part) &&
           tpl_put(&run->limits, &buffer, part.u.string->data, part.u.string->bytes);
    first = between;
    i = end;
  }
  return tpl_take_text(&run->limits, &buffer, out) && good;
}

static bool filter_trim(tpl_run *run, tpl_value v, const tpl_arguments *arguments, tpl_value *out) {
  static const char *const names[] = {"chars", NULL};
  tpl_value chars = tpl_none(), text;
  const tpl_string *set = NULL;
  if (!tpl_take_arguments(run, "trim", arguments, names, 0, &chars) || !tpl_str(&run->limits, v, &text)) return false;
  if (chars.kind != TPL_NONE && !tpl_want_string(run, "chars of trim", chars, &set)) return false;
  return tpl_strip(run, text.u.string, set, STRIP_LEFT | STRIP_RIGHT, out);
}

static bool filter_replace(tpl_run *run, tpl_value v, const tpl_arguments *arguments, tpl_value *out) {
  static const char *const names[] = {"old", "new", "count", NULL};
  tpl_value values[3] = {tpl_none(), tpl_none(), tpl_none()}, text, old, new_;
  int64_t most = -1;
  if (!tpl_take_arguments(run, "replace", arguments, names, 2, values)) return false;
  if (values[2].kind != TPL_NONE && !tpl_want_int(run, "count of replace", values[2], &most)) return false;
  return tpl_str(&run->limits, v, &text) && tpl_str(&run->limits, values[0], &old) &&
         tpl_str(&run->limits, values[1], &new_) &&
         tpl_replace(run, text.u.string, old.u.string, new_.u.string, most, out);
}

static bool filter_string(tpl_run *run, tpl_value v, const tpl_arguments *arguments, tpl_value *out) {
  return no_arguments(run, "string", arguments) && tpl_str(&run->limits, v, out);
}

static bool filter_safe(tpl_run *run, tpl_value v, const tpl_arguments *arguments, tpl_value *out) {
  tpl_value text;
  return no_arguments(run, "safe", arguments) && tpl_str(&run->limits, v, &text) &&
         tpl_mark_up(&run->limits, text, out);
}

static bool filter_escape(tpl_run *run, tpl_value v, const tpl_arguments *arguments, tpl_value *out) {
  return no_arguments(run, "escape", arguments) && tpl_escape(&run->limits, v, out);
}

static bool filter_indent(tpl_run *run, tpl_value v, const tpl_arguments *arguments, tpl_value *out) {
  static const char *const names[] = {"width", "first", "blank", NULL};
  tpl_value values[3] = {tpl_int(4), tpl_bool(false), tpl_bool(false)}, indent = tpl_none();
  const tpl_string *text;
  tpl_list *lines;
  ellm_buffer buffer = {0};
  if (!tpl_take_arguments(run, "indent", arguments, names, 0, values) ||
      !tpl_want_string(run, "the value of indent", v, &text))
    return false;
  const tpl_string space = {.data = " ", .bytes = 1};
  if (values[0].kind == TPL_STRING) indent = values[0];
  else if (!tpl_is_integer(values[0]))
    return tpl_fail(&run->limits, "the width of indent must be a number or a string");
  else if (!tpl_arith(&run->limits, '*', tpl_of_string(&space), values[0], &indent)) return false;
  const bool first = tpl_truth(values[1]), blank = tpl_truth(values[2]);
  const tpl_string newline = {.data = "\n", .bytes = 1}; /* so that a newline at the end stays */
  if (!tpl_arith(&run->limits, '+', v, tpl_of_string(&newline), &v) || !tpl_split_lines(run, v.u.string, false, &lines))
    return false;
  bool good = true;
  for (size_t i = 0; good && i < lines->count; i++) {
    const tpl_string *line = lines->items[i].u.string;
    const bool indented = i == 0 ? first : blank || line->bytes > 0;
    good = (i == 0 || tpl_put(&run->limits, &buffer, "\n", 1)) &&
           (!indented || tpl_put(&run->limits, &buffer, indent.u.string->data, indent.u.string->bytes)) &&
           tpl_put(&run->limits, &buffer, line->data, line->bytes);
  }
  return tpl_take_text(&run->limits, &buffer, out) && good;
}

static bool filter_default(tpl_run *run, tpl_value v, const tpl_arguments *arguments, tpl_value *out) {
  static const char *const names[] = {"default_value", "boolean", NULL};
  static const tpl_string nothing = {.data = "", .bytes = 0};
  tpl_value values[2] = {tpl_of_string(&nothing), tpl_bool(false)};
  if (!tpl_take_arguments(run, "default", arguments, names, 0, values)) return false;
  *out = v.kind == TPL_UNDEFINED || (tpl_truth(values[1]) && !tpl_truth(v)) ? values[0] : v;
  return true;
}

/* ------------------------------------------------------------------ numbers */

static bool filter_abs(tpl_run *run, tpl_value v, const tpl_arguments *arguments, tpl_value *out) {
  if (!no_arguments(run, "abs", arguments)) return false;
  if (v.kind == TPL_UNDEFINED) return tpl_fail_undefined(&run->limits, v);
  if (!tpl_is_number(v)) return tpl_fail(&run->limits, "abs of a value of type %s", tpl_kind_name(v));
  if (v.kind == TPL_FLOAT) {
    *out = tpl_float(fabs(v.u.real));
    return true;
  }
  return tpl_arith(&run->limits, tpl_integer_of(v) < 0 ? '-' : '+', tpl_int(0), v, out);
}

static bool float_to_int(tpl_run *run, double d, tpl_value fallback, tpl_value *out) {
  *out = fallback;
  if (isnan(d) || isinf(d)) return true;
  if (fabs(d) >= 9.2e18) return tpl_fail(&run->limits, "an integer beyond 64 bits");
  *out = tpl_int((int64_t)d);
  return true;
}

static bool filter_int(tpl_run *run, tpl_value v, const tpl_arguments *arguments, tpl_value *out) {
  static const char *const names[] = {"default", "base", NULL};
  tpl_value values[2] = {tpl_int(0), tpl_int(10)};
  int64_t integer;
  double real;
  if (!tpl_take_arguments(run, "int", arguments, names, 0, values)) return false;
  if (!tpl_is_integer(values[1]) || tpl_integer_of(values[1]) != 10)
    return tpl_fail(&run->limits, "int of a base other than 10 is not supported");
  if (v.kind == TPL_UNDEFINED) return tpl_fail_undefined(&run->limits, v);
  *out = values[0];
  if (tpl_is_integer(v)) *out = tpl_int(tpl_integer_of(v));
  else if (v.kind == TPL_FLOAT) return float_to_int(run, v.u.real, values[0], out);
  else if (v.kind == TPL_STRING && tpl_read_int(v.u.string, &integer)) *out = tpl_int(integer);
  else if (v.kind == TPL_STRING && tpl_read_float(v.u.string, &real)) return float_to_int(run, real, values[0], out);
  return true;
}

static bool filter_float(tpl_run *run, tpl_value v, const tpl_arguments *arguments, tpl_value *out) {
  static const char *const names[] = {"default", NULL};
  tpl_value fallback = tpl_float(0);
  double real;
  if (!tpl_take_arguments(run, "float", arguments, names, 0, &fallback)) return false;
  if (v.kind == TPL_UNDEFINED) return tpl_fail_undefined(&run->limits, v);
  *out = fallback;
  if (tpl_is_number(v)) *out = tpl_float(tpl_real_of(v));
  else if (v.kind == TPL_STRING && tpl_read_float(v.u.string, &real)) *out = tpl_float(real);
  return true;
}

/* To a number of decimals, half to even on the exact binary value: what printf does. */
static double round_decimals(double value, int decimals) {
  char text[400];
  if (!isfinite(value)) return value;
  snprintf(text, sizeof text, "%.*f", decimals, value);
  return strtod(text, NULL); /* the same locale as above */
}

static bool filter_round(tpl_run *run, tpl_value v, const tpl_arguments *arguments, tpl_value *out) {
  static const char *const names[] = {"precision", "method", NULL};
  static const tpl_string common = {.data = "common", .bytes = 6};
  tpl_value values[2] = {tpl_int(0), tpl_of_string(&common)};
  int64_t decimals;
  if (!tpl_take_arguments(run, "round", arguments, names, 0, values)) return false;
  if (!tpl_want_int(run, "the precision of round", values[0], &decimals)) return false;
  if (decimals < 0 || decimals > 20)
    return tpl_fail(&run->limits, "round to fewer than 0 or more than 20 decimals is not supported");
  if (v.kind == TPL_UNDEFINED) return tpl_fail_undefined(&run->limits, v);
  if (!tpl_is_number(v)) return tpl_fail(&run->limits, "round of a value of type %s", tpl_kind_name(v));
  if (tpl_text_is(values[1], "common")) {
    *out = v.kind == TPL_FLOAT ? tpl_float(round_decimals(v.u.real, (int)decimals)) : tpl_int(tpl_integer_of(v));
    return true;
  }
  const bool up = tpl_text_is(values[1], "ceil");
  if (!up && !tpl_text_is(values[1], "floor"))
    return tpl_fail(&run->limits, "the method of round must be common, ceil or floor");
  const double scale = pow(10, (double)decimals), scaled = tpl_real_of(v) * scale;
  *out = tpl_float((up ? ceil(scaled) : floor(scaled)) / scale + 0.0); /* no -0 */
  return true;
}

/* --------------------------------------------------------------------- JSON */

static bool json_indent(tpl_run *run, tpl_value value, tpl_json_style *style) {
  static const tpl_string space = {.data = " ", .bytes = 1};
  tpl_value text;
  if (value.kind == TPL_NONE) return true;
  if (value.kind == TPL_STRING) {
    style->indent = value.u.string;
    return true;
  }
  if (!tpl_is_integer(value))
    return tpl_fail(&run->limits, "indent of tojson must be a number or a string, not %s", tpl_kind_name(value));
  if (!tpl_arith(&run->limits, '*', tpl_of_string(&space), value, &text)) return false;
  style->indent = text.u.string;
  return true;
}

static bool filter_tojson(tpl_run *run, tpl_value v, const tpl_arguments *arguments, tpl_value *out) {
  static const char *const names[] = {"ensure_ascii", "indent", "separators", "sort_keys", NULL};
  static const tpl_string comma = {.data = ", ", .bytes = 2}, colon = {.data = ": ", .bytes = 2},
                          bare = {.data = ",", .bytes = 1};
  tpl_value values[4] = {tpl_bool(false), tpl_none(), tpl_none(), tpl_bool(false)};
  tpl_json_style style = {.item_separator = &comma, .key_separator = &colon};
  ellm_buffer buffer = {0};
  if (!tpl_take_arguments(run, "tojson", arguments, names, 0, values) || !json_indent(run, values[1], &style))
    return false;
  style.ascii = tpl_truth(values[0]);
  style.sort_keys = tpl_truth(values[3]);
  if (style.indent) style.item_separator = &bare;
  if (values[2].kind != TPL_NONE) {
    tpl_list *pair;
    if (!tpl_to_list(run, values[2], &pair)) return false;
    if (pair->count != 2) return tpl_fail(&run->limits, "separators of tojson must be two strings");
    if (!tpl_want_string(run, "a separator of tojson", pair->items[0], &style.item_separator) ||
        !tpl_want_string(run, "a separator of tojson", pair->items[1], &style.key_separator))
      return false;
  }
  tpl_put_json(&run->limits, &buffer, v, &style);
  return tpl_take_text(&run->limits, &buffer, out);
}

const tpl_builtin tpl_text_filters[] = {{"upper", filter_upper},
                                        {"lower", filter_lower},
                                        {"capitalize", filter_capitalize},
                                        {"title", filter_title},
                                        {"trim", filter_trim},
                                        {"replace", filter_replace},
                                        {"string", filter_string},
                                        {"safe", filter_safe},
                                        {"escape", filter_escape},
                                        {"e", filter_escape},
                                        {"indent", filter_indent},
                                        {"default", filter_default},
                                        {"d", filter_default},
                                        {"abs", filter_abs},
                                        {"int", filter_int},
                                        {"float", filter_float},
                                        {"round", filter_round},
                                        {"tojson", filter_tojson},
                                        {NULL, NULL}};

/* ------------------------------------------------------------------ calling */

enum { LIST_FILTERS = 256 }; /* numbers from here on are those of tpl_list_filters */

int tpl_find_filter(const char *name, size_t bytes) {
  int which = tpl_find_builtin(tpl_text_filters, name, bytes);
  if (which >= 0) return which;
  which = tpl_find_builtin(tpl_list_filters, name, bytes);
  return which < 0 ? which : LIST_FILTERS + which;
}

/* Those that do with escaped text what they do with any other. */
static bool takes_markup(const char *name) {
  static const char *const names[] = {"string", "safe",   "escape", "e",     "default",
                                      "d",      "tojson", "length", "count", NULL};
  for (size_t i = 0; names[i]; i++)
    if (strcmp(names[i], name) == 0) return true;
  return false;
}

bool tpl_apply_filter(tpl_run *run, unsigned which, tpl_value value, const tpl_arguments *arguments, tpl_value *out) {
  const tpl_builtin *filter = which < LIST_FILTERS ? &tpl_text_filters[which] : &tpl_list_filters[which - LIST_FILTERS];
  if (value.kind == TPL_STRING && value.u.string->markup && !takes_markup(filter->name))
    return tpl_fail(&run->limits, "the filter %s of escaped text is not supported", filter->name);
  return filter->apply(run, value, arguments, out);
}
