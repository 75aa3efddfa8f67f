/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: taking texts apart and putting them together: strip, split, join, replace. */
#include "template/library/split.h"

#include <string.h>

#include "template/run/iterate.h"
#include "template/value/text.h"
#include "text/unicode.h"
#include "text/utf8.h"

/* ------------------------------------------------------- shared with filters */

static bool in_set(const tpl_string *set, const char *character, size_t bytes) {
  uint32_t cp;
  if (!set) {
    utf8_decode(character, &cp);
    return unicode_is_python_space(cp);
  }
  for (size_t i = 0; i < set->bytes; i += utf8_length(set->data[i]))
    if (utf8_length(set->data[i]) == bytes && memcmp(set->data + i, character, bytes) == 0) return true;
  return false;
}

/* The character before `at`. */
static size_t character_before(const tpl_string *text, size_t at) {
  do at--;
  while (at > 0 && ((unsigned char)text->data[at] & 0xC0) == 0x80);
  return at;
}

bool tpl_strip(tpl_run *run, const tpl_string *text, const tpl_string *set, int sides, tpl_value *out) {
  size_t from = 0, to = text->bytes;
  const size_t cost = 1 + (set ? set->bytes / 16 : 0);
  while ((sides & STRIP_LEFT) && from < to && in_set(set, text->data + from, utf8_length(text->data[from]))) {
    from += utf8_length(text->data[from]);
    if (!tpl_charge(&run->limits, cost)) return false;
  }
  while ((sides & STRIP_RIGHT) && to > from) {
    const size_t last = character_before(text, to);
    if (!in_set(set, text->data + last, to - last)) break;
    to = last;
    if (!tpl_charge(&run->limits, cost)) return false;
  }
  return tpl_substring(&run->limits, text, from, to, out);
}

bool tpl_replace(tpl_run *run, const tpl_string *text, const tpl_string *old, const tpl_string *new_, int64_t most,
                 tpl_value *out) {
  ellm_buffer buffer = {0};
  bool good = true;
  size_t at = 0;
  for (; good && most != 0; most--) {
    size_t found;
    good = tpl_charge(&run->limits, 1) && tpl_find(&run->limits, text, at, text->bytes, old, &found);
    if (!good || found == SIZE_MAX) break;
    good = tpl_put(&run->limits, &buffer, text->data + at, found - at) &&
        tpl_put(&run->limits, &buffer, new_->data, new_->bytes);
    at = found + old->bytes;
    if (old->bytes > 0) continue;
    if (at == text->bytes) break; /* of nothing: before every character and at the end */
    const size_t n = utf8_length(text->data[at]);
    good = good && tpl_put(&run->limits, &buffer, text->data + at, n);
    at += n;
  }
  good = good && tpl_put(&run->limits, &buffer, text->data + at, text->bytes - at);
  return tpl_take_text(&run->limits, &buffer, out) && good;
}

bool tpl_split_lines(tpl_run *run, const tpl_string *text, bool keep_ends, tpl_list **out) {
  *out = tpl_new_list(&run->limits, 0);
  if (!*out || !tpl_charge(&run->limits, text->bytes / 4)) return false;
  for (size_t from = 0; from < text->bytes;) {
    size_t end = from, next = text->bytes;
    for (; end < text->bytes; end += utf8_length(text->data[end])) {
      uint32_t cp;
      const size_t n = utf8_decode(text->data + end, &cp);
      if (!((cp >= 0x0A && cp <= 0x0D) || (cp >= 0x1C && cp <= 0x1E) || cp == 0x85 || cp == 0x2028 || cp == 0x2029))
        continue;
      next = end + n;
      if (cp == '\r' && next < text->bytes && text->data[next] == '\n') next++;
      break;
    }
    tpl_value line;
    if (!tpl_substring(&run->limits, text, from, keep_ends ? next : end, &line) ||
        !tpl_list_add(&run->limits, *out, line)) return false;
    from = next;
  }
  return true;
}

bool tpl_join(tpl_run *run, const tpl_string *separator, tpl_value items, bool strings_only, tpl_value *out) {
  ellm_buffer buffer = {0};
  struct tpl_iterator *iterator;
  bool good = tpl_iterate(run, items, &iterator), end = false;
  for (size_t i = 0; good; i++) {
    tpl_value item;
    good = tpl_next(run, iterator, &item, &end);
    if (!good || end) break;
    if (strings_only && item.kind != TPL_STRING)
      good = tpl_fail(&run->limits, "join of strings: item %zu is of type %s", i, tpl_kind_name(item));
    good =
        good && (i == 0 || tpl_put(&run->limits, &buffer, separator->data, separator->bytes)) &&
            tpl_put_str(&run->limits, &buffer, item);
  }
  return tpl_take_text(&run->limits, &buffer, out) && good;
}

/* ------------------------------------------------------------------ methods */

static bool strip_method(tpl_run *run, tpl_value self, const tpl_arguments *arguments, int sides, tpl_value *out) {
  static const char *const names[] = {"chars", NULL};
  tpl_value chars = tpl_none();
  const tpl_string *set = NULL;
  if (!tpl_take_arguments(run, "strip()", arguments, names, 0, &chars)) return false;
  if (chars.kind != TPL_NONE && !tpl_want_string(run, "the argument of strip()", chars, &set)) return false;
  return tpl_strip(run, self.u.string, set, sides, out);
}

static bool method_strip(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return strip_method(run, self, arguments, STRIP_LEFT | STRIP_RIGHT, out);
}

static bool method_lstrip(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return strip_method(run, self, arguments, STRIP_LEFT, out);
}

static bool method_rstrip(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return strip_method(run, self, arguments, STRIP_RIGHT, out);
}

static bool method_replace(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  static const char *const names[] = {"old", "new", "count", NULL};
  tpl_value values[3] = {tpl_none(), tpl_none(), tpl_int(-1)};
  const tpl_string *old, *new_;
  int64_t most;
  return tpl_take_arguments(run, "replace()", arguments, names, 2, values) &&
         tpl_want_string(run, "the text that replace() replaces", values[0], &old) &&
         tpl_want_string(run, "the text that replace() puts in", values[1], &new_) &&
         tpl_want_int(run, "the count of replace()", values[2], &most) &&
         tpl_replace(run, self.u.string, old, new_, most, out);
}

static bool method_join(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  static const char *const names[] = {"iterable", NULL};
  tpl_value items = tpl_none();
  return tpl_take_arguments(run, "join()", arguments, names, 1, &items) &&
         tpl_join(run, self.u.string, items, true, out);
}

static bool method_splitlines(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  static const char *const names[] = {"keepends", NULL};
  tpl_value keep = tpl_bool(false);
  tpl_list *lines;
  if (!tpl_take_arguments(run, "splitlines()", arguments, names, 0, &keep) ||
      !tpl_split_lines(run, self.u.string, tpl_truth(keep), &lines))
    return false;
  *out = tpl_of_list(lines);
  return true;
}

static bool add_part(tpl_run *run, tpl_list *parts, const tpl_string *text, size_t from, size_t to) {
  tpl_value part;
  return tpl_substring(&run->limits, text, from, to, &part) && tpl_list_add(&run->limits, parts, part);
}

/* Where white space begins (`space` true) or ends from `at` on. */
static size_t run_end(const tpl_string *text, size_t at, bool space) {
  while (at < text->bytes) {
    uint32_t cp;
    const size_t n = utf8_decode(text->data + at, &cp);
    if (unicode_is_python_space(cp) != space) break;
    at += n;
  }
  return at;
}

/* The same backwards. */
static size_t run_start(const tpl_string *text, size_t at, bool space) {
  while (at > 0) {
    uint32_t cp;
    const size_t last = character_before(text, at);
    utf8_decode(text->data + last, &cp);
    if (unicode_is_python_space(cp) != space) break;
    at = last;
  }
  return at;
}

static bool split_at_space(tpl_run *run, const tpl_string *text, int64_t most, tpl_list *parts) {
  size_t at = run_end(text, 0, true);
  while (at < text->bytes) {
    if (most-- == 0) return add_part(run, parts, text, at, text->bytes);
    const size_t end = run_end(text, at, false);
    if (!add_part(run, parts, text, at, end)) return false;
    at = run_end(text, end, true);
  }
  return true;
}

static void reverse(tpl_list *list) {
  for (size_t i = 0, j = list->count; i + 1 < j; i++) {
    const tpl_value item = list->items[i];
    list->items[i] = list->items[--j];
    list->items[j] = item;
  }
}

static bool rsplit_at_space(tpl_run *run, const tpl_string *text, int64_t most, tpl_list *parts) {
  size_t end = run_start(text, text->bytes, true);
  while (end > 0) {
    const size_t from = run_start(text, end, false);
    if (most-- == 0) {
      if (!add_part(run, parts, text, 0, end)) return false;
      break;
    }
    if (!add_part(run, parts, text, from, end)) return false;
    end = run_start(text, from, true);
  }
  reverse(parts);
  return true;
}

static bool split_at(tpl_run *run, const tpl_string *text, const tpl_string *separator, int64_t most, tpl_list *parts) {
  size_t at = 0, found;
  for (; most != 0; most--) {
    if (!tpl_find(&run->limits, text, at, text->bytes, separator, &found)) return false;
    if (found == SIZE_MAX) break;
    if (!add_part(run, parts, text, at, found)) return false;
    at = found + separator->bytes;
  }
  return add_part(run, parts, text, at, text->bytes);
}

/* The last place of `part` that ends at or before `end`; SIZE_MAX if there is none. */
static bool find_last(tpl_run *run, const tpl_string *text, size_t from, size_t end, const tpl_string *part,
                      size_t *found) {
  *found = SIZE_MAX;
  for (size_t at = end; at >= from + part->bytes; at--) {
    const size_t start = at - part->bytes;
    if (at % 16 == 0 && !tpl_charge(&run->limits, 1 + part->bytes / 16)) return false;
    if (part->bytes == 0 || memcmp(text->data + start, part->data, part->bytes) == 0) {
      *found = start;
      return true;
    }
    if (at == 0) break;
  }
  return true;
}

static bool rsplit_at(tpl_run *run, const tpl_string *text, const tpl_string *separator, int64_t most,
                      tpl_list *parts) {
  size_t end = text->bytes, found;
  for (; most != 0; most--) {
    if (!find_last(run, text, 0, end, separator, &found)) return false;
    if (found == SIZE_MAX) break;
    if (!add_part(run, parts, text, found + separator->bytes, end)) return false;
    end = found;
  }
  if (!add_part(run, parts, text, 0, end)) return false;
  reverse(parts);
  return true;
}

static bool split_method(tpl_run *run, tpl_value self, const tpl_arguments *arguments, bool from_right,
                         tpl_value *out) {
  static const char *const names[] = {"sep", "maxsplit", NULL};
  tpl_value values[2] = {tpl_none(), tpl_int(-1)};
  const tpl_string *text = self.u.string, *separator;
  int64_t most;
  tpl_list *parts = tpl_new_list(&run->limits, 0);
  if (!parts || !tpl_take_arguments(run, "split()", arguments, names, 0, values) ||
      !tpl_want_int(run, "maxsplit of split()", values[1], &most) || !tpl_charge(&run->limits, text->bytes / 16))
    return false;
  if (most < 0) most = INT64_MAX;
  *out = tpl_of_list(parts);
  if (values[0].kind == TPL_NONE)
    return from_right ? rsplit_at_space(run, text, most, parts) : split_at_space(run, text, most, parts);
  if (!tpl_want_string(run, "the separator of split()", values[0], &separator)) return false;
  if (separator->bytes == 0) return tpl_fail(&run->limits, "split(): an empty separator");
  return from_right ? rsplit_at(run, text, separator, most, parts) : split_at(run, text, separator, most, parts);
}

static bool method_split(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return split_method(run, self, arguments, false, out);
}

static bool method_rsplit(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return split_method(run, self, arguments, true, out);
}

/* (before, separator, after); all of the text is before, or for rpartition after, if there is none. */
static bool partition_method(tpl_run *run, tpl_value self, const tpl_arguments *arguments, bool from_right,
                             tpl_value *out) {
  static const char *const names[] = {"sep", NULL};
  tpl_value value = tpl_none();
  const tpl_string *text = self.u.string, *separator;
  size_t found;
  tpl_list *parts = tpl_new_list(&run->limits, 3);
  if (!parts || !tpl_take_arguments(run, "partition()", arguments, names, 1, &value) ||
      !tpl_want_string(run, "the separator of partition()", value, &separator))
    return false;
  if (separator->bytes == 0) return tpl_fail(&run->limits, "partition(): an empty separator");
  if (!(from_right ? find_last(run, text, 0, text->bytes, separator, &found)
                   : tpl_find(&run->limits, text, 0, text->bytes, separator, &found)))
    return false;
  size_t first = found, second = found == SIZE_MAX ? 0 : found + separator->bytes;
  if (found == SIZE_MAX) first = second = from_right ? 0 : text->bytes;
  *out = tpl_of_tuple(parts);
  return add_part(run, parts, text, 0, first) && add_part(run, parts, text, first, second) &&
         add_part(run, parts, text, second, text->bytes);
}

static bool method_partition(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return partition_method(run, self, arguments, false, out);
}

static bool method_rpartition(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return partition_method(run, self, arguments, true, out);
}

/* find, rfind, index, rindex, count: (text, start, end) in characters. */
typedef enum search { SEARCH_FIND, SEARCH_RFIND, SEARCH_INDEX, SEARCH_RINDEX, SEARCH_COUNT } search;

/* A position in characters, clipped as Python does, to one in bytes. */
static bool clip(tpl_run *run, const tpl_string *text, size_t length, tpl_value value, size_t missing,
                 int64_t *character, size_t *byte) {
  *character = (int64_t)missing;
  if (value.kind != TPL_NONE) {
    if (!tpl_want_int(run, "a position", value, character)) return false;
    if (*character < 0) *character = *character < -(int64_t)length ? 0 : *character + (int64_t)length;
  }
  *byte = *character > (int64_t)length ? text->bytes + 1 : tpl_offset(text, (size_t)*character);
  return tpl_charge(&run->limits, text->bytes / 16);
}

static bool search_method(tpl_run *run, tpl_value self, const tpl_arguments *arguments, search how, tpl_value *out) {
  static const char *const names[] = {"sub", "start", "end", NULL};
  tpl_value values[3] = {tpl_none(), tpl_none(), tpl_none()};
  const tpl_string *text = self.u.string, *part;
  const size_t length = tpl_length(text);
  int64_t start, stop, count = 0;
  size_t from, to, found = SIZE_MAX;
  if (!tpl_take_arguments(run, "a search", arguments, names, 1, values) ||
      !tpl_want_string(run, "what is searched", values[0], &part) ||
      !clip(run, text, length, values[1], 0, &start, &from) || !clip(run, text, length, values[2], length, &stop, &to))
    return false;
  if (to > text->bytes) to = text->bytes;
  const bool inside = from <= to && part->bytes <= to - from;
  if (how == SEARCH_COUNT) {
    while (inside && from <= to) {
      if (!tpl_charge(&run->limits, 1) || !tpl_find(&run->limits, text, from, to, part, &found)) return false;
      if (found == SIZE_MAX) break;
      count++;
      from = found + part->bytes;
      if (part->bytes == 0) from += from < text->bytes ? utf8_length(text->data[from]) : 1;
    }
    *out = tpl_int(count);
    return true;
  }
  const bool last = how == SEARCH_RFIND || how == SEARCH_RINDEX;
  if (inside && !(last ? find_last(run, text, from, to, part, &found) : tpl_find(&run->limits, text, from, to, part,
                                                                                 &found)))
    return false;
  if (found == SIZE_MAX && (how == SEARCH_INDEX || how == SEARCH_RINDEX))
    return tpl_fail(&run->limits, "substring not found");
  const tpl_string before = {.data = text->data, .bytes = found == SIZE_MAX ? 0 : found};
  *out = tpl_int(found == SIZE_MAX ? -1 : (int64_t)tpl_length(&before));
  return true;
}

static bool method_find(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return search_method(run, self, arguments, SEARCH_FIND, out);
}

static bool method_rfind(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return search_method(run, self, arguments, SEARCH_RFIND, out);
}

static bool method_index(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return search_method(run, self, arguments, SEARCH_INDEX, out);
}

static bool method_rindex(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return search_method(run, self, arguments, SEARCH_RINDEX, out);
}

static bool method_count(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return search_method(run, self, arguments, SEARCH_COUNT, out);
}

const tpl_builtin tpl_split_methods[] = {{"strip", method_strip},
                                         {"lstrip", method_lstrip},
                                         {"rstrip", method_rstrip},
                                         {"replace", method_replace},
                                         {"join", method_join},
                                         {"split", method_split},
                                         {"rsplit", method_rsplit},
                                         {"splitlines", method_splitlines},
                                         {"partition", method_partition},
                                         {"rpartition", method_rpartition},
                                         {"find", method_find},
                                         {"rfind", method_rfind},
                                         {"index", method_index},
                                         {"rindex", method_rindex},
                                         {"count", method_count},
                                         {NULL, NULL}};
