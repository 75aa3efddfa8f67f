/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The block encoder turns codes in tile order into bytes. Each code is split in two: its low bits go to the raw lists
 * as they are, and its upper bits become symbols, which are then coded by a Huffman tree or by levels of fields
 * (docs/format/blocks.md). The bytes depend only on the arguments, never on threads or the instruction set.
 */
#include "coder/encode.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "coder/fields.h"
#include "coder/levels.h"
#include "coder/raw_bits.h"

/* Work memory for one block. A tree is written level by level: one of `list` holds the symbols of the nodes of this
 * depth, the other those of the next depth, and `right` those that go right at the current node. */
struct coder_encoder {
  uint8_t symbols[CODER_MAX_CODES + CODER_SLACK];
  uint8_t list[2][CODER_MAX_CODES + CODER_SLACK];
  uint8_t right[CODER_MAX_CODES + CODER_SLACK];
  uint8_t escapes[CODER_MAX_CODES + CODER_SLACK]; /* symbols that have no leaf, in the order of the block */
};

ellm_status coder_encoder_create(coder_encoder **encoder, ellm_error *err) {
  *encoder = ellm_aligned_calloc(1, sizeof **encoder);
  return *encoder != NULL ? ELLM_OK : ellm_fail_memory(err, sizeof **encoder, "the block encoder");
}

void coder_encoder_free(coder_encoder *encoder) { ellm_aligned_free(encoder); }

/* Fields of `width` bits (docs/format/blocks.md, "Raw bits"). A group is 64 bytes, one for each lane, and byte i holds
 * the fields of codes i, i + 64, i + 128, ... So a decoder gets 64 neighbouring codes from one load, one shift and one
 * mask. The last group is whole, whatever the number of codes. */
static uint8_t *put_lanes(uint8_t *out, const uint8_t *codes, size_t n, unsigned shift, unsigned width) {
  const size_t per_group = 8 / width, bytes = coder_raw_list_bytes(width, n);
  const unsigned mask = (1u << width) - 1;
  memset(out, 0, bytes);
  for (size_t vector = 0; vector * 64 < n; vector++) {
    uint8_t *group = out + vector / per_group * 64;
    const unsigned up = (unsigned)(vector % per_group) * width;
    const uint8_t *from = codes + vector * 64;
    const size_t lanes = n - vector * 64 < 64 ? n - vector * 64 : 64;
    for (size_t i = 0; i < lanes; i++) group[i] |= (uint8_t)((from[i] >> shift & mask) << up);
  }
  return out + bytes;
}

static uint8_t *put_raw(uint8_t *out, const uint8_t *codes, size_t n, unsigned raw_bits) {
  unsigned shift = 0;
  for (unsigned width = 4; width > 0; width /= 2) {
    if ((raw_bits & width) == 0) continue;
    out = put_lanes(out, codes, n, shift, width);
    shift += width;
  }
  return out;
}

/* Symbols of a block; returns their number. A pair joins the codes at the same place of two neighbouring tiles, so that
 * one load of 64 pairs gives two whole tiles. If a panel has an odd number of tiles, the pad code stands for the
 * missing one. */
static size_t make_symbols(const coder_codebook *book, const coder_block *block, const uint8_t *codes,
                           uint8_t *symbols) {
  const unsigned raw = book->raw_bits;
  const size_t n = coder_block_codes(block);
  if (book->tuple == 1) {
    for (size_t i = 0; i < n; i++) symbols[i] = (uint8_t)(codes[i] >> raw);
    return n;
  }
  uint8_t *to = symbols;
  const uint8_t pad = (uint8_t)(book->pad >> raw << 4);
  for (uint32_t panel = 0; panel < block->panels; panel++) {
    for (uint32_t tile = 0; tile < block->tiles; tile += 2, to += CODER_TILE, codes += 2 * CODER_TILE) {
      if (tile + 1 < block->tiles) {
        for (size_t i = 0; i < CODER_TILE; i++) to[i] = (uint8_t)(codes[i] >> raw | codes[i + CODER_TILE] >> raw << 4);
      } else {
        for (size_t i = 0; i < CODER_TILE; i++) to[i] = (uint8_t)(codes[i] >> raw | pad);
        codes -= CODER_TILE;
      }
    }
  }
  return (size_t)(to - symbols);
}

/* turns[s]: the code word of symbol s, with its first bit in bit 15. The code is canonical: leaves are sorted by
 * length, and each code word is the one before plus 1, shifted left if it is longer. Symbols without a leaf share the
 * word of the escape. Returns whether there is one. */
static bool code_words(const coder_codebook *book, uint16_t turns[256]) {
  unsigned code = 0, length = 0;
  uint16_t escape = 0;
  bool has_escape = false;
  for (unsigned i = 0; i < book->n_leaves; i++) {
    code <<= book->length[i] - length;
    length = book->length[i];
    const uint16_t word = (uint16_t)(code << (16 - length));
    if (book->symbol[i] == CODER_ESCAPE) {
      escape = word;
      has_escape = true;
    } else {
      turns[book->symbol[i]] = word;
    }
    code++;
  }
  for (unsigned s = 0; s < 256; s++) {
    if (book->leaf_of[s] < 0) turns[s] = escape;
  }
  return has_escape;
}

/* Writes the bitmap of one node, one bit per symbol, and deals the symbols out to `left` (0) and `right` (1). Each
 * symbol is stored to both lists, but only the list it belongs to advances: bits are random, and a branch for each
 * would be mispredicted half of the time. Returns the number of ones. */
static size_t split(const uint8_t *from, size_t n, const uint16_t *turns, unsigned depth, uint8_t *bitmap,
                    uint8_t *left, uint8_t *right) {
  size_t ones = 0;
  for (size_t i = 0; i < n; i += 8) {
    const size_t end = n - i < 8 ? n - i : 8;
    unsigned byte = 0;
    for (size_t k = 0; k < end; k++) {
      const uint8_t symbol = from[i + k];
      const unsigned bit = turns[symbol] >> (15 - depth) & 1u;
      left[i + k - ones] = symbol;
      right[ones] = symbol;
      ones += bit;
      byte |= bit << k;
    }
    bitmap[i / 8] = (uint8_t)byte;
  }
  return ones;
}

static uint8_t *put_huffman(coder_encoder *e, const coder_codebook *book, size_t n, uint8_t *out) {
  uint16_t turns[256] = {0};
  const bool has_escape = code_words(book, turns);
  size_t n_escapes = 0;
  if (has_escape) { /* in the order in which the tree meets them: that of the block */
    for (size_t i = 0; i < n; i++) {
      e->escapes[n_escapes] = e->symbols[i];
      n_escapes += book->leaf_of[e->symbols[i]] < 0;
    }
  }
  uint16_t counts[CODER_MAX_LEAVES] = {0};
  counts[0] = (uint16_t)n;
  const uint8_t *from = e->symbols;
  for (unsigned depth = 0; depth < book->depth; depth++) {
    uint8_t *to = e->list[depth & 1];
    for (unsigned node = book->depth_first[depth]; node < book->depth_first[depth + 1]; node++) {
      const int left = book->node[node].child[0], right = book->node[node].child[1];
      const size_t total = counts[node];
      const size_t ones = split(from, total, turns, depth, out, to, e->right);
      out += (total + 7) / 8;
      from += total;
      if (left >= 0) {
        counts[left] = (uint16_t)(total - ones);
        to += total - ones;
      }
      if (right >= 0) {
        counts[right] = (uint16_t)ones;
        memcpy(to, e->right, ones);
        to += ones;
      }
    }
    from = e->list[depth & 1];
  }
  memcpy(out, e->escapes, n_escapes);
  return out + n_escapes;
}

/* Whether the book can code all symbols. Levels and trees with an escape code any symbol. In other trees leaf_of is
 * negative for a symbol without a leaf, and so is any OR with it. */
static bool codable(const coder_codebook *book, const uint8_t *symbols, size_t n) {
  if (book->kind == CODER_LEVELS) return true;
  for (unsigned i = 0; i < book->n_leaves; i++) {
    if (book->symbol[i] == CODER_ESCAPE) return true;
  }
  int16_t worst = 0;
  for (size_t i = 0; i < n; i++) worst |= book->leaf_of[symbols[i]];
  return worst >= 0;
}

static size_t put_fields(coder_encoder *e, const coder_codebook *book, const uint8_t *codes, size_t n, uint8_t *out) {
  unsigned all = 0;
  for (size_t i = 0; i < n; i++) {
    e->symbols[i] = (uint8_t)(codes[i] - book->first); /* a code before `first` wraps to one behind the last */
    all |= e->symbols[i];
  }
  if (all >> book->raw_bits != 0) return CODER_NOT_CODABLE;
  const unsigned raw = coder_field_raw_bits(book->raw_bits);
  uint8_t *p = book->raw_bits < 4 ? out : put_lanes(out, e->symbols, n, raw, 4);
  return (size_t)(put_raw(p, e->symbols, n, raw) - out);
}

size_t coder_encode_block(coder_encoder *e, const coder_codebook *book, const coder_block *block, const uint8_t *codes,
                          uint8_t *out) {
  const size_t n_codes = coder_block_codes(block);
  if (book->kind == CODER_PLAIN) {
    if (book->bits <= 4) return (size_t)(put_lanes(out, codes, n_codes, 0, 4) - out);
    memcpy(out, codes, n_codes);
    return n_codes;
  }
  if (book->kind == CODER_FIELDS) return put_fields(e, book, codes, n_codes, out);
  const size_t n = make_symbols(book, block, codes, e->symbols);
  if (!codable(book, e->symbols, n)) return CODER_NOT_CODABLE;
  uint8_t *p = out;
  if (book->kind == CODER_LEVELS) {
    p = put_raw(out + 2u * book->n_levels, codes, n_codes, book->raw_bits);
    const size_t bytes = levels_encode_symbols(book, e->symbols, n, out, p, CODER_MAX_BLOCK_BYTES - (size_t)(p - out),
                                               (uint8_t *)e->list);
    if (bytes == SIZE_MAX) return CODER_NOT_CODABLE;
    p += bytes;
  } else {
    p = put_raw(p, codes, n_codes, book->raw_bits);
    p = put_huffman(e, book, n, p);
  }
  return (size_t)(p - out);
}
