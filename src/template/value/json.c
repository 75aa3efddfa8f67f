/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chat templates: values from JSON, and JSON from values as Python's json.dumps writes it: ", " and ": " between,
 * NaN and Infinity as words, keys that are numbers as texts. Variables are converted once; their texts stay where the
 * JSON has them.
 */
#include "template/value/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "template/value/compare.h"
#include "template/value/dict.h"
#include "template/value/numbers.h"
#include "text/utf8.h"

/* ---------------------------------------------------------------- from JSON */

static bool string_of(tpl_limits *limits, const char *text, size_t bytes, tpl_value *out) {
  tpl_string *string = tpl_alloc(limits, sizeof *string);
  if (!string) return false;
  *string = (tpl_string){.data = text, .bytes = bytes}; /* the JSON outlives the rendering */
  *out = tpl_of_string(string);
  return true;
}

static bool array_of(tpl_limits *limits, const json_t *json, tpl_value *out) {
  const size_t count = json_array_size(json);
  tpl_list *list = tpl_new_list(limits, count);
  if (!list) return false;
  for (; list->count < count; list->count++)
    if (!tpl_from_json(limits, json_array_get(json, list->count), &list->items[list->count])) return false;
  *out = tpl_of_list(list);
  return true;
}

/* In the order of the JSON. */
static bool object_of(tpl_limits *limits, const json_t *json, tpl_value *out) {
  tpl_dict *dict = tpl_new_dict(limits, json_object_size(json));
  if (!dict) return false;
  /* jansson's iterators do not change the object, whatever their type says */
  for (void *i = json_object_iter((json_t *)json); i; i = json_object_iter_next((json_t *)json, i)) {
    const char *name = json_object_iter_key(i);
    tpl_value key, value;
    if (!string_of(limits, name, strlen(name), &key) || !tpl_from_json(limits, json_object_iter_value(i), &value) ||
        !tpl_dict_set(limits, dict, key, value))
      return false;
  }
  *out = tpl_of_dict(dict);
  return true;
}

static bool from_json(tpl_limits *limits, const json_t *json, tpl_value *out) {
  switch (json_typeof(json)) {
    case JSON_OBJECT: return object_of(limits, json, out);
    case JSON_ARRAY: return array_of(limits, json, out);
    case JSON_STRING: return string_of(limits, json_string_value(json), json_string_length(json), out);
    case JSON_INTEGER: *out = tpl_int(json_integer_value(json)); return true;
    case JSON_REAL: *out = tpl_float(json_real_value(json)); return true;
    case JSON_TRUE: *out = tpl_bool(true); return true;
    case JSON_FALSE: *out = tpl_bool(false); return true;
    default: *out = tpl_none(); return true;
  }
}

bool tpl_from_json(tpl_limits *limits, const json_t *json, tpl_value *out) {
  if (limits->depth >= CHAT_TEMPLATE_MAX_NESTING)
    return tpl_fail(limits, "the variables are nested more than %d deep", CHAT_TEMPLATE_MAX_NESTING);
  limits->depth++;
  const bool done = tpl_charge(limits, 1) && from_json(limits, json, out);
  limits->depth--;
  return done;
}

/* ------------------------------------------------------------------ to JSON */

static bool put(tpl_limits *limits, ellm_buffer *buffer, const char *text) {
  return tpl_put(limits, buffer, text, strlen(text));
}

/* Control characters are escaped; with `ascii` all that is not ASCII, too, beyond 16 bits as two surrogates. */
static bool put_string(tpl_limits *limits, ellm_buffer *buffer, const tpl_string *text, bool ascii) {
  static const char special[] = "\"\\\n\r\t\b\f", letters[] = "\"\\nrtbf";
  if (!put(limits, buffer, "\"")) return false;
  for (size_t i = 0; i < text->bytes;) {
    uint32_t cp;
    const size_t n = utf8_decode(text->data + i, &cp);
    const char *found = cp > 0 && cp < 0x80 ? strchr(special, (int)cp) : NULL;
    char escaped[16] = "";
    if (found) snprintf(escaped, sizeof escaped, "\\%c", letters[found - special]);
    else if (cp < 0x20 || (ascii && cp >= 0x7F && cp < 0x10000))
      snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)cp);
    else if (ascii && cp >= 0x10000)
      snprintf(escaped, sizeof escaped, "\\u%04x\\u%04x", 0xD800 + (unsigned)((cp - 0x10000) >> 10),
               0xDC00 + (unsigned)((cp - 0x10000) & 0x3FF));
    if (!(escaped[0] ? put(limits, buffer, escaped) : tpl_put(limits, buffer, text->data + i, n))) return false;
    i += n;
  }
  return put(limits, buffer, "\"");
}

static bool put_number(tpl_limits *limits, ellm_buffer *buffer, tpl_value v) {
  char text[32];
  if (v.kind == TPL_INT) snprintf(text, sizeof text, "%lld", (long long)v.u.integer);
  else if (isnan(v.u.real)) strcpy(text, "NaN");
  else if (isinf(v.u.real)) strcpy(text, v.u.real < 0 ? "-Infinity" : "Infinity");
  else tpl_float_repr(v.u.real, text);
  return put(limits, buffer, text);
}

/* With an indent each item has a line of its own. */
static bool put_line(tpl_limits *limits, ellm_buffer *buffer, const tpl_json_style *style, unsigned level) {
  if (!style->indent) return true;
  if (!put(limits, buffer, "\n")) return false;
  for (unsigned i = 0; i < level; i++)
    if (!tpl_put(limits, buffer, style->indent->data, style->indent->bytes)) return false;
  return tpl_charge(limits, level);
}

static bool put_value(tpl_limits *limits, ellm_buffer *buffer, tpl_value v, const tpl_json_style *style,
                      unsigned level);

static bool put_items(tpl_limits *limits, ellm_buffer *buffer, const tpl_list *list, const tpl_json_style *style,
                      unsigned level) {
  if (list->count == 0) return put(limits, buffer, "[]");
  if (!put(limits, buffer, "[")) return false;
  for (size_t i = 0; i < list->count; i++)
    if ((i > 0 && !tpl_put(limits, buffer, style->item_separator->data, style->item_separator->bytes)) ||
        !put_line(limits, buffer, style, level + 1) || !put_value(limits, buffer, list->items[i], style, level + 1))
      return false;
  return put_line(limits, buffer, style, level) && put(limits, buffer, "]");
}

static bool put_key(tpl_limits *limits, ellm_buffer *buffer, tpl_value key, const tpl_json_style *style) {
  switch (key.kind) {
    case TPL_STRING: return put_string(limits, buffer, key.u.string, style->ascii);
    case TPL_NONE: return put(limits, buffer, "\"null\"");
    case TPL_BOOL: return put(limits, buffer, key.u.boolean ? "\"true\"" : "\"false\"");
    case TPL_INT:
    case TPL_FLOAT: return put(limits, buffer, "\"") && put_number(limits, buffer, key) && put(limits, buffer, "\"");
    default: return tpl_fail(limits, "a key of type %s cannot be JSON", tpl_kind_name(key));
  }
}

/* Keys are sorted, where that is asked for, together with their values. */
static bool put_object(tpl_limits *limits, ellm_buffer *buffer, const tpl_dict *dict, const tpl_json_style *style,
                       unsigned level) {
  if (dict->count == 0) return put(limits, buffer, "{}");
  tpl_value *keys = tpl_alloc_array(limits, dict->count, 2 * sizeof *keys);
  if (!keys) return false;
  tpl_value *values = keys + dict->count;
  for (size_t i = 0; i < dict->count; i++) {
    keys[i] = dict->entries[i].key;
    values[i] = dict->entries[i].value;
  }
  if (style->sort_keys && !tpl_sort(limits, values, keys, dict->count, false)) return false;
  if (!put(limits, buffer, "{")) return false;
  for (size_t i = 0; i < dict->count; i++)
    if ((i > 0 && !tpl_put(limits, buffer, style->item_separator->data, style->item_separator->bytes)) ||
        !put_line(limits, buffer, style, level + 1) || !put_key(limits, buffer, keys[i], style) ||
        !tpl_put(limits, buffer, style->key_separator->data, style->key_separator->bytes) ||
        !put_value(limits, buffer, values[i], style, level + 1))
      return false;
  return put_line(limits, buffer, style, level) && put(limits, buffer, "}");
}

static bool put_inside(tpl_limits *limits, ellm_buffer *buffer, tpl_value v, const tpl_json_style *style,
                       unsigned level) {
  switch (v.kind) {
    case TPL_NONE: return put(limits, buffer, "null");
    case TPL_BOOL: return put(limits, buffer, v.u.boolean ? "true" : "false");
    case TPL_INT: case TPL_FLOAT: return put_number(limits, buffer, v);
    case TPL_STRING: return put_string(limits, buffer, v.u.string, style->ascii);
    case TPL_LIST: case TPL_TUPLE: return put_items(limits, buffer, v.u.list, style, level);
    case TPL_DICT: return put_object(limits, buffer, v.u.dict, style, level);
    default: return tpl_fail(limits, "a value of type %s cannot be JSON", tpl_kind_name(v));
  }
}

static bool put_value(tpl_limits *limits, ellm_buffer *buffer, tpl_value v, const tpl_json_style *style,
                      unsigned level) {
  if (!tpl_charge(limits, 1) || !tpl_deeper(limits)) return false;
  const bool done = put_inside(limits, buffer, v, style, level);
  limits->depth--;
  return done;
}

bool tpl_put_json(tpl_limits *limits, ellm_buffer *buffer, tpl_value value, const tpl_json_style *style) {
  return put_value(limits, buffer, value, style, 0);
}
