/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: equality, order, membership and sorting, as Python has them. */
#include "template/compare.h"

#include <math.h>
#include <string.h>

#include "template/iterate.h"
#include "template/text.h"

/* An integer against a float, exactly. */
static int order_mixed(int64_t i, double d) {
  if (isnan(d)) return TPL_UNORDERED;
  if (d >= 9223372036854775808.0) return -1;
  if (d < -9223372036854775808.0) return 1;
  const double whole = trunc(d);
  const int64_t j = (int64_t)whole;
  if (i != j) return i < j ? -1 : 1;
  return d > whole ? -1 : d < whole ? 1 : 0;
}

static int order_numbers(tpl_value a, tpl_value b) {
  if (a.kind == TPL_FLOAT && b.kind == TPL_FLOAT) {
    if (isnan(a.u.real) || isnan(b.u.real)) return TPL_UNORDERED;
    return a.u.real < b.u.real ? -1 : a.u.real > b.u.real;
  }
  if (b.kind == TPL_FLOAT) return order_mixed(tpl_integer_of(a), b.u.real);
  if (a.kind == TPL_FLOAT) {
    const int order = order_mixed(tpl_integer_of(b), a.u.real);
    return order == TPL_UNORDERED ? order : -order;
  }
  const int64_t i = tpl_integer_of(a), j = tpl_integer_of(b);
  return i < j ? -1 : i > j;
}

/* The order of UTF-8 bytes is that of the characters. */
static int order_strings(const tpl_string *a, const tpl_string *b) {
  const size_t n = a->bytes < b->bytes ? a->bytes : b->bytes;
  const int order = n > 0 ? memcmp(a->data, b->data, n) : 0;
  if (order != 0) return order < 0 ? -1 : 1;
  return a->bytes < b->bytes ? -1 : a->bytes > b->bytes;
}

static bool lists_equal(tpl_run *run, const tpl_list *a, const tpl_list *b, bool *equal) {
  *equal = a->count == b->count;
  for (size_t i = 0; *equal && i < a->count; i++)
    if (!tpl_equal(run, a->items[i], b->items[i], equal)) return false;
  return true;
}

static bool dicts_equal(tpl_run *run, const tpl_dict *a, const tpl_dict *b, bool *equal) {
  *equal = a->count == b->count;
  for (size_t i = 0; *equal && i < a->count; i++) {
    const tpl_value *other;
    if (!tpl_dict_find(run, b, a->entries[i].key, &other)) return false;
    *equal = other != NULL;
    if (other && !tpl_equal(run, a->entries[i].value, *other, equal)) return false;
  }
  return true;
}

static bool ranges_equal(const tpl_range *a, const tpl_range *b) {
  if (a->count != b->count) return false;
  return a->count == 0 || (a->start == b->start && (a->count == 1 || a->step == b->step));
}

static bool equal_inside(tpl_run *run, tpl_value a, tpl_value b, bool *equal) {
  switch (a.kind) {
    case TPL_UNDEFINED: case TPL_NONE: *equal = true; return true;
    case TPL_STRING:
      *equal = tpl_strings_equal(a.u.string, b.u.string);
      return !*equal || tpl_charge(run, a.u.string->bytes / 16);
    case TPL_LIST: case TPL_TUPLE: return lists_equal(run, a.u.list, b.u.list, equal);
    case TPL_DICT: return dicts_equal(run, a.u.dict, b.u.dict, equal);
    case TPL_RANGE: *equal = ranges_equal(a.u.range, b.u.range); return true;
    case TPL_NAMESPACE: *equal = a.u.space == b.u.space; return true;
    case TPL_ITERATOR: *equal = a.u.iterator == b.u.iterator; return true;
    case TPL_LOOP: *equal = a.u.loop == b.u.loop; return true;
    case TPL_MACRO: *equal = a.u.macro == b.u.macro; return true;
    case TPL_FUNCTION: *equal = a.u.function == b.u.function; return true;
    default: return tpl_fail(run, "comparing values of type %s is not supported", tpl_kind_name(a));
  }
}

bool tpl_equal(tpl_run *run, tpl_value a, tpl_value b, bool *equal) {
  if (!tpl_charge(run, 1)) return false;
  if (tpl_is_number(a) && tpl_is_number(b)) {
    *equal = order_numbers(a, b) == 0;
    return true;
  }
  *equal = false;
  if (a.kind != b.kind) return true;
  if (!tpl_deeper(run)) return false;
  const bool done = equal_inside(run, a, b, equal);
  run->depth--;
  return done;
}

static bool order_lists(tpl_run *run, const tpl_list *a, const tpl_list *b, int *order) {
  const size_t n = a->count < b->count ? a->count : b->count;
  for (size_t i = 0; i < n; i++) {
    bool equal;
    if (!tpl_equal(run, a->items[i], b->items[i], &equal)) return false;
    if (!equal) return tpl_order(run, a->items[i], b->items[i], order);
  }
  *order = a->count < b->count ? -1 : a->count > b->count;
  return true;
}

bool tpl_order(tpl_run *run, tpl_value a, tpl_value b, int *order) {
  if (!tpl_charge(run, 1)) return false;
  if (tpl_is_number(a) && tpl_is_number(b)) {
    *order = order_numbers(a, b);
    return true;
  }
  if (a.kind == TPL_STRING && b.kind == TPL_STRING) {
    *order = order_strings(a.u.string, b.u.string);
    return tpl_charge(run, (a.u.string->bytes < b.u.string->bytes ? a.u.string->bytes : b.u.string->bytes) / 16);
  }
  if (a.kind == b.kind && (a.kind == TPL_LIST || a.kind == TPL_TUPLE)) {
    if (!tpl_deeper(run)) return false;
    const bool done = order_lists(run, a.u.list, b.u.list, order);
    run->depth--;
    return done;
  }
  if (a.kind == TPL_UNDEFINED || b.kind == TPL_UNDEFINED)
    return tpl_fail_undefined(run, a.kind == TPL_UNDEFINED ? a : b);
  return tpl_fail(run, "'%s' and '%s' have no order", tpl_kind_name(a), tpl_kind_name(b));
}

/* --------------------------------------------------------------- membership */

static bool among(tpl_run *run, const tpl_value *items, size_t count, tpl_value item, bool *result) {
  *result = false;
  for (size_t i = 0; !*result && i < count; i++)
    if (!tpl_equal(run, items[i], item, result)) return false;
  return true;
}

bool tpl_contains(tpl_run *run, tpl_value container, tpl_value item, bool *result) {
  const tpl_value *found;
  *result = false;
  switch (container.kind) {
    case TPL_UNDEFINED: return true;
    case TPL_STRING: {
      size_t offset;
      if (item.kind != TPL_STRING)
        return tpl_fail(run, "'in' with a string needs a string on the left, not %s", tpl_kind_name(item));
      if (!tpl_find(run, container.u.string, 0, container.u.string->bytes, item.u.string, &offset)) return false;
      *result = offset != SIZE_MAX;
      return true;
    }
    case TPL_LIST: case TPL_TUPLE: return among(run, container.u.list->items, container.u.list->count, item, result);
    case TPL_DICT:
      if (!tpl_dict_find(run, container.u.dict, item, &found)) return false;
      *result = found != NULL;
      return true;
    case TPL_VIEW: case TPL_RANGE: case TPL_ITERATOR: case TPL_LOOP: {
      struct tpl_iterator *iterator;
      if (container.kind == TPL_VIEW && container.u.view->what == VIEW_KEYS)
        return tpl_contains(run, tpl_of_dict(container.u.view->dict), item, result);
      if (!tpl_iterate(run, container, &iterator)) return false;
      while (!*result) {
        tpl_value other;
        bool end;
        if (!tpl_next(run, iterator, &other, &end)) return false;
        if (end) break;
        if (!tpl_equal(run, other, item, result)) return false;
      }
      return true;
    }
    default: return tpl_fail(run, "argument of type '%s' is not iterable", tpl_kind_name(container));
  }
}

bool tpl_compare(tpl_run *run, int op, tpl_value a, tpl_value b, bool *result) {
  int order;
  switch (op) {
    case OP_EQUAL: return tpl_equal(run, a, b, result);
    case OP_NOT_EQUAL:
      if (!tpl_equal(run, a, b, result)) return false;
      *result = !*result;
      return true;
    case OP_IN: return tpl_contains(run, b, a, result);
    case OP_NOT_IN:
      if (!tpl_contains(run, b, a, result)) return false;
      *result = !*result;
      return true;
    default: break;
  }
  if (!tpl_order(run, a, b, &order)) return false;
  *result = order != TPL_UNORDERED && ((op == '<' && order < 0) || (op == '>' && order > 0) ||
                                       (op == OP_LESS_EQUAL && order <= 0) || (op == OP_GREATER_EQUAL && order >= 0));
  return true;
}

/* ------------------------------------------------------------------ sorting */

typedef struct row { tpl_value key, item; } row;

/* Merge rows[from..middle) and rows[middle..to) by way of `spare`. Equal keys keep their order, also
 * when the order is turned round. */
static bool merge(tpl_run *run, row *rows, row *spare, size_t from, size_t middle, size_t to, bool descending) {
  size_t left = from, right = middle;
  for (size_t at = from; at < to; at++) {
    bool take_right = left == middle;
    if (!take_right && right < to) {
      int order;
      if (!tpl_order(run, rows[right].key, rows[left].key, &order)) return false;
      take_right = order != TPL_UNORDERED && (descending ? order > 0 : order < 0);
    }
    spare[at] = rows[take_right ? right++ : left++];
  }
  memcpy(rows + from, spare + from, (to - from) * sizeof *rows);
  return true;
}

bool tpl_sort(tpl_run *run, tpl_value *items, tpl_value *keys, size_t count, bool descending) {
  if (count < 2) return true;
  row *rows = tpl_alloc_array(run, count, sizeof *rows), *spare = tpl_alloc_array(run, count, sizeof *spare);
  if (!rows || !spare) return false;
  for (size_t i = 0; i < count; i++) rows[i] = (row){.key = keys[i], .item = items[i]};
  for (size_t width = 1; width < count; width *= 2)
    for (size_t from = 0; from + width < count; from += 2 * width) {
      const size_t to = count - from - width < width ? count : from + 2 * width;
      if (!merge(run, rows, spare, from, from + width, to, descending)) return false;
    }
  for (size_t i = 0; i < count; i++) {
    items[i] = rows[i].item;
    keys[i] = rows[i].key;
  }
  return true;
}
