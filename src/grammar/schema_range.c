/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See schema_range.h. Digits are compared from the left: as long as a number agrees with a bound, its next digit is
 * bounded, too; then any digits follow. So an expression is as long as the bounds have digits.
 */
#include "grammar/schema_range.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FRACTION = 6 };

static expr_id text(json_forms *j, const char *t) { return rules_literal(j->rules, t, strlen(t)); }

static expr_id digits(json_forms *j, char first, char last) {
  code_range range[2] = {{(unsigned char)first, (unsigned char)last}};
  return rules_class(j->rules, range, 1, false);
}

static expr_id any_digits(json_forms *j, uint32_t least, uint32_t most) {
  return rules_repeat(j->rules, digits(j, '0', '9'), least, most);
}

/* Strings of digits between two of the same length; NULL: there is no such bound. `short_too`: zeros at the end may be
 * left out. What is left of the bounds is looked at; the answer may be empty only where both are. */
static expr_id between(json_forms *j, const char *low, const char *high, uint32_t left, bool short_too) {
  grammar_rules *r = j->rules;
  expr_list choices = {0};
  if (left == 0) return text(j, "");
  if (!low && !high) return any_digits(j, short_too ? 0 : left, left);
  const char *low_rest = low ? low + 1 : NULL, *high_rest = high ? high + 1 : NULL;
  char first = low ? *low : '0', last = high ? *high : '9';
  if (short_too && (!low || strspn(low, "0") == left)) expr_list_add(r, &choices, text(j, ""));
  if (low && high && first == last) {
    expr_list_add(r, &choices,
                  RULES_SEQUENCE(r, digits(j, first, first), between(j, low_rest, high_rest, left - 1, short_too)));
  } else {
    if (low) {
      const expr_id rest = between(j, low_rest, NULL, left - 1, short_too);
      expr_list_add(r, &choices, RULES_SEQUENCE(r, digits(j, first, first), rest));
      first++;
    }
    if (high) {
      const expr_id rest = between(j, NULL, high_rest, left - 1, short_too);
      expr_list_add(r, &choices, RULES_SEQUENCE(r, digits(j, last, last), rest));
      last--;
    }
    if (first <= last) {
      const expr_id rest = between(j, NULL, NULL, left - 1, short_too);
      expr_list_add(r, &choices, RULES_SEQUENCE(r, digits(j, first, last), rest));
    }
  }
  return expr_list_choice(r, &choices);
}

/* Whole numbers of at least 0, length by length: no zeros at the beginning. */
static expr_id whole(json_forms *j, int64_t low, int64_t high) {
  expr_list choices = {0};
  int64_t least = 0, most = 9;
  for (uint32_t length = 1; length <= 15 && least <= high; length++) {
    const int64_t from = low > least ? low : least, to = high < most ? high : most;
    if (from <= to) {
      char a[24], b[24];
      snprintf(a, sizeof a, "%" PRId64, from);
      snprintf(b, sizeof b, "%" PRId64, to);
      expr_list_add(j->rules, &choices, between(j, a, b, length, false));
    }
    least = most + 1;
    most = 10 * most + 9;
  }
  return expr_list_choice(j->rules, &choices);
}

/* Nothing, or "." and digits, between two fractions. */
static expr_id fraction(json_forms *j, int64_t low, int64_t high) {
  char a[24], b[24];
  grammar_rules *r = j->rules;
  expr_list choices = {0};
  snprintf(a, sizeof a, "%06" PRId64, low);
  snprintf(b, sizeof b, "%06" PRId64, high);
  if (low == 0) expr_list_add(r, &choices, text(j, ""));
  /* a point wants a digit behind it: the first is chosen here */
  for (char d = a[0]; d <= b[0]; d++) {
    const expr_id rest = between(j, d == a[0] ? a + 1 : NULL, d == b[0] ? b + 1 : NULL, FRACTION - 1, true);
    const char point[] = {'.', d, '\0'};
    expr_list_add(r, &choices, RULES_SEQUENCE(r, text(j, point), rest));
  }
  return expr_list_choice(r, &choices);
}

static expr_id decimal(json_forms *j, int64_t low, int64_t high) {
  const int64_t first = low / RANGE_SCALE, last = high / RANGE_SCALE;
  grammar_rules *r = j->rules;
  expr_list choices = {0};
  if (first == last) {
    return RULES_SEQUENCE(r, whole(j, first, first), fraction(j, low % RANGE_SCALE, high % RANGE_SCALE));
  }
  expr_list_add(r, &choices, RULES_SEQUENCE(r, whole(j, first, first), fraction(j, low % RANGE_SCALE, RANGE_SCALE - 1)));
  if (first + 1 < last)
    expr_list_add(r, &choices, RULES_SEQUENCE(r, whole(j, first + 1, last - 1), fraction(j, 0, RANGE_SCALE - 1)));
  expr_list_add(r, &choices, RULES_SEQUENCE(r, whole(j, last, last), fraction(j, 0, high % RANGE_SCALE)));
  return expr_list_choice(r, &choices);
}

/* Both signs, of magnitudes of at least 0: those of `low` to `high`. There is no "-0". */
static expr_id with_sign(json_forms *j, int64_t low, int64_t high, expr_id (*magnitudes)(json_forms *, int64_t, int64_t)) {
  expr_list choices = {0};
  if (low < 0)
    expr_list_add(j->rules, &choices,
                  RULES_SEQUENCE(j->rules, text(j, "-"), magnitudes(j, high < 0 ? -high : 1, -low)));
  if (high >= 0) expr_list_add(j->rules, &choices, magnitudes(j, low > 0 ? low : 0, high));
  return expr_list_choice(j->rules, &choices);
}

expr_id form_integer_range(json_forms *j, int64_t low, int64_t high) { return with_sign(j, low, high, whole); }

expr_id form_decimal_range(json_forms *j, int64_t low, int64_t high) { return with_sign(j, low, high, decimal); }
