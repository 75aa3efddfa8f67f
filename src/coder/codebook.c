/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Code books: checking, the canonical tree, the stored form.
 *
 * Code words are assigned to the leaves in order of (length, symbol) like
 * DEFLATE's, and the first bit of a word decides at the root. So at each depth
 * the words of that length come first and the internal nodes after them; the
 * nodes of a depth, left to right, are numbered on from those above.
 */
#include "coder/codebook.h"

#include <string.h>

#include "coder/geometry.h"

const char *coder_codebook_layout(const coder_codebook *book) {
  switch (book->kind) {
    case CODER_HUFFMAN: return "huffman";
    case CODER_LEVELS: return "levels";
    case CODER_FIELDS: return "fields";
    default: return book->bits > 4 ? "plain8" : "plain4";
  }
}

static bool rules_hold(const coder_codebook *book, uint32_t panel_rows) {
  if (book->bits < 2 || book->bits > 8 || book->raw_bits > book->bits || book->raw_bits > 7 ||
      book->pad >= 1u << book->bits)
    return false;
  if (book->tuple != 1 && book->tuple != 2) return false;
  if (book->tuple == 2 && (book->bits - book->raw_bits > 4 || panel_rows != CODER_PANEL_ROWS)) return false;
  return true;
}

static bool fields_hold(const coder_codebook *book) {
  if (book->raw_bits < CODER_FIELDS_LEAST || book->raw_bits > CODER_FIELDS_MOST) return false;
  if (book->tuple != 1 || book->n_leaves != 0 || coder_most_code(book) >= 1 << book->bits) return false;
  return book->pad >= coder_least_code(book) && book->pad <= coder_most_code(book);
}

/* Whether a symbol can be made of uppers of this book. */
static bool in_alphabet(const coder_codebook *book, unsigned symbol) {
  const unsigned upper_bits = book->bits - book->raw_bits, mask = (1u << upper_bits) - 1;
  return book->tuple == 2 ? (symbol & 15) <= mask && symbol >> 4 <= mask : symbol <= mask;
}

/* Builds the tree from the sorted lengths, a depth at a time. At each depth the nodes above have 2 * width places. The
 * next leaves of this length take the first places, and internal nodes the others. The tree is complete, and so the
 * lengths are a valid code, if no places are left when the leaves are used up, and no leaves when the places are. */
static bool build_tree(coder_codebook *book) {
  book->n_nodes = (uint16_t)(book->n_leaves - 1);
  book->depth = 0;
  memset(book->depth_first, 0, sizeof book->depth_first);
  if (book->n_leaves == 1) return book->length[0] == 0;
  unsigned leaf = 0, node = 0, width = 1; /* width: nodes at this depth */
  for (unsigned depth = 0; width > 0; depth++) {
    if (depth == CODER_MAX_LENGTH) return false; /* nodes left below the longest word */
    book->depth_first[depth] = (uint16_t)node;
    const unsigned below = node + width; /* first node of the next depth */
    unsigned inner = 0;
    if (below > book->n_nodes) return false;
    for (unsigned i = 0; i < width; i++) {
      for (unsigned side = 0; side < 2; side++) {
        if (leaf < book->n_leaves && book->length[leaf] == depth + 1) {
          book->node[node + i].child[side] = (int16_t)~(int)book->symbol[leaf++];
        } else {
          book->node[node + i].child[side] = (int16_t)(below + inner++);
        }
      }
    }
    node = below;
    width = inner;
    book->depth = (uint8_t)(depth + 1);
    book->depth_first[depth + 1] = (uint16_t)node;
  }
  return leaf == book->n_leaves && node == book->n_nodes;
}

bool coder_codebook_finish(coder_codebook *book, uint32_t panel_rows) {
  if (!rules_hold(book, panel_rows)) return false;
  memset(book->leaf_of, -1, sizeof book->leaf_of);
  book->n_nodes = 0;
  book->depth = 0;
  if (book->kind == CODER_FIELDS) return fields_hold(book);
  if (book->first != 0) return false;
  if (book->kind == CODER_PLAIN) return book->raw_bits == 0 && book->tuple == 1 && book->n_leaves == 0;
  if (book->kind != CODER_HUFFMAN && book->kind != CODER_LEVELS) return false;
  if (book->n_leaves < 1 || book->n_leaves > CODER_MAX_LEAVES) return false;
  if (book->raw_bits == book->bits && book->n_leaves != 1) return false;
  bool escape = false;
  for (unsigned i = 0; i < book->n_leaves; i++) {
    const unsigned symbol = book->symbol[i];
    if (symbol == CODER_ESCAPE) {
      if (escape || book->kind == CODER_LEVELS) return false;
      escape = true;
    } else {
      if (symbol > 255 || !in_alphabet(book, symbol) || book->leaf_of[symbol] >= 0) return false;
      book->leaf_of[symbol] = (int16_t)i;
    }
    if (book->kind == CODER_HUFFMAN && i > 0) {
      if (book->length[i] < book->length[i - 1] || book->length[i] > CODER_MAX_LENGTH) return false;
      if (book->length[i] == book->length[i - 1] && symbol <= book->symbol[i - 1]) return false;
    }
  }
  if (book->kind == CODER_HUFFMAN) return build_tree(book);
  unsigned places = 0;
  if (book->n_levels < 1 || book->n_levels > CODER_MAX_LEVELS) return false;
  for (unsigned j = 0; j < book->n_levels; j++) {
    if (book->width[j] < 1 || book->width[j] > 4) return false;
    places += (1u << book->width[j]) - 1;
  }
  if (book->n_leaves > places || book->n_leaves > 256) return false;
  memset(book->table, 0, sizeof book->table);
  for (unsigned i = 0; i < book->n_leaves; i++) book->table[i] = (uint8_t)book->symbol[i];
  return true;
}

bool coder_codebook_plain(int bits, uint8_t pad, uint32_t panel_rows, coder_codebook *book) {
  *book = (coder_codebook){.kind = CODER_PLAIN, .bits = (uint8_t)bits, .tuple = 1, .pad = pad};
  return coder_codebook_finish(book, panel_rows);
}

bool coder_codebook_fields(int bits, int width, uint8_t first, uint8_t pad, uint32_t panel_rows, coder_codebook *book) {
  *book = (coder_codebook){.kind = CODER_FIELDS, .bits = (uint8_t)bits, .raw_bits = (uint8_t)width, .tuple = 1,
                           .pad = pad, .first = first};
  return coder_codebook_finish(book, panel_rows);
}

/* Stored form: kind, bits | raw_bits << 4, tuple | n_levels << 4, pad, u16 n_leaves (fields: first); kind by kind:
 * Huffman: index of the escape among the leaves (u16, 0xffff: none), symbols (the escape's as 0), lengths as nibbles,
 * low first; levels: widths as nibbles, low first, symbols. */
size_t coder_codebook_store(const coder_codebook *book, uint8_t out[CODER_BOOK_MAX_BYTES]) {
  uint8_t *p = out;
  *p++ = book->kind;
  *p++ = (uint8_t)(book->bits | book->raw_bits << 4);
  *p++ = (uint8_t)(book->tuple | (book->kind == CODER_LEVELS ? book->n_levels << 4 : 0));
  *p++ = book->pad;
  const unsigned number = book->kind == CODER_FIELDS ? book->first : book->n_leaves;
  *p++ = (uint8_t)number;
  *p++ = (uint8_t)(number >> 8);
  if (book->kind == CODER_HUFFMAN) {
    unsigned escape = 0xffff;
    for (unsigned i = 0; i < book->n_leaves; i++) {
      if (book->symbol[i] == CODER_ESCAPE) escape = i;
    }
    *p++ = (uint8_t)escape;
    *p++ = (uint8_t)(escape >> 8);
    for (unsigned i = 0; i < book->n_leaves; i++) *p++ = (uint8_t)book->symbol[i]; /* CODER_ESCAPE as 0 */
    for (unsigned i = 0; i < book->n_leaves; i += 2) {
      *p++ = (uint8_t)(book->length[i] | (i + 1 < book->n_leaves ? book->length[i + 1] << 4 : 0));
    }
  } else if (book->kind == CODER_LEVELS) {
    for (unsigned j = 0; j < book->n_levels; j += 2) {
      *p++ = (uint8_t)(book->width[j] | (j + 1 < book->n_levels ? book->width[j + 1] << 4 : 0));
    }
    for (unsigned i = 0; i < book->n_leaves; i++) *p++ = (uint8_t)book->symbol[i];
  }
  return (size_t)(p - out);
}

bool coder_codebook_load(const uint8_t *data, size_t bytes, uint32_t panel_rows, coder_codebook *book, size_t *used) {
  memset(book, 0, sizeof *book);
  if (bytes < 6) return false;
  book->kind = data[0];
  book->bits = data[1] & 15;
  book->raw_bits = data[1] >> 4;
  book->tuple = data[2] & 15;
  book->n_levels = data[2] >> 4;
  book->pad = data[3];
  book->n_leaves = (uint16_t)(data[4] | data[5] << 8);
  if (book->kind == CODER_FIELDS) {
    if (book->n_levels != 0 || book->n_leaves > UINT8_MAX) return false;
    book->first = (uint8_t)book->n_leaves;
    book->n_leaves = 0;
    *used = 6;
    return coder_codebook_finish(book, panel_rows);
  }
  if (book->n_leaves > CODER_MAX_LEAVES) return false;
  const size_t n = book->n_leaves;
  size_t at = 6;
  if (book->kind == CODER_HUFFMAN) {
    if (book->n_levels != 0 || bytes - at < 2 + n + (n + 1) / 2) return false;
    const unsigned escape = data[at] | (unsigned)data[at + 1] << 8;
    at += 2;
    if (escape != 0xffff && escape >= n) return false;
    for (size_t i = 0; i < n; i++) book->symbol[i] = data[at + i];
    if (escape != 0xffff) {
      if (data[at + escape] != 0) return false;
      book->symbol[escape] = CODER_ESCAPE;
    }
    at += n;
    for (size_t i = 0; i < n; i++) book->length[i] = data[at + i / 2] >> (4 * (i % 2)) & 15;
    if (n % 2 != 0 && data[at + n / 2] >> 4 != 0) return false;
    at += (n + 1) / 2;
  } else if (book->kind == CODER_LEVELS) {
    const size_t levels = book->n_levels, width_bytes = (levels + 1) / 2;
    if (levels > CODER_MAX_LEVELS || bytes - at < width_bytes + n) return false;
    for (size_t j = 0; j < levels; j++) book->width[j] = data[at + j / 2] >> (4 * (j % 2)) & 15;
    if (levels % 2 != 0 && data[at + levels / 2] >> 4 != 0) return false;
    at += width_bytes;
    for (size_t i = 0; i < n; i++) book->symbol[i] = data[at + i];
    at += n;
  } else if (book->kind != CODER_PLAIN || book->n_levels != 0) {
    return false;
  }
  *used = at;
  return coder_codebook_finish(book, panel_rows);
}
