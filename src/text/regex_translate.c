/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From Oniguruma's Ruby syntax to PCRE2's, for the subset where both agree:
 *
 *   literals, . ^ $ \A \z \b \B, alternation, groups (..), (?:..), (?>..),
 *   look-around, (?i:..) around ASCII literals and classes, quantifiers greedy,
 *   lazy and possessive, classes [..] of characters, ranges, \s \S \d \w \p{X},
 *   escapes \r \n \t \f \v \a \e \xHH \x{H..} \uHHHH and escaped punctuation,
 *   \p{X} \P{X} \p{^X} with X a general category of one or two letters.
 *
 * Differences that the translation takes care of: \s and \w are spelled out
 * (PCRE2's differ in U+180E and in marks), {n,m}+ repeats the whole interval,
 * \v is one character, categories know what newer Unicode versions added.
 * Everything else is refused by name.
 */
#include <stdio.h>
#include <string.h>

#include "text/regex.h"
#include "text/unicode_tables.h"
#include "text/utf8.h"

enum { MAX_DEPTH = 32 };

typedef struct translator {
  const char *pattern, *where;
  size_t bytes, at;
  ellm_buffer *out;
  ellm_error *err;
  bool memory_failed;
  /* Where the last atom starts in `out`, and whether there is one to repeat. */
  size_t atom;
  bool has_atom;
  bool caseless;         /* inside (?i:..) */
  char previous;         /* literal before, inside (?i:..) */
  size_t depth;
  struct { size_t start; bool caseless, assertion; } groups[MAX_DEPTH];
} translator;

#define SPACE_ITEMS \
  "\\x09-\\x0d\\x20\\x85\\xa0\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
/* Everything but white space, as ranges: \S inside a class. */
#define NOT_SPACE_ITEMS "\\x00-\\x08\\x0e-\\x1f\\x21-\\x{84}\\x{86}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}" \
  "\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{d7ff}\\x{e000}-\\x{10ffff}"
/* Oniguruma's word characters beyond categories L, M, Nd, Nl and Pc; some
 * numbers of Latin-1 are word characters for \w, but not for [\w]. */
#define WORD_LATIN_1 "\\xb2\\xb3\\xb9\\xbc-\\xbe"
#define WORD_EXTRA "\\x{24b6}-\\x{24e9}\\x{1f130}-\\x{1f149}\\x{1f150}-\\x{1f169}\\x{1f170}-\\x{1f189}"

static void emit(translator *t, const char *text) {
  if (!ellm_buffer_append(t->out, text, strlen(text))) t->memory_failed = true;
}

static void emit_code_point(translator *t, uint32_t cp) {
  char text[16];
  snprintf(text, sizeof text, "\\x{%x}", (unsigned)cp);
  emit(t, text);
}

static ellm_status refuse(const translator *t, size_t at, size_t length, const char *why) {
  if (length > t->bytes - at) length = t->bytes - at;
  while (at + length < t->bytes && ((uint8_t)t->pattern[at + length] & 0xC0) == 0x80) ++length;
  return ellm_fail(t->err, ELLM_ERR_INPUT, "%s: regular expression: \"%.*s\" at byte %zu: %s", t->where, (int)length,
                   t->pattern + at, at, why);
}

static bool starts(const translator *t, const char *text) {
  size_t length = strlen(text);
  return t->bytes - t->at >= length && memcmp(t->pattern + t->at, text, length) == 0;
}

static char peek(const translator *t, size_t ahead) {
  return ahead < t->bytes - t->at ? t->pattern[t->at + ahead] : '\0';
}

/* ------------------------------------------------------------------- escapes */

static void emit_category(translator *t, const char *category) {
  char text[32];
  snprintf(text, sizeof text, "\\p{%s}", category);
  emit(t, text);
  for (size_t i = 0; i < unicode_additions_count; ++i) {
    const unicode_addition *added = &unicode_additions[i];
    if (strncmp(added->category, category, strlen(category)) != 0) continue;
    emit_code_point(t, added->first);
    if (added->last > added->first) {
      emit(t, "-");
      emit_code_point(t, added->last);
    }
  }
}

static void emit_word(translator *t, bool in_class) {
  static const char *const categories[] = {"L", "M", "Nd", "Nl", "Pc"};
  for (size_t i = 0; i < sizeof categories / sizeof categories[0]; ++i) emit_category(t, categories[i]);
  emit(t, WORD_EXTRA);
  if (!in_class) emit(t, WORD_LATIN_1);
}

/* Parse {X} or {^X} after \p or \P; category gets one or two letters. */
static ellm_status parse_category(translator *t, char category[3], bool *negated) {
  static const char known[] =
      " L Lu Ll Lt Lm Lo M Mn Mc Me N Nd Nl No P Pc Pd Ps Pe Pi Pf Po S Sm Sc Sk So Z Zs Zl Zp Cc Cf Co ";
  size_t from = t->at, at = t->at + 2;
  *negated = t->pattern[t->at + 1] == 'P';
  size_t end = at;
  while (end < t->bytes && t->pattern[end] != '}' && end - from < 40) ++end;
  if (at >= t->bytes || t->pattern[at] != '{' || end >= t->bytes || t->pattern[end] != '}') {
    return refuse(t, from, 2, "needs {CATEGORY}");
  }
  if (t->pattern[++at] == '^') {
    *negated = !*negated;
    ++at;
  }
  if (end - at < 1 || end - at > 2 || memchr(t->pattern + at, ' ', end - at)) {
    return refuse(t, from, end + 1 - from, "only general categories are supported");
  }
  char wanted[5] = " ";
  memcpy(wanted + 1, t->pattern + at, end - at);
  wanted[1 + (end - at)] = ' ';
  if (!strstr(known, wanted)) return refuse(t, from, end + 1 - from, "only general categories are supported");
  memcpy(category, t->pattern + at, end - at);
  category[end - at] = '\0';
  t->at = end + 1;
  return ELLM_OK;
}

static bool hex_value(char c, uint32_t *value) {
  if (c >= '0' && c <= '9') *value = (uint32_t)(c - '0');
  else if (c >= 'a' && c <= 'f') *value = (uint32_t)(c - 'a' + 10);
  else if (c >= 'A' && c <= 'F') *value = (uint32_t)(c - 'A' + 10);
  else return false;
  return true;
}

/* An escape that stands for one character: t->at is at the backslash. *single
 * is false (and nothing consumed) if it is not of that kind. */
static ellm_status parse_character_escape(translator *t, uint32_t *cp, bool *single) {
  static const char names[] = "rntfvae";
  static const char values[] = "\r\n\t\f\v\a\x1b";
  char c = peek(t, 1);
  size_t from = t->at;
  *single = true;
  const char *named = c ? strchr(names, c) : NULL;
  if (named) {
    *cp = (uint8_t)values[named - names];
    t->at += 2;
    return ELLM_OK;
  }
  if (c == 'x' || c == 'u') {
    bool braces = c == 'x' && peek(t, 2) == '{';
    size_t wanted = c == 'u' ? 4 : braces ? 8 : 2, digits = 0;
    uint32_t value = 0, digit;
    t->at += braces ? 3 : 2;
    while (digits < wanted && hex_value(peek(t, 0), &digit)) {
      if (value > 0x10FFFF) break;
      value = value << 4 | digit;
      ++t->at;
      ++digits;
    }
    bool closed = !braces || peek(t, 0) == '}';
    if (digits == 0 || !closed || (c == 'u' && digits != 4) || value > 0x10FFFF ||
        (value >= 0xD800 && value < 0xE000)) {
      return refuse(t, from, t->at - from + 1, "no character");
    }
    if (braces) ++t->at;
    else if (c == 'x' && value >= 0x80) return refuse(t, from, t->at - from, "a byte, not a character");
    *cp = value;
    return ELLM_OK;
  }
  bool alphanumeric = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  if (c == '\0' || alphanumeric || (uint8_t)c >= 0x80) {
    *single = false;
    return ELLM_OK;
  }
  *cp = (uint8_t)c;
  t->at += 2;
  return ELLM_OK;
}

/* ------------------------------------------------------------------- classes */

/* \s \S \d \w \p{..} inside a class. */
static ellm_status translate_class_escape(translator *t) {
  char c = peek(t, 1);
  size_t from = t->at;
  if (t->caseless) return refuse(t, from, 2, "not supported inside (?i:..)");
  if (c == 'p' || c == 'P') {
    char category[3];
    bool negated;
    ELLM_TRY(parse_category(t, category, &negated));
    if (negated) return refuse(t, from, t->at - from, "negation inside a class is not supported");
    emit_category(t, category);
    return ELLM_OK;
  }
  if (c == 's') emit(t, SPACE_ITEMS);
  else if (c == 'S') emit(t, NOT_SPACE_ITEMS);
  else if (c == 'd') emit_category(t, "Nd");
  else if (c == 'w') emit_word(t, true);
  else return refuse(t, from, 2, "not supported inside a class");
  t->at += 2;
  return ELLM_OK;
}

/* One character of a class, plain or escaped. */
static ellm_status parse_class_character(translator *t, uint32_t *cp, bool *single) {
  *single = true;
  if (peek(t, 0) == '\\') return parse_character_escape(t, cp, single);
  t->at += utf8_decode(t->pattern + t->at, cp);
  return ELLM_OK;
}

static ellm_status translate_class(translator *t) {
  size_t from = t->at++;
  emit(t, "[");
  if (peek(t, 0) == '^') {
    emit(t, "^");
    ++t->at;
  }
  if (peek(t, 0) == ']') return refuse(t, from, t->at - from + 1, "empty class");
  while (t->at < t->bytes && peek(t, 0) != ']') {
    if (peek(t, 0) == '[') return refuse(t, t->at, 2, "a class inside a class is not supported");
    if (starts(t, "&&")) return refuse(t, t->at, 2, "intersection of classes is not supported");
    uint32_t first, last;
    bool single;
    size_t item = t->at;
    ELLM_TRY(parse_class_character(t, &first, &single));
    if (!single) {
      ELLM_TRY(translate_class_escape(t));
      if (peek(t, 0) == '-' && peek(t, 1) != ']') return refuse(t, item, t->at - item + 1, "range from a class");
      continue;
    }
    last = first;
    if (peek(t, 0) == '-' && t->at + 1 < t->bytes && peek(t, 1) != ']') {
      ++t->at;
      if (peek(t, 0) == '[') return refuse(t, item, t->at - item + 1, "range to a class");
      ELLM_TRY(parse_class_character(t, &last, &single));
      if (!single || last < first) return refuse(t, item, t->at - item, "no range");
    }
    if (t->caseless && last >= 0x80) return refuse(t, item, t->at - item, "only ASCII is supported inside (?i:..)");
    emit_code_point(t, first);
    if (last > first) {
      emit(t, "-");
      emit_code_point(t, last);
    }
  }
  if (t->at >= t->bytes) return refuse(t, from, 1, "class without end");
  ++t->at;
  emit(t, "]");
  return ELLM_OK;
}

/* --------------------------------------------------------------------- atoms */

static void begin_atom(translator *t) {
  t->atom = t->out->size;
  t->has_atom = true;
}

static ellm_status translate_literal(translator *t, uint32_t cp, size_t from) {
  begin_atom(t);
  if (t->caseless) {
    if (cp >= 0x80) return refuse(t, from, t->at - from, "only ASCII is supported inside (?i:..)");
    /* Pairs that one character folds to (as in U+00DF or U+FB01) would match it in Oniguruma. */
    char lower = (char)(cp >= 'A' && cp <= 'Z' ? cp + 32 : cp), pair[3] = {t->previous, lower, '\0'};
    static const char *const folded[] = {"ss", "ff", "fi", "fl", "st"};
    for (size_t i = 0; i < sizeof folded / sizeof folded[0]; ++i) {
      if (strcmp(pair, folded[i]) == 0) {
        return refuse(t, from, t->at - from, "a ligature would match inside (?i:..): not supported");
      }
    }
    t->previous = lower;
  }
  emit_code_point(t, cp);
  return ELLM_OK;
}

static ellm_status translate_escape(translator *t) {
  size_t from = t->at;
  uint32_t cp;
  bool single;
  char c = peek(t, 1);
  ELLM_TRY(parse_character_escape(t, &cp, &single));
  if (single) return translate_literal(t, cp, from);
  t->previous = '\0';
  if (c == 'A' || c == 'z') {
    emit(t, c == 'A' ? "\\A" : "\\z");
    t->has_atom = false;
    t->at += 2;
    return ELLM_OK;
  }
  if (t->caseless) return refuse(t, from, 2, "not supported inside (?i:..)");
  begin_atom(t);
  if (c == 'p' || c == 'P') {
    char category[3];
    bool negated;
    ELLM_TRY(parse_category(t, category, &negated));
    emit(t, negated ? "[^" : "[");
    emit_category(t, category);
    emit(t, "]");
    return ELLM_OK;
  }
  t->at += 2;
  switch (c) {
    case 's': emit(t, "[" SPACE_ITEMS "]"); return ELLM_OK;
    case 'S': emit(t, "[^" SPACE_ITEMS "]"); return ELLM_OK;
    case 'd':
    case 'D':
      emit(t, c == 'd' ? "[" : "[^");
      emit_category(t, "Nd");
      emit(t, "]");
      return ELLM_OK;
    case 'w':
    case 'W':
      emit(t, c == 'w' ? "[" : "[^");
      emit_word(t, false);
      emit(t, "]");
      return ELLM_OK;
    case 'b':
    case 'B': { /* (?<=w)(?!w)|(?<!w)(?=w), or its opposite */
      static const char *const parts[2][4] = {{"(?:(?<=", ")(?!", ")|(?<!", ")(?="},
                                              {"(?:(?<=", ")(?=", ")|(?<!", ")(?!"}};
      for (size_t i = 0; i < 4; ++i) {
        emit(t, parts[c == 'B'][i]);
        emit(t, "[");
        emit_word(t, false);
        emit(t, "]");
      }
      emit(t, "))");
      t->has_atom = false;
      return ELLM_OK;
    }
    default: return refuse(t, from, 2, "this escape is not supported");
  }
}

static ellm_status open_group(translator *t) {
  static const struct { const char *text; bool assertion; } kinds[] = {
    {"(?:", false}, {"(?>", false}, {"(?=", true}, {"(?!", true}, {"(?<=", true}, {"(?<!", true},
  };
  size_t from = t->at;
  if (t->depth == MAX_DEPTH) return refuse(t, from, 1, "groups are nested too deep");
  t->groups[t->depth].start = t->out->size;
  t->groups[t->depth].caseless = t->caseless;
  t->groups[t->depth].assertion = false;
  bool known = false;
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0] && !known; ++i) {
    if (!starts(t, kinds[i].text)) continue;
    known = true;
    emit(t, kinds[i].text);
    t->at += strlen(kinds[i].text);
    t->groups[t->depth].assertion = kinds[i].assertion;
  }
  if (!known && starts(t, "(?i:")) {
    known = true;
    t->caseless = true;
    emit(t, "(?i:");
    t->at += 4;
  }
  if (!known && starts(t, "(?")) return refuse(t, from, 4, "this group is not supported");
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
  if (t->depth == 0) return refuse(t, t->at, 1, "no group to close");
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
  char c = peek(t, 0);
  unsigned low = 0, high = 0;
  bool exact = false;
  if (c == '{' && !parse_interval(t, &low, &high, &exact)) {
    ++t->at;
    return translate_literal(t, '{', from);
  }
  if (!t->has_atom) return refuse(t, from, 1, "nothing to repeat");
  if (c == '{') {
    char text[40];
    if (low > 1000 || (high != UINT32_MAX && (high > 1000 || high < low))) {
      return refuse(t, from, t->at - from, "interval out of range");
    }
    if (high == UINT32_MAX) snprintf(text, sizeof text, "{%u,}", low);
    else snprintf(text, sizeof text, "{%u,%u}", low, high);
    emit(t, text);
    if (peek(t, 0) == '?') {
      if (exact) return refuse(t, from, t->at - from + 1, "not supported");
      emit(t, "?");
      ++t->at;
    } else if (peek(t, 0) == '+') { /* Ruby: the interval, repeated */
      ELLM_TRY(wrap_atom(t));
      emit(t, "+");
      ++t->at;
    }
  } else {
    char text[2] = {c, '\0'};
    emit(t, text);
    ++t->at;
    c = peek(t, 0);
    if (c == '?' || c == '+') { /* lazy, possessive */
      text[0] = c;
      emit(t, text);
      ++t->at;
    }
  }
  c = peek(t, 0);
  if (c == '*' || c == '+' || c == '?') {
    return refuse(t, from, t->at - from + 1, "repetition of a repetition is not supported");
  }
  if (c == '{') {
    size_t at = t->at;
    if (parse_interval(t, &low, &high, &exact)) {
      return refuse(t, from, t->at - from, "repetition of a repetition is not supported");
    }
    t->at = at;
  }
  t->has_atom = false;
  t->previous = '\0';
  return ELLM_OK;
}

/* -------------------------------------------------------------------- pattern */

static ellm_status translate_one(translator *t) {
  char c = peek(t, 0);
  size_t from = t->at;
  switch (c) {
    case '\\': return translate_escape(t);
    case '[':
      begin_atom(t);
      t->previous = '\0';
      return translate_class(t);
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
