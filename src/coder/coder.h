/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The entropy code of one tensor: codes (2..8 bits wide) to blocks of bytes and
 * back, lossless. docs/FORMAT.md is the specification; this is the summary.
 *
 * Geometry. A matrix is cut into panels of 16 rows (of `rows` rows when the
 * tensor has fewer) and each panel into tiles of 4 columns; a tile's codes are
 * row-major: with 16 rows, 64 codes, byte lane 4 * row + column. A block is an
 * aligned column range of one panel, or several whole panels; at most
 * CODER_MAX_CODES codes. Rows and columns beyond the matrix are padded with
 * `pad`, the most frequent code.
 *
 * A code q is split in raw = q & (2^raw_bits - 1), stored verbatim, and
 * upper = q >> raw_bits. `tuple` uppers make one symbol (a byte): 1: the upper
 * itself; 2: the uppers at the same place of tiles 2k and 2k + 1 of a panel
 * (low nibble first; a missing last tile counts as pad).
 *
 * Symbols are coded in one of these ways:
 * CODER_HUFFMAN: canonical Huffman code words, but pivot-coded
 *   (arXiv 2606.05765): every internal node of the tree stores one bit for each
 *   symbol that passes through it, nodes in breadth-first order, each node's
 *   bits padded to a byte. One leaf may be the escape: its symbols follow the
 *   bitmaps as raw bytes.
 * CODER_LEVELS: levels of fixed-width fields; the highest value of a field sends
 *   its symbol to the next level (coder/levels.h). Faster than Huffman, larger.
 * CODER_PLAIN: no entropy code: bytes (bits > 4) or nibbles (bits <= 4).
 *
 * This folder depends on base only; nothing here allocates while coding.
 */
#ifndef ELLM_CODER_CODER_H
#define ELLM_CODER_CODER_H

#include "base/status.h"

enum {
  CODER_PANEL_ROWS = 16,
  CODER_TILE_COLUMNS = 4,
  CODER_TILE = 64,            /* codes of a full tile */
  CODER_MAX_CODES = 16384,    /* codes of a block, padding included */
  CODER_MAX_TILES = CODER_MAX_CODES / CODER_TILE,
  CODER_MAX_LENGTH = 15,      /* of a code word */
  CODER_MAX_LEAVES = 257,     /* 256 symbols and the escape */
  CODER_ESCAPE = 256,
  CODER_MAX_LEVELS = 8,       /* of a book of levels */
  CODER_SLACK = 64,           /* readable and writable bytes wanted after every buffer */
  CODER_MAX_BLOCK_BYTES = 65536 /* no valid block is larger */
};

typedef enum coder_kind { CODER_PLAIN = 0, CODER_HUFFMAN = 1, CODER_LEVELS = 2 } coder_kind;

/* How a rows x columns matrix is cut into blocks. A block index counts row
 * groups first to last, inside one the column ranges first to last. Either
 * panels_per_block > 1 and one column range, or panels_per_block == 1. */
typedef struct coder_geometry {
  uint64_t rows, columns;
  uint32_t panel_rows;         /* 16, or rows when rows < 16 */
  uint32_t panels_per_block;
  uint32_t block_columns;      /* >= columns, or a multiple of 256 (groups of activations never straddle blocks) */
  uint64_t row_groups, column_ranges, n_blocks;
} coder_geometry;

/* One block of it. */
typedef struct coder_block {
  uint64_t first_row, first_column;
  uint32_t panels;       /* in this block */
  uint32_t rows;         /* real rows, <= panels * panel_rows */
  uint32_t columns;      /* real columns */
  uint32_t tiles;        /* of one panel: ceil(columns / 4) */
  uint32_t panel_rows;
} coder_block;
/* Codes that are stored, padding included. */
static inline size_t coder_block_codes(const coder_block *block) {
  return (size_t)block->panels * block->tiles * CODER_TILE_COLUMNS * block->panel_rows;
}

/* The default cut for a matrix: blocks of 8,192..16,384 codes where possible.
 * False if rows or columns is 0 or the count overflows. */
bool coder_geometry_init(coder_geometry *geometry, uint64_t rows, uint64_t columns);
/* As above from stored panels_per_block and block_columns; false if they break a rule. */
bool coder_geometry_from(coder_geometry *geometry, uint64_t rows, uint64_t columns, uint32_t panels_per_block,
                         uint32_t block_columns);
coder_block coder_geometry_block(const coder_geometry *geometry, uint64_t index);
/* Block number row_group * column_ranges + column_range, without the division. */
coder_block coder_geometry_block_at(const coder_geometry *geometry, uint64_t row_group, uint64_t column_range);

typedef struct coder_node { /* internal node of the Huffman tree, breadth-first */
  int16_t child[2];   /* >= 0: index of an internal node; < 0: leaf, ~value is the symbol (CODER_ESCAPE possible) */
} coder_node;

/* A code book, ready for coding and decoding. Plain data: may be copied. */
typedef struct coder_codebook {
  uint8_t kind;        /* coder_kind */
  uint8_t bits;        /* code width, 2..8 */
  uint8_t raw_bits;    /* 0..min(bits, 7) */
  uint8_t tuple;       /* 1 or 2; 2 only where bits - raw_bits <= 4 and panel_rows == 16 */
  uint8_t pad;         /* code that pads rows and columns */
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

/* The book of CODER_PLAIN. */
bool coder_codebook_plain(int bits, uint8_t pad, uint32_t panel_rows, coder_codebook *book);

/* Serialized form, docs/format/blocks.md, "Code book". At most CODER_BOOK_MAX_BYTES. */
enum { CODER_BOOK_MAX_BYTES = 8 + 257 + 129 };
size_t coder_codebook_store(const coder_codebook *book, uint8_t out[CODER_BOOK_MAX_BYTES]);
/* Parses and finishes; *used = bytes taken. False if malformed. */
bool coder_codebook_load(const uint8_t *data, size_t bytes, uint32_t panel_rows, coder_codebook *book, size_t *used);

/* -------------------------------------------------------- statistics, choice */

/* What the choice of a code book is made from: counts over one tensor; zero-initialize. */
typedef struct coder_statistics {
  uint64_t codes[256];        /* single codes, without padding rows and columns */
  uint64_t pairs[256];        /* symbols of tuple 2 at the fewest raw bits that allow it, max(0, bits - 4) */
  uint64_t singles[256];      /* uppers of tiles without a partner, at the same raw bits */
} coder_statistics;

/* counts[q] += occurrences of q. */
void coder_count_codes(const uint8_t *codes, size_t n, uint64_t counts[256]);
/* The lowest of the most frequent codes, which pads rows and columns. */
uint8_t coder_pad(const uint64_t counts[256]);
/* Add the pairs of one block's codes (tile order, padded): pairs and singles. Only with CODER_PANEL_ROWS rows a panel;
 * lower panels have no pairs, and nothing is added. */
void coder_statistics_add_pairs(coder_statistics *stats, const coder_block *block, int bits, const uint8_t *codes);
void coder_statistics_merge(coder_statistics *into, const coder_statistics *from);

/* Books for size that may turn out smaller than the one of least expected size. */
enum { CODER_RIVALS = 3 };
typedef struct coder_rivals { unsigned n; coder_codebook book[CODER_RIVALS]; } coder_rivals;

/* The book for a tensor under `prefer`; the rule is stated in coder/cost.c. Where
 * no pairs were counted, none of pairs. With code NONE, or where nothing is gained, CODER_PLAIN. `estimated_bytes`: blocks,
 * block table and book together; `rivals`: none for speed. Both may be NULL. */
ellm_status coder_choose(const coder_statistics *stats, const coder_geometry *geometry, int bits, uint8_t pad,
                         ellm_prefer prefer, ellm_code code, coder_codebook *book, double *estimated_bytes,
                         coder_rivals *rivals, ellm_error *err);

/* Length-limited Huffman lengths by package-merge (Larmore and Hirschberg 1990):
 * counts[n] all > 0, n <= 257, 2^limit >= n. lengths[i] in 1..limit; n == 1 gives 0. */
void coder_package_merge(const uint64_t *counts, size_t n, unsigned limit, uint8_t *lengths);

/* -------------------------------------------------------------------- blocks */

/* Codes of a block from row-major codes: `source` is the code of the block's
 * first row and column, rows `stride` bytes apart. out: panels * tiles * 4 *
 * panel_rows codes in tile order, padded. */
void coder_tile_block(const coder_block *block, const uint8_t *source, size_t stride, uint8_t pad, uint8_t *out);
/* The reverse, real rows and columns only. */
void coder_untile_block(const coder_block *block, const uint8_t *tiles, uint8_t *out, size_t stride);

typedef struct coder_encoder coder_encoder; /* scratch memory of one thread */
ellm_status coder_encoder_create(coder_encoder **encoder, ellm_error *err);
void coder_encoder_free(coder_encoder *encoder);
/* Encode tile-ordered codes; out has CODER_MAX_BLOCK_BYTES. Returns the bytes (0
 * is possible: a block of one symbol), CODER_NOT_CODABLE if a code is neither in
 * the book nor covered by an escape, or if the block would be larger than
 * CODER_MAX_BLOCK_BYTES (never with a book of coder_choose). */
#define CODER_NOT_CODABLE SIZE_MAX
size_t coder_encode_block(coder_encoder *encoder, const coder_codebook *book, const coder_block *block,
                          const uint8_t *codes, uint8_t *out);

/* --------------------------------------------------- decoding (scalar oracle) */

/* Scratch memory for decoding one block; one a thread, aligned to 64. */
typedef struct coder_scratch {
  uint8_t list[2][CODER_MAX_CODES + 2 * CODER_SLACK];
  uint32_t node_offset[CODER_MAX_LEAVES]; /* byte offset of each node's bitmap in the block */
  uint16_t node_count[CODER_MAX_LEAVES];  /* symbols that pass through each node */
} coder_scratch;

/* Where the parts of a CODER_HUFFMAN block lie; shared by all kernels. Checks that counts and
 * lengths fit `bytes` exactly; false if the block is damaged. Fills
 * scratch->node_offset and node_count by popcounts of the bitmaps. */
typedef struct coder_parts {
  uint32_t n_symbols;       /* symbols at the root */
  uint32_t raw_offset[3];   /* 4-bit, 2-bit, 1-bit lists of raw bits; valid where raw_bits has that part */
  uint32_t escape_offset, n_escapes;
} coder_parts;
bool coder_locate(const coder_codebook *book, const coder_block *block, const uint8_t *data, size_t bytes,
                  coder_scratch *scratch, coder_parts *parts);
/* The same, by a function that counts the ones among the first n bits; it may read 8 bytes past them. */
typedef uint32_t (*coder_count_fn)(const uint8_t *bitmap, uint32_t n);
bool coder_locate_by(coder_count_fn count_ones, const coder_codebook *book, const coder_block *block,
                     const uint8_t *data, size_t bytes, coder_scratch *scratch, coder_parts *parts);

/* Decode a block to tile-ordered codes[panels * tiles * 4 * panel_rows +
 * CODER_SLACK]. `data` must have CODER_SLACK readable bytes after `bytes`.
 * Returns false if the block is damaged: never reads or writes out of bounds. */
typedef bool (*coder_decode_fn)(const coder_codebook *book, const coder_block *block, const uint8_t *data, size_t bytes,
                                coder_scratch *scratch, uint8_t *codes);
bool coder_decode_block_scalar(const coder_codebook *book, const coder_block *block, const uint8_t *data, size_t bytes,
                               coder_scratch *scratch, uint8_t *codes);

#include "coder/raw_bits.h"

#endif
