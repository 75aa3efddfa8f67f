/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of a .ellm file that leave it one: a field of a record, a section, a block; offsets and lengths are made right
 * here, checksums by the target, whose first byte asks for it. See mutate.h.
 */
#include "container/record.h"
#include "mutate.h"

enum { MOST = 64, PAYLOAD = 72 }; /* records of an input that is taken apart; where a coded record has its payload's bytes */

typedef struct part { span record, head, payload; } part;
typedef struct parts { part part[MOST]; size_t n; } parts;

static bool take_apart(const uint8_t *data, size_t size, parts *p) {
  if (size < FORMAT_HEADER_BYTES + FORMAT_DIRECTORY_HEADER) return false;
  const uint64_t at = load_u64(data + 16), bytes = load_u64(data + 24);
  if (at > size || bytes > size - at || bytes < FORMAT_DIRECTORY_HEADER) return false;
  const uint8_t *record = data + at + FORMAT_DIRECTORY_HEADER, *end = data + at + bytes;
  while (end - record >= FORMAT_RECORD_FIXED && p->n < MOST) {
    const uint32_t step = load_u32(record + 4);
    if (step < FORMAT_RECORD_FIXED || step > (size_t)(end - record)) return false;
    const uint64_t offset = load_u64(record + 16), section = load_u64(record + 24), head = load_u64(record + 32);
    const bool coded = load_u32(record) == RECORD_CODED && step >= PAYLOAD + 8;
    const uint64_t payload = coded ? load_u64(record + PAYLOAD) : 0;
    if (offset > size || section > size - offset || head > section || payload > section - head) return false;
    p->part[p->n++] = (part){{record, step}, {data + offset, (size_t)head}, {data + offset + head, (size_t)payload}};
    record += step;
  }
  return p->n > 0;
}

/* `original` is the whole file, for the header's other fields. */
static void put_together(const parts *p, const uint8_t *original, draft *d) {
  size_t at[MOST];
  draft_add(d, original, FORMAT_HEADER_BYTES);
  for (size_t i = 0; i < p->n; i++) {
    at[i] = d->bytes;
    draft_add(d, p->part[i].head.data, p->part[i].head.bytes);
    draft_add(d, p->part[i].payload.data, p->part[i].payload.bytes);
    draft_pad(d, FORMAT_ALIGN);
  }
  const size_t directory = d->bytes;
  draft_u32(d, (uint32_t)p->n);
  draft_u32(d, 0);
  for (size_t i = 0; i < p->n; i++) {
    const part *s = &p->part[i];
    const size_t begin = d->bytes, bytes = s->head.bytes + s->payload.bytes;
    draft_add(d, s->record.data, s->record.bytes);
    draft_pad(d, 8);
    if (d->full) return;
    store_u32(d->data + begin + 4, (uint32_t)(d->bytes - begin));
    store_u64(d->data + begin + 16, at[i]);
    store_u64(d->data + begin + 24, bytes + format_padding(bytes));
    store_u64(d->data + begin + 32, s->head.bytes);
    if (s->payload.bytes > 0) store_u64(d->data + begin + PAYLOAD, s->payload.bytes);
  }
  store_u64(d->data + 16, directory);
  store_u64(d->data + 24, d->bytes - directory);
}

/* A field of a record behind its fixed part, of 1, 4 or 8 bytes; its type or flags seldom. */
static span change_record(span record, uint64_t *state) {
  uint8_t *copy = malloc(record.bytes);
  if (copy == NULL) abort();
  memcpy(copy, record.data, record.bytes);
  const uint32_t fields = (uint32_t)record.bytes - FORMAT_RECORD_FIXED;
  const uint32_t width = mutate_random(state, 3);
  if (mutate_random(state, 8) == 0 || fields < 16) {
    store_u32(copy + (mutate_random(state, 2) ? 8 : 0), mutate_random(state, 7));
  } else if (width == 0) {
    copy[FORMAT_RECORD_FIXED + mutate_random(state, fields)] = (uint8_t)mutate_number(state, mutate_random(state, 256));
  } else if (width == 1) {
    uint8_t *at = copy + FORMAT_RECORD_FIXED + 4 * mutate_random(state, fields / 4);
    store_u32(at, (uint32_t)mutate_number(state, load_u32(at)));
  } else {
    uint8_t *at = copy + FORMAT_RECORD_FIXED + 8 * mutate_random(state, fields / 8);
    store_u64(at, mutate_number(state, load_u64(at)));
  }
  return (span){copy, record.bytes};
}

static span change(parts *p, uint64_t *state, size_t room) {
  const size_t i = mutate_random(state, (uint32_t)p->n), k = mutate_random(state, (uint32_t)p->n);
  part *s = &p->part[i];
  const part old = *s;
  if (room > 4096) room = 4096;
  switch (mutate_random(state, 8)) {
    case 0:
    case 1: return s->record = change_record(s->record, state);
    case 2: return s->head = mutate_span(s->head, s->head.bytes + room);
    case 3: return s->head = mutate_span(s->head, s->head.bytes); /* the book, scales, the table of blocks */
    case 4: /* the blocks, where there are some */
    case 5: return *(s->payload.bytes > 0 ? &s->payload : &s->head) =
                       mutate_span(s->payload.bytes > 0 ? s->payload : s->head, s->payload.bytes > 0 ? s->payload.bytes : s->head.bytes);
    case 6: /* another order */
      *s = p->part[k];
      p->part[k] = old;
      return (span){0};
    default: /* one less, one more */
      if (p->n > 1 && mutate_random(state, 2)) *s = p->part[--p->n];
      else if (p->n < MOST) p->part[p->n++] = old;
      return (span){0};
  }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed) {
  uint64_t state = seed;
  parts *p = calloc(1, sizeof *p);
  draft d = {malloc(max_size), 0, max_size - 1, false};
  span made = {0};
  if (p == NULL || d.data == NULL) abort();
  const bool good = size > 1 && mutate_random(&state, 4) != 0 && take_apart(data + 1, size - 1, p);
  if (good) {
    made = change(p, &state, max_size - size);
    put_together(p, data + 1, &d);
    if (!d.full) {
      data[0] |= 1; /* checksums are to be made right */
      memcpy(data + 1, d.data, d.bytes);
    }
  }
  size = good && !d.full ? d.bytes + 1 : LLVMFuzzerMutate(data, size, max_size);
  free((void *)made.data);
  free(d.data);
  free(p);
  return size;
}
