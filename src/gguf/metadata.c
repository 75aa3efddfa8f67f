/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading and asking metadata. A key is a string (a length of 64 bits, its bytes), then the number of a type, then the
 * value: a scalar; a string; or an array, which is the type of its elements, their number, and the elements. Elements
 * may be strings and arrays. Every element takes a byte at least, so numbers of elements are bounded by what is left of
 * the file, and reading takes time in proportion to the file.
 */
#include "gguf/metadata.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/memory.h"

typedef struct type_facts {
  const char *name;
  uint8_t bytes; /* of a scalar */
  uint8_t least; /* bytes that an element takes at least */
} type_facts;

static const type_facts types[GGUF_VALUE_TYPES] = {
    [GGUF_VALUE_U8] = {"a U8", 1, 1},      [GGUF_VALUE_I8] = {"an I8", 1, 1},
    [GGUF_VALUE_U16] = {"a U16", 2, 2},    [GGUF_VALUE_I16] = {"an I16", 2, 2},
    [GGUF_VALUE_U32] = {"a U32", 4, 4},    [GGUF_VALUE_I32] = {"an I32", 4, 4},
    [GGUF_VALUE_F32] = {"an F32", 4, 4},   [GGUF_VALUE_BOOL] = {"a boolean", 1, 1},
    [GGUF_VALUE_STRING] = {"a string", 0, 8}, [GGUF_VALUE_ARRAY] = {"an array", 0, 12},
    [GGUF_VALUE_U64] = {"a U64", 8, 8},    [GGUF_VALUE_I64] = {"an I64", 8, 8},
    [GGUF_VALUE_F64] = {"an F64", 8, 8},
};

/* ---- reading ---- */

static ellm_status read_type(gguf_cursor *c, const gguf_value *value, gguf_value_type *out, ellm_error *err) {
  uint32_t type;
  ELLM_TRY(gguf_take_u32(c, "the type of a value", &type, err));
  if (type >= GGUF_VALUE_TYPES) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: key %.*s: value type %u is not known", c->path, GGUF_SHOWN(value->key),
                     (unsigned)type);
  }
  *out = (gguf_value_type)type;
  return ELLM_OK;
}

static ellm_status read_string(gguf_cursor *c, const gguf_value *value, gguf_string *out, ellm_error *err) {
  uint64_t bytes;
  const uint8_t *data;
  ELLM_TRY(gguf_take_u64(c, "the length of a string", &bytes, err));
  if (bytes > GGUF_MAX_STRING) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: key %.*s: a string of %llu bytes is beyond the limit of %d", c->path,
                     GGUF_SHOWN(value->key), (unsigned long long)bytes, GGUF_MAX_STRING);
  }
  if (bytes > gguf_left(c)) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: key %.*s: a string of %llu bytes at offset %llu ends beyond the file",
                     c->path, GGUF_SHOWN(value->key), (unsigned long long)bytes, (unsigned long long)c->at);
  }
  ELLM_TRY(gguf_take(c, bytes, "a string", &data, err));
  *out = (gguf_string){(const char *)data, (size_t)bytes};
  return ELLM_OK;
}

static ellm_status check_bools(const gguf_cursor *c, const gguf_value *value, const uint8_t *data, uint64_t n,
                               ellm_error *err) {
  for (uint64_t i = 0; i < n; i++) {
    if (data[i] <= 1) continue;
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: key %.*s: a boolean is %u, 0 or 1 is expected", c->path,
                     GGUF_SHOWN(value->key), (unsigned)data[i]);
  }
  return ELLM_OK;
}

/* The type and the number of an array's elements. */
static ellm_status read_array_head(gguf_cursor *c, const gguf_value *value, gguf_value_type *element, uint64_t *n,
                                   ellm_error *err) {
  ELLM_TRY(read_type(c, value, element, err));
  ELLM_TRY(gguf_take_u64(c, "the length of an array", n, err));
  if (*n > gguf_left(c) / types[*element].least) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: key %.*s: an array of %llu elements ends beyond the file", c->path,
                     GGUF_SHOWN(value->key), (unsigned long long)*n);
  }
  return ELLM_OK;
}

/* Goes over n elements of a type; `depth` arrays are open around them. */
static ellm_status read_elements(gguf_cursor *c, const gguf_value *value, gguf_value_type type, uint64_t n, int depth,
                                 ellm_error *err) {
  if (types[type].bytes != 0) { /* read_array_head has seen that they fit */
    const uint8_t *data;
    ELLM_TRY(gguf_take(c, n * types[type].bytes, "a value", &data, err));
    return type == GGUF_VALUE_BOOL ? check_bools(c, value, data, n, err) : ELLM_OK;
  }
  if (type == GGUF_VALUE_ARRAY && depth >= GGUF_MAX_NESTING) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: key %.*s: arrays are nested deeper than %d", c->path,
                     GGUF_SHOWN(value->key), GGUF_MAX_NESTING);
  }
  for (uint64_t i = 0; i < n; i++) {
    gguf_string string;
    gguf_value_type element;
    uint64_t count;
    if (type == GGUF_VALUE_STRING) {
      ELLM_TRY(read_string(c, value, &string, err));
    } else {
      ELLM_TRY(read_array_head(c, value, &element, &count, err));
      ELLM_TRY(read_elements(c, value, element, count, depth + 1, err));
    }
  }
  return ELLM_OK;
}

static ellm_status read_key(gguf_cursor *c, size_t index, gguf_string *key, ellm_error *err) {
  uint64_t bytes;
  const uint8_t *data;
  ELLM_TRY(gguf_take_u64(c, "the length of a key", &bytes, err));
  if (bytes == 0 || bytes > GGUF_MAX_KEY) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: key number %zu has a name of %llu bytes, 1 to %d are expected", c->path,
                     index, (unsigned long long)bytes, GGUF_MAX_KEY);
  }
  ELLM_TRY(gguf_take(c, bytes, "the name of a key", &data, err));
  *key = (gguf_string){(const char *)data, (size_t)bytes};
  for (uint64_t i = 0; i < bytes; i++) {
    if (data[i] >= 0x20 && data[i] != 0x7f) continue;
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: key number %zu (%.*s) has control character %u in its name", c->path,
                     index, GGUF_SHOWN(*key), (unsigned)data[i]);
  }
  return ELLM_OK;
}

static ellm_status read_value(gguf_cursor *c, gguf_value *value, ellm_error *err) {
  ELLM_TRY(read_type(c, value, &value->type, err));
  value->n = 1;
  if (value->type == GGUF_VALUE_STRING) {
    gguf_string string;
    ELLM_TRY(read_string(c, value, &string, err));
    value->data = (const uint8_t *)string.data;
    value->bytes = string.bytes;
    return ELLM_OK;
  }
  gguf_value_type type = value->type;
  if (type == GGUF_VALUE_ARRAY) {
    ELLM_TRY(read_array_head(c, value, &value->element, &value->n, err));
    type = value->element;
  }
  const uint64_t begin = c->at;
  value->data = c->data + begin;
  ELLM_TRY(read_elements(c, value, type, value->n, 1, err));
  value->bytes = c->at - begin;
  return ELLM_OK;
}

static int compare_strings(gguf_string a, gguf_string b) {
  const int order = memcmp(a.data, b.data, a.bytes < b.bytes ? a.bytes : b.bytes);
  return order != 0 ? order : (a.bytes > b.bytes) - (a.bytes < b.bytes);
}

static int by_key(const void *a, const void *b) {
  return compare_strings((*(const gguf_value *const *)a)->key, (*(const gguf_value *const *)b)->key);
}

static ellm_status sort_keys(gguf_metadata *m, ellm_error *err) {
  for (size_t i = 0; i < m->n; i++) m->by_key[i] = &m->values[i];
  qsort(m->by_key, m->n, sizeof *m->by_key, by_key);
  for (size_t i = 1; i < m->n; i++) {
    if (by_key(&m->by_key[i - 1], &m->by_key[i]) != 0) continue;
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: key %.*s occurs twice", m->path, GGUF_SHOWN(m->by_key[i]->key));
  }
  return ELLM_OK;
}

static ellm_status read_all(gguf_cursor *c, gguf_metadata *m, ellm_error *err) {
  m->values = calloc(m->n + 1, sizeof *m->values);
  m->by_key = calloc(m->n + 1, sizeof *m->by_key);
  if (m->values == NULL || m->by_key == NULL) return ellm_fail_memory(err, m->n * sizeof *m->values, "metadata");
  for (size_t i = 0; i < m->n; i++) {
    ELLM_TRY(read_key(c, i, &m->values[i].key, err));
    ELLM_TRY(read_value(c, &m->values[i], err));
  }
  return sort_keys(m, err);
}

ellm_status gguf_metadata_read(gguf_cursor *c, uint64_t n_keys, gguf_metadata *out, ellm_error *err) {
  enum { LEAST = 8 + 1 + 4 + 1 }; /* a name of one byte, a value of one */
  *out = (gguf_metadata){.path = c->path};
  if (n_keys > GGUF_MAX_KEYS || n_keys > gguf_left(c) / LEAST) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: the number of keys, %llu, is beyond %s", c->path,
                     (unsigned long long)n_keys,
                     n_keys > GGUF_MAX_KEYS ? "the limit of 65536" : "what the file can hold");
  }
  out->n = (size_t)n_keys;
  const ellm_status status = read_all(c, out, err);
  if (status != ELLM_OK) gguf_metadata_free(out);
  return status;
}

void gguf_metadata_free(gguf_metadata *metadata) {
  free(metadata->values);
  free(metadata->by_key);
  *metadata = (gguf_metadata){0};
}

/* ---- asking ---- */

const gguf_value *gguf_find(const gguf_metadata *metadata, const char *key) {
  const gguf_string wanted = {key, strlen(key)};
  size_t low = 0, high = metadata->n;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    const int order = compare_strings(wanted, metadata->by_key[middle]->key);
    if (order == 0) return metadata->by_key[middle];
    if (order < 0) high = middle;
    else low = middle + 1;
  }
  return NULL;
}

static ellm_status find_value(const gguf_metadata *m, const char *key, const gguf_value **out, ellm_error *err) {
  *out = gguf_find(m, key);
  return *out != NULL ? ELLM_OK : ellm_fail(err, ELLM_ERR_INPUT, "%s: key %s is missing", m->path, key);
}

static ellm_status wrong_type(const gguf_metadata *m, const char *key, const gguf_value *value, const char *wanted,
                              ellm_error *err) {
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: key %s is %s, %s is expected", m->path, key, types[value->type].name,
                   wanted);
}

static bool is_integer(gguf_value_type type) {
  return type <= GGUF_VALUE_I32 || type == GGUF_VALUE_U64 || type == GGUF_VALUE_I64;
}

/* An integer of a type: whether it is below 0, and its distance from 0. */
static void load_integer(gguf_value_type type, const uint8_t *data, bool *negative, uint64_t *size) {
  int64_t value;
  switch (type) {
    case GGUF_VALUE_U8: value = data[0]; break;
    case GGUF_VALUE_I8: value = (int8_t)data[0]; break;
    case GGUF_VALUE_U16: value = load_u16(data); break;
    case GGUF_VALUE_I16: value = (int16_t)load_u16(data); break;
    case GGUF_VALUE_U32: value = load_u32(data); break;
    case GGUF_VALUE_I32: value = (int32_t)load_u32(data); break;
    case GGUF_VALUE_I64: value = (int64_t)load_u64(data); break;
    default: *negative = false; *size = load_u64(data); return;
  }
  *negative = value < 0;
  *size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
}

static double load_number(gguf_value_type type, const uint8_t *data) {
  bool negative;
  uint64_t size;
  if (type == GGUF_VALUE_F32) return (double)float_from_bits(load_u32(data));
  if (type == GGUF_VALUE_F64) {
    const uint64_t bits = load_u64(data);
    double number;
    memcpy(&number, &bits, sizeof number);
    return number;
  }
  load_integer(type, data, &negative, &size);
  return negative ? -(double)size : (double)size;
}

ellm_status gguf_get_string(const gguf_metadata *metadata, const char *key, gguf_string *out, ellm_error *err) {
  const gguf_value *value;
  ELLM_TRY(find_value(metadata, key, &value, err));
  if (value->type != GGUF_VALUE_STRING) return wrong_type(metadata, key, value, "a string", err);
  *out = (gguf_string){(const char *)value->data, (size_t)value->bytes};
  return ELLM_OK;
}

ellm_status gguf_get_bool(const gguf_metadata *metadata, const char *key, bool *out, ellm_error *err) {
  const gguf_value *value;
  ELLM_TRY(find_value(metadata, key, &value, err));
  if (value->type != GGUF_VALUE_BOOL) return wrong_type(metadata, key, value, "a boolean", err);
  *out = value->data[0] != 0;
  return ELLM_OK;
}

ellm_status gguf_get_integer(const gguf_metadata *metadata, const char *key, int64_t least, int64_t most, int64_t *out,
                             ellm_error *err) {
  const gguf_value *value;
  bool negative;
  uint64_t size;
  ELLM_TRY(find_value(metadata, key, &value, err));
  if (!is_integer(value->type)) return wrong_type(metadata, key, value, "an integer", err);
  load_integer(value->type, value->data, &negative, &size);
  const bool fits = negative || size <= INT64_MAX; /* a negative one came as 64 bits at most */
  const int64_t number = !fits ? 0 : negative ? (int64_t)(0 - size) : (int64_t)size;
  if (!fits || number < least || number > most) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: key %s is %s%llu, %lld to %lld is expected", metadata->path, key,
                     negative ? "-" : "", (unsigned long long)size, (long long)least, (long long)most);
  }
  *out = number;
  return ELLM_OK;
}

ellm_status gguf_get_number(const gguf_metadata *metadata, const char *key, double *out, ellm_error *err) {
  const gguf_value *value;
  ELLM_TRY(find_value(metadata, key, &value, err));
  if (!is_integer(value->type) && value->type != GGUF_VALUE_F32 && value->type != GGUF_VALUE_F64)
    return wrong_type(metadata, key, value, "a number", err);
  const double number = load_number(value->type, value->data);
  if (!isfinite(number))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: key %s is %g, a finite number is expected", metadata->path, key, number);
  *out = number;
  return ELLM_OK;
}

ellm_status gguf_get_array(const gguf_metadata *metadata, const char *key, gguf_value_type element,
                           const gguf_value **out, ellm_error *err) {
  const gguf_value *value;
  ELLM_TRY(find_value(metadata, key, &value, err));
  if (value->type != GGUF_VALUE_ARRAY) return wrong_type(metadata, key, value, "an array", err);
  if (value->element != element) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: key %s: an element of the array is %s, %s is expected", metadata->path,
                     key,
                     types[value->element].name, types[element].name);
  }
  *out = value;
  return ELLM_OK;
}

int64_t gguf_array_integer(const gguf_value *array, uint64_t index) {
  bool negative;
  uint64_t size;
  load_integer(array->element, array->data + index * types[array->element].bytes, &negative, &size);
  if (negative) return (int64_t)(0 - size);
  return size <= INT64_MAX ? (int64_t)size : INT64_MAX;
}

double gguf_array_number(const gguf_value *array, uint64_t index) {
  return load_number(array->element, array->data + index * types[array->element].bytes);
}

void gguf_array_strings(const gguf_value *array, gguf_string *out) {
  const uint8_t *at = array->data;
  for (uint64_t i = 0; i < array->n; i++) {
    const uint64_t bytes = load_u64(at);
    out[i] = (gguf_string){(const char *)at + 8, (size_t)bytes};
    at += 8 + bytes;
  }
}
