/* SPDX-License-Identifier: Apache-2.0 */
/* Character properties and normalization forms; see unicode.h. */
#include "text/unicode.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "text/unicode_tables.h"
#include "text/utf8.h"

static bool in_ranges(const unicode_range *ranges, size_t count, uint32_t cp) {
  size_t low = 0, high = count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (cp > ranges[middle].last) low = middle + 1;
    else high = middle;
  }
  return low < count && cp >= ranges[low].first;
}

static const char *addition_category(uint32_t cp) {
  size_t low = 0, high = unicode_additions_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (cp > unicode_additions[middle].last) low = middle + 1;
    else high = middle;
  }
  return low < unicode_additions_count && cp >= unicode_additions[low].first ? unicode_additions[low].category : NULL;
}

const char *unicode_category(uint32_t cp) {
  const char *category = utf8proc_category_string((utf8proc_int32_t)cp);
  if (category[0] == 'C' && category[1] == 'n') {
    const char *added = addition_category(cp);
    if (added) return added;
  }
  return category;
}

bool unicode_is_space(uint32_t cp) {
  if (cp < 0x80) return cp == ' ' || (cp >= 9 && cp <= 13);
  return cp == 0x85 || cp == 0xA0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200A) || cp == 0x2028 || cp == 0x2029 ||
         cp == 0x202F || cp == 0x205F || cp == 0x3000;
}

bool unicode_is_python_space(uint32_t cp) { return unicode_is_space(cp) || (cp >= 0x1C && cp <= 0x1F); }

bool unicode_is_numeric(uint32_t cp) {
  if (cp < 0x80) return cp >= '0' && cp <= '9';
  if (unicode_category(cp)[0] == 'N') return true;
  return (cp >= 0x11DE0 && cp <= 0x11DE9) || (cp >= 0x16FF4 && cp <= 0x16FF6); /* Unicode 17 */
}

bool unicode_is_punctuation(uint32_t cp) {
  if (cp < 0x80) {
    return (cp >= '!' && cp <= '/') || (cp >= ':' && cp <= '@') || (cp >= '[' && cp <= '`') || (cp >= '{' && cp <= '~');
  }
  if (unicode_category(cp)[0] == 'P') return !in_ranges(unicode_not_punctuation, unicode_not_punctuation_count, cp);
  return cp == 0x166D || cp == 0x111C9; /* punctuation in older versions */
}

bool unicode_is_word(uint32_t cp) {
  const char *category = unicode_category(cp);
  if (category[0] == 'L' || category[0] == 'M') return true;
  if (category[0] == 'N') return category[1] != 'o';
  if (category[0] == 'P') return category[1] == 'c';
  /* Join_Control, and the letters in circles and squares (Other_Alphabetic) */
  return cp == 0x200C || cp == 0x200D || (cp >= 0x24B6 && cp <= 0x24E9) || (cp >= 0x1F130 && cp <= 0x1F149) ||
         (cp >= 0x1F150 && cp <= 0x1F169) || (cp >= 0x1F170 && cp <= 0x1F189);
}

bool unicode_is_accent(uint32_t cp) {
  if (cp < 0x300) return false;
  if (unicode_category(cp)[0] == 'M') return !in_ranges(unicode_not_accent, unicode_not_accent_count, cp);
  return cp == 0x1CF2 || cp == 0x1CF3; /* marks in older versions */
}

size_t unicode_grapheme(const char *text, size_t bytes) {
  uint32_t before, cp;
  utf8proc_int32_t state = 0;
  size_t end = utf8_decode(text, &before);
  while (end < bytes) {
    const size_t length = utf8_decode(text + end, &cp);
    if (utf8proc_grapheme_break_stateful((utf8proc_int32_t)before, (utf8proc_int32_t)cp, &state)) break;
    end += length;
    before = cp;
  }
  return end;
}

size_t unicode_lowercase(uint32_t cp, uint32_t out[2]) {
  if (cp == 0x130) { /* the one character whose lower case is two (SpecialCasing.txt) */
    out[0] = 'i';
    out[1] = 0x307;
    return 2;
  }
  out[0] = (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp);
  if (out[0] == cp && cp >= unicode_lower[0].first) {
    for (size_t i = 0; i < unicode_lower_count; ++i) {
      if (cp >= unicode_lower[i].first && cp <= unicode_lower[i].last) {
        out[0] = (uint32_t)((int32_t)cp + unicode_lower[i].distance);
      }
    }
  }
  return 1;
}

/* ----------------------------------------------------------- normalization */

static bool is_inert(uint32_t cp) {
  if (cp < unicode_inert[0].first) return false;
  return in_ranges(unicode_inert, unicode_inert_count, cp) || addition_category(cp) != NULL;
}

static int combining_class(uint32_t cp) {
  return cp < 0x300 || is_inert(cp) ? 0 : utf8proc_get_property((utf8proc_int32_t)cp)->combining_class;
}

/* A growing array of code points. */
typedef struct code_points { int32_t *items; size_t count, capacity; } code_points;

static bool code_points_reserve(code_points *points, size_t extra) {
  if (points->capacity - points->count >= extra) return true;
  size_t capacity = points->capacity < 64 ? 64 : points->capacity, bytes;
  while (capacity - points->count < extra) {
    if (!ellm_mul_size(capacity, 2, &capacity)) return false;
  }
  if (!ellm_mul_size(capacity, sizeof *points->items, &bytes)) return false;
  int32_t *items = realloc(points->items, bytes);
  if (!items) return false;
  points->items = items;
  points->capacity = capacity;
  return true;
}

/* Stable sort by combining class of a run of marks: insertion for short runs,
 * counting for long ones, so that a hostile text costs no more than linear time. */
static bool sort_marks(int32_t *marks, size_t count) {
  if (count <= 16) {
    for (size_t i = 1; i < count; ++i) {
      int32_t mark = marks[i];
      int class = combining_class((uint32_t)mark);
      size_t at = i;
      for (; at > 0 && combining_class((uint32_t)marks[at - 1]) > class; --at) marks[at] = marks[at - 1];
      marks[at] = mark;
    }
    return true;
  }
  size_t starts[257] = {0};
  for (size_t i = 0; i < count; ++i) ++starts[(combining_class((uint32_t)marks[i]) & 255) + 1];
  for (size_t i = 1; i < 257; ++i) starts[i] += starts[i - 1];
  int32_t *sorted = malloc(count * sizeof *sorted);
  if (!sorted) return false;
  for (size_t i = 0; i < count; ++i) sorted[starts[combining_class((uint32_t)marks[i]) & 255]++] = marks[i];
  memcpy(marks, sorted, count * sizeof *sorted);
  free(sorted);
  return true;
}

/* Order, compose if asked, and write what has been decomposed; empties points. */
static bool flush_points(code_points *points, bool compose, ellm_buffer *out) {
  for (size_t i = 0; i < points->count;) {
    size_t end = i;
    while (end < points->count && combining_class((uint32_t)points->items[end]) != 0) ++end;
    if (end - i > 1 && !sort_marks(points->items + i, end - i)) return false;
    i = end + 1;
  }
  utf8proc_ssize_t count = (utf8proc_ssize_t)points->count;
  if (compose && count > 1) {
    count = utf8proc_normalize_utf32(points->items, count, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (count < 0) return false;
  }
  for (utf8proc_ssize_t i = 0; i < count; ++i) {
    if (!utf8_append(out, (uint32_t)points->items[i])) return false;
  }
  points->count = 0;
  return true;
}

bool unicode_normalize(unicode_form form, const char *text, size_t bytes, ellm_buffer *out) {
  bool compose = form == UNICODE_NFC || form == UNICODE_NFKC;
  bool compatible = form == UNICODE_NFKC || form == UNICODE_NFKD;
  utf8proc_option_t options = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | (compatible ? UTF8PROC_COMPAT : 0);
  code_points points = {0};
  bool ok = true;
  for (size_t at = 0; at < bytes && ok;) {
    uint32_t cp;
    size_t length = utf8_decode(text + at, &cp);
    if (cp < 0x80 && points.count == 0) { /* ASCII followed by ASCII stays as it is */
      size_t end = at + 1;
      while (end < bytes && (uint8_t)text[end] < 0x80) ++end;
      size_t whole = end == bytes ? end - at : end - at - 1;
      if (whole > 0) {
        ok = ellm_buffer_append(out, text + at, whole);
        at += whole;
        continue;
      }
    }
    at += length;
    if (is_inert(cp)) { /* takes part in nothing: what is before it is complete */
      ok = flush_points(&points, compose, out) && utf8_append(out, cp);
      continue;
    }
    /* An ASCII character begins again: nothing before it composes with it. */
    if (cp < 0x80 && points.count > 0 && !flush_points(&points, compose, out)) {
      ok = false;
      break;
    }
    if (!code_points_reserve(&points, 32)) {
      ok = false;
      break;
    }
    int boundary = 0;
    utf8proc_ssize_t written =
        utf8proc_decompose_char((utf8proc_int32_t)cp, points.items + points.count, 32, options, &boundary);
    if (written < 0 || written > 32) ok = false; /* the longest decomposition is 18 */
    else points.count += (size_t)written;
  }
  ok = ok && flush_points(&points, compose, out);
  free(points.items);
  return ok;
}
