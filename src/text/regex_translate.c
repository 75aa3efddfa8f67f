/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From Oniguruma's Ruby syntax to PCRE2's, for the subset where both agree:
 *
 *   literals, . ^ $ \A \z \b \B, alternation, groups (..), (?:..), (?>..),
 *   look-around, (?i:..) around ASCII literals and classes, quantifiers greedy,
 *   lazy and possessive, classes (regex_class.c), escapes \r \n \t \f \v \a
 *   \e \xHH \x{H..} \uHHHH and escaped punctuation, \s \S \d \D \w \W \h \H
 *   \R, \p{X} \P{X} \p{^X} with X a name that unicode_sets.h knows.
 *
 * Differences that the translation takes care of: \s, \w and \h are spelled out
 * (PCRE2's differ in U+180E and in marks, its \h is a blank), {n,m}+ repeats the
 * whole interval, \v is one character, categories know what newer Unicode
 * versions added. Everything else is refused by name; so is \X, whose rules
 * change with the version of PCRE2.
 */
#include "text/regex_translate.h"

#include <stdio.h>
#include <string.h>

#include "text/regex_class.h"
#include "text/utf8.h"

/* -------------------------------------------------------------------- writing */

static void emit(translator *t, const char *text) { regex_emit(t, t->out, text); }

/* \w outside a class, which takes some numbers of Latin-1 that [\w] does not. */
static void emit_word(translator *t) {
  regex_emit_set(t, t->out, unicode_set_of_posix("word", 4));
  emit(t, "\\xb2\\xb3\\xb9\\xbc-\\xbe");
}

/* --------------------------------------------------------------------- atoms */

static void begin_atom(translator *t) {
  t->atom = t->out->size;
  t->has_atom = true;
}

static ellm_status translate_literal(translator *t, uint32_t cp, size_t from) {
  begin_atom(t);
  if (t->caseless) {
    if (cp >= 0x80) return regex_refuse(t, from, t->at - from, "only ASCII is supported inside (?i:..)");
    /* Pairs that one character folds to (as in U+00DF or U+FB01) would match it in Oniguruma. */
    char lower = (char)(cp >= 'A' && cp <= 'Z' ? cp + 32 : cp), pair[3] = {t->previous, lower, '\0'};
    static const char *const folded[] = {"ss", "ff", "fi", "fl", "st"};
    for (size_t i = 0; i < sizeof folded / sizeof folded[0]; ++i) {
      if (strcmp(pair, folded[i]) == 0) {
        return regex_refuse(t, from, t->at - from, "a ligature would match inside (?i:..): not supported");
      }
    }
    t->previous = lower;
  }
  regex_emit_range(t, t->out, cp, cp);
  return ELLM_OK;
}

static ellm_status translate_escape(translator *t) {
  size_t from = t->at;
  uint32_t cp;
  bool single;
  char c = regex_peek(t, 1);
  ELLM_TRY(regex_character_escape(t, &cp, &single));
  if (single) return translate_literal(t, cp, from);
  t->previous = '\0';
  if (c == 'A' || c == 'z') {
    emit(t, c == 'A' ? "\\A" : "\\z");
    t->has_atom = false;
    t->at += 2;
    return ELLM_OK;
  }
  if (t->caseless) return regex_refuse(t, from, 2, "not supported inside (?i:..)");
  begin_atom(t);
  if (c == 'p' || c == 'P') {
    const unicode_set *set;
    bool negated;
    ELLM_TRY(regex_property(t, &set, &negated));
    if (strcmp(set->name, "word") != 0) {
      regex_translate_set(t, set, negated);
      return ELLM_OK;
    }
    emit(t, negated ? "[^" : "[");
    emit_word(t);
    emit(t, "]");
    return ELLM_OK;
  }
  t->at += 2;
  switch (c) {
    case 's': emit(t, "[" REGEX_SPACE_ITEMS "]"); return ELLM_OK;
    case 'S': emit(t, "[^" REGEX_SPACE_ITEMS "]"); return ELLM_OK;
    case 'h': emit(t, "[" REGEX_HEX_ITEMS "]"); return ELLM_OK;
    case 'H': emit(t, "[^" REGEX_HEX_ITEMS "]"); return ELLM_OK;
    case 'R': emit(t, "(?>\\r\\n|[\\x0a-\\x0d\\x85\\x{2028}\\x{2029}])"); return ELLM_OK;
    case 'd':
    case 'D': regex_translate_set(t, unicode_set_of_posix("digit", 5), c == 'D'); return ELLM_OK;
    case 'w':
    case 'W':
      emit(t, c == 'w' ? "[" : "[^");
      emit_word(t);
      emit(t, "]");
      return ELLM_OK;
    case 'b':
    case 'B': { /* (?<=w)(?!w)|(?<!w)(?=w), or its opposite */
      static const char *const parts[2][4] = {{"(?:(?<=", ")(?!", ")|(?<!", ")(?="},
                                              {"(?:(?<=", ")(?=", ")|(?<!", ")(?!"}};
      for (size_t i = 0; i < 4; ++i) {
        emit(t, parts[c == 'B'][i]);
        emit(t, "[");
        emit_word(t);
        emit(t, "]");
      }
      emit(t, "))");
      t->has_atom = false;
      return ELLM_OK;
    }
    default: return regex_refuse(t, from, 2, "this escape is not supported");
  }
}

static ellm_status open_group(translator *t) {
  static const struct { const char *text; bool assertion; } kinds[] = {
    {"(?:", false}, {"(?>", false}, {"(?=", true}, {"(?!", true}, {"(?<=", true}, {"(?<!", true},
  };
  size_t from = t->at;
  if (t->depth == REGEX_MAX_DEPTH) return regex_refuse(t, from, 1, "groups are nested too deep");
  t->groups[t->depth].start = t->out->size;
  t->groups[t->depth].caseless = t->caseless;
  t->groups[t->depth].assertion = false;
  bool known = false;
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0] && !known; ++i) {
    if (!regex_starts(t, kinds[i].text)) continue;
    known = true;
    emit(t, kinds[i].text);
    t->at += strlen(kinds[i].text);
    t->groups[t->depth].assertion = kinds[i].assertion;
  }
  if (!known && regex_starts(t, "(?i:")) {
    known = true;
    t->caseless = true;
    emit(t, "(?i:");
    t->at += 4;
  }
  if (!known && regex_starts(t, "(?")) return regex_refuse(t, from, 4, "this group is not supported");
  if (!known) { /* captures are not asked for */
    emit(t, "(?:");
    ++t->at;
  }
  ++t->depth;
  t->has_atom = false;
  t->previous = '\0';
  return ELLM_OK;
}

static ellm_status close_group(translator *t) {
  if (t->depth == 0) return regex_refuse(t, t->at, 1, "no group to close");
  --t->depth;
  emit(t, ")");
  ++t->at;
  t->atom = t->groups[t->depth].start;
  t->has_atom = !t->groups[t->depth].assertion;
  t->caseless = t->groups[t->depth].caseless;
  t->previous = '\0';
  return ELLM_OK;
}

/* --------------------------------------------------------------- quantifiers */

/* Parse {n}, {n,}, {,m}, {n,m} at t->at; false (nothing consumed) for anything
 * else, which is then literal. */
static bool parse_interval(translator *t, unsigned *low, unsigned *high, bool *exact) {
  size_t at = t->at + 1;
  unsigned value[2] = {0, 0};
  bool given[2] = {false, false}, comma = false;
  for (; at < t->bytes && t->pattern[at] != '}'; ++at) {
    char c = t->pattern[at];
    if (c == ',' && !comma) {
      comma = true;
    } else if (c >= '0' && c <= '9' && value[comma] < 10000) {
      value[comma] = value[comma] * 10 + (unsigned)(c - '0');
      given[comma] = true;
    } else {
      return false;
    }
  }
  if (at >= t->bytes || (!given[0] && !given[1])) return false;
  *low = value[0];
  *high = !comma ? value[0] : given[1] ? value[1] : UINT32_MAX;
  *exact = !comma;
  t->at = at + 1;
  return true;
}

/* Wrap the last atom in (?:..). */
static ellm_status wrap_atom(translator *t) {
  if (!ellm_buffer_append(t->out, "(?:", 3)) return ellm_fail_memory(t->err, t->out->size, "regular expression");
  memmove(t->out->data + t->atom + 3, t->out->data + t->atom, t->out->size - 3 - t->atom);
  memcpy(t->out->data + t->atom, "(?:", 3);
  emit(t, ")");
  return ELLM_OK;
}

static ellm_status translate_quantifier(translator *t) {
  size_t from = t->at;
  char c = regex_peek(t, 0);
  unsigned low = 0, high = 0;
  bool exact = false;
  if (c == '{' && !parse_interval(t, &low, &high, &exact)) {
    ++t->at;
    return translate_literal(t, '{', from);
  }
  if (!t->has_atom) return regex_refuse(t, from, 1, "nothing to repeat");
  if (c == '{') {
    char text[40];
    if (low > 1000 || (high != UINT32_MAX && (high > 1000 || high < low))) {
      return regex_refuse(t, from, t->at - from, "interval out of range");
    }
    if (high == UINT32_MAX) snprintf(text, sizeof text, "{%u,}", low);
    else snprintf(text, sizeof text, "{%u,%u}", low, high);
    emit(t, text);
    if (regex_peek(t, 0) == '?') {
      if (exact) return regex_refuse(t, from, t->at - from + 1, "not supported");
      emit(t, "?");
      ++t->at;
    } else if (regex_peek(t, 0) == '+') { /* Ruby: the interval, repeated */
      ELLM_TRY(wrap_atom(t));
      emit(t, "+");
      ++t->at;
    }
  } else {
    char text[2] = {c, '\0'};
    emit(t, text);
    ++t->at;
    c = regex_peek(t, 0);
    if (c == '?' || c == '+') { /* lazy, possessive */
      text[0] = c;
      emit(t, text);
      ++t->at;
    }
  }
  c = regex_peek(t, 0);
  if (c == '*' || c == '+' || c == '?') {
    return regex_refuse(t, from, t->at - from + 1, "repetition of a repetition is not supported");
  }
  if (c == '{') {
    size_t at = t->at;
    if (parse_interval(t, &low, &high, &exact)) {
      return regex_refuse(t, from, t->at - from, "repetition of a repetition is not supported");
    }
    t->at = at;
  }
  t->has_atom = false;
  t->previous = '\0';
  return ELLM_OK;
}

/* -------------------------------------------------------------------- pattern */

static ellm_status translate_one(translator *t) {
  char c = regex_peek(t, 0);
  size_t from = t->at;
  switch (c) {
    case '\\': return translate_escape(t);
    case '[':
      begin_atom(t);
      t->previous = '\0';
      return regex_translate_class(t);
    case '(': return open_group(t);
    case ')': return close_group(t);
    case '*':
    case '+':
    case '?':
    case '{': return translate_quantifier(t);
    case '|':
    case '^':
    case '$':
    case '.': {
      char text[2] = {c, '\0'};
      begin_atom(t);
      t->has_atom = c == '.';
      t->previous = '\0';
      emit(t, text);
      ++t->at;
      return ELLM_OK;
    }
    default: {
      uint32_t cp;
      t->at += utf8_decode(t->pattern + t->at, &cp);
      return translate_literal(t, cp, from);
    }
  }
}

ellm_status regex_translate(const char *pattern, size_t bytes, const char *where, ellm_buffer *out, ellm_error *err) {
  translator t = {.pattern = pattern, .bytes = bytes, .where = where, .out = out, .err = err};
  if (!utf8_is_valid(pattern, bytes)) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: regular expression is not UTF-8", where);
  }
  if (bytes > 65536) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: regular expression of %zu bytes: at most 65536", where, bytes);
  }
  while (t.at < t.bytes) ELLM_TRY(translate_one(&t));
  if (t.depth > 0) return ellm_fail(err, ELLM_ERR_INPUT, "%s: regular expression: group without end", where);
  return t.memory_failed ? ellm_fail_memory(err, bytes, "regular expression") : ELLM_OK;
}
