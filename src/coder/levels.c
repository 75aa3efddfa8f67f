/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Levels: fixed-width fields with escapes. Symbols are ranked by frequency. A field of w bits in the first level says
 * which of the 2^w - 1 most frequent symbols it is; the highest value says that the symbol is in the next level, whose
 * fields rank the symbols after those. What the last level does not have either is stored as a byte. A frequent symbol
 * thus takes few bits, and all fields of a level have one width, which vector code can read 64 at a time.
 * Invariants: a level's fields are the escapes of the level before it; the counts stored in the block are checked
 * against the fields while decoding.
 */
#include "coder/levels.h"

#include <string.h>

#include "base/bytes.h"
#include "coder/fields.h"
#include "coder/raw_bits.h"

bool levels_locate(const coder_codebook *book, const coder_block *block, const uint8_t *data, size_t bytes,
                   levels_parts *parts) {
  const uint32_t codes = (uint32_t)coder_block_codes(block);
  const uint32_t vectors = book->tuple == 2 ? block->panels * ((block->tiles + 1) / 2) : 0;
  parts->n_symbols = book->tuple == 2 ? vectors * CODER_TILE : codes;
  size_t at = 2u * book->n_levels;
  if (at > bytes) return false;
  parts->raw_offset = (uint32_t)at;
  at += coder_raw_bytes(book->raw_bits, codes);
  uint32_t count = parts->n_symbols;
  for (unsigned j = 0; j < book->n_levels; j++) {
    const uint32_t escapes = load_u16(data + 2 * j);
    if (escapes > count) return false;
    parts->level_offset[j] = (uint32_t)at;
    parts->level_count[j] = count;
    at += field_list_bytes(count, book->width[j]);
    count = escapes;
  }
  parts->level_count[book->n_levels] = count;
  parts->escape_offset = (uint32_t)at;
  return at + count == bytes;
}

size_t levels_encode_symbols(const coder_codebook *book, const uint8_t *symbols, size_t n, uint8_t *counts,
                             uint8_t *out, size_t room, uint8_t *work) {
  uint8_t *fields = work, *rest = work + n;
  const uint8_t *from = symbols;
  size_t at = 0;
  unsigned base = 0;
  for (unsigned j = 0; j < book->n_levels; j++) {
    const unsigned escape = (1u << book->width[j]) - 1;
    size_t escapes = 0;
    for (size_t i = 0; i < n; i++) {
      const uint8_t symbol = from[i];
      const unsigned rank = (unsigned)(uint16_t)book->leaf_of[symbol] - base; /* absent: wraps to a large value */
      const bool here = rank < escape;
      fields[i] = (uint8_t)(here ? rank : escape);
      rest[escapes] = symbol; /* in place: escapes <= i */
      escapes += !here;
    }
    const size_t list = field_list_bytes(n, book->width[j]);
    if (list + escapes > room - at) return SIZE_MAX;
    memset(out + at, 0, list);
    field_list_put(out + at, fields, n, book->width[j]);
    at += list;
    store_u16(counts + 2 * j, (uint16_t)escapes);
    base += escape;
    n = escapes;
    from = rest;
  }
  memcpy(out + at, from, n);
  return at + n;
}

/* From the last level to the first: an escape of a level takes the next symbol of the level after it. */
bool levels_decode_symbols_scalar(const coder_codebook *book, const levels_parts *parts, const uint8_t *data,
                                  coder_scratch *scratch) {
  unsigned base = 0;
  for (unsigned j = 0; j < book->n_levels; j++) base += (1u << book->width[j]) - 1;
  const uint8_t *next = data + parts->escape_offset;
  for (unsigned j = book->n_levels; j-- > 0;) {
    const unsigned width = book->width[j], escape = (1u << width) - 1;
    base -= escape;
    /* level 0 ends in list[0] */
    uint8_t *out = scratch->list[j & 1];
    const uint32_t n = parts->level_count[j];
    uint32_t escapes = 0;
    for (uint32_t i = 0; i < n; i++) {
      const unsigned field = field_list_get(data + parts->level_offset[j], n, width, i);
      if (field != escape) {
        out[i] = book->table[base + field];
      } else {
        if (escapes == parts->level_count[j + 1]) return false;
        out[i] = next[escapes++];
      }
    }
    if (escapes != parts->level_count[j + 1]) return false;
    next = out;
  }
  return true;
}

/* ------------------------------------------------------- choice of the widths */

typedef struct search {
  const coder_machine *machine;
  const uint64_t *counts;
  size_t n;
  unsigned bits_left; /* of the widths */
  double n_blocks, limit;
  double after[257]; /* symbols from this rank on */
  levels_plan now, best;
  bool found;
} search;

static void search_level(search *s, size_t rank, double bits, double cycles) {
  const double left = s->after[rank];
  levels_plan *now = &s->now;
  if (now->n_levels > 0) {
    const double total = bits + 8 * left;
    const double cost = cycles + left; /* a byte each */
    if (total <= s->limit && (!s->found || cost < s->best.cycles || (cost == s->best.cycles && total < s->best.bits))) {
      s->best = *now;
      s->best.bits = total;
      s->best.cycles = cost;
      s->found = true;
    }
  }
  if (now->n_levels == CODER_MAX_LEVELS || rank >= s->n || bits > s->limit || (s->found && cycles > s->best.cycles))
    return;
  for (unsigned width = 1; width <= 4 && width <= s->bits_left; width++) {
    const size_t next = rank + (1u << width) - 1;
    now->width[now->n_levels++] = (uint8_t)width;
    /* 16 bits of count, and on average half a byte lost a list (a whole one for 3 bits) */
    const double level_bits = left * width + s->n_blocks * (16 + (width == 3 ? 8 : 4));
    const double level = left / 64 * s->machine->level[width] + s->n_blocks * s->machine->level_start;
    s->bits_left -= width;
    search_level(s, next < s->n ? next : s->n, bits + level_bits, cycles + level);
    s->bits_left += width;
    now->n_levels--;
  }
}

bool levels_choose(const coder_machine *machine, const uint64_t *counts, size_t n, uint64_t n_blocks,
                   unsigned most_bits, double limit_bits, levels_plan *plan) {
  search s = {.machine = machine, .counts = counts, .n = n, .bits_left = most_bits,
              .n_blocks = (double)n_blocks, .limit = limit_bits};
  if (n == 0 || n > 256) return false;
  for (size_t i = n; i-- > 0;) s.after[i] = s.after[i + 1] + (double)counts[i];
  search_level(&s, 0, 0, 0);
  *plan = s.best;
  return s.found;
}
