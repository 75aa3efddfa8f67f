/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: names of types, making strings and lists, truth. All of it is in the arena of the rendering. */
#include "template/value/value.h"

#include <math.h>
#include <string.h>

#include "text/unicode.h"

const char *tpl_kind_name(tpl_value v) {
  static const char *const views[] = {"dict_keys", "dict_values", "dict_items"};
  switch (v.kind) {
    case TPL_UNDEFINED: return "Undefined";
    case TPL_NONE: return "NoneType";
    case TPL_BOOL: return "bool";
    case TPL_INT: return "int";
    case TPL_FLOAT: return "float";
    case TPL_STRING: return "str";
    case TPL_LIST: return "list";
    case TPL_TUPLE: return "tuple";
    case TPL_DICT: return "dict";
    case TPL_RANGE: return "range";
    case TPL_VIEW: return views[v.u.view->what];
    case TPL_NAMESPACE: return "Namespace";
    case TPL_ITERATOR: return "generator";
    case TPL_LOOP: return "LoopContext";
    case TPL_MACRO: return "Macro";
    case TPL_FUNCTION: return "function";
    case TPL_METHOD: return "method";
  }
  return "?";
}

/* ------------------------------------------------------------------ strings */

/* The bytes are behind the string itself, in one piece of the arena. */
char *tpl_new_text(tpl_limits *limits, size_t bytes, tpl_value *out) {
  if (bytes > CHAT_TEMPLATE_MAX_TEXT) {
    tpl_fail(limits, "a text of more than %d bytes", CHAT_TEMPLATE_MAX_TEXT);
    return NULL;
  }
  if (!tpl_charge(limits, bytes / 16)) return NULL;
  tpl_string *string = tpl_alloc(limits, sizeof *string + bytes);
  if (!string) return NULL;
  char *data = (char *)(string + 1);
  *string = (tpl_string){.data = data, .bytes = bytes};
  *out = tpl_of_string(string);
  return data;
}

bool tpl_new_string(tpl_limits *limits, const char *data, size_t bytes, tpl_value *out) {
  char *copy = tpl_new_text(limits, bytes, out);
  if (copy && bytes > 0) memcpy(copy, data, bytes);
  return copy != NULL;
}

bool tpl_take_text(tpl_limits *limits, ellm_buffer *buffer, tpl_value *out) {
  const bool made = limits->status == ELLM_OK && tpl_new_string(limits, (const char *)buffer->data, buffer->size, out);
  ellm_buffer_free(buffer);
  return made;
}

bool tpl_put(tpl_limits *limits, ellm_buffer *buffer, const char *data, size_t bytes) {
  if (bytes > CHAT_TEMPLATE_MAX_TEXT || buffer->size > CHAT_TEMPLATE_MAX_TEXT - bytes)
    return tpl_fail(limits, "a text of more than %d bytes", CHAT_TEMPLATE_MAX_TEXT);
  if (!tpl_charge(limits, bytes / 16)) return false;
  return ellm_buffer_append(buffer, data, bytes) || tpl_no_memory(limits, buffer->size + bytes);
}

bool tpl_strings_equal(const tpl_string *a, const tpl_string *b) {
  return a->bytes == b->bytes && (a->bytes == 0 || memcmp(a->data, b->data, a->bytes) == 0);
}

bool tpl_text_is(tpl_value value, const char *text) {
  return value.kind == TPL_STRING && value.u.string->bytes == strlen(text) &&
         memcmp(value.u.string->data, text, value.u.string->bytes) == 0;
}

/* -------------------------------------------------------------------- lists */

tpl_list *tpl_new_list(tpl_limits *limits, size_t capacity) {
  tpl_list *list = tpl_alloc(limits, sizeof *list);
  if (!list || !tpl_charge(limits, capacity)) return NULL;
  *list = (tpl_list){.capacity = capacity};
  if (capacity > 0) {
    list->items = tpl_alloc_array(limits, capacity, sizeof *list->items);
    if (!list->items) return NULL;
  }
  return list;
}

/* Doubled when it is full; the old items stay in the arena until all of it goes. */
bool tpl_list_add(tpl_limits *limits, tpl_list *list, tpl_value value) {
  if (list->count == list->capacity) {
    const size_t capacity = list->capacity ? 2 * list->capacity : 8;
    tpl_value *grown = tpl_alloc_array(limits, capacity, sizeof *grown);
    if (!grown) return false;
    if (list->count > 0) memcpy(grown, list->items, list->count * sizeof *grown);
    list->items = grown;
    list->capacity = capacity;
  }
  list->items[list->count++] = value;
  return tpl_charge(limits, 1);
}

bool tpl_new_pair(tpl_limits *limits, tpl_value a, tpl_value b, tpl_value *out) {
  tpl_list *pair = tpl_new_list(limits, 2);
  if (!pair) return false;
  pair->items[0] = a;
  pair->items[1] = b;
  pair->count = 2;
  *out = tpl_of_tuple(pair);
  return true;
}

/* -------------------------------------------------------------------- truth */

/* What is empty or zero is false; what has no length, as a generator, is true. */
bool tpl_truth(tpl_value v) {
  switch (v.kind) {
    case TPL_UNDEFINED: case TPL_NONE: return false;
    case TPL_BOOL: return v.u.boolean;
    case TPL_INT: return v.u.integer != 0;
    case TPL_FLOAT: return v.u.real != 0;
    case TPL_STRING: return v.u.string->bytes > 0;
    case TPL_LIST: case TPL_TUPLE: return v.u.list->count > 0;
    case TPL_DICT: return v.u.dict->count > 0;
    case TPL_RANGE: return v.u.range->count > 0;
    case TPL_VIEW: return v.u.view->dict->count > 0;
    default: return true;
  }
}

bool tpl_fail_undefined(tpl_limits *limits, tpl_value value) {
  if (!value.u.string) return tpl_fail(limits, "a value is undefined");
  return tpl_fail(limits, "'%.*s' is undefined", TPL_CUT(value.u.string));
}

bool tpl_view_list(tpl_limits *limits, const tpl_view *view, tpl_list **out) {
  *out = tpl_new_list(limits, view->dict->count);
  if (!*out) return false;
  for (size_t i = 0; i < view->dict->count; i++) {
    const tpl_entry *entry = &view->dict->entries[i];
    tpl_value item = view->what == VIEW_VALUES ? entry->value : entry->key;
    if (view->what == VIEW_ITEMS && !tpl_new_pair(limits, entry->key, entry->value, &item)) return false;
    if (!tpl_list_add(limits, *out, item)) return false;
  }
  return true;
}
