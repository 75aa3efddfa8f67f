/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: making strings, lists and dicts; truth; hashing. */
#include "template/value.h"

#include <math.h>
#include <string.h>

#include "template/compare.h"
#include "template/run.h"
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

char *tpl_new_text(tpl_run *run, size_t bytes, tpl_value *out) {
  if (bytes > CHAT_TEMPLATE_MAX_TEXT) {
    tpl_fail(run, "a text of more than %d bytes", CHAT_TEMPLATE_MAX_TEXT);
    return NULL;
  }
  if (!tpl_charge(run, bytes / 16)) return NULL;
  tpl_string *string = tpl_alloc(run, sizeof *string + bytes);
  if (!string) return NULL;
  char *data = (char *)(string + 1);
  *string = (tpl_string){.data = data, .bytes = bytes};
  *out = tpl_of_string(string);
  return data;
}

bool tpl_new_string(tpl_run *run, const char *data, size_t bytes, tpl_value *out) {
  char *copy = tpl_new_text(run, bytes, out);
  if (copy && bytes > 0) memcpy(copy, data, bytes);
  return copy != NULL;
}

bool tpl_take_text(tpl_run *run, ellm_buffer *buffer, tpl_value *out) {
  const bool made = run->status == ELLM_OK && tpl_new_string(run, (const char *)buffer->data, buffer->size, out);
  ellm_buffer_free(buffer);
  return made;
}

bool tpl_put(tpl_run *run, ellm_buffer *buffer, const char *data, size_t bytes) {
  if (bytes > CHAT_TEMPLATE_MAX_TEXT || buffer->size > CHAT_TEMPLATE_MAX_TEXT - bytes)
    return tpl_fail(run, "a text of more than %d bytes", CHAT_TEMPLATE_MAX_TEXT);
  if (!tpl_charge(run, bytes / 16)) return false;
  return ellm_buffer_append(buffer, data, bytes) || tpl_no_memory(run, buffer->size + bytes);
}

bool tpl_strings_equal(const tpl_string *a, const tpl_string *b) {
  return a->bytes == b->bytes && (a->bytes == 0 || memcmp(a->data, b->data, a->bytes) == 0);
}

bool tpl_text_is(tpl_value value, const char *text) {
  return value.kind == TPL_STRING && value.u.string->bytes == strlen(text) &&
         memcmp(value.u.string->data, text, value.u.string->bytes) == 0;
}

/* -------------------------------------------------------------------- lists */

tpl_list *tpl_new_list(tpl_run *run, size_t capacity) {
  tpl_list *list = tpl_alloc(run, sizeof *list);
  if (!list || !tpl_charge(run, capacity)) return NULL;
  *list = (tpl_list){.capacity = capacity};
  if (capacity > 0) {
    list->items = tpl_alloc_array(run, capacity, sizeof *list->items);
    if (!list->items) return NULL;
  }
  return list;
}

bool tpl_list_add(tpl_run *run, tpl_list *list, tpl_value value) {
  if (list->count == list->capacity) {
    const size_t capacity = list->capacity ? 2 * list->capacity : 8;
    tpl_value *grown = tpl_alloc_array(run, capacity, sizeof *grown);
    if (!grown) return false;
    if (list->count > 0) memcpy(grown, list->items, list->count * sizeof *grown);
    list->items = grown;
    list->capacity = capacity;
  }
  list->items[list->count++] = value;
  return tpl_charge(run, 1);
}

bool tpl_new_pair(tpl_run *run, tpl_value a, tpl_value b, tpl_value *out) {
  tpl_list *pair = tpl_new_list(run, 2);
  if (!pair) return false;
  pair->items[0] = a;
  pair->items[1] = b;
  pair->count = 2;
  *out = tpl_of_tuple(pair);
  return true;
}

/* -------------------------------------------------------------------- dicts */

enum { MIN_SLOTS = 16 }; /* below half of it entries are searched one by one */

tpl_dict *tpl_new_dict(tpl_run *run, size_t capacity) {
  tpl_dict *dict = tpl_alloc(run, sizeof *dict);
  if (!dict) return NULL;
  *dict = (tpl_dict){.capacity = capacity};
  if (capacity > 0) {
    dict->entries = tpl_alloc_array(run, capacity, sizeof *dict->entries);
    if (!dict->entries) return NULL;
  }
  return dict;
}

bool tpl_is_hashable(tpl_value v) { return v.kind != TPL_LIST && v.kind != TPL_DICT; }

static uint64_t mix(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * 0x9E3779B97F4A7C15u;
  return hash ^ hash >> 29;
}

static uint64_t hash_text(const tpl_string *text) {
  uint64_t hash = 14695981039346656037u; /* FNV-1a */
  for (size_t i = 0; i < text->bytes; i++) hash = (hash ^ (unsigned char)text->data[i]) * 1099511628211u;
  return mix(hash, text->bytes);
}

/* Equal values have equal hashes: 1, 1.0 and true are one key. */
static bool hash_value(tpl_run *run, tpl_value v, uint64_t *hash) {
  switch (v.kind) {
    case TPL_UNDEFINED: case TPL_NONE: *hash = mix(1, v.kind); return true;
    case TPL_BOOL: case TPL_INT: *hash = mix(2, (uint64_t)tpl_integer_of(v)); return true;
    case TPL_FLOAT:
      if (v.u.real == floor(v.u.real) && fabs(v.u.real) < 9e18) {
        *hash = mix(2, (uint64_t)(int64_t)v.u.real);
      } else {
        uint64_t bits;
        memcpy(&bits, &v.u.real, sizeof bits);
        *hash = mix(3, bits);
      }
      return true;
    case TPL_STRING: *hash = hash_text(v.u.string); return tpl_charge(run, v.u.string->bytes / 16);
    case TPL_TUPLE: {
      uint64_t sum = 4;
      if (!tpl_deeper(run) || !tpl_charge(run, v.u.list->count)) return false;
      for (size_t i = 0; i < v.u.list->count; i++) {
        uint64_t item;
        if (!hash_value(run, v.u.list->items[i], &item)) return false;
        sum = mix(sum, item);
      }
      run->depth--;
      *hash = sum;
      return true;
    }
    default: return tpl_fail(run, "unhashable type: '%s'", tpl_kind_name(v));
  }
}

/* The entry with this key, or NULL; *slot is where it is or would be in the table. */
static bool find_entry(tpl_run *run, const tpl_dict *dict, tpl_value key, uint64_t hash, tpl_entry **found,
                       size_t *slot) {
  bool equal = false;
  *found = NULL;
  *slot = 0;
  if (!dict->slots) {
    for (size_t i = 0; i < dict->count; i++) {
      tpl_entry *entry = &dict->entries[i];
      if (entry->hash != hash) continue;
      if (!tpl_equal(run, entry->key, key, &equal)) return false;
      if (!equal) continue;
      *found = entry;
      return true;
    }
    return true;
  }
  size_t at = (size_t)(hash >> 17) & (dict->n_slots - 1), probes = 0;
  for (; dict->slots[at]; at = (at + 1) & (dict->n_slots - 1)) {
    tpl_entry *entry = &dict->entries[dict->slots[at] - 1];
    if (++probes % 16 == 0 && !tpl_charge(run, 1)) return false;
    if (entry->hash != hash) continue;
    if (!tpl_equal(run, entry->key, key, &equal)) return false;
    if (!equal) continue;
    *found = entry;
    return true;
  }
  *slot = at;
  return true;
}

bool tpl_dict_find(tpl_run *run, const tpl_dict *dict, tpl_value key, const tpl_value **found) {
  uint64_t hash = 0;
  tpl_entry *entry;
  size_t slot;
  *found = NULL;
  if (!hash_value(run, key, &hash) || !find_entry(run, dict, key, hash, &entry, &slot)) return false;
  if (entry) *found = &entry->value;
  return true;
}

bool tpl_dict_find_text(tpl_run *run, const tpl_dict *dict, const tpl_string *key, const tpl_value **found) {
  return tpl_dict_find(run, dict, tpl_of_string(key), found);
}

static bool build_slots(tpl_run *run, tpl_dict *dict) {
  const size_t n = dict->n_slots ? 2 * dict->n_slots : 2 * MIN_SLOTS;
  uint32_t *slots = tpl_alloc_array(run, n, sizeof *slots);
  if (!slots || !tpl_charge(run, dict->count)) return false;
  memset(slots, 0, n * sizeof *slots);
  for (size_t i = 0; i < dict->count; i++) {
    size_t at = (size_t)(dict->entries[i].hash >> 17) & (n - 1), probes = 0;
    for (; slots[at]; at = (at + 1) & (n - 1))
      if (++probes % 16 == 0 && !tpl_charge(run, 1)) return false;
    slots[at] = (uint32_t)i + 1;
  }
  dict->slots = slots;
  dict->n_slots = n;
  return true;
}

bool tpl_dict_set(tpl_run *run, tpl_dict *dict, tpl_value key, tpl_value value) {
  uint64_t hash;
  tpl_entry *entry;
  size_t slot;
  if (!tpl_charge(run, 1) || !hash_value(run, key, &hash) || !find_entry(run, dict, key, hash, &entry, &slot))
    return false;
  if (entry) {
    entry->value = value;
    return true;
  }
  if (dict->count == dict->capacity) {
    const size_t capacity = dict->capacity ? 2 * dict->capacity : 8;
    tpl_entry *grown = tpl_alloc_array(run, capacity, sizeof *grown);
    if (!grown) return false;
    if (dict->count > 0) memcpy(grown, dict->entries, dict->count * sizeof *grown);
    dict->entries = grown;
    dict->capacity = capacity;
  }
  dict->entries[dict->count++] = (tpl_entry){.key = key, .value = value, .hash = hash};
  if (2 * dict->count > dict->n_slots && (dict->slots || dict->count > MIN_SLOTS / 2)) return build_slots(run, dict);
  if (dict->slots) dict->slots[slot] = (uint32_t)dict->count;
  return true;
}

/* -------------------------------------------------------------------- truth */

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
