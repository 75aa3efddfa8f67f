/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: dicts in the order of insertion, with a table once they are large; equality, as Python has it. */
#include "template/value/dict.h"

#include <math.h>
#include <string.h>

#include "template/value/numbers.h"

enum { MIN_SLOTS = 16 }; /* below half of it entries are searched one by one */

tpl_dict *tpl_new_dict(tpl_limits *limits, size_t capacity) {
  tpl_dict *dict = tpl_alloc(limits, sizeof *dict);
  if (!dict) return NULL;
  *dict = (tpl_dict){.capacity = capacity};
  if (capacity > 0) {
    dict->entries = tpl_alloc_array(limits, capacity, sizeof *dict->entries);
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
static bool hash_value(tpl_limits *limits, tpl_value v, uint64_t *hash) {
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
    case TPL_STRING: *hash = hash_text(v.u.string); return tpl_charge(limits, v.u.string->bytes / 16);
    case TPL_TUPLE: {
      uint64_t sum = 4;
      if (!tpl_deeper(limits) || !tpl_charge(limits, v.u.list->count)) return false;
      for (size_t i = 0; i < v.u.list->count; i++) {
        uint64_t item;
        if (!hash_value(limits, v.u.list->items[i], &item)) return false;
        sum = mix(sum, item);
      }
      limits->depth--;
      *hash = sum;
      return true;
    }
    default: return tpl_fail(limits, "unhashable type: '%s'", tpl_kind_name(v));
  }
}

/* The entry with this key, or NULL; *slot is where it is or would be in the table. */
static bool find_entry(tpl_limits *limits, const tpl_dict *dict, tpl_value key, uint64_t hash, tpl_entry **found,
                       size_t *slot) {
  bool equal = false;
  *found = NULL;
  *slot = 0;
  if (!dict->slots) {
    for (size_t i = 0; i < dict->count; i++) {
      tpl_entry *entry = &dict->entries[i];
      if (entry->hash != hash) continue;
      if (!tpl_equal(limits, entry->key, key, &equal)) return false;
      if (!equal) continue;
      *found = entry;
      return true;
    }
    return true;
  }
  size_t at = (size_t)(hash >> 17) & (dict->n_slots - 1), probes = 0;
  for (; dict->slots[at]; at = (at + 1) & (dict->n_slots - 1)) {
    tpl_entry *entry = &dict->entries[dict->slots[at] - 1];
    if (++probes % 16 == 0 && !tpl_charge(limits, 1)) return false;
    if (entry->hash != hash) continue;
    if (!tpl_equal(limits, entry->key, key, &equal)) return false;
    if (!equal) continue;
    *found = entry;
    return true;
  }
  *slot = at;
  return true;
}

bool tpl_dict_find(tpl_limits *limits, const tpl_dict *dict, tpl_value key, const tpl_value **found) {
  uint64_t hash = 0;
  tpl_entry *entry;
  size_t slot;
  *found = NULL;
  if (!hash_value(limits, key, &hash) || !find_entry(limits, dict, key, hash, &entry, &slot)) return false;
  if (entry) *found = &entry->value;
  return true;
}

bool tpl_dict_find_text(tpl_limits *limits, const tpl_dict *dict, const tpl_string *key, const tpl_value **found) {
  return tpl_dict_find(limits, dict, tpl_of_string(key), found);
}

static bool build_slots(tpl_limits *limits, tpl_dict *dict) {
  const size_t n = dict->n_slots ? 2 * dict->n_slots : 2 * MIN_SLOTS;
  uint32_t *slots = tpl_alloc_array(limits, n, sizeof *slots);
  if (!slots || !tpl_charge(limits, dict->count)) return false;
  memset(slots, 0, n * sizeof *slots);
  for (size_t i = 0; i < dict->count; i++) {
    size_t at = (size_t)(dict->entries[i].hash >> 17) & (n - 1), probes = 0;
    for (; slots[at]; at = (at + 1) & (n - 1))
      if (++probes % 16 == 0 && !tpl_charge(limits, 1)) return false;
    slots[at] = (uint32_t)i + 1;
  }
  dict->slots = slots;
  dict->n_slots = n;
  return true;
}

bool tpl_dict_set(tpl_limits *limits, tpl_dict *dict, tpl_value key, tpl_value value) {
  uint64_t hash;
  tpl_entry *entry;
  size_t slot;
  if (!tpl_charge(limits, 1) || !hash_value(limits, key, &hash) || !find_entry(limits, dict, key, hash, &entry, &slot))
    return false;
  if (entry) {
    entry->value = value;
    return true;
  }
  if (dict->count == dict->capacity) {
    const size_t capacity = dict->capacity ? 2 * dict->capacity : 8;
    tpl_entry *grown = tpl_alloc_array(limits, capacity, sizeof *grown);
    if (!grown) return false;
    if (dict->count > 0) memcpy(grown, dict->entries, dict->count * sizeof *grown);
    dict->entries = grown;
    dict->capacity = capacity;
  }
  dict->entries[dict->count++] = (tpl_entry){.key = key, .value = value, .hash = hash};
  if (2 * dict->count > dict->n_slots && (dict->slots || dict->count > MIN_SLOTS / 2)) return build_slots(limits, dict);
  if (dict->slots) dict->slots[slot] = (uint32_t)dict->count;
  return true;
}

/* ----------------------------------------------------------------- equality */

static bool lists_equal(tpl_limits *limits, const tpl_list *a, const tpl_list *b, bool *equal) {
  *equal = a->count == b->count;
  for (size_t i = 0; *equal && i < a->count; i++)
    if (!tpl_equal(limits, a->items[i], b->items[i], equal)) return false;
  return true;
}

static bool dicts_equal(tpl_limits *limits, const tpl_dict *a, const tpl_dict *b, bool *equal) {
  *equal = a->count == b->count;
  for (size_t i = 0; *equal && i < a->count; i++) {
    const tpl_value *other;
    if (!tpl_dict_find(limits, b, a->entries[i].key, &other)) return false;
    *equal = other != NULL;
    if (other && !tpl_equal(limits, a->entries[i].value, *other, equal)) return false;
  }
  return true;
}

static bool ranges_equal(const tpl_range *a, const tpl_range *b) {
  if (a->count != b->count) return false;
  return a->count == 0 || (a->start == b->start && (a->count == 1 || a->step == b->step));
}

static bool equal_inside(tpl_limits *limits, tpl_value a, tpl_value b, bool *equal) {
  switch (a.kind) {
    case TPL_UNDEFINED: case TPL_NONE: *equal = true; return true;
    case TPL_STRING:
      *equal = tpl_strings_equal(a.u.string, b.u.string);
      return !*equal || tpl_charge(limits, a.u.string->bytes / 16);
    case TPL_LIST: case TPL_TUPLE: return lists_equal(limits, a.u.list, b.u.list, equal);
    case TPL_DICT: return dicts_equal(limits, a.u.dict, b.u.dict, equal);
    case TPL_RANGE: *equal = ranges_equal(a.u.range, b.u.range); return true;
    case TPL_NAMESPACE: *equal = a.u.space == b.u.space; return true;
    case TPL_ITERATOR: *equal = a.u.iterator == b.u.iterator; return true;
    case TPL_LOOP: *equal = a.u.loop == b.u.loop; return true;
    case TPL_MACRO: *equal = a.u.macro == b.u.macro; return true;
    case TPL_FUNCTION: *equal = a.u.function == b.u.function; return true;
    default: return tpl_fail(limits, "comparing values of type %s is not supported", tpl_kind_name(a));
  }
}

bool tpl_equal(tpl_limits *limits, tpl_value a, tpl_value b, bool *equal) {
  if (!tpl_charge(limits, 1)) return false;
  if (tpl_is_number(a) && tpl_is_number(b)) {
    *equal = tpl_order_numbers(a, b) == 0;
    return true;
  }
  *equal = false;
  if (a.kind != b.kind) return true;
  if (!tpl_deeper(limits)) return false;
  const bool done = equal_inside(limits, a, b, equal);
  limits->depth--;
  return done;
}
