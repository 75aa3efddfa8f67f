/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/sized_matrix.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* The plan aims this much below the target, so that the estimate's remaining error does not exceed it. The last matrix
 * has LAST_TRIES to fill what is left. */
static const double margin = 0.0005;
/* The finest step of the last matrix: finer ones gain nothing, and codes become many and large. */
static const double finest_step = 1.0 / 45;
enum { LAST_TRIES = 12 };
/* Of a book for balance (coder_aim). Scales spread the codes so that most matrices have no book of pairs within the 6 %
 * that the paper's codes get; with 8 % they do, and generate faster than those at equal bytes
 * (docs/QUANTIZATION.md). */
static const double most_loss = 0.08;

/* Bits that the stored matrices take, with all that belongs to them. */
static double stored_bits(const sized_matrices *s) {
  return 8 * (double)(container_writer_bytes(s->writer) - s->bytes_before);
}

/* Plans the matrices from number `first` on for what is left. */
static ellm_status plan_rest(sized_matrices *s, size_t first, ellm_error *err) {
  const double left = (double)s->target_bits * (1 - margin) - stored_bits(s);
  /* what the stored ones took more or less than they were planned for, the others will, too */
  const double ratio = s->planned_bits > 0 ? stored_bits(s) / s->planned_bits : 1;
  return plan_steps(&s->plan, first, left / ratio, err);
}

/* -------------------------------------------------------------------- matrices */

/* Codes of a matrix to the scratch file. */
static ellm_status round_all(sized_matrices *s, rounder *r, ellm_error *err) {
  const weight_matrix *m = r->matrix;
  int16_t *narrow = malloc(r->strip_rows * m->columns * sizeof *narrow);
  if (narrow == NULL) return ellm_fail_memory(err, r->strip_rows * m->columns * 2, "the codes of some rows");
  ellm_status status = ELLM_OK;
  for (uint64_t row = 0; row < m->rows && status == ELLM_OK; row += r->strip_rows) {
    const size_t n = m->rows - row < r->strip_rows ? (size_t)(m->rows - row) : r->strip_rows;
    const size_t count = n * m->columns;
    status = rounder_strip(r, row, n, NULL, err);
    if (status != ELLM_OK) break;
    for (size_t i = 0; i < count && status == ELLM_OK; i++) {
      narrow[i] = (int16_t)r->codes[i];
      if (narrow[i] != r->codes[i])
        status = ellm_fail(err, ELLM_ERR_INPUT, "%s: weight %llu is too large for the step: %d of it", m->name,
                           (unsigned long long)(row * m->columns + i), (int)r->codes[i]);
    }
    if (status != ELLM_OK) break;
    status = scratch_file_write(&s->codes, row * m->columns * sizeof *narrow, narrow, count * sizeof *narrow, err);
  }
  free(narrow);
  return status;
}

typedef struct codes_reader { const scratch_file *codes; size_t columns; } codes_reader;

/* The file has int16, which are read into the first half of the int32 array. They are widened in place from the last
 * one on, so that none is overwritten before it is read. */
static ellm_status read_codes(void *user, uint64_t first_row, size_t n_rows, int32_t *codes, ellm_error *err) {
  const codes_reader *reader = user;
  const size_t count = n_rows * reader->columns;
  ELLM_TRY(scratch_file_read(reader->codes, first_row * reader->columns * sizeof(int16_t), codes,
                             count * sizeof(int16_t), err));
  for (size_t i = count; i-- > 0;) {
    int16_t narrow;
    memcpy(&narrow, (const uint8_t *)codes + i * sizeof narrow, sizeof narrow);
    codes[i] = narrow;
  }
  return ELLM_OK;
}

static quantized_matrix describe(const sized_matrices *s, const rounder *r, codes_reader *reader) {
  *reader = (codes_reader){&s->codes, r->matrix->columns};
  return (quantized_matrix){.name = r->matrix->name,
                            .dtype = r->matrix->dtype,
                            .rows = r->matrix->rows,
                            .columns = r->matrix->columns,
                            .scales = r->scales,
                            .columns_record = s->columns_record,
                            .codes = read_codes,
                            .user = reader};
}

static coder_aim aim_of(const sized_matrices *s) {
  return (coder_aim){s->options->prefer, s->options->machine, s->options->code, most_loss};
}

/* Rounds at a step; about how many bits that takes. */
static ellm_status try_step(sized_matrices *s, rounder *r, coder_aim aim, double step, double *bits, ellm_error *err) {
  container_tensor tensor;
  codes_reader reader;
  double bytes;
  ELLM_TRY(rounder_set(r, step, s->calibration.lambda, err));
  ELLM_TRY(round_all(s, r, err));
  const quantized_matrix matrix = describe(s, r, &reader);
  ELLM_TRY(quantized_plan(s->workers, &matrix, aim, &tensor, &bytes, err));
  *bits = 8 * bytes;
  return ELLM_OK;
}

/* Too little is left for the last matrix; with `reached` bits in all it could be stored. */
static ellm_status fail_size(const sized_matrices *s, const weight_matrix *last, double reached, ellm_error *err) {
  if (s->options->target == ELLM_TARGET_BYTES)
    return ellm_fail(err, ELLM_ERR_INPUT, "a file of %.0f bytes is not possible, because nothing is left for %s; "
                                          "%.0f bytes are",
                     s->options->target_value, last->name,
                     s->options->target_value + (reached - (double)s->target_bits) / 8);
  const double weights = (double)s->matrices.weights;
  return ellm_fail(err, ELLM_ERR_INPUT, "%.3f bits per weight are not possible, because nothing is left for %s; %.3f "
                                        "are",
                   (double)s->target_bits / weights, last->name, reached / weights);
}

/* The last matrix takes what is left over: the finest step that does not exceed `left`, within 0.3 %. *bits: that it
 * takes, or more than `left` where no step was found that takes fewer. */
static ellm_status fit_last(sized_matrices *s, rounder *r, coder_aim aim, double step, double left, double *bits,
                            ellm_error *err) {
  double finest = 0, coarsest = INFINITY;
  for (int i = 0; i < LAST_TRIES; i++) {
    ELLM_TRY(try_step(s, r, aim, step, bits, err));
    if (*bits <= left) coarsest = step;
    else finest = step;
    if (*bits <= left && (*bits >= 0.997 * left || step <= finest_step)) return ELLM_OK;
    if (coarsest < 1.002 * finest) break; /* sizes jump between the two */
    /* a bit a weight less for each octave, at fine steps */
    double next = step * exp2((*bits - 0.9985 * left) / ((double)r->matrix->rows * r->matrix->columns));
    if (next <= finest || next >= coarsest) next = isfinite(coarsest) ? sqrt((finest > 0 ? finest : coarsest / 4) * coarsest) : 2 * step;
    step = next > finest_step ? next : finest_step;
  }
  return isfinite(coarsest) ? try_step(s, r, aim, coarsest, bits, err) : ELLM_OK;
}

/* The first matrix that reads the same input as this one. */
static size_t group_of(const sized_matrices *s, size_t i) {
  while (i > 0 && tune_same_input(&s->matrices.at[i], &s->matrices.at[i - 1])) i--;
  return i;
}

/* Nothing is known of the columns of some. */
static bool has_columns(const sized_matrices *s, size_t i) {
  return s->calibration.squares.sum != NULL && !s->matrices.at[i].looked_up;
}

/* The columns of a matrix's input, and their record in the file, where they are not there already. */
static ellm_status next_columns(sized_matrices *s, size_t i, ellm_error *err) {
  const size_t group = group_of(s, i);
  const weight_matrix *m = s->matrices.at[i].matrix;
  if (s->columns_group != group) {
    columns_free(&s->columns);
    ELLM_TRY(calibration_columns(&s->calibration, &s->matrices.at[i], &s->columns, err));
    s->columns_group = group;
  }
  if (s->stored_group == group) return ELLM_OK;
  s->columns_record = CONTAINER_NO_COLUMNS;
  s->stored_group = group;
  if (!has_columns(s, i)) return ELLM_OK;
  ELLM_TRY(container_writer_columns(s->writer, m->name, s->columns.scale, m->columns, &s->columns_record, err));
  return s->columns_stored != NULL ? s->columns_stored(s->user, err) : ELLM_OK;
}

void sized_matrices_begin(sized_matrices *s) {
  columns_free(&s->columns);
  s->columns_group = s->stored_group = SIZE_MAX;
  s->planned_bits = 0;
}

ellm_status sized_matrix_adopt(sized_matrices *s, size_t i, sized_adopt_fn adopt, void *user, bool *adopted,
                               ellm_error *err) {
  const size_t group = group_of(s, i);
  *adopted = false;
  if (s->stored_group != group) {
    const uint32_t record = container_writer_records(s->writer);
    bool there = true;
    if (has_columns(s, i)) ELLM_TRY(adopt(user, i, false, &there, err));
    if (!there) return ELLM_OK;
    s->columns_record = has_columns(s, i) ? record : CONTAINER_NO_COLUMNS;
    s->stored_group = group;
  }
  ELLM_TRY(plan_rest(s, i, err));
  ELLM_TRY(adopt(user, i, true, adopted, err));
  if (*adopted) s->planned_bits += s->plan.curves[i].bits;
  return ELLM_OK;
}

/* The weights that the codes in the scratch file stand for go back to the calibration. */
static ellm_status hand_back(sized_matrices *s, tune_matrix *m, rounder *r, ellm_error *err) {
  codes_reader reader = {&s->codes, m->matrix->columns};
  const size_t bytes = (size_t)m->matrix->rows * m->matrix->columns * sizeof(uint16_t);
  uint16_t *weights = malloc(bytes);
  ellm_status status = weights != NULL ? ELLM_OK : ellm_fail_memory(err, bytes, "a rounded matrix");
  for (uint64_t row = 0; row < m->matrix->rows && status == ELLM_OK; row += r->strip_rows) {
    const uint64_t left = m->matrix->rows - row;
    const size_t n = left < r->strip_rows ? (size_t)left : r->strip_rows;
    status = read_codes(&reader, row, n, r->codes, err);
    if (status == ELLM_OK) rounder_strip_weights(r, row, n, weights + row * m->matrix->columns);
  }
  if (status == ELLM_OK) calibration_rounded(&s->calibration, m, weights);
  else free(weights);
  return status;
}

static ellm_status write_rounded(sized_matrices *s, size_t i, const rounder *r, coder_aim aim,
                                 container_tensor *tensor, ellm_error *err) {
  codes_reader reader;
  quantized_matrix matrix = describe(s, r, &reader);
  if (!has_columns(s, i)) matrix.scales.columns = NULL;
  return quantized_write(s->writer, s->workers, &matrix, aim, tensor, err);
}

/*
 * Codes for speed have sizes that jump, as fields have whole bits; so the last matrix may miss what is left. It is then
 * coded for balance or, at last, for size, whose sizes lie close together.
 */
static ellm_status fit_last_somehow(sized_matrices *s, rounder *r, double step, double left, coder_aim *aim, double *bits,
                                    ellm_error *err) {
  static const ellm_prefer order[] = {ELLM_PREFER_SPEED, ELLM_PREFER_BALANCED, ELLM_PREFER_SIZE};
  static const double enough = 0.9965; /* of all matrices */
  size_t k = 0;
  *aim = aim_of(s);
  while (order[k] != aim->prefer) k++;
  for (;;) {
    ELLM_TRY(fit_last(s, r, *aim, step, left, bits, err));
    const bool near = *bits <= left && (stored_bits(s) + *bits >= enough * (double)s->target_bits ||
                                        (double)r->scales.step <= finest_step);
    if (near || aim->prefer == ELLM_PREFER_SIZE) return ELLM_OK;
    aim->prefer = order[++k];
  }
}

/* What the last matrix takes is only estimated before it is written. Where that was too little, it goes once more. */
static ellm_status store_last(sized_matrices *s, size_t i, rounder *r, container_tensor *tensor, ellm_error *err) {
  const container_mark mark = container_writer_mark(s->writer);
  const double most = (double)s->target_bits - stored_bits(s);
  double left = most - margin / 2 * (double)s->target_bits, bits = 0;
  for (int k = 0; k < LAST_TRIES; k++) {
    coder_aim aim;
    ELLM_TRY(fit_last_somehow(s, r, plan_step(&s->plan, i), left, &aim, &bits, err));
    if (bits > left) break;
    ELLM_TRY(write_rounded(s, i, r, aim, tensor, err));
    const double excess = stored_bits(s) - (double)s->target_bits;
    if (excess <= 0) return ELLM_OK;
    left -= excess + margin * left;
    ELLM_TRY(container_writer_rewind(s->writer, &mark, err));
  }
  return fail_size(s, r->matrix, (double)s->target_bits + (bits > left ? bits - left : 0) + margin * most, err);
}

ellm_status sized_matrix_store(sized_matrices *s, size_t i, container_tensor *tensor, ellm_error *err) {
  tune_matrix *m = &s->matrices.at[i];
  rounder r;
  ELLM_TRY(next_columns(s, i, err));
  ELLM_TRY(plan_rest(s, i, err));
  ELLM_TRY(rounder_open(s->workers->pool, m, &s->columns, &r, err));
  ellm_status status;
  if (i + 1 == s->matrices.n && s->options->target != ELLM_TARGET_DIVERGENCE) {
    status = store_last(s, i, &r, tensor, err);
  } else {
    status = rounder_set(&r, plan_step(&s->plan, i), s->calibration.lambda, err);
    if (status == ELLM_OK) status = round_all(s, &r, err);
    if (status == ELLM_OK) status = write_rounded(s, i, &r, aim_of(s), tensor, err);
  }
  if (status == ELLM_OK && calibration_wants(&s->calibration, m)) status = hand_back(s, m, &r, err);
  if (status == ELLM_OK) s->planned_bits += s->plan.curves[i].bits;
  rounder_close(&r);
  return status;
}
