/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the parts of a block, and decodes it in the plainest way. This scalar decoder is the oracle for all others: it
 * is written to be obviously right, one symbol at a time. Nothing that is read from a block is used before it has been
 * checked against the block's length.
 */
#include "coder/decode_scalar.h"

#include <string.h>

#include "coder/fields.h"
#include "coder/levels.h"
#include "coder/raw_bits.h"

static uint32_t block_symbols(const coder_codebook *book, const coder_block *block) {
  return book->tuple == 2 ? block->panels * ((block->tiles + 1) / 2) * CODER_TILE : (uint32_t)coder_block_codes(block);
}

/* Ones among the first n bits; `data` has 8 readable bytes behind them (CODER_SLACK). Each line adds neighbouring
 * counts, first of 1 bit, then of 2 and 4; the product adds the eight bytes up in its highest byte. */
static uint32_t count_ones_plain(const uint8_t *data, uint32_t n) {
  uint32_t ones = 0;
  for (uint32_t i = 0; i < n; i += 64) {
    uint64_t word;
    memcpy(&word, data + i / 8, 8);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#error "the decoder wants a little-endian machine"
#endif
    if (n - i < 64) word &= ((uint64_t)1 << (n - i)) - 1;
    word -= word >> 1 & 0x5555555555555555u;
    word = (word & 0x3333333333333333u) + (word >> 2 & 0x3333333333333333u);
    word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0fu;
    ones += (uint32_t)(word * 0x0101010101010101u >> 56);
  }
  return ones;
}

/* The bitmaps are stored node by node, from the root down, without their lengths. But the number of symbols at a node
 * is known when its bitmap is reached: all symbols pass the root, and of each node's symbols as many go right as its
 * bitmap has ones. So counting ones on the way down finds every bitmap, and at the end the escapes. */
bool coder_locate_by(coder_count_fn ones_of, const coder_codebook *book, const coder_block *block,
                     const uint8_t *data, size_t bytes, coder_scratch *scratch, coder_parts *parts) {
  const size_t n_codes = coder_block_codes(block);
  size_t at = coder_raw_bytes(book->raw_bits, n_codes);
  if (at > bytes) return false;
  coder_raw_offsets(book->raw_bits, n_codes, 0, parts->raw_offset);
  parts->n_symbols = block_symbols(book, block);
  parts->n_escapes = book->n_leaves == 1 && book->symbol[0] == CODER_ESCAPE ? parts->n_symbols : 0;
  scratch->node_count[0] = (uint16_t)parts->n_symbols;
  for (unsigned node = 0; node < book->n_nodes; node++) {
    const uint32_t count = scratch->node_count[node], length = (count + 7) / 8;
    if (length > bytes - at) return false;
    scratch->node_offset[node] = (uint32_t)at;
    const int left = book->node[node].child[0], right = book->node[node].child[1];
    if ((count & 7) != 0 && data[at + length - 1] >> (count & 7) != 0) return false; /* padding is zero */
    if (left >= 0 || right >= 0 || ~left == CODER_ESCAPE || ~right == CODER_ESCAPE) {
      const uint32_t ones = ones_of(data + at, count);
      if (left >= 0) scratch->node_count[left] = (uint16_t)(count - ones);
      if (right >= 0) scratch->node_count[right] = (uint16_t)ones;
      if (~left == CODER_ESCAPE) parts->n_escapes = count - ones;
      if (~right == CODER_ESCAPE) parts->n_escapes = ones;
    }
    at += length;
  }
  parts->escape_offset = (uint32_t)at;
  return bytes - at == parts->n_escapes;
}

bool coder_locate(const coder_codebook *book, const coder_block *block, const uint8_t *data, size_t bytes,
                  coder_scratch *scratch, coder_parts *parts) {
  return coder_locate_by(count_ones_plain, book, block, data, bytes, scratch, parts);
}

/* Symbols at the root into list[0]. The tree is undone from the leaves up. The symbols of a node, in their order, are
 * its children's lists merged by its bitmap: each bit says which child gives the next symbol. */
static void decode_huffman(const coder_codebook *book, const coder_parts *parts, const uint8_t *data,
                           coder_scratch *scratch) {
  const uint8_t *escapes = data + parts->escape_offset;
  if (book->n_nodes == 0) {
    if (book->symbol[0] == CODER_ESCAPE) {
      memcpy(scratch->list[0], escapes, parts->n_symbols);
    } else {
      memset(scratch->list[0], book->symbol[0], parts->n_symbols);
    }
    return;
  }
  for (unsigned depth = book->depth; depth-- > 0;) {
    const uint8_t *below = scratch->list[(depth + 1) & 1]; /* lists of the next depth's nodes, one after the other */
    uint8_t *to = scratch->list[depth & 1];
    for (unsigned node = book->depth_first[depth]; node < book->depth_first[depth + 1]; node++) {
      const uint8_t *next[2] = {NULL, NULL};
      for (unsigned side = 0; side < 2; side++) {
        const int child = book->node[node].child[side];
        if (child >= 0) {
          next[side] = below;
          below += scratch->node_count[child];
        } else if (~child == CODER_ESCAPE) {
          next[side] = escapes;
        }
      }
      const uint8_t *bitmap = data + scratch->node_offset[node];
      for (uint32_t i = 0; i < scratch->node_count[node]; i++) {
        const unsigned side = bitmap[i / 8] >> (i % 8) & 1u;
        *to++ = next[side] != NULL ? *next[side]++ : (uint8_t)~book->node[node].child[side];
      }
    }
  }
}

static unsigned lane_field(const uint8_t *list, unsigned width, size_t i) {
  const size_t vector = i / 64, per_group = 8 / width;
  return list[vector / per_group * 64 + i % 64] >> (vector % per_group * width) & ((1u << width) - 1);
}

static unsigned raw_value(const uint8_t *data, const uint32_t offsets[3], unsigned raw_bits, size_t i) {
  unsigned value = 0, shift = 0;
  for (unsigned part = 0; part < 3; part++) {
    const unsigned width = 4u >> part;
    if ((raw_bits & width) == 0) continue;
    value |= lane_field(data + offsets[part], width, i) << shift;
    shift += width;
  }
  return value;
}

static bool decode_plain(const coder_codebook *book, const uint8_t *data, size_t bytes, size_t n_codes,
                         uint8_t *codes) {
  if (bytes != (book->bits <= 4 ? coder_raw_list_bytes(4, n_codes) : n_codes)) return false;
  unsigned all = 0;
  for (size_t i = 0; i < n_codes; i++) {
    codes[i] = (uint8_t)(book->bits <= 4 ? lane_field(data, 4, i) : data[i]);
    all |= codes[i];
  }
  return all >> book->bits == 0;
}

static bool decode_fields(const coder_codebook *book, const uint8_t *data, size_t bytes, size_t n_codes,
                          uint8_t *codes) {
  const unsigned width = book->raw_bits, raw = coder_field_raw_bits(width);
  uint32_t offsets[3];
  if (bytes != coder_raw_bytes(width, n_codes)) return false;
  coder_raw_offsets(raw, n_codes, (uint32_t)coder_field_upper_bytes(width, n_codes), offsets);
  for (size_t i = 0; i < n_codes; i++) {
    const unsigned upper = width < 4 ? 0 : lane_field(data, 4, i);
    codes[i] = (uint8_t)(book->first + (upper << raw | raw_value(data, offsets, raw, i)));
  }
  return true;
}

bool coder_decode_block_scalar(const coder_codebook *book, const coder_block *block, const uint8_t *data, size_t bytes,
                               coder_scratch *scratch, uint8_t *codes) {
  const size_t n_codes = coder_block_codes(block);
  if (book->kind == CODER_PLAIN) return decode_plain(book, data, bytes, n_codes, codes);
  if (book->kind == CODER_FIELDS) return decode_fields(book, data, bytes, n_codes, codes);
  uint32_t n_symbols, raw_offset[3];
  if (book->kind == CODER_LEVELS) {
    levels_parts parts;
    if (!levels_locate(book, block, data, bytes, &parts)) return false;
    if (!levels_decode_symbols_scalar(book, &parts, data, scratch)) return false;
    n_symbols = parts.n_symbols;
    coder_raw_offsets(book->raw_bits, n_codes, parts.raw_offset, raw_offset);
  } else if (book->kind == CODER_HUFFMAN) {
    coder_parts parts;
    if (!coder_locate(book, block, data, bytes, scratch, &parts)) return false;
    decode_huffman(book, &parts, data, scratch);
    n_symbols = parts.n_symbols;
    memcpy(raw_offset, parts.raw_offset, sizeof raw_offset);
  } else {
    return false;
  }
  /* Leaves hold only symbols that codes can have; a larger one can only come from a damaged escape. */
  const unsigned upper_mask = (1u << (book->bits - book->raw_bits)) - 1;
  const unsigned symbol_mask = book->tuple == 2 ? upper_mask | upper_mask << 4 : upper_mask;
  const uint8_t *symbols = scratch->list[0];
  unsigned all = 0;
  for (uint32_t i = 0; i < n_symbols; i++) all |= symbols[i];
  if ((all & ~symbol_mask) != 0) return false;
  for (size_t i = 0; i < n_codes; i++) {
    unsigned upper = symbols[i];
    if (book->tuple == 2) { /* tiles 2 k and 2 k + 1 of a panel: low and high nibbles of vector k of symbols */
      const size_t panel_codes = (size_t)block->tiles * CODER_TILE, panel = i / panel_codes, in_panel = i % panel_codes;
      const size_t tile = in_panel / CODER_TILE, pair = panel * ((block->tiles + 1) / 2) + tile / 2;
      upper = symbols[pair * CODER_TILE + i % CODER_TILE] >> (tile % 2 * 4) & 15;
    }
    codes[i] = (uint8_t)(upper << book->raw_bits | raw_value(data, raw_offset, book->raw_bits, i));
  }
  return true;
}
