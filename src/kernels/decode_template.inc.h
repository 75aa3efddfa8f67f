/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block decoding, written once for all vector instruction sets. A set's decode_*.c defines the operations below and
 * then includes this file, which defines KERNEL_DECODE and, for kernels that do the last step themselves,
 * KERNEL_SYMBOLS and KERNEL_LEVELS. The format is in docs/format/blocks.md.
 *
 * Both entropy codes end in a list of symbols. finish_block makes codes from it: it takes pairs apart and adds raw
 * bits.
 *
 * A Huffman tree is decoded bottom-up, one depth at a time: the list of a node is the merge of its children's lists by
 * its bitmap. The lists of all nodes of a depth are in one buffer, from left to right, and the internal children of a
 * depth are the nodes of the next depth in the same order. So one running pointer into each of two buffers is all the
 * bookkeeping. The lists of a depth together are never longer than the root's, which is at most CODER_MAX_CODES.
 *
 * coder_locate has checked that bitmaps and counts fit the block and each other. A step takes 64 symbols. So a list may
 * be read up to 64 bytes past its end and written up to 63; these bytes are overwritten by the next node, which is
 * written later, or are slack of the buffer. Bitmap bits past the end of a node belong to another node or are slack;
 * they affect only those extra bytes.
 *
 * In a canonical tree a node's leaf is never to the right of its internal child. The escape is a leaf whose symbols are
 * a list (the block's escape bytes), and it is the last leaf of its depth. So a node merges two constants, a constant
 * and a list, or two lists.
 *
 * Levels of fixed-width fields (coder/levels.h) are decoded from the last to the first. The escapes in a vector of
 * fields are filled from the list of the next level. A damaged block may have more escapes than that list has symbols.
 * There are still at most CODER_MAX_CODES, which its buffer holds, and the count is checked at the end of the level.
 *
 * A set supplies
 *   select_leaves(out, bitmap, n, leaf0, leaf1)  out = bit ? leaf1 : leaf0
 *   expand_list(out, bitmap, n, leaf0, list)     out = bit ? next of list : leaf0; returns the ones of n bits
 *   merge_lists(out, bitmap, n, list0, list1)    out = next of list<bit>
 * and `bytes64`, 64 byte lanes, with
 *   bytes_set, bytes_load, bytes_store, bytes_or, bytes_and
 *   bytes_keep(v)                     v, hidden from the compiler, which then loads it but once
 *   bytes_up(v, k), bytes_down(v, k)  shifts by k < 8; bits cross into the next or
 *                                     last byte, so the caller masks them or has none
 *   bytes_add(a, b)                   sums, modulo 256
 *   bytes_any(v)                      whether a bit is set
 *   bytes_table(p), bytes_lookup(table, v)  16 bytes and the ones at places v < 16
 *   bytes_equal(a, b)                 mask64 of equal lanes
 *   word_ones(word)                   ones of 64 bits
 *   mask_first(mask, n)               its first n lanes only, n <= 64
 *   bytes_add_where(v, bits, value)   v plus value, no carry, in the lanes of 64 bits in memory
 *   fetch_next(p, bytes)              fetches the line of a following block that stands where p does in this one;
 *                                     bytes: of a block
 *   store_filled(out, v, mask, list)  v, with the next of the list in the lanes of the
 *                                     mask, where v is 0; returns how many
 * and LOOK_AHEAD, whether fields are looked up two vectors before they are filled.
 */
#include <string.h>

#include "coder/fields.h"
#include "coder/levels.h"
#include "coder/raw_bits.h"

/* Whether any of n bytes has a bit of `mask`. */
static bool any_bit(const uint8_t *bytes, size_t n, uint8_t mask) {
  bytes64 seen = bytes_set(0);
  size_t i = 0;
  for (; i + 64 <= n; i += 64) seen = bytes_or(seen, bytes_load(bytes + i));
  uint8_t rest = 0;
  for (; i < n; i++) rest |= bytes[i];
  return bytes_any(bytes_and(seen, bytes_set(mask))) || (rest & mask) != 0;
}

/* Bits that no symbol has. */
static uint8_t no_symbol(const coder_codebook *book) {
  const unsigned upper = (1u << (book->bits - book->raw_bits)) - 1;
  return (uint8_t)~(book->tuple == 2 ? upper | upper << 4 : upper);
}

/* Lists of all depths from the deepest; the root's list to `out`. */
static void decode_tree(const coder_codebook *book, const uint8_t *data, const coder_parts *parts,
                        coder_scratch *scratch, size_t ahead, uint8_t *out) {
  const uint8_t *escapes = data + parts->escape_offset;
  if (book->n_nodes == 0) { /* one leaf, no bits */
    if (book->symbol[0] == CODER_ESCAPE)
      memcpy(out, escapes, parts->n_symbols);
    else
      memset(out, book->symbol[0], parts->n_symbols);
    return;
  }
  for (int depth = book->depth - 1; depth >= 0; depth--) {
    uint8_t *to = depth == 0 ? out : scratch->list[depth & 1];
    const uint8_t *from = scratch->list[(depth + 1) & 1];
    for (unsigned index = book->depth_first[depth]; index < book->depth_first[depth + 1]; index++) {
      const coder_node *node = &book->node[index];
      const uint8_t *bitmap = data + scratch->node_offset[index];
      const size_t n = scratch->node_count[index];
      for (size_t i = 0; i < n / 8; i += 64) fetch_next(bitmap + i, ahead);
      const uint8_t *list[2] = {NULL, NULL};
      for (int side = 0; side < 2; side++) {
        if (node->child[side] >= 0) {
          list[side] = from;
          from += scratch->node_count[node->child[side]];
        } else if (~node->child[side] == CODER_ESCAPE) {
          list[side] = escapes;
        }
      }
      if (list[0])
        merge_lists(to, bitmap, n, list[0], list[1]);
      else if (list[1])
        expand_list(to, bitmap, n, (uint8_t)~node->child[0], list[1]);
      else
        select_leaves(to, bitmap, n, (uint8_t)~node->child[0], (uint8_t)~node->child[1]);
      to += n;
    }
  }
}

/* 64 fields of `width` bits of a packed list: codes 64 * vector + lane. */
KERNEL_INLINE bytes64 packed_fields(const uint8_t *list, size_t vector, unsigned width) {
  const size_t per_group = 8 / width;
  const bytes64 group = bytes_load(list + vector / per_group * 64);
  return bytes_and(bytes_down(group, (unsigned)(vector % per_group) * width), bytes_set((uint8_t)((1u << width) - 1)));
}

/* 64 bits of a bitmap from any bit on. */
KERNEL_INLINE uint64_t bits_at(const uint8_t *bitmap, size_t bit) {
  uint64_t word;
  memcpy(&word, bitmap + bit / 8, sizeof word);
  const unsigned shift = (unsigned)(bit % 8);
  return shift == 0 ? word : word >> shift | (uint64_t)bitmap[bit / 8 + 8] << (64 - shift);
}

/* 64 fields by a level's table: their symbols, 0 for escapes, and which are escapes. */
typedef struct looked_up { bytes64 symbols; mask64 escapes; } looked_up;
typedef struct level_table { bytes64 symbols, escape, field_mask; } level_table;

KERNEL_INLINE level_table level_table_of(const uint8_t *symbols, unsigned width) {
  uint8_t places[16] = {0}; /* the escape's stays 0 */
  memcpy(places, symbols, (1u << width) - 1);
  const uint8_t escape = (uint8_t)((1u << width) - 1);
  return (level_table){bytes_table(places), bytes_set(escape), bytes_set(width == 3 ? 3 : escape)};
}

/* Part `part` of a group; third: 64 third bits where fields have three. */
KERNEL_INLINE looked_up look_up(bytes64 group, unsigned part, unsigned width, const uint8_t *third, level_table table) {
  bytes64 field = bytes_and(bytes_down(group, (width == 3 ? 2 : width) * part), table.field_mask);
  if (width == 3) field = bytes_add_where(field, third, 4);
  return (looked_up){bytes_lookup(table.symbols, field), bytes_equal(field, table.escape)};
}

/* n fields in whole groups, n > 0; returns the escapes. With LOOK_AHEAD filling does not wait for its masks; one
 * group behind the last is read then, which is the next list's or slack. */
KERNEL_INLINE size_t decode_groups(uint8_t *out, const uint8_t *list, const uint8_t *high, size_t n, unsigned width,
                                   level_table table, const uint8_t *next, size_t ahead) {
  const unsigned packed = width == 3 ? 2 : width, parts = 8 / packed;
  const uint8_t *const start = next;
  bytes64 group = bytes_keep(bytes_load(list));
  looked_up found[2];
  if (LOOK_AHEAD)
    for (unsigned part = 0; part < 2; part++) found[part] = look_up(group, part, width, high + 8 * part, table);
  for (size_t first = 0; first < n; first += 64 * parts) {
    const bytes64 following = bytes_keep(bytes_load(list += 64));
    fetch_next(list, ahead);
    if (width == 3) fetch_next(high, ahead);
    KERNEL_UNROLL(4)
    for (unsigned part = 0; part < parts; part++) {
      const unsigned later = part + 2;
      const looked_up now = LOOK_AHEAD ? found[part % 2] : look_up(group, part, width, high + 8 * part, table);
      if (LOOK_AHEAD)
        found[part % 2] = later < parts ? look_up(group, later, width, high + 8 * later, table)
                                        : look_up(following, later - parts, width, high + 8 * later, table);
      next += store_filled(out + 64 * part, now.symbols, now.escapes, next);
    }
    group = following;
    high += 8 * parts;
    out += 64 * parts;
  }
  return (size_t)(next - start);
}

/* The last group of a level: n fields in bytes of `lanes` each, those at lanes * part from bits packed * part on. */
KERNEL_INLINE size_t decode_last(uint8_t *out, const uint8_t *list, const uint8_t *high, size_t first, size_t n,
                                 size_t lanes, unsigned width, level_table table, const uint8_t *next) {
  const uint8_t *const start = next;
  const bytes64 group = bytes_keep(bytes_load(list));
  for (unsigned part = 0; lanes * part < n; part++) {
    const size_t at = lanes * part, valid = n - at < lanes ? n - at : lanes;
    const uint64_t third = width == 3 ? bits_at(high, first + at) : 0;
    uint8_t third_bits[8];
    memcpy(third_bits, &third, sizeof third);
    const looked_up found = look_up(group, part, width, third_bits, table);
    next += store_filled(out + at, found.symbols, mask_first(found.escapes, valid), next);
  }
  return (size_t)(next - start);
}

/* n fields of `width` (a constant wherever this is inlined) to symbols; returns the escapes. */
KERNEL_INLINE size_t decode_fields(uint8_t *out, const uint8_t *list, size_t n, unsigned width, const uint8_t *symbols,
                                   const uint8_t *next, size_t ahead) {
  const unsigned packed = width == 3 ? 2 : width;
  const size_t per_group = 512 / packed, whole = n / per_group * per_group;
  const uint8_t *high = list + field_list_bytes(n, packed), *const start = next;
  const level_table table = level_table_of(symbols, width);
  if (whole > 0) next += decode_groups(out, list, high, whole, width, table, next, ahead);
  if (whole < n)
    next += decode_last(out + whole, list + whole * packed / 8, high, whole, n - whole,
                        field_list_lanes(n, packed, whole), width, table, next);
  return (size_t)(next - start);
}

static uint32_t count_ones(const uint8_t *bitmap, uint32_t n) {
  size_t ones = 0;
  uint64_t word, words[4];
  uint32_t i = 0;
  for (; i + 256 <= n; i += 256) {
    memcpy(words, bitmap + i / 8, sizeof words);
    ones += word_ones(words[0]) + word_ones(words[1]) + word_ones(words[2]) + word_ones(words[3]);
  }
  for (; i + 64 <= n; i += 64) {
    memcpy(&word, bitmap + i / 8, sizeof word);
    ones += word_ones(word);
  }
  if (i < n) {
    memcpy(&word, bitmap + i / 8, sizeof word);
    ones += word_ones(word & (((uint64_t)1 << (n - i)) - 1));
  }
  return (uint32_t)ones;
}

/* Levels from the last to `first`; the symbols of that one to `out` (all n_levels of them passed over: the escaped
 * bytes themselves). False if a level's escapes are not as many as the next one's fields, or one is not a symbol. */
bool KERNEL_LEVELS(const coder_codebook *book, const uint8_t *data, const levels_parts *parts, coder_scratch *scratch,
                   size_t ahead, unsigned first, uint8_t *out) {
  unsigned level = book->n_levels, base = 0;
  const uint8_t *escapes_from = data + parts->escape_offset;
  if (any_bit(escapes_from, parts->level_count[level], no_symbol(book))) return false;
  for (unsigned j = 0; j < level; j++) base += (1u << book->width[j]) - 1;
  memcpy(level == first ? out : scratch->list[level & 1], escapes_from, parts->level_count[level]);
  while (level-- > first) {
    const unsigned width = book->width[level];
    const uint8_t *next = scratch->list[(level + 1) & 1], *list = data + parts->level_offset[level];
    uint8_t *to = level == first ? out : scratch->list[level & 1];
    const size_t n = parts->level_count[level];
    size_t escapes = 0;
    base -= (1u << width) - 1;
    const uint8_t *symbols = book->table + base;
    switch (width) {
      case 1: escapes = expand_list(to, list, n, symbols[0], next); break;
      case 2: escapes = decode_fields(to, list, n, 2, symbols, next, ahead); break;
      case 3: escapes = decode_fields(to, list, n, 3, symbols, next, ahead); break;
      default: escapes = decode_fields(to, list, n, 4, symbols, next, ahead); break;
    }
    if (escapes != parts->level_count[level + 1]) return false;
  }
  return true;
}

typedef struct raw_lists { const uint8_t *four, *two, *one; size_t ahead; } raw_lists;

/* uppers << raw_bits | raw bits; raw_bits is a constant wherever this is inlined. */
KERNEL_INLINE bytes64 add_raw(bytes64 uppers, const raw_lists *raw, size_t vector, unsigned raw_bits) {
  bytes64 codes = bytes_up(uppers, raw_bits);
  unsigned shift = 0;
  if (raw_bits & 4) {
    if (vector % 2 == 0) fetch_next(raw->four + 32 * vector, raw->ahead);
    codes = bytes_or(codes, packed_fields(raw->four, vector, 4));
    shift += 4;
  }
  if (raw_bits & 2) {
    if (vector % 4 == 0) fetch_next(raw->two + 16 * vector, raw->ahead);
    codes = bytes_or(codes, bytes_up(packed_fields(raw->two, vector, 2), shift));
    shift += 2;
  }
  if ((raw_bits & 1) && vector % 8 == 0) fetch_next(raw->one + 8 * vector, raw->ahead);
  if (raw_bits & 1) codes = bytes_or(codes, bytes_up(packed_fields(raw->one, vector, 1), shift));
  return codes;
}

/* One code a symbol: n codes, uppers in tile order. */
KERNEL_INLINE void finish_codes(const uint8_t *uppers, const raw_lists *raw, size_t n, unsigned raw_bits,
                                uint8_t *codes) {
  for (size_t vector = 0; 64 * vector < n; vector++)
    bytes_store(codes + 64 * vector, add_raw(bytes_load(uppers + 64 * vector), raw, vector, raw_bits));
}

/* Two codes a symbol, of tiles 2k (low nibble) and 2k + 1 of each panel; of an odd
 * last tile only the low one exists. */
KERNEL_INLINE void finish_pairs(const uint8_t *uppers, const raw_lists *raw, const coder_block *block,
                                unsigned raw_bits, uint8_t *codes) {
  const bytes64 nibble = bytes_set(15);
  size_t vector = 0;
  for (uint32_t panel = 0; panel < block->panels; panel++) {
    for (uint32_t tile = 0; tile + 1 < block->tiles; tile += 2, uppers += 64, vector += 2) {
      const bytes64 pair = bytes_load(uppers);
      bytes_store(codes + 64 * vector, add_raw(bytes_and(pair, nibble), raw, vector, raw_bits));
      bytes_store(codes + 64 * (vector + 1),
                  add_raw(bytes_and(bytes_down(pair, 4), nibble), raw, vector + 1, raw_bits));
    }
    if (block->tiles & 1) {
      bytes_store(codes + 64 * vector, add_raw(bytes_and(bytes_load(uppers), nibble), raw, vector, raw_bits));
      uppers += 64;
      vector++;
    }
  }
}

static void finish_block(const coder_codebook *book, const coder_block *block, const uint8_t *uppers,
                         const raw_lists *raw, size_t n_codes, uint8_t *codes) {
  if (book->tuple == 2) {
    switch (book->raw_bits) {
      case 0: finish_pairs(uppers, raw, block, 0, codes); break;
      case 1: finish_pairs(uppers, raw, block, 1, codes); break;
      case 2: finish_pairs(uppers, raw, block, 2, codes); break;
      case 3: finish_pairs(uppers, raw, block, 3, codes); break;
      case 4: finish_pairs(uppers, raw, block, 4, codes); break;
      case 5: finish_pairs(uppers, raw, block, 5, codes); break;
      case 6: finish_pairs(uppers, raw, block, 6, codes); break;
      default: finish_pairs(uppers, raw, block, 7, codes); break;
    }
  } else {
    switch (book->raw_bits) {
      case 0: break; /* the uppers are the codes, and in their place already */
      case 1: finish_codes(uppers, raw, n_codes, 1, codes); break;
      case 2: finish_codes(uppers, raw, n_codes, 2, codes); break;
      case 3: finish_codes(uppers, raw, n_codes, 3, codes); break;
      case 4: finish_codes(uppers, raw, n_codes, 4, codes); break;
      case 5: finish_codes(uppers, raw, n_codes, 5, codes); break;
      case 6: finish_codes(uppers, raw, n_codes, 6, codes); break;
      default: finish_codes(uppers, raw, n_codes, 7, codes); break;
    }
  }
}

static bool decode_plain(const coder_codebook *book, size_t n_codes, const uint8_t *data, size_t bytes,
                         uint8_t *codes) {
  const uint8_t beyond = (uint8_t)~((1u << book->bits) - 1); /* bits that no code has */
  if (book->bits > 4) {
    if (bytes != n_codes) return false;
    memcpy(codes, data, n_codes);
  } else {
    if (bytes != coder_raw_list_bytes(4, n_codes)) return false;
    for (size_t vector = 0; 64 * vector < n_codes; vector++)
      bytes_store(codes + 64 * vector, packed_fields(data, vector, 4));
  }
  return !any_bit(codes, n_codes, beyond);
}

KERNEL_INLINE void field_codes(const uint8_t *uppers, const raw_lists *raw, size_t n, unsigned width, bytes64 first,
                               uint8_t *codes) {
  for (size_t vector = 0; 64 * vector < n; vector++) {
    const bytes64 upper = width < 4 ? bytes_set(0) : packed_fields(uppers, vector, 4);
    bytes_store(codes + 64 * vector, bytes_add(add_raw(upper, raw, vector, coder_field_raw_bits(width)), first));
  }
}

static bool decode_field_block(const coder_codebook *book, size_t n_codes, const uint8_t *data, size_t bytes,
                               uint8_t *codes) {
  const unsigned width = book->raw_bits;
  uint32_t offset[3];
  if (bytes != coder_raw_bytes(width, n_codes)) return false;
  coder_raw_offsets(coder_field_raw_bits(width), n_codes, (uint32_t)coder_field_upper_bytes(width, n_codes), offset);
  const raw_lists raw = {data + offset[0], data + offset[1], data + offset[2], bytes};
  const bytes64 first = bytes_set(book->first);
  switch (width) {
    case 2: field_codes(data, &raw, n_codes, 2, first, codes); break;
    case 3: field_codes(data, &raw, n_codes, 3, first, codes); break;
    case 4: field_codes(data, &raw, n_codes, 4, first, codes); break;
    case 5: field_codes(data, &raw, n_codes, 5, first, codes); break;
    default: field_codes(data, &raw, n_codes, 6, first, codes); break;
  }
  return true;
}

/* The symbols of a coded block, tile order, to out[n_symbols + CODER_SLACK]; raw_offset: where its raw bits lie. */
bool KERNEL_SYMBOLS(const coder_codebook *book, const coder_block *block, const uint8_t *data, size_t bytes,
                    coder_scratch *scratch, uint8_t *out, uint32_t raw_offset[3]) {
  if (book->kind == CODER_HUFFMAN) {
    coder_parts parts;
    if (!coder_locate_by(count_ones, book, block, data, bytes, scratch, &parts)) return false;
    if (any_bit(data + parts.escape_offset, parts.n_escapes, no_symbol(book))) return false;
    memcpy(raw_offset, parts.raw_offset, sizeof parts.raw_offset);
    decode_tree(book, data, &parts, scratch, bytes, out);
  } else if (book->kind == CODER_LEVELS) {
    const size_t n_codes = coder_block_codes(block);
    levels_parts parts;
    if (!levels_locate(book, block, data, bytes, &parts)) return false;
    if (!KERNEL_LEVELS(book, data, &parts, scratch, bytes, 0, out)) return false;
    coder_raw_offsets(book->raw_bits, n_codes, parts.raw_offset, raw_offset);
  } else {
    return false;
  }
  return true;
}

bool KERNEL_DECODE(const coder_codebook *book, const coder_block *block, const uint8_t *data, size_t bytes,
                   coder_scratch *scratch, uint8_t *codes) {
  const size_t n_codes = coder_block_codes(block);
  if (!kernel_knows(book)) return coder_decode_block_scalar(book, block, data, bytes, scratch, codes);
  if (book->kind == CODER_PLAIN) return decode_plain(book, n_codes, data, bytes, codes);
  if (book->kind == CODER_FIELDS) return decode_field_block(book, n_codes, data, bytes, codes);

  const bool direct = book->raw_bits == 0 && book->tuple == 1; /* the symbols are the codes */
  uint8_t *symbols = direct ? codes : scratch->list[0];
  uint32_t raw_offset[3];
  if (!KERNEL_SYMBOLS(book, block, data, bytes, scratch, symbols, raw_offset)) return false;
  if (direct) return true;
  const raw_lists raw = {data + raw_offset[0], data + raw_offset[1], data + raw_offset[2], bytes};
  finish_block(book, block, symbols, &raw, n_codes, codes);
  return true;
}
