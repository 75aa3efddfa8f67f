/* SPDX-License-Identifier: Apache-2.0 */
/* What both halves of the translation use: writing PCRE2, reading the pattern, refusing with the place. */
#include "text/regex_translator.h"

#include <stdio.h>
#include <string.h>

#include "text/utf8.h"

/* Lack of memory is remembered, and said once at the end. */
void regex_emit(translator *t, ellm_buffer *out, const char *text) {
  if (!ellm_buffer_append(out, text, strlen(text))) t->memory_failed = true;
}

void regex_emit_range(translator *t, ellm_buffer *out, uint32_t first, uint32_t last) {
  char text[32];
  if (first == last) snprintf(text, sizeof text, "\\x{%x}", (unsigned)first);
  else snprintf(text, sizeof text, "\\x{%x}-\\x{%x}", (unsigned)first, (unsigned)last);
  regex_emit(t, out, text);
}

/* PCRE2's category, and what newer Unicode versions added to it. */
static void emit_category(translator *t, ellm_buffer *out, const char *category, size_t letters) {
  char text[32];
  snprintf(text, sizeof text, "\\p{%.*s}", (int)letters, category);
  regex_emit(t, out, text);
  for (size_t i = 0; i < unicode_additions_count; ++i) {
    const unicode_addition *added = &unicode_additions[i];
    if (strncmp(added->category, category, letters) == 0) regex_emit_range(t, out, added->first, added->last);
  }
}

/* All members of a set, to stand inside of [ ]. */
void regex_emit_set(translator *t, ellm_buffer *out, const unicode_set *set) {
  for (const char *at = set->categories; *at;) {
    const size_t letters = strcspn(at, " ");
    emit_category(t, out, at, letters);
    at += letters + (at[letters] == ' ');
  }
  for (size_t i = 0; i < set->n_ranges; ++i) regex_emit_range(t, out, set->ranges[i].first, set->ranges[i].last);
}

/* -------------------------------------------------------------------- reading */

/* The part of the pattern is quoted in whole characters. */
ellm_status regex_refuse(const translator *t, size_t at, size_t length, const char *why) {
  if (length > t->bytes - at) length = t->bytes - at;
  while (at + length < t->bytes && ((uint8_t)t->pattern[at + length] & 0xC0) == 0x80) ++length;
  return ellm_fail(t->err, ELLM_ERR_INPUT, "%s: regular expression: \"%.*s\" at byte %zu: %s", t->where, (int)length,
                   t->pattern + at, at, why);
}

/* Does the rest of the pattern begin with this text? */
bool regex_starts(const translator *t, const char *text) {
  size_t length = strlen(text);
  return t->bytes - t->at >= length && memcmp(t->pattern + t->at, text, length) == 0;
}

char regex_peek(const translator *t, size_t ahead) {
  return ahead < t->bytes - t->at ? t->pattern[t->at + ahead] : '\0';
}

/* One of \p{NAME}, \P{NAME}, \p{^NAME}. */
ellm_status regex_property(translator *t, const unicode_set **set, bool *negated) {
  size_t from = t->at, at = t->at + 2, end = at;
  *negated = t->pattern[t->at + 1] == 'P';
  while (end < t->bytes && t->pattern[end] != '}' && end - from < 40) ++end;
  if (at >= t->bytes || t->pattern[at] != '{' || end >= t->bytes || t->pattern[end] != '}') {
    return regex_refuse(t, from, 2, "needs {PROPERTY}");
  }
  if (t->pattern[++at] == '^') {
    *negated = !*negated;
    ++at;
  }
  *set = unicode_set_of_property(t->pattern + at, end - at);
  if (!*set) return regex_refuse(t, from, end + 1 - from, "this property is not supported");
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

ellm_status regex_character_escape(translator *t, uint32_t *cp, bool *single) {
  static const char names[] = "rntfvae";
  static const char values[] = "\r\n\t\f\v\a\x1b";
  char c = regex_peek(t, 1);
  size_t from = t->at;
  *single = true;
  const char *named = c ? strchr(names, c) : NULL;
  if (named) {
    *cp = (uint8_t)values[named - names];
    t->at += 2;
    return ELLM_OK;
  }
  if (c == 'x' || c == 'u') {
    bool braces = c == 'x' && regex_peek(t, 2) == '{';
    size_t wanted = c == 'u' ? 4 : braces ? 8 : 2, digits = 0;
    uint32_t value = 0, digit;
    t->at += braces ? 3 : 2;
    while (digits < wanted && hex_value(regex_peek(t, 0), &digit)) {
      if (value > 0x10FFFF) break;
      value = value << 4 | digit;
      ++t->at;
      ++digits;
    }
    bool closed = !braces || regex_peek(t, 0) == '}';
    if (digits == 0 || !closed || (c == 'u' && digits != 4) || value > 0x10FFFF ||
        (value >= 0xD800 && value < 0xE000)) {
      return regex_refuse(t, from, t->at - from + 1, "no character");
    }
    if (braces) ++t->at;
    else if (c == 'x' && value >= 0x80) return regex_refuse(t, from, t->at - from, "a byte, not a character");
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
