/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: filters of lists and other iterables. */
#include "template/library/filters_lists.h"

#include <string.h>

#include "template/library/containers.h"
#include "template/library/filters.h"
#include "template/library/is_tests.h"
#include "template/library/split.h"
#include "template/run/access.h"
#include "template/run/iterate.h"
#include "template/value/case.h"
#include "template/value/compare.h"
#include "template/value/dict.h"
#include "template/value/operators.h"
#include "template/value/text.h"

static const char *const no_names[] = {NULL};
static const tpl_string nothing = {.data = "", .bytes = 0};

static bool is_fixed_sequence(tpl_value v) { return v.kind == TPL_LIST || v.kind == TPL_TUPLE; }

static bool filter_length(tpl_run *run, tpl_value v, const tpl_arguments *arguments, tpl_value *out) {
  size_t count;
  if (!tpl_take_arguments(run, "length", arguments, no_names, 0, NULL) || !tpl_count(run, v, &count)) return false;
  *out = tpl_int((int64_t)count);
  return true;
}

static bool filter_list(tpl_run *run, tpl_value v, const tpl_arguments *arguments, tpl_value *out) {
  tpl_list *list;
  if (!tpl_take_arguments(run, "list", arguments, no_names, 0, NULL) || !tpl_to_list(run, v, &list)) return false;
  *out = tpl_of_list(list);
  return true;
}

static bool filter_first(tpl_run *run, tpl_value v, const tpl_arguments *arguments, tpl_value *out) {
  tpl_iterator *iterator;
  bool end;
  if (!tpl_take_arguments(run, "first", arguments, no_names, 0, NULL) || !tpl_iterate(run, v, &iterator) ||
      !tpl_next(run, iterator, out, &end))
    return false;
  if (end) *out = tpl_undefined(NULL);
  return true;
}

/* Only what has an end can be gone through from there. */
static bool want_reversible(tpl_run *run, tpl_value v) {
  return tpl_has_count(v) || tpl_fail(&run->limits, "'%s' object is not reversible", tpl_kind_name(v));
}

static bool filter_last(tpl_run *run, tpl_value v, const tpl_arguments *arguments, tpl_value *out) {
  tpl_list *list;
  if (!tpl_take_arguments(run, "last", arguments, no_names, 0, NULL) || !want_reversible(run, v)) return false;
  if (is_fixed_sequence(v)) {
    *out = v.u.list->count > 0 ? v.u.list->items[v.u.list->count - 1] : tpl_undefined(NULL);
    return true;
  }
  if (!tpl_to_list(run, v, &list)) return false;
  *out = list->count > 0 ? list->items[list->count - 1] : tpl_undefined(NULL);
  return true;
}

static bool filter_reverse(tpl_run *run, tpl_value v, const tpl_arguments *arguments, tpl_value *out) {
  tpl_list *list;
  if (!tpl_take_arguments(run, "reverse", arguments, no_names, 0, NULL)) return false;
  if (v.kind == TPL_STRING) return tpl_slice(run, v, tpl_none(), tpl_none(), tpl_int(-1), out);
  if (!tpl_to_list(run, v, &list)) return false;
  if (!tpl_has_count(v)) { /* a generator: Jinja makes a list then */
    for (size_t i = 0, j = list->count; i + 1 < j; i++) {
      const tpl_value item = list->items[i];
      list->items[i] = list->items[--j];
      list->items[j] = item;
    }
    *out = tpl_of_list(list);
    return true;
  }
  if (!tpl_generator(run, list, out)) return false;
  out->u.iterator->kind = ITERATE_REVERSED;
  out->u.iterator->at = list->count;
  return true;
}

static bool filter_items(tpl_run *run, tpl_value v, const tpl_arguments *arguments, tpl_value *out) {
  tpl_list *list;
  tpl_value view = v;
  if (!tpl_take_arguments(run, "items", arguments, no_names, 0, NULL)) return false;
  if (v.kind != TPL_UNDEFINED && v.kind != TPL_DICT)
    return tpl_fail(&run->limits, "items of a value of type %s", tpl_kind_name(v));
  if (v.kind == TPL_DICT && !tpl_new_view(run, v.u.dict, VIEW_ITEMS, &view)) return false;
  return tpl_to_list(run, view, &list) && tpl_generator(run, list, out);
}

/* -------------------------------------------------------- map, select and so on */

static bool new_lazy(tpl_run *run, tpl_value source, tpl_iterator_kind kind, tpl_iterator **it, tpl_value *out) {
  tpl_iterator *from;
  if (!tpl_iterate(run, source, &from)) return false;
  *it = tpl_alloc(&run->limits, sizeof **it);
  if (!*it) return false;
  **it = (tpl_iterator){.kind = kind, .source = from, .which = -1, .attribute = tpl_undefined(NULL),
                        .default_value = tpl_undefined(NULL)};
  *out = (tpl_value){.kind = TPL_ITERATOR, .u = {.iterator = *it}};
  return true;
}

/* The arguments from number `from` on. */
static tpl_arguments rest_of(const tpl_arguments *arguments, size_t from) {
  tpl_arguments rest = *arguments;
  rest.items += from;
  rest.count -= from;
  return rest;
}

static bool filter_map(tpl_run *run, tpl_value v, const tpl_arguments *arguments, tpl_value *out) {
  static const char *const names[] = {"attribute", "default", NULL};
  tpl_iterator *it;
  const tpl_string *name;
  if (!tpl_truth(v)) v = tpl_undefined(NULL); /* nothing to go through, also where it is no iterable */
  if (!new_lazy(run, v, ITERATE_MAP, &it, out)) return false;
  if (arguments->count == 0) {
    tpl_value values[2] = {tpl_undefined(NULL), tpl_undefined(NULL)};
    if (!tpl_take_arguments(run, "map", arguments, names, 1, values)) return false;
    it->attribute = values[0];
    if (values[1].kind != TPL_NONE) it->default_value = values[1];
    return true;
  }
  if (!tpl_want_string(run, "the name of a filter", arguments->items[0], &name)) return false;
  it->which = tpl_find_filter(name->data, name->bytes);
  it->arguments = rest_of(arguments, 1);
  if (it->which >= 0 || v.kind == TPL_UNDEFINED) return true; /* it is never reached where there is nothing */
  return tpl_fail(&run->limits, "the filter '%.*s' is not supported", TPL_CUT(name));
}

static bool selection(tpl_run *run, tpl_value v, const tpl_arguments *arguments, bool attribute, bool negated,
                      tpl_value *out) {
  tpl_iterator *it;
  const tpl_string *name;
  size_t used = 0;
  if (!tpl_truth(v)) v = tpl_undefined(NULL);
  if (!new_lazy(run, v, ITERATE_SELECT, &it, out)) return false;
  it->negated = negated;
  if (attribute) {
    if (arguments->count == 0) return tpl_fail(&run->limits, "the name of an attribute is missing");
    it->attribute = arguments->items[used++];
  }
  if (arguments->count == used) return true;
  if (!tpl_want_string(run, "the name of a test", arguments->items[used], &name)) return false;
  it->which = tpl_find_test(name->data, name->bytes);
  it->arguments = rest_of(arguments, used + 1);
  if (it->which >= 0 || v.kind == TPL_UNDEFINED) return true; /* it is never reached where there is nothing */
  return tpl_fail(&run->limits, "the test '%.*s' is not supported", TPL_CUT(name));
}

static bool filter_select(tpl_run *run, tpl_value v, const tpl_arguments *arguments, tpl_value *out) {
  return selection(run, v, arguments, false, false, out);
}

static bool filter_reject(tpl_run *run, tpl_value v, const tpl_arguments *arguments, tpl_value *out) {
  return selection(run, v, arguments, false, true, out);
}

static bool filter_selectattr(tpl_run *run, tpl_value v, const tpl_arguments *arguments, tpl_value *out) {
  return selection(run, v, arguments, true, false, out);
}

static bool filter_rejectattr(tpl_run *run, tpl_value v, const tpl_arguments *arguments, tpl_value *out) {
  return selection(run, v, arguments, true, true, out);
}

/* ------------------------------------------------------------ joins and sums */

/* The items through an attribute, unless it is None. */
static bool through_attribute(tpl_run *run, tpl_value *items, tpl_value attribute) {
  tpl_iterator *it;
  if (attribute.kind == TPL_NONE) return true;
  if (!new_lazy(run, *items, ITERATE_MAP, &it, items)) return false;
  it->attribute = attribute;
  return true;
}

static bool filter_join(tpl_run *run, tpl_value v, const tpl_arguments *arguments, tpl_value *out) {
  static const char *const names[] = {"d", "attribute", NULL};
  tpl_value values[2] = {tpl_of_string(&nothing), tpl_none()}, separator;
  return tpl_take_arguments(run, "join", arguments, names, 0, values) && tpl_str(&run->limits, values[0], &separator) &&
         through_attribute(run, &v, values[1]) && tpl_join(run, separator.u.string, v, false, out);
}

static bool filter_sum(tpl_run *run, tpl_value v, const tpl_arguments *arguments, tpl_value *out) {
  static const char *const names[] = {"attribute", "start", NULL};
  tpl_value values[2] = {tpl_none(), tpl_int(0)};
  tpl_list *list;
  if (!tpl_take_arguments(run, "sum", arguments, names, 0, values) || !through_attribute(run, &v, values[0]) ||
      !tpl_to_list(run, v, &list))
    return false;
  *out = values[1];
  if (out->kind == TPL_STRING) return tpl_fail(&run->limits, "sum of strings");
  for (size_t i = 0; i < list->count; i++)
    if (!tpl_arith(&run->limits, '+', *out, list->items[i], out)) return false;
  return true;
}

/* ------------------------------------------------------------------ ordering */

/* What an item is sorted by: an attribute of it, without regard to case. */
static bool one_key(tpl_run *run, tpl_value item, tpl_value attribute, bool case_sensitive, tpl_value *key) {
  *key = item;
  if (attribute.kind != TPL_NONE && !tpl_attribute_path(run, item, attribute, key)) return false;
  if (case_sensitive || key->kind != TPL_STRING) return true;
  return tpl_change_case(&run->limits, key->u.string, CASE_LOWER, key);
}

/* "a,b": by a first and b then. Always a list, as in Jinja: equal keys then need no order. */
static bool list_key(tpl_run *run, tpl_value item, tpl_value attribute, bool case_sensitive, tpl_value *key) {
  tpl_list *keys = tpl_new_list(&run->limits, 0);
  if (attribute.kind != TPL_STRING) {
    tpl_value value;
    if (!keys || !one_key(run, item, attribute, case_sensitive, &value)) return false;
    *key = tpl_of_list(keys);
    return tpl_list_add(&run->limits, keys, value);
  }
  const tpl_string *text = attribute.u.string;
  for (size_t from = 0; keys && from <= text->bytes;) {
    const char *comma = memchr(text->data + from, ',', text->bytes - from);
    const size_t to = comma ? (size_t)(comma - text->data) : text->bytes;
    tpl_value part, value;
    if (!tpl_substring(&run->limits, text, from, to, &part) || !one_key(run, item, part, case_sensitive, &value) ||
        !tpl_list_add(&run->limits, keys, value))
      return false;
    from = to + 1;
  }
  if (keys) *key = tpl_of_list(keys);
  return keys != NULL;
}

typedef bool (*key_fn)(tpl_run *run, tpl_value item, tpl_value attribute, bool case_sensitive, tpl_value *key);

static bool make_keys(tpl_run *run, const tpl_list *list, key_fn key_of, tpl_value attribute, bool case_sensitive,
                      tpl_value **keys) {
  *keys = tpl_alloc_array(&run->limits, list->count + 1, sizeof **keys);
  for (size_t i = 0; *keys && i < list->count; i++)
    if (!key_of(run, list->items[i], attribute, case_sensitive, &(*keys)[i])) return false;
  return *keys != NULL;
}

static bool filter_sort(tpl_run *run, tpl_value v, const tpl_arguments *arguments, tpl_value *out) {
  static const char *const names[] = {"reverse", "case_sensitive", "attribute", NULL};
  tpl_value values[3] = {tpl_bool(false), tpl_bool(false), tpl_none()}, *keys;
  tpl_list *list;
  if (!tpl_take_arguments(run, "sort", arguments, names, 0, values) || !tpl_to_list(run, v, &list) ||
      !make_keys(run, list, list_key, values[2], tpl_truth(values[1]), &keys) ||
      !tpl_sort(&run->limits, list->items, keys, list->count, tpl_truth(values[0])))
    return false;
  *out = tpl_of_list(list);
  return true;
}

static bool filter_dictsort(tpl_run *run, tpl_value v, const tpl_arguments *arguments, tpl_value *out) {
  static const char *const names[] = {"case_sensitive", "by", "reverse", NULL};
  static const tpl_string by_key = {.data = "key", .bytes = 3};
  tpl_value values[3] = {tpl_bool(false), tpl_of_string(&by_key), tpl_bool(false)}, view, *keys;
  tpl_list *list;
  if (!tpl_take_arguments(run, "dictsort", arguments, names, 0, values)) return false;
  if (v.kind == TPL_UNDEFINED) return tpl_fail_undefined(&run->limits, v);
  if (v.kind != TPL_DICT) return tpl_fail(&run->limits, "dictsort of a value of type %s", tpl_kind_name(v));
  if (!tpl_text_is(values[1], "key") && !tpl_text_is(values[1], "value"))
    return tpl_fail(&run->limits, "dictsort is by key or by value");
  const tpl_value place = tpl_int(tpl_text_is(values[1], "value"));
  if (!tpl_new_view(run, v.u.dict, VIEW_ITEMS, &view) || !tpl_to_list(run, view, &list) ||
      !make_keys(run, list, one_key, place, tpl_truth(values[0]), &keys) ||
      !tpl_sort(&run->limits, list->items, keys, list->count, tpl_truth(values[2])))
    return false;
  *out = tpl_of_list(list);
  return true;
}

static bool extreme(tpl_run *run, tpl_value v, const tpl_arguments *arguments, int sign, tpl_value *out) {
  static const char *const names[] = {"case_sensitive", "attribute", NULL};
  tpl_value values[2] = {tpl_bool(false), tpl_none()}, *keys;
  tpl_list *list;
  size_t best = 0;
  if (!tpl_take_arguments(run, "min and max", arguments, names, 0, values) || !tpl_to_list(run, v, &list) ||
      !make_keys(run, list, one_key, values[1], tpl_truth(values[0]), &keys))
    return false;
  for (size_t i = 1; i < list->count; i++) {
    int order;
    if (!tpl_order(&run->limits, keys[i], keys[best], &order)) return false;
    if (order == sign) best = i;
  }
  *out = list->count > 0 ? list->items[best] : tpl_undefined(NULL);
  return true;
}

static bool filter_max(tpl_run *run, tpl_value v, const tpl_arguments *arguments, tpl_value *out) {
  return extreme(run, v, arguments, 1, out);
}

static bool filter_min(tpl_run *run, tpl_value v, const tpl_arguments *arguments, tpl_value *out) {
  return extreme(run, v, arguments, -1, out);
}

static bool filter_unique(tpl_run *run, tpl_value v, const tpl_arguments *arguments, tpl_value *out) {
  static const char *const names[] = {"case_sensitive", "attribute", NULL};
  tpl_value values[2] = {tpl_bool(false), tpl_none()}, *keys;
  tpl_list *list, *kept = tpl_new_list(&run->limits, 0);
  tpl_dict *seen = tpl_new_dict(&run->limits, 0);
  if (!kept || !seen || !tpl_take_arguments(run, "unique", arguments, names, 0, values) ||
      !tpl_to_list(run, v, &list) || !make_keys(run, list, one_key, values[1], tpl_truth(values[0]), &keys))
    return false;
  for (size_t i = 0; i < list->count; i++) {
    const tpl_value *found;
    if (!tpl_dict_find(&run->limits, seen, keys[i], &found)) return false;
    if (found) continue;
    if (!tpl_dict_set(&run->limits, seen, keys[i], tpl_none()) || !tpl_list_add(&run->limits, kept, list->items[i]))
      return false;
  }
  return tpl_generator(run, kept, out);
}

static bool filter_batch(tpl_run *run, tpl_value v, const tpl_arguments *arguments, tpl_value *out) {
  static const char *const names[] = {"linecount", "fill_with", NULL};
  tpl_value values[2] = {tpl_none(), tpl_none()};
  tpl_list *list, *batches = tpl_new_list(&run->limits, 0), *batch = NULL;
  int64_t size;
  if (!batches || !tpl_take_arguments(run, "batch", arguments, names, 1, values) ||
      !tpl_want_int(run, "the size of a batch", values[0], &size) || !tpl_to_list(run, v, &list))
    return false;
  if (size < 1) return tpl_fail(&run->limits, "a batch of less than one item");
  for (size_t i = 0; i < list->count; i++) {
    if (!batch || (int64_t)batch->count == size) {
      batch = tpl_new_list(&run->limits, 0);
      if (!batch || !tpl_list_add(&run->limits, batches, tpl_of_list(batch))) return false;
    }
    if (!tpl_list_add(&run->limits, batch, list->items[i])) return false;
  }
  while (batch && values[1].kind != TPL_NONE && (int64_t)batch->count < size)
    if (!tpl_list_add(&run->limits, batch, values[1])) return false;
  return tpl_generator(run, batches, out);
}

const tpl_builtin tpl_list_filters[] = {{"length", filter_length},
                                        {"count", filter_length},
                                        {"list", filter_list},
                                        {"first", filter_first},
                                        {"last", filter_last},
                                        {"reverse", filter_reverse},
                                        {"items", filter_items},
                                        {"map", filter_map},
                                        {"select", filter_select},
                                        {"reject", filter_reject},
                                        {"selectattr", filter_selectattr},
                                        {"rejectattr", filter_rejectattr},
                                        {"join", filter_join},
                                        {"sum", filter_sum},
                                        {"sort", filter_sort},
                                        {"dictsort", filter_dictsort},
                                        {"max", filter_max},
                                        {"min", filter_min},
                                        {"unique", filter_unique},
                                        {"batch", filter_batch},
                                        {NULL, NULL}};
