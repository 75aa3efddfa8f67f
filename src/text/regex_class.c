/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Classes of Oniguruma's Ruby syntax: characters, ranges, escapes, properties,
 * POSIX classes [:NAME:] and, unlike PCRE2, classes within a class (union) and
 * && (intersection), which binds less than union; ^ negates all that follows.
 *
 * PCRE2's own class can say unions of plain items. Whatever else a class has
 * becomes alternatives, each of which matches one character:
 *
 *   [ab[^c]]     (?>[ab]|[^c])           atomic: the first that matches counts,
 *   [a&&[b]]     (?=[a])[b]              since all match that one character
 *   [^a\W]       (?:(?![a]|[^w])[any])
 *
 * No table of characters is needed for this algebra.
 */

#include "text/regex_class.h"

#include <string.h>

#include "text/utf8.h"

#define ANY "[\\x{0}-\\x{10ffff}]"
/* Everything but white space, as ranges: \S inside a class. */
#define NOT_SPACE_ITEMS "\\x00-\\x08\\x0e-\\x1f\\x21-\\x{84}\\x{86}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}" \
  "\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{d7ff}\\x{e000}-\\x{10ffff}"

/* A class on its way: what PCRE2's brackets can hold, and the alternatives, each with a '|' before it. */
typedef struct class_parts { ellm_buffer items, others; bool negated; } class_parts;

static void class_parts_free(class_parts *parts) {
  ellm_buffer_free(&parts->items);
  ellm_buffer_free(&parts->others);
}

static void append(translator *t, ellm_buffer *out, const ellm_buffer *from, size_t skip) {
  if (from->size > skip && !ellm_buffer_append(out, from->data + skip, from->size - skip)) t->memory_failed = true;
}

/* The alternatives of a class that is not empty. */
static void append_alternatives(translator *t, ellm_buffer *out, const class_parts *parts) {
  if (parts->items.size > 0) {
    regex_emit(t, out, "[");
    append(t, out, &parts->items, 0);
    regex_emit(t, out, "]");
  }
  append(t, out, &parts->others, parts->items.size > 0 ? 0 : 1);
}

/* A pattern that matches one character of the class. */
static void append_class(translator *t, ellm_buffer *out, const class_parts *parts) {
  if (parts->others.size == 0) {
    regex_emit(t, out, parts->negated ? "[^" : "[");
    append(t, out, &parts->items, 0);
    regex_emit(t, out, "]");
    return;
  }
  regex_emit(t, out, parts->negated ? "(?:(?!" : "(?>");
  append_alternatives(t, out, parts);
  regex_emit(t, out, parts->negated ? ")" ANY ")" : ")");
}

/* One more part of a union. */
static void add_class(translator *t, class_parts *parts, const class_parts *part) {
  if (!part->negated) {
    append(t, &parts->items, &part->items, 0);
    append(t, &parts->others, &part->others, 0);
    return;
  }
  regex_emit(t, &parts->others, "|");
  append_class(t, &parts->others, part);
}

static void add_set(translator *t, class_parts *parts, const unicode_set *set, bool negated) {
  class_parts part = {.negated = negated};
  regex_emit_set(t, &part.items, set);
  if (set->without != 0) { /* (?![without])[items] is an alternative */
    class_parts rest = {0};
    regex_emit(t, &rest.others, "|(?![");
    regex_emit_range(t, &rest.others, set->without, set->without);
    regex_emit(t, &rest.others, "])[");
    append(t, &rest.others, &part.items, 0);
    regex_emit(t, &rest.others, "]");
    rest.negated = negated;
    class_parts_free(&part);
    part = rest;
  }
  add_class(t, parts, &part);
  class_parts_free(&part);
}

/* Escapes that stand for sets. */
static ellm_status add_escape(translator *t, class_parts *parts) {
  const char c = regex_peek(t, 1);
  const size_t from = t->at;
  if (t->caseless) return regex_refuse(t, from, 2, "not supported inside (?i:..)");
  if (c == 'p' || c == 'P') {
    const unicode_set *set;
    bool negated;
    ELLM_TRY(regex_property(t, &set, &negated));
    add_set(t, parts, set, negated);
    return ELLM_OK;
  }
  switch (c) {
    case 's': regex_emit(t, &parts->items, REGEX_SPACE_ITEMS); break;
    case 'S': regex_emit(t, &parts->items, NOT_SPACE_ITEMS); break;
    case 'd':
    case 'D': add_set(t, parts, unicode_set_of_posix("digit", 5), c == 'D'); break;
    case 'w':
    case 'W': add_set(t, parts, unicode_set_of_posix("word", 4), c == 'W'); break;
    case 'h':
    case 'H': add_set(t, parts, unicode_set_of_posix("xdigit", 6), c == 'H'); break;
    default: return regex_refuse(t, from, 2, "not supported inside a class");
  }
  t->at += 2;
  return ELLM_OK;
}

/* [:NAME:] or [:^NAME:] */
static ellm_status add_posix(translator *t, class_parts *parts, size_t depth) {
  const size_t from = t->at;
  const bool negated = regex_peek(t, 2) == '^';
  const size_t name = from + 2 + negated;
  size_t end = name;
  while (end < t->bytes && end - name < 10 && t->pattern[end] >= 'a' && t->pattern[end] <= 'z') ++end;
  const unicode_set *set = unicode_set_of_posix(t->pattern + name, end - name);
  t->at = end;
  if (!set || !regex_starts(t, ":]")) return regex_refuse(t, from, end + 2 - from, "no POSIX class");
  if (t->caseless) return regex_refuse(t, from, end + 2 - from, "not supported inside (?i:..)");
  if (negated && depth > 0 && strcmp(set->name, "ascii") == 0) { /* Oniguruma loses it in [^[^[:^ascii:]]a] */
    return regex_refuse(t, from, end + 2 - from, "not supported in a class inside a class");
  }
  t->at += 2;
  add_set(t, parts, set, negated);
  return ELLM_OK;
}

/* One character of a class, plain or escaped. */
static ellm_status parse_character(translator *t, uint32_t *cp, bool *single) {
  *single = true;
  if (regex_peek(t, 0) == '\\') return regex_character_escape(t, cp, single);
  t->at += utf8_decode(t->pattern + t->at, cp);
  return ELLM_OK;
}

/* Does [: at t->at open a POSIX class? Otherwise a class that begins with a colon. */
static bool opens_posix(const translator *t) {
  if (!regex_starts(t, "[:")) return false;
  size_t at = t->at + 2;
  while (at < t->bytes && t->pattern[at] != ':' && t->pattern[at] != ']' && at - t->at < 22) ++at;
  return at + 1 < t->bytes && t->pattern[at] == ':' && t->pattern[at + 1] == ']';
}

static ellm_status parse_class(translator *t, class_parts *parts, size_t depth);

/* One item of a union. */
static ellm_status add_item(translator *t, class_parts *parts, size_t depth) {
  const size_t item = t->at;
  uint32_t first = 0, last;
  bool single = false;
  if (opens_posix(t)) {
    ELLM_TRY(add_posix(t, parts, depth));
  } else if (regex_peek(t, 0) == '[') {
    class_parts inner = {0};
    ellm_status status = parse_class(t, &inner, depth + 1);
    if (status == ELLM_OK) add_class(t, parts, &inner);
    class_parts_free(&inner);
    if (status != ELLM_OK) return status;
  } else {
    ELLM_TRY(parse_character(t, &first, &single));
    if (!single) ELLM_TRY(add_escape(t, parts));
  }
  if (!single) {
    if (regex_peek(t, 0) == '-' && regex_peek(t, 1) != ']') {
      return regex_refuse(t, item, t->at - item + 1, "range from a class");
    }
    return ELLM_OK;
  }
  last = first;
  if (regex_peek(t, 0) == '-' && t->at + 1 < t->bytes && regex_peek(t, 1) != ']') {
    ++t->at;
    if (regex_peek(t, 0) == '[') return regex_refuse(t, item, t->at - item + 1, "range to a class");
    ELLM_TRY(parse_character(t, &last, &single));
    if (!single || last < first) return regex_refuse(t, item, t->at - item, "no range");
  }
  if (t->caseless && last >= 0x80) {
    return regex_refuse(t, item, t->at - item, "only ASCII is supported inside (?i:..)");
  }
  regex_emit_range(t, &parts->items, first, last);
  return ELLM_OK;
}

/* What is before && or the end as an operand of an intersection. */
static ellm_status end_operand(translator *t, class_parts *parts, ellm_buffer *operands, bool last) {
  if (parts->items.size == 0 && parts->others.size == 0) return regex_refuse(t, t->at, 2, "empty operand of &&");
  const bool negated = parts->negated;
  parts->negated = false;
  if (!last) regex_emit(t, operands, "(?=");
  append_class(t, operands, parts);
  if (!last) regex_emit(t, operands, ")");
  parts->negated = negated;
  parts->items.size = parts->others.size = 0;
  return ELLM_OK;
}

static ellm_status parse_operands(translator *t, class_parts *parts, ellm_buffer *operands, size_t depth) {
  const size_t from = t->at++;
  if (depth == REGEX_MAX_DEPTH) return regex_refuse(t, from, 1, "classes are nested too deep");
  if (regex_peek(t, 0) == '^') {
    parts->negated = true;
    ++t->at;
  }
  if (regex_peek(t, 0) == ']') return regex_refuse(t, from, t->at - from + 1, "empty class");
  while (t->at < t->bytes && regex_peek(t, 0) != ']') {
    if (!regex_starts(t, "&&")) {
      ELLM_TRY(add_item(t, parts, depth));
      continue;
    }
    if (t->caseless) return regex_refuse(t, t->at, 2, "not supported inside (?i:..)");
    ELLM_TRY(end_operand(t, parts, operands, false));
    t->at += 2;
  }
  if (t->at >= t->bytes) return regex_refuse(t, from, 1, "class without end");
  if (operands->size > 0) {
    ELLM_TRY(end_operand(t, parts, operands, true));
    regex_emit(t, &parts->others, "|");
    append(t, &parts->others, operands, 0);
  }
  ++t->at;
  return ELLM_OK;
}

static ellm_status parse_class(translator *t, class_parts *parts, size_t depth) {
  const size_t from = t->at;
  ellm_buffer operands = {0};
  const ellm_status status = parse_operands(t, parts, &operands, depth);
  ellm_buffer_free(&operands);
  if (status == ELLM_OK && t->caseless && parts->others.size > 0) {
    return regex_refuse(t, from, t->at - from, "not supported inside (?i:..)");
  }
  return status;
}

void regex_translate_set(translator *t, const unicode_set *set, bool negated) {
  class_parts parts = {0};
  add_set(t, &parts, set, negated);
  append_class(t, t->out, &parts);
  class_parts_free(&parts);
}

ellm_status regex_translate_class(translator *t) {
  class_parts parts = {0};
  ellm_status status = parse_class(t, &parts, 0);
  if (status == ELLM_OK) append_class(t, t->out, &parts);
  class_parts_free(&parts);
  return status;
}
