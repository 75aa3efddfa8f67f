/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The choice of a tensor's code book: every split into raw and upper bits, single
 * and paired symbols, Huffman trees with and without an escape, fixed-width
 * fields, and no code at all, each by its total cost.
 *
 * ELLM_PREFER_SIZE takes the fewest bytes. ELLM_PREFER_SPEED takes the fewest
 * modelled cycles among the books whose total is at most SPEED_LOSS above the
 * entropy (SPEED_LOSS_LOW below LOW_ENTROPY bits a code), and the smallest book
 * where none is. The cycles are those of the AVX-512 VBMI2 kernel on one core of
 * AMD Zen 4, constants of this file: the machine at hand has no say, so that the
 * same checkpoint gives the same bytes everywhere.
 *
 * Bytes are exact but for the rounding of bitmaps and lists to whole bytes, which
 * is an expected value. Where that leaves in doubt which book is the smallest, the
 * others are given as rivals: coding with each tells.
 */
#include "coder/cost.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/exact_math.h"
#include "coder/levels.h"
#include "coder/package_merge.h"
#include "coder/raw_bits.h"

static const double SPEED_LOSS = 1.06, SPEED_LOSS_LOW = 1.10, LOW_ENTROPY = 2.2;

/* Cycles for 64 symbols or codes with AVX-512 and VBMI2: a node of two leaves is a masked blend, one of a leaf and a
 * list one expansion, one of two lists two (vpexpandb takes two uops of port 5, moving a mask to its register one more).
 * `entrollm bench kernels --op decode` and `--op dot` show by layout how a machine compares. Only ratios matter, which
 * of two books is faster; and as a file's bytes follow from them, another machine is no reason to change them. */
static const double CYCLES_LEAVES = 1.5, CYCLES_EXPAND = 3, CYCLES_MERGE = 5, CYCLES_DOT = 2, CYCLES_UNPACK = 0.75,
                    CYCLES_RAW_LIST = 1.25;
enum { CYCLES_NODE_START = 12 }; /* a node and block */
enum { BLOCK_ENTRY_BYTES = 8 };  /* of the block table */

typedef struct candidate {
  coder_codebook book;
  double bytes, cycles;
  double doubt; /* bytes */
} candidate;

typedef struct chooser {
  const coder_statistics *stats;
  const coder_geometry *geometry;
  int bits;
  uint8_t pad;
  uint64_t padding; /* codes that pad rows and columns */
  ellm_prefer prefer;
  double limit_bytes; /* for speed */
  candidate best[1 + CODER_RIVALS]; /* best first; for speed one, not counting plain codes */
  unsigned n_best;
} chooser;

static double stored_bytes(const coder_codebook *book) {
  uint8_t stored[CODER_BOOK_MAX_BYTES];
  return (double)coder_codebook_store(book, stored);
}

static bool is_better(const chooser *c, const candidate *a, const candidate *b) {
  if (c->prefer == ELLM_PREFER_SIZE) return a->bytes < b->bytes;
  const bool within = a->bytes <= c->limit_bytes, other_within = b->bytes <= c->limit_bytes;
  if (within != other_within) return within;
  return within ? a->cycles < b->cycles : a->bytes < b->bytes;
}

static void offer(chooser *c, const candidate *offered) {
  const unsigned most = c->prefer == ELLM_PREFER_SIZE ? 1 + CODER_RIVALS : 1;
  unsigned at = c->n_best;
  while (at > 0 && is_better(c, offered, &c->best[at - 1])) at--;
  if (at == most) return;
  if (c->n_best < most) c->n_best++;
  memmove(&c->best[at + 1], &c->best[at], (c->n_best - at - 1) * sizeof *c->best);
  c->best[at] = *offered;
}

/* Sum over all blocks of a function of their codes: blocks come in at most four sizes. */
static double over_blocks(const coder_geometry *g, double (*bytes)(const coder_block *, unsigned), unsigned argument) {
  const uint64_t last_group = (g->row_groups - 1) * g->column_ranges, last_range = g->column_ranges - 1;
  double total = 0;
  for (unsigned i = 0; i < 4; i++) {
    const double groups = i & 1 ? 1 : (double)(g->row_groups - 1), ranges = i & 2 ? 1 : (double)(g->column_ranges - 1);
    if (groups * ranges == 0) continue;
    const coder_block block = coder_geometry_block(g, (i & 1 ? last_group : 0) + (i & 2 ? last_range : 0));
    total += groups * ranges * bytes(&block, argument);
  }
  return total;
}

static double raw_bytes_of(const coder_block *block, unsigned raw) {
  return (double)coder_raw_bytes(raw, coder_block_codes(block));
}
static double plain_bytes_of(const coder_block *block, unsigned bits) {
  return (double)coder_plain_bytes(bits, coder_block_codes(block));
}
/* Bits that rounding adds to the root's bitmap: every block has a known number of symbols. */
static double root_rounding_of(const coder_block *block, unsigned tuple) {
  return tuple == 2 ? 0 : (double)((8 - coder_block_codes(block) % 8) % 8); /* pairs come by 64 */
}
static double codes_count_of(const coder_block *block, unsigned unused) {
  (void)unused;
  return (double)coder_block_codes(block);
}

/* Expected bits that rounding to bytes adds to a list with a mean of m bits a block, its length Poisson distributed. */
static double rounding_bits(double m) {
  if (m > 32) return 3.5;
  double p = exact_exp(-m), sum = 0;
  for (int k = 0; k < 80; k++) {
    sum += p * ((8 - k % 8) % 8);
    p = p * m / (k + 1);
  }
  return sum;
}

/* Counts of the symbols of a split; false where it does not exist. */
static bool symbol_counts(const chooser *c, unsigned raw, unsigned tuple, uint64_t counts[256]) {
  memset(counts, 0, 256 * sizeof *counts);
  if (tuple == 1) {
    for (unsigned q = 0; q < 256; q++) counts[q >> raw] += c->stats->codes[q];
    counts[c->pad >> raw] += c->padding;
    return true;
  }
  const unsigned counted_raw = c->bits > 4 ? (unsigned)c->bits - 4 : 0; /* the statistics' split */
  if (c->geometry->panel_rows != CODER_PANEL_ROWS || raw < counted_raw) return false;
  const unsigned more = raw - counted_raw;
  for (unsigned s = 0; s < 256; s++) counts[(s & 15) >> more | s >> 4 >> more << 4] += c->stats->pairs[s];
  for (unsigned u = 0; u < 256; u++) counts[(u >> more) | (unsigned)(c->pad >> raw) << 4] += c->stats->singles[u];
  for (unsigned s = 0; s < 256; s++)
    if (counts[s] != 0) return true;
  return false; /* nobody has counted pairs */
}

typedef struct ranked { uint64_t count; uint16_t symbol; } ranked;

static int by_falling_count(const void *a, const void *b) {
  const ranked *x = a, *y = b;
  if (x->count != y->count) return x->count > y->count ? -1 : 1;
  return (int)x->symbol - (int)y->symbol;
}

typedef struct leaf { uint8_t length; uint16_t symbol; uint64_t count; } leaf;

static int canonical_order(const void *a, const void *b) {
  const leaf *x = a, *y = b;
  if (x->length != y->length) return (int)x->length - (int)y->length;
  return (int)x->symbol - (int)y->symbol;
}

/* Four standard deviations of what rounding adds to n lists: 0 to 7 bits each, all as likely, variance 21 / 4. */
static double rounding_doubt(double n) { return 4 * sqrt(21.0 / 4 * n) / 8; }

/* Data bits, rounding and cycles of a Huffman book whose leaves have these counts. */
static void huffman_cost(const coder_codebook *book, const leaf *leaves, const coder_geometry *geometry, double *bits,
                         double *cycles) {
  const double n_blocks = (double)geometry->n_blocks;
  double count[CODER_MAX_LEAVES];
  *bits = *cycles = 0;
  for (unsigned i = 0; i < book->n_leaves; i++) {
    if (leaves[i].symbol == CODER_ESCAPE) *bits += 8 * (double)leaves[i].count;
  }
  for (unsigned node = book->n_nodes; node-- > 0;) {
    count[node] = 0;
    unsigned lists = 0;
    for (unsigned side = 0; side < 2; side++) {
      const int child = book->node[node].child[side];
      if (child >= 0) {
        count[node] += count[child];
        lists++;
      } else {
        const int symbol = ~child;
        for (unsigned i = 0; i < book->n_leaves; i++) {
          if (leaves[i].symbol == symbol) count[node] += (double)leaves[i].count;
        }
        lists += symbol == CODER_ESCAPE;
      }
    }
    const double per_64 = lists == 2 ? CYCLES_MERGE : lists == 1 ? CYCLES_EXPAND : CYCLES_LEAVES;
    *bits += count[node] + (node == 0 ? over_blocks(geometry, root_rounding_of, book->tuple)
                                      : n_blocks * rounding_bits(count[node] / n_blocks));
    *cycles += count[node] / 64 * per_64 + n_blocks * CYCLES_NODE_START;
  }
}

/* Cycles from symbols to the product. */
static double finish_cycles(unsigned raw, unsigned tuple, double codes) {
  double per_64 = CYCLES_DOT + (tuple == 2 ? CYCLES_UNPACK : 0);
  for (unsigned width = 4; width > 0; width /= 2) per_64 += (raw & width) != 0 ? CYCLES_RAW_LIST : 0;
  return codes / 64 * per_64;
}

static void offer_huffman(chooser *c, unsigned raw, unsigned tuple, const ranked *symbols, size_t n, size_t kept,
                          double fixed_bytes, double codes) {
  leaf leaves[CODER_MAX_LEAVES];
  uint64_t counts[CODER_MAX_LEAVES] = {0};
  uint8_t lengths[CODER_MAX_LEAVES];
  size_t n_leaves = kept;
  for (size_t i = 0; i < kept; i++) leaves[i] = (leaf){0, symbols[i].symbol, symbols[i].count};
  if (kept < n) {
    leaf escape = {0, CODER_ESCAPE, 0};
    for (size_t i = kept; i < n; i++) escape.count += symbols[i].count;
    leaves[n_leaves++] = escape;
  }
  for (size_t i = 0; i < n_leaves; i++) counts[i] = leaves[i].count;
  coder_package_merge(counts, n_leaves, CODER_MAX_LENGTH, lengths);
  for (size_t i = 0; i < n_leaves; i++) leaves[i].length = lengths[i];
  qsort(leaves, n_leaves, sizeof *leaves, canonical_order);
  candidate made = {.book = {.kind = CODER_HUFFMAN,
                             .bits = (uint8_t)c->bits,
                             .raw_bits = (uint8_t)raw,
                             .tuple = (uint8_t)tuple,
                             .pad = c->pad}};
  made.book.n_leaves = (uint16_t)n_leaves;
  for (size_t i = 0; i < n_leaves; i++) {
    made.book.symbol[i] = leaves[i].symbol;
    made.book.length[i] = leaves[i].length;
  }
  if (!coder_codebook_finish(&made.book, c->geometry->panel_rows)) return;
  double bits;
  huffman_cost(&made.book, leaves, c->geometry, &bits, &made.cycles);
  made.bytes = fixed_bytes + bits / 8 + stored_bytes(&made.book);
  made.cycles += finish_cycles(raw, tuple, codes) + codes / tuple / 64;
  if (made.book.n_nodes > 1) /* all but the root's */
    made.doubt = rounding_doubt((double)(made.book.n_nodes - 1) * (double)c->geometry->n_blocks);
  offer(c, &made);
}

static void offer_levels(chooser *c, unsigned raw, unsigned tuple, const ranked *symbols, size_t n, double fixed_bytes,
                         double codes) {
  uint64_t counts[256];
  for (size_t i = 0; i < n; i++) counts[i] = symbols[i].count;
  levels_plan plan;
  const double limit = c->prefer == ELLM_PREFER_SPEED ? 8 * (c->limit_bytes - fixed_bytes - 8.0 - (double)n) : 1e300;
  if (c->prefer == ELLM_PREFER_SIZE ||
      !levels_choose(counts, n, c->geometry->n_blocks, levels_most_bits(raw), limit, &plan))
    return;
  candidate made = {.book = {.kind = CODER_LEVELS,
                             .bits = (uint8_t)c->bits,
                             .raw_bits = (uint8_t)raw,
                             .tuple = (uint8_t)tuple,
                             .pad = c->pad}};
  size_t places = 0;
  made.book.n_levels = plan.n_levels;
  for (unsigned j = 0; j < plan.n_levels; j++) {
    made.book.width[j] = plan.width[j];
    places += ((size_t)1 << plan.width[j]) - 1;
  }
  made.book.n_leaves = (uint16_t)(n < places ? n : places);
  for (unsigned i = 0; i < made.book.n_leaves; i++) made.book.symbol[i] = symbols[i].symbol;
  if (!coder_codebook_finish(&made.book, c->geometry->panel_rows)) return;
  made.bytes = fixed_bytes + plan.bits / 8 + stored_bytes(&made.book);
  made.cycles = plan.cycles + finish_cycles(raw, tuple, codes);
  offer(c, &made);
}

static void offer_split(chooser *c, unsigned raw, unsigned tuple, double codes) {
  uint64_t counts[256];
  if (!symbol_counts(c, raw, tuple, counts)) return;
  ranked symbols[256];
  size_t n = 0;
  for (unsigned s = 0; s < 256; s++) {
    if (counts[s] != 0) symbols[n++] = (ranked){counts[s], (uint16_t)s};
  }
  qsort(symbols, n, sizeof *symbols, by_falling_count);
  const double fixed = over_blocks(c->geometry, raw_bytes_of, raw) + (double)c->geometry->n_blocks * BLOCK_ENTRY_BYTES;
  offer_huffman(c, raw, tuple, symbols, n, n, fixed, codes);
  for (size_t kept = 3; kept <= 127 && kept < n; kept = 2 * kept + 1)
    offer_huffman(c, raw, tuple, symbols, n, kept, fixed, codes);
  if (n > 1) offer_levels(c, raw, tuple, symbols, n, fixed, codes);
}

ellm_status coder_choose(const coder_statistics *stats, const coder_geometry *geometry, int bits, uint8_t pad,
                         ellm_prefer prefer, ellm_code code, coder_codebook *book, double *estimated_bytes,
                         coder_rivals *rivals, ellm_error *err) {
  chooser *c = calloc(1, sizeof *c);
  if (c == NULL) return ellm_fail_memory(err, sizeof *c, "the choice of a code book");
  *c = (chooser){.stats = stats, .geometry = geometry, .bits = bits, .pad = pad, .prefer = prefer};
  double n = 0;
  for (unsigned q = 0; q < 256; q++) n += (double)stats->codes[q];
  const double entropy = coder_entropy_bits(stats->codes, 256) / 8; /* bytes */
  c->limit_bytes = entropy * (8 * entropy < LOW_ENTROPY * n ? SPEED_LOSS_LOW : SPEED_LOSS);
  const double codes = over_blocks(geometry, codes_count_of, 0);
  c->padding = (uint64_t)(codes - (double)geometry->rows * (double)geometry->columns);
  if (code == ELLM_CODE_HUFFMAN) {
    for (unsigned raw = 0; raw < (unsigned)bits && raw < 8; raw++) {
      offer_split(c, raw, 1, codes);
      if ((unsigned)bits - raw <= 4) offer_split(c, raw, 2, codes);
    }
  }
  candidate plain = {.doubt = 0};
  bool ok = coder_codebook_plain(bits, pad, geometry->panel_rows, &plain.book);
  plain.bytes = over_blocks(geometry, plain_bytes_of, (unsigned)bits) + (double)geometry->n_blocks * BLOCK_ENTRY_BYTES +
                stored_bytes(&plain.book);
  plain.cycles = finish_cycles(0, 1, codes);
  offer(c, &plain);
  if (c->best[0].bytes > plain.bytes) c->best[0] = plain; /* never worse than no code */
  *book = c->best[0].book;
  if (estimated_bytes != NULL) *estimated_bytes = c->best[0].bytes;
  if (rivals != NULL) {
    rivals->n = 0;
    for (unsigned i = 1; i < c->n_best; i++) {
      if (c->best[i].bytes - c->best[i].doubt < c->best[0].bytes + c->best[0].doubt)
        rivals->book[rivals->n++] = c->best[i].book;
    }
  }
  free(c);
  return ok ? ELLM_OK : ellm_fail(err, ELLM_ERR_INTERNAL, "no code book for %d bits", bits);
}
