/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chooses the code book of a tensor. The candidates are every split into raw and upper bits, with single and paired
 * symbols, as Huffman trees with and without an escape and as levels; fields of one width; and no code at all. Each is
 * judged by its total cost.
 *
 * ELLM_PREFER_SIZE takes the fewest bytes. ELLM_PREFER_BALANCED takes the fewest modelled cycles of AVX-512
 * (coder/machine.c) among the books whose total exceeds the entropy by at most aim.most_loss (MOST_LOSS where that is
 * 0, and at least MOST_LOSS_LOW below LOW_ENTROPY bits a code), and the smallest book where none is.
 *
 * ELLM_PREFER_SPEED takes the least time on a class of machine. Bits and cycles are added up in bits: a cycle counts as
 * many bits as memory delivers meanwhile. Only here are fields tried that not all codes fit. The differences are
 * patched, which pays as long as patches are few (one code in CODES_A_PATCH).
 *
 * Bytes are exact except for the rounding of bitmaps and lists to whole bytes, for which an expected value is used. If
 * this leaves in doubt which book is the smallest, the others are returned as alternatives, and coding with each
 * decides.
 */
#include "coder/cost.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/exact_math.h"
#include "coder/levels.h"
#include "coder/machine.h"
#include "coder/package_merge.h"
#include "coder/patches.h"
#include "coder/raw_bits.h"

/* Measured with AVX2 (docs/PERFORMANCE.md, "What was tried"): pairs with 4-bit fields run 1.5 times as fast at 2.2 bits
 * for 10 % more bytes; between 2.2 and 3.6 bits they would lose 7 to 9 % and gain 10 to 25 % of speed, which 6 % leaves
 * out. */
static const double MOST_LOSS = 0.06, MOST_LOSS_LOW = 0.10, LOW_ENTROPY = 2.2;
/* The sizes of levels that are tried for speed, relative to the entropy: fewer levels are faster and larger. These
 * three are a sample without a derivation. Nine of them, from 1.01 to 1.5, gave the same layouts and files that were
 * 0.5 to 0.6 % smaller with 4, 6 and 8 bits (`compress models/stories-4m --bits 4 --prefer speed --for avx512`). */
static const double speed_losses[] = {1.03, 1.08, 1.2};
enum { N_SPEED_LOSSES = sizeof speed_losses / sizeof speed_losses[0] };
/* At most one code in so many may be beyond the fields of a book. A patch takes 24 bits and 5 to 8 cycles, in each of
 * which memory would deliver 10 to 20 bits (coder/machine.c): 74, 124 or 184 bits by the class of machine. So where
 * more codes than one in 184 need a patch, fields that are wider by one bit are cheaper on each of them. */
enum { CODES_A_PATCH = 200 };
enum { BLOCK_ENTRY_BYTES = 8 };  /* of the block table */
/* Bytes that are read and decoded in the time of a patch, for balance: generation on one thread of a Zen 4 takes
 * 0.12 ns a byte (levels, 4.1 bits per weight, AVX-512) and 4 ns more a patch. Time of `run -t 1 -n 100` less that of
 * `-n 4`, of files with and without patches in one code of 2,000. */
enum { PATCH_BYTES_OF_TIME = 35 };

typedef struct candidate {
  coder_codebook book;
  double bytes, cycles;
  double doubt; /* bytes */
  double cost;  /* for speed, in bits */
  uint64_t outliers;
} candidate;

typedef struct chooser {
  const coder_statistics *stats;
  const coder_geometry *geometry;
  int bits, zero;
  uint8_t pad;
  uint64_t padding; /* codes that pad rows and columns */
  ellm_prefer prefer;
  const coder_machine *machine; /* for size it does not matter */
  double entropy;     /* bytes */
  double limit_bytes; /* for balance */
  candidate best[1 + CODER_ALTERNATIVES]; /* best first; one but for size */
  unsigned n_best;
} chooser;

static double stored_bytes(const coder_codebook *book) {
  uint8_t stored[CODER_BOOK_MAX_BYTES];
  return (double)coder_codebook_store(book, stored);
}

static bool is_better(const chooser *c, const candidate *a, const candidate *b) {
  if (c->prefer == ELLM_PREFER_SIZE) return a->bytes < b->bytes;
  if (c->prefer == ELLM_PREFER_SPEED) return a->cost < b->cost;
  const bool within = a->bytes <= c->limit_bytes, other_within = b->bytes <= c->limit_bytes;
  if (within != other_within) return within;
  return within ? a->cycles < b->cycles : a->bytes < b->bytes;
}

static void add_candidate(chooser *c, candidate *made) {
  made->cost = 8 * made->bytes + c->machine->bits_a_cycle * made->cycles;
  const unsigned most = c->prefer == ELLM_PREFER_SIZE ? 1 + CODER_ALTERNATIVES : 1;
  unsigned at = c->n_best;
  while (at > 0 && is_better(c, made, &c->best[at - 1])) at--;
  if (at == most) return;
  if (c->n_best < most) c->n_best++;
  memmove(&c->best[at + 1], &c->best[at], (c->n_best - at - 1) * sizeof *c->best);
  c->best[at] = *made;
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
static void huffman_cost(const coder_machine *machine, const coder_codebook *book, const leaf *leaves,
                         const coder_geometry *geometry, double *bits, double *cycles) {
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
    const double per_64 = lists == 2 ? machine->merge : lists == 1 ? machine->expand : machine->leaves;
    *bits += count[node] + (node == 0 ? over_blocks(geometry, root_rounding_of, book->tuple)
                                      : n_blocks * rounding_bits(count[node] / n_blocks));
    *cycles += count[node] / 64 * per_64 + n_blocks * machine->node_start;
  }
}

/* Cycles from symbols to the product. */
static double finish_cycles(const coder_machine *machine, unsigned raw, unsigned tuple, double codes) {
  double per_64 = machine->dot + (tuple == 2 ? machine->unpack : 0);
  for (unsigned width = 4; width > 0; width /= 2) per_64 += (raw & width) != 0 ? machine->raw_list : 0;
  return codes / 64 * per_64;
}

static void try_huffman(chooser *c, unsigned raw, unsigned tuple, const ranked *symbols, size_t n, size_t kept,
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
  huffman_cost(c->machine, &made.book, leaves, c->geometry, &bits, &made.cycles);
  made.bytes = fixed_bytes + bits / 8 + stored_bytes(&made.book);
  made.cycles += finish_cycles(c->machine, raw, tuple, codes) + codes / tuple / 64;
  if (made.book.n_nodes > 1) /* all but the root's */
    made.doubt = rounding_doubt((double)(made.book.n_nodes - 1) * (double)c->geometry->n_blocks);
  add_candidate(c, &made);
}

static void try_levels(chooser *c, unsigned raw, unsigned tuple, const ranked *symbols, size_t n, double fixed_bytes,
                       double codes, double limit_bytes) {
  uint64_t counts[256];
  for (size_t i = 0; i < n; i++) counts[i] = symbols[i].count;
  levels_plan plan;
  const double limit = 8 * (limit_bytes - fixed_bytes - 8.0 - (double)n);
  if (!levels_choose(c->machine, counts, n, c->geometry->n_blocks, levels_most_bits(raw), limit, &plan)) return;
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
  made.cycles = plan.cycles + finish_cycles(c->machine, raw, tuple, codes);
  add_candidate(c, &made);
}

static void try_split(chooser *c, unsigned raw, unsigned tuple, double codes) {
  uint64_t counts[256];
  if (!symbol_counts(c, raw, tuple, counts)) return;
  ranked symbols[256];
  size_t n = 0;
  for (unsigned s = 0; s < 256; s++) {
    if (counts[s] != 0) symbols[n++] = (ranked){counts[s], (uint16_t)s};
  }
  qsort(symbols, n, sizeof *symbols, by_falling_count);
  const double fixed = over_blocks(c->geometry, raw_bytes_of, raw) + (double)c->geometry->n_blocks * BLOCK_ENTRY_BYTES;
  try_huffman(c, raw, tuple, symbols, n, n, fixed, codes);
  for (size_t kept = 3; kept <= 127 && kept < n; kept = 2 * kept + 1)
    try_huffman(c, raw, tuple, symbols, n, kept, fixed, codes);
  if (n == 1 || c->prefer == ELLM_PREFER_SIZE) return;
  if (c->prefer == ELLM_PREFER_BALANCED) try_levels(c, raw, tuple, symbols, n, fixed, codes, c->limit_bytes);
  for (unsigned i = 0; c->prefer == ELLM_PREFER_SPEED && i < N_SPEED_LOSSES; i++)
    try_levels(c, raw, tuple, symbols, n, fixed, codes, speed_losses[i] * c->entropy);
}

/* Where fields of a width hold most codes, those of zero and padding among them; of equal places the one that has zero
 * nearest to its middle. Returns the codes beyond, UINT64_MAX where no place has both. */
static uint64_t place_fields(const chooser *c, unsigned width, uint8_t *first) {
  const int n = 1 << width, low = c->pad < c->zero ? c->pad : c->zero, high = c->pad < c->zero ? c->zero : c->pad;
  uint64_t total = 0, most = 0;
  int best = -1, best_distance = 0;
  for (int q = 0; q < 256; q++) total += c->stats->codes[q];
  for (int at = 0; at <= low && at + n <= 1 << c->bits; at++) {
    if (at + n <= high) continue;
    uint64_t inside = 0;
    for (int q = at; q < at + n; q++) inside += c->stats->codes[q];
    const int off = at + n / 2 - c->zero, distance = off < 0 ? -off : off;
    if (best >= 0 && (inside < most || (inside == most && distance >= best_distance))) continue;
    best = at;
    best_distance = distance;
    most = inside;
  }
  if (best < 0) return UINT64_MAX;
  *first = (uint8_t)best;
  return total - most;
}

static double patches_bytes(uint64_t n, const coder_geometry *geometry) {
  return n == 0 ? 0 : (double)n * CODER_PATCH_BYTES + (double)geometry->n_blocks * CODER_PATCHES_HEAD;
}

/* All widths that come into question, or the narrowest alone; whether there is one. */
static bool try_fields(chooser *c, double codes, bool narrowest) {
  const double weights = (double)c->geometry->rows * (double)c->geometry->columns;
  bool found = false;
  for (unsigned width = CODER_FIELDS_LEAST; width <= CODER_FIELDS_MOST && width <= (unsigned)c->bits && !(found && narrowest);
       width++) {
    candidate made = {.doubt = 0};
    uint8_t first = 0;
    made.outliers = place_fields(c, width, &first);
    if ((double)made.outliers * CODES_A_PATCH > weights ||
        !coder_codebook_fields(c->bits, (int)width, first, c->pad, c->geometry->panel_rows, &made.book))
      continue;
    made.bytes = over_blocks(c->geometry, raw_bytes_of, width) + (double)c->geometry->n_blocks * BLOCK_ENTRY_BYTES +
                 stored_bytes(&made.book) + patches_bytes(made.outliers, c->geometry);
    made.cycles = codes / 64 * c->machine->fields[width] + (double)made.outliers * c->machine->patch;
    add_candidate(c, &made);
    found = true;
  }
  return found;
}

double coder_patches_cost(coder_aim aim, uint64_t n, const coder_geometry *geometry, double *bytes) {
  *bytes = patches_bytes(n, geometry);
  const coder_machine *machine = coder_machine_of(aim.machine);
  if (aim.prefer == ELLM_PREFER_SPEED && machine != NULL)
    return 8 * *bytes + (double)n * machine->patch * machine->bits_a_cycle;
  return *bytes + (aim.prefer == ELLM_PREFER_BALANCED ? (double)n * PATCH_BYTES_OF_TIME : 0);
}

/* All that come into question, plain codes last. */
static bool try_all(chooser *c, ellm_code code, candidate *plain) {
  const double codes = over_blocks(c->geometry, codes_count_of, 0);
  c->padding = (uint64_t)(codes - (double)c->geometry->rows * (double)c->geometry->columns);
  for (unsigned raw = 0; code == ELLM_CODE_HUFFMAN && raw < (unsigned)c->bits && raw < 8; raw++) {
    try_split(c, raw, 1, codes);
    if ((unsigned)c->bits - raw <= 4) try_split(c, raw, 2, codes);
  }
  bool done = false; /* fields were asked for and there are some */
  if (code == ELLM_CODE_FIELDS) done = try_fields(c, codes, true);
  else if (code == ELLM_CODE_HUFFMAN && c->prefer == ELLM_PREFER_SPEED) try_fields(c, codes, false);
  if (!coder_codebook_plain(c->bits, c->pad, c->geometry->panel_rows, &plain->book)) return false;
  plain->bytes = over_blocks(c->geometry, plain_bytes_of, (unsigned)c->bits) +
                 (double)c->geometry->n_blocks * BLOCK_ENTRY_BYTES + stored_bytes(&plain->book);
  plain->cycles = codes / 64 * c->machine->plain[c->bits > 4];
  if (c->prefer == ELLM_PREFER_BALANCED) plain->cycles = finish_cycles(c->machine, 0, 1, codes);
  if (!done) add_candidate(c, plain);
  return true;
}

ellm_status coder_choose(const coder_codes *codes, coder_aim aim, coder_choice *choice, ellm_error *err) {
  const bool fast = aim.prefer == ELLM_PREFER_SPEED;
  const coder_machine *machine = coder_machine_of(fast ? aim.machine : ELLM_MACHINE_AVX512);
  if (machine == NULL) return ellm_fail(err, ELLM_ERR_USAGE, "unknown class of machine %d", (int)aim.machine);
  chooser *c = calloc(1, sizeof *c);
  if (c == NULL) return ellm_fail_memory(err, sizeof *c, "the choice of a code book");
  *c = (chooser){.stats = codes->stats, .geometry = codes->geometry, .bits = codes->bits, .zero = codes->zero,
                 .pad = codes->pad, .prefer = aim.prefer, .machine = machine};
  double n = 0;
  for (unsigned q = 0; q < 256; q++) n += (double)codes->stats->codes[q];
  c->entropy = coder_entropy_bits(codes->stats->codes, 256) / 8;
  double loss = aim.most_loss > 0 ? aim.most_loss : MOST_LOSS;
  if (8 * c->entropy < LOW_ENTROPY * n && loss < MOST_LOSS_LOW) loss = MOST_LOSS_LOW;
  c->limit_bytes = c->entropy * (1 + loss);
  candidate plain = {.doubt = 0};
  const bool ok = try_all(c, aim.code, &plain);
  if (!fast && aim.code != ELLM_CODE_FIELDS && c->best[0].bytes > plain.bytes)
    c->best[0] = plain; /* never worse than no code */
  const candidate *best = &c->best[0];
  choice->book = best->book;
  choice->bytes = best->bytes;
  choice->cost = fast ? best->cost : best->bytes;
  choice->outliers = best->outliers;
  choice->alternatives.n = 0;
  for (unsigned i = 1; i < c->n_best; i++) {
    if (c->best[i].bytes - c->best[i].doubt < best->bytes + best->doubt)
      choice->alternatives.book[choice->alternatives.n++] = c->best[i].book;
  }
  free(c);
  return ok ? ELLM_OK : ellm_fail(err, ELLM_ERR_INTERNAL, "no code book for %d bits", codes->bits);
}

/* Fields of all levels, by how many symbols each level passes on. */
static double levels_cycles(const chooser *c, const coder_codebook *book, const uint64_t counts[256]) {
  double left = 0, cycles = 0;
  unsigned from = 0;
  for (unsigned s = 0; s < 256; s++) left += (double)counts[s];
  for (unsigned level = 0; level < book->n_levels; level++) {
    cycles += left / 64 * c->machine->level[book->width[level]] +
              (double)c->geometry->n_blocks * c->machine->level_start;
    for (unsigned place = (1u << book->width[level]) - 1; place > 0 && from < book->n_leaves; place--)
      left -= (double)counts[book->symbol[from++]];
  }
  return cycles + left; /* a byte each */
}

static double huffman_cycles(const chooser *c, const coder_codebook *book, const uint64_t counts[256]) {
  leaf leaves[CODER_MAX_LEAVES];
  double total = 0, known = 0, bits, cycles;
  for (unsigned s = 0; s < 256; s++) total += (double)counts[s];
  for (unsigned i = 0; i < book->n_leaves; i++) {
    leaves[i] = (leaf){book->length[i], book->symbol[i], 0};
    if (book->symbol[i] == CODER_ESCAPE) continue;
    leaves[i].count = counts[book->symbol[i]];
    known += (double)leaves[i].count;
  }
  for (unsigned i = 0; i < book->n_leaves; i++)
    if (book->symbol[i] == CODER_ESCAPE) leaves[i].count = (uint64_t)(total - known);
  huffman_cost(c->machine, book, leaves, c->geometry, &bits, &cycles);
  return cycles + total / 64;
}

ellm_status coder_cycles(const coder_codebook *book, const coder_codes *codes, uint64_t outliers, ellm_machine machine,
                         double *cycles, ellm_error *err) {
  uint64_t counts[256];
  const double n = over_blocks(codes->geometry, codes_count_of, 0);
  chooser c = {.stats = codes->stats, .geometry = codes->geometry, .bits = codes->bits, .zero = codes->zero,
               .pad = codes->pad, .machine = coder_machine_of(machine)};
  if (c.machine == NULL) return ellm_fail(err, ELLM_ERR_USAGE, "unknown class of machine %d", (int)machine);
  c.padding = (uint64_t)(n - (double)codes->geometry->rows * (double)codes->geometry->columns);
  *cycles = (double)outliers * c.machine->patch;
  switch ((coder_kind)book->kind) {
    case CODER_PLAIN: *cycles += n / 64 * c.machine->plain[book->bits > 4]; return ELLM_OK;
    case CODER_FIELDS: *cycles += n / 64 * c.machine->fields[book->raw_bits]; return ELLM_OK;
    default: break;
  }
  if (!symbol_counts(&c, book->raw_bits, book->tuple, counts))
    return ellm_fail(err, ELLM_ERR_INTERNAL, "no pairs were counted for a book of pairs");
  *cycles += finish_cycles(c.machine, book->raw_bits, book->tuple, n) +
             (book->kind == CODER_LEVELS ? levels_cycles(&c, book, counts) : huffman_cycles(&c, book, counts));
  return ELLM_OK;
}
