/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of a GGUF file that leave it one: a key, a value, a tensor; counts and offsets are made right. See mutate.h. */
#include "gguf/types.h"
#include "mutate.h"

enum { MOST = 64 }; /* keys and tensors of an input that is taken apart */

typedef struct key { span name; uint32_t type; span value; } key; /* value: as it stands, with its length or count */
typedef struct tensor { span name; uint32_t n_dims, type; uint64_t dims[4], offset; } tensor;
typedef struct parts {
  uint32_t version;
  key keys[MOST];
  tensor tensors[MOST];
  size_t n_keys, n_tensors;
  uint64_t align;
  span data; /* of the tensors */
} parts;

typedef struct cursor { const uint8_t *at; size_t left; } cursor;

static bool take(cursor *c, uint64_t bytes, span *out) {
  if (bytes > c->left) return false;
  *out = (span){c->at, (size_t)bytes};
  c->at += bytes;
  c->left -= (size_t)bytes;
  return true;
}

static bool take_u32(cursor *c, uint32_t *out) {
  span s;
  if (!take(c, 4, &s)) return false;
  *out = load_u32(s.data);
  return true;
}

static bool take_u64(cursor *c, uint64_t *out) {
  span s;
  if (!take(c, 8, &s)) return false;
  *out = load_u64(s.data);
  return true;
}

static bool take_string(cursor *c, span *out) {
  uint64_t bytes;
  return take_u64(c, &bytes) && take(c, bytes, out);
}

static const uint8_t sizes[13] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8}; /* of values; 0: string, array */

static bool skip_value(cursor *c, uint32_t type, int depth) {
  span s;
  uint32_t element;
  uint64_t n;
  if (type > 12 || depth > 4) return false;
  if (type == 8) return take_string(c, &s);
  if (type != 9) return take(c, sizes[type], &s);
  if (!take_u32(c, &element) || !take_u64(c, &n) || n > c->left) return false;
  for (uint64_t i = 0; i < n; i++)
    if (!skip_value(c, element, depth + 1)) return false;
  return true;
}

static bool take_apart(const uint8_t *data, size_t size, parts *p) {
  cursor c = {data, size};
  span s;
  uint64_t n_tensors, n_keys;
  if (!take(&c, 4, &s) || !take_u32(&c, &p->version) || !take_u64(&c, &n_tensors) || !take_u64(&c, &n_keys)) return false;
  if (n_tensors > MOST || n_keys > MOST) return false;
  p->align = 32;
  for (; p->n_keys < n_keys; p->n_keys++) {
    key *k = &p->keys[p->n_keys];
    if (!take_string(&c, &k->name) || !take_u32(&c, &k->type)) return false;
    const uint8_t *begin = c.at;
    if (!skip_value(&c, k->type, 0)) return false;
    k->value = (span){begin, (size_t)(c.at - begin)};
    if (k->type == 4 && k->name.bytes == 17 && memcmp(k->name.data, "general.alignment", 17) == 0)
      p->align = load_u32(begin);
  }
  if (p->align == 0 || p->align > 4096) p->align = 32;
  for (; p->n_tensors < n_tensors; p->n_tensors++) {
    tensor *t = &p->tensors[p->n_tensors];
    if (!take_string(&c, &t->name) || !take_u32(&c, &t->n_dims) || t->n_dims > 4) return false;
    for (uint32_t i = 0; i < t->n_dims; i++)
      if (!take_u64(&c, &t->dims[i])) return false;
    if (!take_u32(&c, &t->type) || !take_u64(&c, &t->offset)) return false;
  }
  const uint64_t begin = (uint64_t)(c.at - data), padded = (begin + p->align - 1) / p->align * p->align;
  if (padded < size) p->data = (span){data + padded, size - (size_t)padded};
  return true;
}

/* 0 where it is unknown or too much. */
static uint64_t tensor_bytes(const tensor *t) {
  const gguf_type_facts *facts = gguf_type_find(t->type);
  uint64_t n = 1;
  if (facts == NULL || facts->elements == 0) return 0;
  for (uint32_t i = 0; i < t->n_dims; i++) {
    if (t->dims[i] > 1 << 20 || n * t->dims[i] > 1 << 20) return 0;
    n *= t->dims[i];
  }
  return n / facts->elements * facts->bytes;
}

static void put_together(parts *p, bool repair, draft *d) {
  draft_add(d, "GGUF", 4);
  draft_u32(d, p->version);
  draft_u64(d, p->n_tensors);
  draft_u64(d, p->n_keys);
  for (size_t i = 0; i < p->n_keys; i++) {
    const key *k = &p->keys[i];
    draft_u64(d, k->name.bytes);
    draft_add(d, k->name.data, k->name.bytes);
    draft_u32(d, k->type);
    draft_add(d, k->value.data, k->value.bytes);
  }
  uint64_t offset = 0;
  for (size_t i = 0; i < p->n_tensors; i++) {
    const tensor *t = &p->tensors[i];
    draft_u64(d, t->name.bytes);
    draft_add(d, t->name.data, t->name.bytes);
    draft_u32(d, t->n_dims);
    for (uint32_t k = 0; k < t->n_dims; k++) draft_u64(d, t->dims[k]);
    draft_u32(d, t->type);
    draft_u64(d, repair ? offset : t->offset);
    offset = (offset + tensor_bytes(t) + p->align - 1) / p->align * p->align;
  }
  draft_pad(d, (size_t)p->align);
  const size_t begin = d->bytes;
  draft_add(d, p->data.data, repair && p->data.bytes > offset ? (size_t)offset : p->data.bytes);
  for (uint8_t i = 0; repair && d->bytes - begin < offset && !d->full; i = (uint8_t)(i * 5 + 1)) draft_add(d, &i, 1);
}

static void change_key(parts *p, uint64_t *state, size_t room, span *made) {
  key *k = &p->keys[mutate_random(state, (uint32_t)p->n_keys)];
  uint8_t *copy;
  switch (mutate_random(state, 7)) {
    case 0: *made = k->name = mutate_span(k->name, k->name.bytes + 8); break;
    case 1: /* another number */
      if (k->type > 12 || sizes[k->type] < 4) break;
      copy = malloc(8);
      if (copy == NULL) abort();
      store_u64(copy, mutate_number(state, sizes[k->type] == 8 ? load_u64(k->value.data) : load_u32(k->value.data)));
      *made = (span){copy, 8};
      k->value.data = copy;
      break;
    case 2: /* another text */
      if (k->type != 8) break;
      *made = mutate_span((span){k->value.data + 8, k->value.bytes - 8}, room);
      copy = malloc(made->bytes + 8);
      if (copy == NULL) abort();
      store_u64(copy, made->bytes);
      memcpy(copy + 8, made->data, made->bytes);
      k->value = (span){copy, made->bytes + 8};
      free((void *)made->data);
      *made = k->value;
      break;
    case 3: /* another type of the same length */
      if (k->type <= 12 && sizes[k->type] == 4) k->type = 4 + mutate_random(state, 3);
      else if (k->type <= 12 && sizes[k->type] == 8) k->type = 10 + mutate_random(state, 3);
      break;
    case 4: *k = p->keys[--p->n_keys]; break;
    case 5:
      if (p->n_keys < MOST) p->keys[p->n_keys++] = *k;
      break;
    default: *made = k->value = mutate_span(k->value, k->value.bytes + 16);
  }
}

static void change_tensor(parts *p, uint64_t *state, span *made) {
  tensor *t = &p->tensors[mutate_random(state, (uint32_t)p->n_tensors)];
  const uint32_t dim = mutate_random(state, 4);
  switch (mutate_random(state, 6)) {
    case 0: *made = t->name = mutate_span(t->name, t->name.bytes + 8); break;
    case 1: t->type = mutate_random(state, GGUF_TYPES + 1); break;
    case 2: t->dims[dim] = mutate_random(state, 2) ? 32u << mutate_random(state, 5) : mutate_number(state, t->dims[dim]); break;
    case 3: t->n_dims = mutate_random(state, 5); break;
    case 4: *t = p->tensors[--p->n_tensors]; break;
    default:
      if (p->n_tensors < MOST) p->tensors[p->n_tensors++] = *t;
  }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed) {
  uint64_t state = seed;
  parts *p = calloc(1, sizeof *p);
  draft d = {malloc(max_size), 0, max_size, false};
  span made = {0};
  if (p == NULL || d.data == NULL) abort();
  const bool good = mutate_random(&state, 4) != 0 && take_apart(data, size, p);
  if (good) {
    const uint32_t what = mutate_random(&state, 8);
    if (what < 4 && p->n_keys > 0) change_key(p, &state, max_size - size, &made);
    else if (what < 7 && p->n_tensors > 0) change_tensor(p, &state, &made);
    else if (p->data.bytes > 0) made = p->data = mutate_span(p->data, p->data.bytes);
    else p->version = mutate_random(&state, 5);
    put_together(p, mutate_random(&state, 16) != 0, &d);
    if (!d.full) memcpy(data, d.data, d.bytes);
  }
  size = good && !d.full ? d.bytes : LLVMFuzzerMutate(data, size, max_size);
  free((void *)made.data);
  free(d.data);
  free(p);
  return size;
}
