/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: finding and calling what is built in, and the functions of the environment. */
#include "template/library/builtins.h"

#include <string.h>

#include "template/library/containers.h"
#include "template/library/methods.h"
#include "template/library/split.h"
#include "template/run/exec.h"
#include "template/run/iterate.h"
#include "template/run/state.h"
#include "template/value/dict.h"
#include "template/value/text.h"

int tpl_find_builtin(const tpl_builtin *table, const char *name, size_t bytes) {
  for (int i = 0; table[i].name; i++)
    if (strlen(table[i].name) == bytes && memcmp(table[i].name, name, bytes) == 0) return i;
  return -1;
}

/* ---------------------------------------------------------------- arguments */

static int place_of(const char *const *names, const tpl_string *name) {
  for (int i = 0; names[i]; i++)
    if (tpl_text_is(tpl_of_string(name), names[i])) return i;
  return -1;
}

bool tpl_take_arguments(tpl_run *run, const char *what, const tpl_arguments *arguments, const char *const *names,
                        size_t required, tpl_value *values) {
  size_t n = 0;
  unsigned given = 0;
  while (names[n]) n++;
  if (arguments->count > n)
    return tpl_fail(&run->limits, "%s takes at most %zu arguments, not %zu", what, n, arguments->count);
  for (size_t i = 0; i < arguments->count; i++) {
    values[i] = arguments->items[i];
    given |= 1u << i;
  }
  for (size_t i = 0; i < arguments->n_keywords; i++) {
    const tpl_string *name = arguments->keywords[i].name;
    const int place = place_of(names, name);
    if (place < 0) return tpl_fail(&run->limits, "%s has no argument '%.*s'", what, TPL_CUT(name));
    if (given >> place & 1)
      return tpl_fail(&run->limits, "%s: the argument '%.*s' is given twice", what, TPL_CUT(name));
    values[place] = arguments->keywords[i].value;
    given |= 1u << place;
  }
  for (size_t i = 0; i < required; i++)
    if (!(given >> i & 1)) return tpl_fail(&run->limits, "%s needs the argument '%s'", what, names[i]);
  return true;
}

bool tpl_want_int(tpl_run *run, const char *what, tpl_value value, int64_t *out) {
  if (!tpl_is_integer(value))
    return tpl_fail(&run->limits, "%s must be an integer, not %s", what, tpl_kind_name(value));
  *out = tpl_integer_of(value);
  return true;
}

bool tpl_want_string(tpl_run *run, const char *what, tpl_value value, const tpl_string **out) {
  if (value.kind == TPL_UNDEFINED) return tpl_fail_undefined(&run->limits, value);
  if (value.kind != TPL_STRING)
    return tpl_fail(&run->limits, "%s must be a string, not %s", what, tpl_kind_name(value));
  *out = value.u.string;
  return true;
}

/* ---------------------------------------------------------------- functions */

static bool make_range(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  int64_t bounds[3] = {0, 0, 1};
  (void)self;
  if (arguments->n_keywords > 0 || arguments->count < 1 || arguments->count > 3)
    return tpl_fail(&run->limits, "range() takes one to three numbers");
  for (size_t i = 0; i < arguments->count; i++) {
    int64_t *bound = &bounds[arguments->count == 1 ? 1 : i];
    if (!tpl_want_int(run, "an argument of range()", arguments->items[i], bound)) return false;
    if (*bound > INT32_MAX || *bound < INT32_MIN) return tpl_fail(&run->limits, "range() of numbers beyond 32 bits");
  }
  if (bounds[2] == 0) return tpl_fail(&run->limits, "range() with a step of zero");
  const int64_t span = bounds[2] > 0 ? bounds[1] - bounds[0] : bounds[0] - bounds[1];
  const int64_t step = bounds[2] > 0 ? bounds[2] : -bounds[2], count = span <= 0 ? 0 : (span + step - 1) / step;
  if (count > CHAT_TEMPLATE_MAX_RANGE)
    return tpl_fail(&run->limits, "range() of more than %d numbers", CHAT_TEMPLATE_MAX_RANGE);
  tpl_range *range = tpl_alloc(&run->limits, sizeof *range);
  if (!range) return false;
  *range = (tpl_range){.start = bounds[0], .stop = bounds[1], .step = bounds[2], .count = (size_t)count};
  *out = (tpl_value){.kind = TPL_RANGE, .u = {.range = range}};
  return true;
}

/* The entries of a mapping, or pairs of an iterable. */
static bool add_entries(tpl_run *run, tpl_dict *dict, tpl_value from) {
  if (from.kind == TPL_DICT) {
    for (size_t i = 0; i < from.u.dict->count; i++)
      if (!tpl_dict_set(&run->limits, dict, from.u.dict->entries[i].key, from.u.dict->entries[i].value)) return false;
    return true;
  }
  tpl_list *pairs, *pair;
  if (!tpl_to_list(run, from, &pairs)) return false;
  for (size_t i = 0; i < pairs->count; i++) {
    if (!tpl_to_list(run, pairs->items[i], &pair)) return false;
    if (pair->count != 2) return tpl_fail(&run->limits, "an entry of a dict is made of 2 values, not %zu", pair->count);
    if (!tpl_dict_set(&run->limits, dict, pair->items[0], pair->items[1])) return false;
  }
  return true;
}

static bool new_filled_dict(tpl_run *run, const tpl_arguments *arguments, tpl_dict **out) {
  if (arguments->count > 1) return tpl_fail(&run->limits, "at most one mapping can be copied");
  *out = tpl_new_dict(&run->limits, 0);
  if (!*out || (arguments->count == 1 && !add_entries(run, *out, arguments->items[0]))) return false;
  for (size_t i = 0; i < arguments->n_keywords; i++)
    if (!tpl_dict_set(&run->limits, *out, tpl_of_string(arguments->keywords[i].name), arguments->keywords[i].value))
      return false;
  return true;
}

static bool make_namespace(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  tpl_dict *dict = NULL;
  (void)self;
  if (!new_filled_dict(run, arguments, &dict)) return false;
  *out = (tpl_value){.kind = TPL_NAMESPACE, .u = {.space = dict}};
  return true;
}

static bool make_dict(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  tpl_dict *dict = NULL;
  (void)self;
  if (!new_filled_dict(run, arguments, &dict)) return false;
  *out = tpl_of_dict(dict);
  return true;
}

static bool raise_exception(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  static const char *const names[] = {"message", NULL};
  tpl_value message = tpl_none(), text;
  (void)self;
  (void)out;
  if (!tpl_take_arguments(run, "raise_exception()", arguments, names, 1, &message)) return false;
  if (message.kind == TPL_UNDEFINED || !tpl_str(&run->limits, message, &text))
    return tpl_fail(&run->limits, "the template refuses this");
  const size_t bytes = text.u.string->bytes;
  return tpl_fail(&run->limits, "the template refuses this: %.*s", (int)(bytes < 300 ? bytes : 300),
                  text.u.string->data);
}

/* The conversions whose meaning does not depend on the system. */
static bool strftime_now(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  static const char *const names[] = {"format", NULL};
  tpl_value value = tpl_none();
  const tpl_string *format = NULL;
  char text[512], copy[256];
  (void)self;
  if (!tpl_take_arguments(run, "strftime_now()", arguments, names, 1, &value) ||
      !tpl_want_string(run, "the format of strftime_now()", value, &format))
    return false;
  if (!run->state->now) return tpl_fail(&run->limits, "strftime_now(): the time is not known here");
  if (format->bytes >= sizeof copy || memchr(format->data, '\0', format->bytes))
    return tpl_fail(&run->limits, "strftime_now(): a format that is too long");
  memcpy(copy, format->data, format->bytes);
  copy[format->bytes] = '\0';
  for (const char *c = copy; *c; c++) {
    if (*c != '%') continue;
    c += c[1] == '-' ? 2 : 1; /* "%-d": without zeros before it */
    if (!*c || !strchr(c[-1] == '-' ? "dmHIMSjy" : "aAbBcdDeFHIjmMpSTuUwWxXyY%", *c))
      return tpl_fail(&run->limits, "strftime_now(): a conversion that is not supported in '%.100s'", copy);
  }
  if (copy[0] == '\0') return tpl_new_string(&run->limits, "", 0, out);
  const size_t bytes = strftime(text, sizeof text, copy, run->state->now);
  if (bytes == 0) return tpl_fail(&run->limits, "strftime_now(): a text that is too long");
  return tpl_new_string(&run->limits, text, bytes, out);
}

static const tpl_builtin functions[] = {{"range", make_range},
                                        {"namespace", make_namespace},
                                        {"dict", make_dict},
                                        {"raise_exception", raise_exception},
                                        {"strftime_now", strftime_now},
                                        {NULL, NULL}};

bool tpl_find_function(const tpl_string *name, tpl_value *out) {
  const int which = tpl_find_builtin(functions, name->data, name->bytes);
  if (which < 0) return false;
  *out = (tpl_value){.kind = TPL_FUNCTION, .u = {.function = (unsigned)which}};
  return true;
}

/* ------------------------------------------------------------------ methods */

/* One list of all methods, so that a number tells one. */
static const tpl_builtin *const method_tables[] = {tpl_string_methods, tpl_split_methods, tpl_container_methods};
enum { N_METHOD_TABLES = 3, METHODS_A_TABLE = 256 };

/* What Python has and we have not: refused, where something else would be undefined. */
static bool is_refused(tpl_kind kind, const tpl_string *name) {
  static const char *const of_strings[] = {
      "casefold",    "center",    "encode",  "expandtabs", "format",  "format_map",   "isalnum",      "isalpha",
      "isascii",     "isdecimal", "isdigit", "islower",    "isspace", "isidentifier", "isnumeric",    "isprintable",
      "istitle",     "isupper",   "ljust",   "maketrans",  "rjust",   "removeprefix", "removesuffix", "swapcase",
      "translate",   "zfill",     NULL};
  static const char *const of_dicts[] = {"fromkeys", NULL};
  static const char *const of_numbers[] = {"as_integer_ratio", "bit_count", "bit_length", "conjugate",   "denominator",
                                           "from_bytes",       "fromhex",   "hex",        "imag",        "is_integer",
                                           "numerator",        "real",      "to_bytes",   NULL};
  static const char *const of_views[] = {"isdisjoint", "mapping", NULL};
  static const char *const of_ranges[] = {"count", "index", "start", "step", "stop", NULL};
  static const char *const of_generators[] = {"close",    "send",       "throw",        "gi_code",
                                              "gi_frame", "gi_running", "gi_yieldfrom", NULL};
  const char *const *names = kind == TPL_STRING                                          ? of_strings
                             : kind == TPL_DICT                                          ? of_dicts
                             : kind == TPL_VIEW                                          ? of_views
                             : kind == TPL_RANGE                                         ? of_ranges
                             : kind == TPL_ITERATOR                                      ? of_generators
                             : kind == TPL_BOOL || kind == TPL_INT || kind == TPL_FLOAT ? of_numbers
                                                                                         : NULL;
  return names && place_of(names, name) >= 0;
}

/* Methods of a table go by their kind: strings, or for containers a prefix "list.", "dict.", "loop.". */
bool tpl_find_method(tpl_run *run, tpl_value value, const tpl_string *name, tpl_value *out) {
  char key[48];
  const char *prefix = value.kind == TPL_STRING                              ? ""
                       : value.kind == TPL_LIST                              ? "list."
                       : value.kind == TPL_TUPLE                             ? "tuple."
                       : value.kind == TPL_DICT                              ? "dict."
                       : value.kind == TPL_LOOP                              ? "loop."
                                                                             : NULL;
  if (is_refused(value.kind, name))
    return tpl_fail(&run->limits, "%s.%.*s is not supported", tpl_kind_name(value), TPL_CUT(name));
  const size_t n = prefix ? strlen(prefix) : 0;
  if (!prefix || n + name->bytes >= sizeof key) return false;
  memcpy(key, prefix, n);
  memcpy(key + n, name->data, name->bytes);
  for (unsigned t = 0; t < N_METHOD_TABLES; t++) {
    const int which = tpl_find_builtin(method_tables[t], key, n + name->bytes);
    if (which < 0) continue;
    if (!method_tables[t][which].apply) { /* not even an item of this name is found then */
      *out = tpl_undefined(name);
      return true;
    }
    tpl_method *method = tpl_alloc(&run->limits, sizeof *method);
    if (!method) return false;
    *method = (tpl_method){.self = value, .which = t * METHODS_A_TABLE + (unsigned)which};
    *out = (tpl_value){.kind = TPL_METHOD, .u = {.method = method}};
    return true;
  }
  return false;
}

bool tpl_call(tpl_run *run, tpl_value callee, const tpl_arguments *arguments, tpl_value *out) {
  switch (callee.kind) {
    case TPL_UNDEFINED: return tpl_fail_undefined(&run->limits, callee);
    case TPL_MACRO: return tpl_call_macro(run, callee.u.macro, arguments, out);
    case TPL_FUNCTION: return functions[callee.u.function].apply(run, tpl_undefined(NULL), arguments, out);
    case TPL_METHOD: {
      const unsigned which = callee.u.method->which;
      const tpl_value self = callee.u.method->self;
      const tpl_builtin *method = &method_tables[which / METHODS_A_TABLE][which % METHODS_A_TABLE];
      if (self.kind == TPL_STRING && self.u.string->markup)
        return tpl_fail(&run->limits, "the method %s of escaped text is not supported", method->name);
      return method->apply(run, self, arguments, out);
    }
    case TPL_LOOP: return tpl_fail(&run->limits, "a recursive loop is not supported");
    default: return tpl_fail(&run->limits, "'%s' object is not callable", tpl_kind_name(callee));
  }
}
