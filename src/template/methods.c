/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: methods of strings that look at, change or pad them. */
#include "template/methods.h"

#include <string.h>

#include "template/case.h"
#include "template/format.h"
#include "template/operators.h"
#include "template/text.h"
#include "text/unicode.h"
#include "text/utf8.h"

static const char *const no_names[] = {NULL};

/* --------------------------------------------------------------------- case */

static bool case_method(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_case how, tpl_value *out) {
  return tpl_take_arguments(run, "a change of case", arguments, no_names, 0, NULL) &&
         tpl_change_case(run, self.u.string, how, out);
}

static bool method_upper(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return case_method(run, self, arguments, CASE_UPPER, out);
}

static bool method_lower(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return case_method(run, self, arguments, CASE_LOWER, out);
}

static bool method_title(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return case_method(run, self, arguments, CASE_TITLE, out);
}

static bool method_capitalize(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return case_method(run, self, arguments, CASE_CAPITALIZE, out);
}

static bool method_swapcase(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return case_method(run, self, arguments, CASE_SWAP, out);
}

/* ---------------------------------------------------------------- questions */

static bool is_alphabetic(uint32_t cp) { return unicode_category(cp)[0] == 'L'; }
static bool is_decimal(uint32_t cp) { return strcmp(unicode_category(cp), "Nd") == 0; }
static bool is_alphanumeric(uint32_t cp) { return is_alphabetic(cp) || unicode_is_numeric(cp); }
static bool is_ascii(uint32_t cp) { return cp < 0x80; }

/* Superscripts and circled digits are digits too. */
static bool is_digit(uint32_t cp) {
  return is_decimal(cp) || cp == 0xB2 || cp == 0xB3 || cp == 0xB9 || cp == 0x2070 || (cp >= 0x2074 && cp <= 0x2079) ||
         (cp >= 0x2080 && cp <= 0x2089) || (cp >= 0x2460 && cp <= 0x2468) || (cp >= 0x2776 && cp <= 0x277E);
}

/* All characters, and at least one unless `empty`. */
static bool all_characters(tpl_run *run, tpl_value self, const tpl_arguments *arguments, bool (*is)(uint32_t cp),
                           bool empty, tpl_value *out) {
  const tpl_string *text = self.u.string;
  if (!tpl_take_arguments(run, "a question about a string", arguments, no_names, 0, NULL)) return false;
  bool all = text->bytes > 0 || empty;
  for (size_t i = 0; all && i < text->bytes;) {
    uint32_t cp;
    i += utf8_decode(text->data + i, &cp);
    all = is(cp);
  }
  *out = tpl_bool(all);
  return tpl_charge(run, text->bytes / 16);
}

static bool method_isalpha(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return all_characters(run, self, arguments, is_alphabetic, false, out);
}

static bool method_isalnum(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return all_characters(run, self, arguments, is_alphanumeric, false, out);
}

static bool method_isdecimal(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return all_characters(run, self, arguments, is_decimal, false, out);
}

static bool method_isdigit(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return all_characters(run, self, arguments, is_digit, false, out);
}

static bool method_isnumeric(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return all_characters(run, self, arguments, unicode_is_numeric, false, out);
}

static bool method_isspace(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return all_characters(run, self, arguments, unicode_is_python_space, false, out);
}

static bool method_isascii(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return all_characters(run, self, arguments, is_ascii, true, out);
}

/* Some letter with a case, and none of the other. */
static bool case_question(tpl_run *run, tpl_value self, const tpl_arguments *arguments, bool upper, tpl_value *out) {
  if (!tpl_take_arguments(run, "a question about a string", arguments, no_names, 0, NULL)) return false;
  *out = tpl_bool(tpl_is_cased_text(self.u.string, upper));
  return tpl_charge(run, self.u.string->bytes / 16);
}

bool tpl_is_cased_text(const tpl_string *text, bool upper) {
  bool any = false;
  for (size_t i = 0; i < text->bytes;) {
    uint32_t cp;
    i += utf8_decode(text->data + i, &cp);
    if (!tpl_is_cased(cp)) continue;
    if (!(upper ? tpl_is_upper(cp) : tpl_is_lower(cp))) return false;
    any = true;
  }
  return any;
}

static bool method_isupper(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return case_question(run, self, arguments, true, out);
}

static bool method_islower(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return case_question(run, self, arguments, false, out);
}

/* startswith and endswith: one text or a tuple of them. */
static bool affix_method(tpl_run *run, tpl_value self, const tpl_arguments *arguments, bool start, tpl_value *out) {
  static const char *const names[] = {"prefix", NULL};
  const tpl_string *text = self.u.string, *affix;
  const char *what = start ? "the argument of startswith()" : "the argument of endswith()";
  tpl_value value = tpl_none();
  if (arguments->count > 1) return tpl_fail(run, "startswith() and endswith() with positions are not supported");
  if (!tpl_take_arguments(run, start ? "startswith()" : "endswith()", arguments, names, 1, &value)) return false;
  const bool several = value.kind == TPL_TUPLE;
  const size_t n = several ? value.u.list->count : 1;
  bool found = false;
  for (size_t i = 0; !found && i < n; i++) {
    if (!tpl_want_string(run, what, several ? value.u.list->items[i] : value, &affix)) return false;
    if (!tpl_charge(run, 1 + affix->bytes / 16)) return false;
    found = affix->bytes <= text->bytes &&
            (affix->bytes == 0 ||
             memcmp(text->data + (start ? 0 : text->bytes - affix->bytes), affix->data, affix->bytes) == 0);
  }
  *out = tpl_bool(found);
  return true;
}

static bool method_startswith(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return affix_method(run, self, arguments, true, out);
}

static bool method_endswith(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return affix_method(run, self, arguments, false, out);
}

static bool remove_method(tpl_run *run, tpl_value self, const tpl_arguments *arguments, bool start, tpl_value *out) {
  const tpl_string *text = self.u.string;
  tpl_value found;
  if (arguments->count != 1 || arguments->n_keywords > 0 || arguments->items[0].kind != TPL_STRING)
    return tpl_fail(run, "removeprefix() and removesuffix() take one string");
  if (!affix_method(run, self, arguments, start, &found)) return false;
  const size_t bytes = found.u.boolean ? arguments->items[0].u.string->bytes : 0;
  return tpl_substring(run, text, start ? bytes : 0, start ? text->bytes : text->bytes - bytes, out);
}

static bool method_removeprefix(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return remove_method(run, self, arguments, true, out);
}

static bool method_removesuffix(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return remove_method(run, self, arguments, false, out);
}

/* ------------------------------------------------------------------ padding */

static bool padded(tpl_run *run, const tpl_string *text, const tpl_string *fill, size_t before, size_t after,
                   tpl_value *out) {
  ellm_buffer buffer = {0};
  bool good = true;
  for (size_t i = 0; good && i < before; i++)
    good = tpl_charge(run, 1) && tpl_put(run, &buffer, fill->data, fill->bytes);
  good = good && tpl_put(run, &buffer, text->data, text->bytes);
  for (size_t i = 0; good && i < after; i++)
    good = tpl_charge(run, 1) && tpl_put(run, &buffer, fill->data, fill->bytes);
  return tpl_take_text(run, &buffer, out) && good;
}

typedef enum side { SIDE_LEFT, SIDE_RIGHT, SIDE_CENTER } side;

static bool pad_method(tpl_run *run, tpl_value self, const tpl_arguments *arguments, side where, tpl_value *out) {
  static const char *const names[] = {"width", "fillchar", NULL};
  static const tpl_string space = {.data = " ", .bytes = 1};
  tpl_value values[2] = {tpl_none(), tpl_of_string(&space)};
  const tpl_string *text = self.u.string, *fill;
  const size_t length = tpl_length(text);
  int64_t width;
  if (!tpl_take_arguments(run, "ljust(), rjust() and center()", arguments, names, 1, values) ||
      !tpl_want_int(run, "a width", values[0], &width) || !tpl_want_string(run, "what fills", values[1], &fill) ||
      !tpl_charge(run, text->bytes / 16))
    return false;
  if (tpl_length(fill) != 1) return tpl_fail(run, "what fills must be one character");
  if (width > CHAT_TEMPLATE_MAX_TEXT) return tpl_fail(run, "a text of more than %d bytes", CHAT_TEMPLATE_MAX_TEXT);
  const size_t gap = width > (int64_t)length ? (size_t)width - length : 0;
  const size_t before = where == SIDE_LEFT ? 0 : where == SIDE_RIGHT ? gap : gap / 2 + (gap & (size_t)width & 1);
  return padded(run, text, fill, before, gap - before, out);
}

static bool method_ljust(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return pad_method(run, self, arguments, SIDE_LEFT, out);
}

static bool method_rjust(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return pad_method(run, self, arguments, SIDE_RIGHT, out);
}

static bool method_center(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return pad_method(run, self, arguments, SIDE_CENTER, out);
}

static bool method_zfill(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  static const char *const names[] = {"width", NULL};
  static const tpl_string zero = {.data = "0", .bytes = 1};
  const tpl_string *text = self.u.string;
  const int64_t length = (int64_t)tpl_length(text);
  tpl_value width_value = tpl_none(), digits, filled;
  int64_t width;
  if (!tpl_take_arguments(run, "zfill()", arguments, names, 1, &width_value) ||
      !tpl_want_int(run, "the width of zfill()", width_value, &width) || !tpl_charge(run, text->bytes / 16))
    return false;
  if (width > CHAT_TEMPLATE_MAX_TEXT) return tpl_fail(run, "a text of more than %d bytes", CHAT_TEMPLATE_MAX_TEXT);
  const size_t gap = width > length ? (size_t)(width - length) : 0;
  const bool sign = text->bytes > 0 && (text->data[0] == '+' || text->data[0] == '-');
  if (!sign) return padded(run, text, &zero, gap, 0, out);
  const tpl_string first = {.data = text->data, .bytes = 1};
  if (!tpl_substring(run, text, 1, text->bytes, &digits) || !padded(run, digits.u.string, &zero, gap, 0, &filled))
    return false;
  return tpl_arith(run, '+', tpl_of_string(&first), filled, out);
}

static bool method_format(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return tpl_format_braces(run, self.u.string, arguments, out);
}

const tpl_builtin tpl_string_methods[] = {{"upper", method_upper},
                                          {"lower", method_lower},
                                          {"title", method_title},
                                          {"capitalize", method_capitalize},
                                          {"swapcase", method_swapcase},
                                          {"isalpha", method_isalpha},
                                          {"isalnum", method_isalnum},
                                          {"isdecimal", method_isdecimal},
                                          {"isdigit", method_isdigit},
                                          {"isnumeric", method_isnumeric},
                                          {"isspace", method_isspace},
                                          {"isascii", method_isascii},
                                          {"isupper", method_isupper},
                                          {"islower", method_islower},
                                          {"startswith", method_startswith},
                                          {"endswith", method_endswith},
                                          {"removeprefix", method_removeprefix},
                                          {"removesuffix", method_removesuffix},
                                          {"ljust", method_ljust},
                                          {"rjust", method_rjust},
                                          {"center", method_center},
                                          {"zfill", method_zfill},
                                          {"format", method_format},
                                          {NULL, NULL}};
