/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was measured of a model before it is quantized, in a file, so that another size of it, or a run that was
 * interrupted, need not measure again: the ids of the calibration text, mean squares of the inputs, chances of tokens, and
 * the curves of bits and damage of all matrices, as far as they are known.
 *
 * Bytes, little-endian: magic (8); u32 bytes of the key, key; u32 sequences, u32 of them watched, u32 length, ids; u64
 * sums of squares, u64 tokens, u64 tokens of the head, sums (f64); u64 tokens of the vocabulary, u64 positions, sums of
 * chances (u64); u32 matrices, for each PLAN_POINTS times log2 of the step, bits, damage (f64); X64 of all that. The key
 * is lines of "name=value": everything that measurements depend on.
 */
#ifndef ELLM_CONVERT_MEASUREMENTS_H
#define ELLM_CONVERT_MEASUREMENTS_H

#include "source/source.h"
#include "tune/chances.h"
#include "tune/corpus.h"
#include "tune/plan.h"

/* All zero: nothing is known and nothing is kept. */
typedef struct measurements {
  char *path;               /* NULL: they are kept nowhere */
  char *key;
  corpus text;              /* n == 0: none was written */
  size_t watched;
  double *squares;          /* [n_squares] */
  size_t n_squares;
  uint64_t tokens, head_tokens;
  token_chances chances;
  allocation_point (*curves)[PLAN_POINTS];
  size_t n_curves;          /* of the first matrices */
} measurements;

/*
 * The measurements in the file `path`, which need not be there yet. ELLM_ERR_INPUT where it is damaged, or where it is
 * of another source, of other options or of another version of the program: the message names what differs. `full`:
 * the effort that is meant. Reads all weights once, for the source's identity. Free with measurements_free, after an
 * error, too. `lenient`: a file that cannot be used is as none.
 */
ellm_status measurements_open(const char *path, tensor_source *input, const ellm_compress_options *options, bool full,
                              bool lenient, measurements *out, ellm_error *err);
void measurements_free(measurements *m);

/* Replaces the file by what is known now: a text (n == 0: none) with its squares and chances, and n_curves curves of `p` (may be
 * NULL). Nothing is done where m->path is NULL. */
ellm_status measurements_save(const measurements *m, const corpus *text, size_t watched, const squares *s,
                              const token_chances *chances, const plan *p, size_t n_curves, ellm_error *err);

/* From bytes in memory, for tests: `origin` names them. */
ellm_status measurements_parse(const uint8_t *data, size_t bytes, const char *origin, measurements *out,
                               ellm_error *err);

#endif
