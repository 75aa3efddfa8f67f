/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Code books: how the symbols of a tensor are coded. Checked once, when made or
 * loaded, and immutable after that: several threads may use one.
 */
#ifndef ELLM_CODER_CODEBOOK_H
#define ELLM_CODER_CODEBOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  CODER_MAX_LENGTH = 15,      /* of a code word: what a nibble of the stored form holds */
  CODER_MAX_LEAVES = 257,     /* 256 symbols and the escape */
  CODER_ESCAPE = 256,
  CODER_MAX_LEVELS = 8        /* of a book of levels */
};

typedef enum coder_kind { CODER_PLAIN = 0, CODER_HUFFMAN = 1, CODER_LEVELS = 2, CODER_FIELDS = 3 } coder_kind;

/* Widths of the fields of CODER_FIELDS. */
enum { CODER_FIELDS_LEAST = 2, CODER_FIELDS_MOST = 6 };

typedef struct coder_node { /* internal node of the Huffman tree, breadth-first */
  int16_t child[2];   /* >= 0: index of an internal node; < 0: leaf, ~value is the symbol (CODER_ESCAPE possible) */
} coder_node;

/* A code book, ready for coding and decoding. Plain data: may be copied. */
typedef struct coder_codebook {
  uint8_t kind;        /* coder_kind */
  uint8_t bits;        /* code width, 2..8 */
  uint8_t raw_bits;    /* 0..min(bits, 7); CODER_FIELDS: the width of a field, 2..min(bits, 6) */
  uint8_t tuple;       /* 1 or 2; 2 only where bits - raw_bits <= 4 and panel_rows == 16 */
  uint8_t pad;         /* code that pads rows and columns */
  uint8_t first;       /* CODER_FIELDS: the code of a field of 0, at most 2^bits - 2^raw_bits; else 0 */
  uint16_t n_leaves;   /* CODER_HUFFMAN: 1..257, sorted canonically (length, symbol; the escape last of its length);
                        * CODER_LEVELS: 1..120, the symbols of the levels' tables, level 0 first */
  uint16_t symbol[CODER_MAX_LEAVES];
  uint8_t length[CODER_MAX_LEAVES];
  uint8_t n_levels, width[CODER_MAX_LEVELS]; /* CODER_LEVELS: field widths, 1..4 bits */
  /* derived by coder_codebook_finish */
  uint16_t n_nodes;                         /* n_leaves - 1 */
  uint8_t depth;                            /* longest code word */
  uint16_t depth_first[CODER_MAX_LENGTH + 2]; /* first node of each depth; [depth] = n_nodes */
  coder_node node[CODER_MAX_LEAVES - 1];
  int16_t leaf_of[256];                     /* symbol -> index in symbol[], -1: by the escape */
  uint8_t table[256];                       /* CODER_LEVELS: symbol[] as bytes, unused places 0 */
} coder_codebook;

/* Check and derive. False if the book breaks a rule (Kraft sum not exactly 1
 * with n_leaves > 1, lengths, order, duplicate symbols, symbols beyond the
 * alphabet, tuple or raw bits out of range). One leaf has length 0. */
bool coder_codebook_finish(coder_codebook *book, uint32_t panel_rows);

/* "huffman", "levels", "fields", "plain8" or "plain4": the public name of its kind; static. */
const char *coder_codebook_layout(const coder_codebook *book);

/* The range of codes that a block can hold. What is beyond it stands as the nearest one, with a patch
 * (coder/patches.h). */
static inline int coder_least_code(const coder_codebook *book) { return book->first; }
static inline int coder_most_code(const coder_codebook *book) {
  return book->kind == CODER_FIELDS ? book->first + (1 << book->raw_bits) - 1 : (1 << book->bits) - 1;
}

/* The book of CODER_PLAIN. */
bool coder_codebook_plain(int bits, uint8_t pad, uint32_t panel_rows, coder_codebook *book);
/* A book of CODER_FIELDS. `pad` must be one of its codes. */
bool coder_codebook_fields(int bits, int width, uint8_t first, uint8_t pad, uint32_t panel_rows, coder_codebook *book);

/* Serialized form, docs/format/blocks.md, "Code book". At most CODER_BOOK_MAX_BYTES. */
enum { CODER_BOOK_MAX_BYTES = 8 + 257 + 129 }; /* head, symbols, lengths as nibbles */
size_t coder_codebook_store(const coder_codebook *book, uint8_t out[CODER_BOOK_MAX_BYTES]);
/* Parses and finishes; *used = bytes taken. False if malformed. */
bool coder_codebook_load(const uint8_t *data, size_t bytes, uint32_t panel_rows, coder_codebook *book, size_t *used);

#endif
