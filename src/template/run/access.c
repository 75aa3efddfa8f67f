/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chat templates: attributes, items and slices. x.name looks for an attribute
 * first and an item then, x['name'] the other way round; what is not there is
 * undefined, and something of an undefined value is an error.
 */
#include "template/run/access.h"

#include <string.h>

#include "template/library/builtins.h"
#include "template/run/iterate.h"
#include "template/value/dict.h"
#include "template/value/text.h"

/* The attribute as Python's getattr finds it; *found false if there is none. */
static bool own_attribute(tpl_run *run, tpl_value value, const tpl_string *name, tpl_value *out, bool *found) {
  const tpl_value *entry;
  *found = true;
  switch (value.kind) {
    case TPL_UNDEFINED: return tpl_fail_undefined(&run->limits, value);
    case TPL_LOOP: return tpl_loop_attribute(run, value.u.loop, name, out);
    case TPL_NAMESPACE:
      if (!tpl_dict_find_text(&run->limits, value.u.space, name, &entry)) return false;
      *found = entry != NULL;
      if (entry) *out = *entry;
      return true;
    case TPL_MACRO: case TPL_FUNCTION: case TPL_METHOD:
      return tpl_fail(&run->limits, "attributes of a %s are not supported", tpl_kind_name(value));
    default:
      *found = tpl_find_method(run, value, name, out);
      return run->limits.status == ELLM_OK;
  }
}

bool tpl_attribute(tpl_run *run, tpl_value value, const tpl_string *name, tpl_value *out) {
  bool found;
  if (!own_attribute(run, value, name, out, &found)) return false;
  if (found) return true;
  const tpl_value *entry = NULL;
  if (value.kind == TPL_DICT && !tpl_dict_find_text(&run->limits, value.u.dict, name, &entry)) return false;
  *out = entry ? *entry : tpl_undefined(name);
  return true;
}

/* A position from the front, or SIZE_MAX if it is outside. */
static size_t position(int64_t index, size_t count) {
  if (index < 0) index += (int64_t)count;
  return index < 0 || (uint64_t)index >= count ? SIZE_MAX : (size_t)index;
}

static bool item_at(tpl_run *run, tpl_value value, int64_t index, tpl_value *out) {
  size_t count;
  if (!tpl_count(run, value, &count)) return false;
  const size_t at = position(index, count);
  *out = tpl_undefined(NULL);
  if (at == SIZE_MAX) return true;
  if (value.kind == TPL_RANGE) {
    *out = tpl_int(value.u.range->start + (int64_t)at * value.u.range->step);
  } else if (value.kind == TPL_STRING) {
    const tpl_string *text = value.u.string;
    const size_t from = count == text->bytes ? at : tpl_offset(text, at);
    size_t to = from + 1;
    while (to < text->bytes && ((unsigned char)text->data[to] & 0xC0) == 0x80) to++;
    return tpl_substring(&run->limits, text, from, to, out) && (!text->markup || tpl_mark_up(&run->limits, *out, out));
  } else {
    *out = value.u.list->items[at];
  }
  return true;
}

bool tpl_item(tpl_run *run, tpl_value value, tpl_value key, tpl_value *out) {
  const tpl_value *entry = NULL;
  const bool is_sequence =
      value.kind == TPL_LIST || value.kind == TPL_TUPLE || value.kind == TPL_STRING || value.kind == TPL_RANGE;
  if (value.kind == TPL_UNDEFINED) return tpl_fail_undefined(&run->limits, value);
  if (is_sequence && tpl_is_integer(key)) return item_at(run, value, tpl_integer_of(key), out);
  if (value.kind == TPL_DICT && tpl_is_hashable(key)) {
    if (!tpl_dict_find(&run->limits, value.u.dict, key, &entry)) return false;
    if (entry) {
      *out = *entry;
      return true;
    }
  }
  bool found = false;
  if (key.kind == TPL_STRING && !own_attribute(run, value, key.u.string, out, &found)) return false;
  if (!found) *out = tpl_undefined(key.kind == TPL_STRING ? key.u.string : NULL);
  return true;
}

bool tpl_attribute_path(tpl_run *run, tpl_value value, tpl_value path, tpl_value *out) {
  *out = value;
  if (path.kind != TPL_STRING) return tpl_item(run, value, path, out);
  const tpl_string *text = path.u.string;
  for (size_t from = 0;;) {
    size_t to = from;
    int64_t number = 0;
    bool is_number = true;
    for (; to < text->bytes && text->data[to] != '.'; to++) {
      const int digit = text->data[to] - '0';
      is_number = is_number && digit >= 0 && digit <= 9 && number < INT64_MAX / 100;
      if (is_number) number = 10 * number + digit;
    }
    tpl_value key = tpl_int(number);
    if ((!is_number || to == from) && !tpl_substring(&run->limits, text, from, to, &key)) return false;
    if (!tpl_item(run, *out, key, out)) return false;
    if (to == text->bytes) return true;
    from = to + 1;
  }
}

/* ------------------------------------------------------------------- slices */

/* A bound within 0..count (from -1 when going backwards), as Python clips it. */
static bool bound(tpl_run *run, tpl_value value, int64_t count, bool backwards, int64_t missing, int64_t *out) {
  if (value.kind == TPL_NONE) {
    *out = missing;
    return true;
  }
  if (!tpl_is_integer(value))
    return tpl_fail(&run->limits, "slice indices must be integers or None, not %s", tpl_kind_name(value));
  int64_t i = tpl_integer_of(value);
  const int64_t low = backwards ? -1 : 0, high = backwards ? count - 1 : count;
  if (i < 0) i = i < -count ? low : i + count;
  *out = i < low ? low : i > high ? high : i;
  return true;
}

static bool slice_text(tpl_run *run, const tpl_string *text, int64_t from, int64_t step, size_t n, size_t count,
                       tpl_value *out) {
  if (n == 0) return tpl_new_string(&run->limits, "", 0, out);
  if (step == 1) {
    const bool ascii = count == text->bytes;
    const size_t first = ascii ? (size_t)from : tpl_offset(text, (size_t)from);
    return tpl_substring(&run->limits, text, first, ascii ? first + n : tpl_offset(text, (size_t)from + n), out);
  }
  /* where characters begin, once: steps may go backwards */
  size_t *starts = tpl_alloc_array(&run->limits, count + 1, sizeof *starts), c = 0, bytes = 0;
  if (!starts || !tpl_charge(&run->limits, count)) return false;
  for (size_t i = 0; i < text->bytes; i++)
    if (((unsigned char)text->data[i] & 0xC0) != 0x80) starts[c++] = i;
  starts[count] = text->bytes;
  for (size_t i = 0; i < n; i++) {
    const size_t at = (size_t)(from + (int64_t)i * step);
    bytes += starts[at + 1] - starts[at];
  }
  char *data = tpl_new_text(&run->limits, bytes, out);
  for (size_t i = 0; data && i < n; i++) {
    const size_t at = (size_t)(from + (int64_t)i * step), length = starts[at + 1] - starts[at];
    memcpy(data, text->data + starts[at], length);
    data += length;
  }
  return data != NULL;
}

bool tpl_slice(tpl_run *run, tpl_value value, tpl_value start, tpl_value stop, tpl_value step, tpl_value *out) {
  size_t count;
  int64_t by = 1, from = 0, to = 0;
  if (value.kind == TPL_UNDEFINED) return tpl_fail_undefined(&run->limits, value);
  if (value.kind == TPL_RANGE) return tpl_fail(&run->limits, "a slice of a range is not supported");
  if (value.kind != TPL_LIST && value.kind != TPL_TUPLE && value.kind != TPL_STRING)
    return tpl_fail(&run->limits, "a value of type %s cannot be sliced", tpl_kind_name(value));
  if (!tpl_count(run, value, &count)) return false;
  if (step.kind != TPL_NONE && !tpl_want_int(run, "the step of a slice", step, &by)) return false;
  if (by == 0) return tpl_fail(&run->limits, "the step of a slice is zero");
  const int64_t n = (int64_t)count;
  if (by > n + 1) by = n + 1; /* no difference, and no overflow */
  if (by < -n - 1) by = -n - 1;
  if (!bound(run, start, n, by < 0, by < 0 ? n - 1 : 0, &from) || !bound(run, stop, n, by < 0, by < 0 ? -1 : n, &to))
    return false;
  const int64_t span = by < 0 ? from - to : to - from, width = by < 0 ? -by : by;
  const size_t length = span <= 0 ? 0 : (size_t)((span + width - 1) / width);
  if (value.kind == TPL_STRING)
    return slice_text(run, value.u.string, from, by, length, count, out) &&
           (!value.u.string->markup || tpl_mark_up(&run->limits, *out, out));
  tpl_list *list = tpl_new_list(&run->limits, length);
  if (!list) return false;
  for (; list->count < length; list->count++)
    list->items[list->count] = value.u.list->items[from + (int64_t)list->count * by];
  *out = value.kind == TPL_LIST ? tpl_of_list(list) : tpl_of_tuple(list);
  return true;
}
