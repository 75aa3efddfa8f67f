/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See json_forms.h. Numbers have at most 15 digits before the point, as many behind it and exponents of two digits: what
 * every reader holds, and an end for models that would write digits for ever.
 */
#include "grammar/json_forms.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_DIGITS = 15, MOST_INDENTATION = 20 };

void json_rules_init(json_forms *j, grammar_rules *rules) {
  *j = (json_forms){rules,     EXPR_NONE, EXPR_NONE, EXPR_NONE, EXPR_NONE,
                    EXPR_NONE, EXPR_NONE, EXPR_NONE, EXPR_NONE};
}

static expr_id text(json_forms *j, const char *t) { return rules_literal(j->rules, t, strlen(t)); }

/* Characters and ranges as "az09" for [a-z0-9]. */
static expr_id ranges(json_forms *j, const char *pairs) {
  code_range list[8];
  size_t n = 0;
  for (; *pairs; pairs += 2) list[n++] = (code_range){(unsigned char)pairs[0], (unsigned char)pairs[1]};
  return rules_class(j->rules, list, n, false);
}

/* Is it the first call? Then the rule has to be defined. */
static bool is_new(json_forms *j, uint32_t *rule) {
  if (*rule != EXPR_NONE) return false;
  *rule = rules_unnamed(j->rules);
  return *rule != EXPR_NONE;
}

expr_id form_space(json_forms *j) {
  if (is_new(j, &j->space)) {
    const expr_id indentation = rules_repeat(j->rules, ranges(j, "  \t\t"), 0, MOST_INDENTATION);
    rules_define(j->rules, j->space,
                 RULES_CHOICE(j->rules, text(j, ""), text(j, " "),
                              RULES_SEQUENCE(j->rules, text(j, "\n"), indentation)));
  }
  return rules_call(j->rules, j->space);
}

/* -------------------------------------------------------------------- strings */

static expr_id hex(json_forms *j) { return ranges(j, "09afAF"); }

/* \uXXXX but for U+0000, which many readers do not take, and halves of characters alone. */
static expr_id escaped_code(json_forms *j) {
  grammar_rules *r = j->rules;
  const expr_id high = RULES_SEQUENCE(r, ranges(j, "19acefACEF"), hex(j), hex(j), hex(j));
  const expr_id d = RULES_SEQUENCE(r, ranges(j, "ddDD"), ranges(j, "07"), hex(j), hex(j));
  const expr_id pair = RULES_SEQUENCE(r, ranges(j, "ddDD"), ranges(j, "89abAB"), hex(j), hex(j), text(j, "\\u"),
                                      ranges(j, "ddDD"), ranges(j, "cfCF"), hex(j), hex(j));
  const expr_id low1 = RULES_SEQUENCE(r, text(j, "0"), ranges(j, "19afAF"), hex(j), hex(j));
  const expr_id low2 = RULES_SEQUENCE(r, text(j, "00"), ranges(j, "19afAF"), hex(j));
  const expr_id low3 = RULES_SEQUENCE(r, text(j, "000"), ranges(j, "19afAF"));
  return RULES_SEQUENCE(r, text(j, "u"), RULES_CHOICE(r, high, d, pair, low1, low2, low3));
}

expr_id form_character(json_forms *j) {
  grammar_rules *r = j->rules;
  code_range special[] = {{0, 0x1F}, {'"', '"'}, {'\\', '\\'}};
  const expr_id plain = rules_class(r, special, 3, true);
  const expr_id simple = ranges(j, "\"\"\\\\//bbffnnrrtt");
  return RULES_CHOICE(r, plain, RULES_SEQUENCE(r, text(j, "\\"), RULES_CHOICE(r, simple, escaped_code(j))));
}

expr_id form_string(json_forms *j) {
  if (is_new(j, &j->string)) {
    const expr_id characters = rules_repeat(j->rules, form_character(j), 0, RULES_NO_LIMIT);
    rules_define(j->rules, j->string, RULES_SEQUENCE(j->rules, text(j, "\""), characters, text(j, "\"")));
  }
  return rules_call(j->rules, j->string);
}

static expr_id escaped(json_forms *j, uint32_t character) {
  static const char letters[] = "\"\"\\\\\bb\ff\nn\rr\tt";
  char form[8];
  for (const char *l = letters; *l; l += 2)
    if (character == (unsigned char)l[0]) {
      const char two[] = {'\\', l[1], '\0'};
      return text(j, two);
    }
  memcpy(form, "\\u00", 4);
  form[4] = "0123456789abcdef"[character >> 4 & 15];
  form[5] = "0123456789abcdef"[character & 15];
  form[6] = '\0';
  return text(j, form);
}

static bool contains(const code_range *list, size_t n, uint32_t character) {
  for (size_t i = 0; i < n; i++)
    if (list[i].first <= character && character <= list[i].last) return true;
  return false;
}

expr_id form_class(json_forms *j, code_range *given, size_t n, bool inverted) {
  grammar_rules *r = j->rules;
  code_range *outside = calloc(n + 8, sizeof *outside);
  expr_list choices = {0};
  if (!outside) {
    rules_fail(r, ELLM_ERR_IO, "out of memory (for a grammar)");
    return EXPR_NONE;
  }
  /* what stands for itself: all but what is not in the class and what is special */
  size_t m = 0;
  if (inverted) {
    memcpy(outside, given, n * sizeof *outside);
    m = n;
  } else {
    const size_t merged = code_ranges_merge(given, n); /* there is room: a class is no longer than its complement */
    uint32_t from = 0;
    for (size_t i = 0; i <= merged; i++) {
      const uint32_t until = i < merged ? given[i].first : CODE_POINT_LAST + 1;
      if (until > from) outside[m++] = (code_range){from, until - 1};
      from = i < merged ? given[i].last + 1 : 0;
    }
    n = merged;
  }
  outside[m++] = (code_range){0, 0x1F};
  outside[m++] = (code_range){'"', '"'};
  outside[m++] = (code_range){'\\', '\\'};
  expr_list_add(r, &choices, rules_class(r, outside, m, true));
  for (uint32_t c = 1; c <= '\\'; c = c < 0x1F ? c + 1 : c == 0x1F ? '"' : c == '"' ? '\\' : '\\' + 1)
    if (contains(given, n, c) != inverted) expr_list_add(r, &choices, escaped(j, c));
  free(outside);
  return expr_list_choice(r, &choices);
}

/* ---------------------------------------------------------------------- values */

expr_id form_integer(json_forms *j) {
  if (is_new(j, &j->integer)) {
    grammar_rules *r = j->rules;
    const expr_id more = rules_repeat(r, ranges(j, "09"), 0, MOST_DIGITS - 1);
    const expr_id digits = RULES_CHOICE(r, text(j, "0"), RULES_SEQUENCE(r, ranges(j, "19"), more));
    rules_define(r, j->integer, RULES_SEQUENCE(r, rules_repeat(r, text(j, "-"), 0, 1), digits));
  }
  return rules_call(j->rules, j->integer);
}

expr_id form_number(json_forms *j) {
  if (is_new(j, &j->number)) {
    grammar_rules *r = j->rules;
    const expr_id digits = rules_repeat(r, ranges(j, "09"), 1, MOST_DIGITS);
    const expr_id fraction = RULES_SEQUENCE(r, text(j, "."), digits);
    const expr_id exponent = RULES_SEQUENCE(r, ranges(j, "eeEE"), rules_repeat(r, ranges(j, "++--"), 0, 1),
                                            rules_repeat(r, ranges(j, "09"), 1, 2));
    rules_define(r, j->number,
                 RULES_SEQUENCE(r, form_integer(j), rules_repeat(r, fraction, 0, 1), rules_repeat(r, exponent, 0, 1)));
  }
  return rules_call(j->rules, j->number);
}

expr_id form_boolean(json_forms *j) { return RULES_CHOICE(j->rules, text(j, "true"), text(j, "false")); }

expr_id form_null(json_forms *j) { return text(j, "null"); }

expr_id form_next(json_forms *j, expr_id item) {
  return RULES_SEQUENCE(j->rules, text(j, ","), form_space(j), item);
}

expr_id form_member(json_forms *j, expr_id key, expr_id value) {
  return RULES_SEQUENCE(j->rules, key, text(j, ":"), form_space(j), value);
}

expr_id form_braces(json_forms *j, expr_id members) {
  return RULES_SEQUENCE(j->rules, text(j, "{"), form_space(j), members, form_space(j), text(j, "}"));
}

expr_id form_brackets(json_forms *j, expr_id elements) {
  return RULES_SEQUENCE(j->rules, text(j, "["), form_space(j), elements, form_space(j), text(j, "]"));
}

expr_id form_empty(json_forms *j, const char *open, const char *close) {
  return RULES_SEQUENCE(j->rules, text(j, open), form_space(j), text(j, close));
}

expr_id form_any_object(json_forms *j) {
  if (is_new(j, &j->object)) {
    grammar_rules *r = j->rules;
    const uint32_t member = rules_unnamed(r);
    rules_define(r, member, form_member(j, form_string(j), form_value(j)));
    const expr_id more = rules_repeat(r, form_next(j, rules_call(r, member)), 0, RULES_NO_LIMIT);
    const expr_id some = form_braces(j, RULES_SEQUENCE(r, rules_call(r, member), more));
    rules_define(r, j->object, RULES_CHOICE(r, form_empty(j, "{", "}"), some));
  }
  return rules_call(j->rules, j->object);
}

expr_id form_any_array(json_forms *j) {
  if (is_new(j, &j->array)) {
    grammar_rules *r = j->rules;
    const expr_id more = rules_repeat(r, form_next(j, form_value(j)), 0, RULES_NO_LIMIT);
    const expr_id some = form_brackets(j, RULES_SEQUENCE(r, form_value(j), more));
    rules_define(r, j->array, RULES_CHOICE(r, form_empty(j, "[", "]"), some));
  }
  return rules_call(j->rules, j->array);
}

expr_id form_value(json_forms *j) {
  if (is_new(j, &j->value)) {
    const expr_id all = RULES_CHOICE(j->rules, form_string(j), form_number(j), form_boolean(j), form_null(j),
                                     form_any_object(j), form_any_array(j));
    rules_define(j->rules, j->value, all);
  }
  return rules_call(j->rules, j->value);
}

/* The shortest form of reals that reads the same, and no spaces. */
expr_id form_literal(json_forms *j, const json_t *value) {
  char *form = NULL;
  for (size_t digits = 1; digits <= 17; digits++) {
    free(form);
    form = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(digits));
    json_t *again = form ? json_loads(form, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL) : NULL;
    const bool same = again && json_equal(again, value);
    json_decref(again);
    if (same) break;
  }
  if (!form) {
    rules_fail(j->rules, ELLM_ERR_IO, "out of memory (for a grammar)");
    return EXPR_NONE;
  }
  const expr_id made = text(j, form);
  free(form);
  return made;
}
