/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: order and sorting, as Python has them. */
#include "template/value/compare.h"

#include <string.h>

#include "template/value/dict.h"
#include "template/value/numbers.h"

/* The order of UTF-8 bytes is that of the characters. */
static int order_strings(const tpl_string *a, const tpl_string *b) {
  const size_t n = a->bytes < b->bytes ? a->bytes : b->bytes;
  const int order = n > 0 ? memcmp(a->data, b->data, n) : 0;
  if (order != 0) return order < 0 ? -1 : 1;
  return a->bytes < b->bytes ? -1 : a->bytes > b->bytes;
}

static bool order_lists(tpl_limits *limits, const tpl_list *a, const tpl_list *b, int *order) {
  const size_t n = a->count < b->count ? a->count : b->count;
  for (size_t i = 0; i < n; i++) {
    bool equal;
    if (!tpl_equal(limits, a->items[i], b->items[i], &equal)) return false;
    if (!equal) return tpl_order(limits, a->items[i], b->items[i], order);
  }
  *order = a->count < b->count ? -1 : a->count > b->count;
  return true;
}

bool tpl_order(tpl_limits *limits, tpl_value a, tpl_value b, int *order) {
  if (!tpl_charge(limits, 1)) return false;
  if (tpl_is_number(a) && tpl_is_number(b)) {
    *order = tpl_order_numbers(a, b);
    return true;
  }
  if (a.kind == TPL_STRING && b.kind == TPL_STRING) {
    *order = order_strings(a.u.string, b.u.string);
    return tpl_charge(limits, (a.u.string->bytes < b.u.string->bytes ? a.u.string->bytes : b.u.string->bytes) / 16);
  }
  if (a.kind == b.kind && (a.kind == TPL_LIST || a.kind == TPL_TUPLE)) {
    if (!tpl_deeper(limits)) return false;
    const bool done = order_lists(limits, a.u.list, b.u.list, order);
    limits->depth--;
    return done;
  }
  if (a.kind == TPL_UNDEFINED || b.kind == TPL_UNDEFINED)
    return tpl_fail_undefined(limits, a.kind == TPL_UNDEFINED ? a : b);
  return tpl_fail(limits, "'%s' and '%s' have no order", tpl_kind_name(a), tpl_kind_name(b));
}

/* ------------------------------------------------------------------ sorting */

typedef struct row { tpl_value key, item; } row;

/* Merge rows[from..middle) and rows[middle..to) by way of `spare`. Equal keys keep their order, also
 * when the order is turned round. */
static bool merge(tpl_limits *limits, row *rows, row *spare, size_t from, size_t middle, size_t to, bool descending) {
  size_t left = from, right = middle;
  for (size_t at = from; at < to; at++) {
    bool take_right = left == middle;
    if (!take_right && right < to) {
      int order;
      if (!tpl_order(limits, rows[right].key, rows[left].key, &order)) return false;
      take_right = order != TPL_UNORDERED && (descending ? order > 0 : order < 0);
    }
    spare[at] = rows[take_right ? right++ : left++];
  }
  memcpy(rows + from, spare + from, (to - from) * sizeof *rows);
  return true;
}

bool tpl_sort(tpl_limits *limits, tpl_value *items, tpl_value *keys, size_t count, bool descending) {
  if (count < 2) return true;
  row *rows = tpl_alloc_array(limits, count, sizeof *rows), *spare = tpl_alloc_array(limits, count, sizeof *spare);
  if (!rows || !spare) return false;
  for (size_t i = 0; i < count; i++) rows[i] = (row){.key = keys[i], .item = items[i]};
  for (size_t width = 1; width < count; width *= 2)
    for (size_t from = 0; from + width < count; from += 2 * width) {
      const size_t to = count - from - width < width ? count : from + 2 * width;
      if (!merge(limits, rows, spare, from, from + width, to, descending)) return false;
    }
  for (size_t i = 0; i < count; i++) {
    items[i] = rows[i].item;
    keys[i] = rows[i].key;
  }
  return true;
}
