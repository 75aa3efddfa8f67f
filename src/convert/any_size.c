/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/any_size.h"

#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/scratch_file.h"
#include "convert/calibration.h"
#include "convert/report.h"

/* Below the target by this much when the last matrix is planned, so that what remains of an estimate's error is not
 * above it; and how often the last one is planned again. */
static const double margin = 0.0005;
enum { LAST_TRIES = 12, RESERVED_BYTES = 4096 /* for the metadata that follows the matrices */ };

struct any_size {
  any_size_setup setup;
  ellm_model *model;
  tune_matrices matrices;
  calibration calibration;
  plan plan;
  scratch_file codes;         /* int16, row after row, of the matrix at work */
  uint64_t bytes_before;      /* that the file would have without matrices */
  double planned_bits;        /* of the matrices that are stored, as they were planned */
  uint64_t target_bits;       /* of all matrices */
  input_columns columns;      /* of the input at work */
  uint32_t columns_record;
  bool has_columns;
};

/* --------------------------------------------------------------- opening, closing */

/* Matrices that --keep names are stored as they are. */
static void drop_kept(any_size *a) {
  const ellm_compress_options *options = a->setup.options;
  size_t n = 0;
  for (size_t i = 0; i < a->matrices.n; i++) {
    const tune_matrix *m = &a->matrices.at[i];
    bool kept = false;
    for (size_t k = 0; k < options->n_keep && !kept; k++) kept = fnmatch(options->keep[k], m->matrix->name, 0) == 0;
    if (kept) a->matrices.weights -= (uint64_t)m->matrix->rows * m->matrix->columns;
    else a->matrices.at[n++] = *m;
  }
  a->matrices.n = n;
}

ellm_status any_size_open(const any_size_setup *setup, any_size **out, ellm_error *err) {
  *out = NULL;
  any_size *a = calloc(1, sizeof *a);
  if (a == NULL) return ellm_fail_memory(err, sizeof *a, "compressing to a size");
  a->setup = *setup;
  a->codes.fd = -1;
  ellm_model_options options;
  ellm_model_options_init(&options);
  options.threads = a->setup.team->n_threads;
  ellm_status status = ellm_model_open(source_path(setup->input), &options, &a->model, err);
  if (status == ELLM_OK) status = tune_matrices_of(a->model, &a->matrices, err);
  if (status == ELLM_OK) drop_kept(a);
  if (status != ELLM_OK) {
    any_size_close(a);
    return status;
  }
  *out = a;
  return ELLM_OK;
}

void any_size_close(any_size *a) {
  if (a == NULL) return;
  columns_free(&a->columns);
  scratch_file_close(&a->codes);
  plan_free(&a->plan);
  calibration_free(&a->calibration);
  tune_matrices_free(&a->matrices);
  ellm_model_close(a->model);
  free(a);
}

bool any_size_takes(const any_size *a, const char *name) {
  for (size_t i = 0; i < a->matrices.n; i++)
    if (strcmp(a->matrices.at[i].matrix->name, name) == 0) return true;
  return false;
}

/* What calibration could not do is a warning of the report. */
static void take_note(void *user, const char *line) {
  const any_size *a = user;
  ellm_error ignored;
  (void)report_warn(a->setup.report, &ignored, "%s", line);
}

/* --------------------------------------------------------------------- target */

/* Bits that all matrices may take together. */
static ellm_status find_target(any_size *a, ellm_error *err) {
  const ellm_compress_options *options = a->setup.options;
  const double weights = (double)a->matrices.weights;
  a->bytes_before = container_writer_bytes(a->setup.writer);
  double bits = options->target_value * weights;
  if (options->target == ELLM_TARGET_BYTES) {
    const double others = (double)a->bytes_before + RESERVED_BYTES;
    bits = 8 * (options->target_value - others);
    if (bits <= 0)
      return ellm_fail(err, ELLM_ERR_INPUT, "a file of %.0f bytes is impossible: what is not quantized takes %.0f",
                       options->target_value, others);
  }
  a->target_bits = (uint64_t)bits;
  return ELLM_OK;
}

/* Bits that the stored matrices take, with all that belongs to them. */
static double stored_bits(const any_size *a) {
  return 8 * (double)(container_writer_bytes(a->setup.writer) - a->bytes_before);
}

/* Plans the matrices from number `first` on for what is left. */
static ellm_status plan_rest(any_size *a, size_t first, ellm_error *err) {
  const double left = (double)a->target_bits * (1 - margin) - stored_bits(a);
  /* what the stored ones took more or less than they were planned for, the others will, too */
  const double ratio = a->planned_bits > 0 ? stored_bits(a) / a->planned_bits : 1;
  return plan_steps(&a->plan, first, left / ratio, err);
}

/* -------------------------------------------------------------------- matrices */

/* Codes of a matrix to the scratch file. */
static ellm_status round_all(any_size *a, rounder *r, ellm_error *err) {
  const weight_matrix *m = r->matrix;
  int16_t *narrow = malloc(r->strip_rows * m->columns * sizeof *narrow);
  if (narrow == NULL) return ellm_fail_memory(err, r->strip_rows * m->columns * 2, "the codes of some rows");
  ellm_status status = ELLM_OK;
  for (uint64_t row = 0; row < m->rows && status == ELLM_OK; row += r->strip_rows) {
    const size_t n = m->rows - row < r->strip_rows ? (size_t)(m->rows - row) : r->strip_rows;
    const size_t count = n * m->columns;
    status = rounder_strip(r, row, n, NULL, err);
    if (status != ELLM_OK) break;
    for (size_t i = 0; i < count; i++) narrow[i] = (int16_t)r->codes[i];
    status = scratch_file_write(&a->codes, row * m->columns * sizeof *narrow, narrow, count * sizeof *narrow, err);
  }
  free(narrow);
  return status;
}

typedef struct codes_reader { const scratch_file *codes; size_t columns; } codes_reader;

/* The int16 of the file lie in the first half of the int32 that they become, from the last on. */
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

static quantized_matrix describe(const any_size *a, const rounder *r, codes_reader *reader) {
  *reader = (codes_reader){&a->codes, r->matrix->columns};
  return (quantized_matrix){.name = r->matrix->name,
                            .dtype = r->matrix->dtype,
                            .rows = r->matrix->rows,
                            .columns = r->matrix->columns,
                            .scales = r->scales,
                            .columns_record = a->columns_record,
                            .codes = read_codes,
                            .user = reader};
}

static coder_aim aim_of(const any_size *a) {
  const ellm_compress_options *options = a->setup.options;
  return (coder_aim){options->prefer, options->machine, options->code};
}

/* Rounds at a step; about how many bits that takes. */
static ellm_status try_step(any_size *a, rounder *r, double step, double *bits, ellm_error *err) {
  container_tensor tensor;
  codes_reader reader;
  double bytes;
  ELLM_TRY(rounder_set(r, step, a->calibration.lambda, err));
  ELLM_TRY(round_all(a, r, err));
  const quantized_matrix matrix = describe(a, r, &reader);
  ELLM_TRY(quantized_plan(a->setup.team, &matrix, aim_of(a), &tensor, &bytes, err));
  *bits = 8 * bytes;
  return ELLM_OK;
}

/* The last matrix takes what is left over: the finest step that does not exceed it, within 0.1 %. */
static ellm_status fit_last(any_size *a, rounder *r, double step, ellm_error *err) {
  const double left = (double)a->target_bits * (1 - margin / 2) - stored_bits(a);
  double finest = 0, coarsest = INFINITY, bits = 0;
  for (int i = 0; i < LAST_TRIES; i++) {
    ELLM_TRY(try_step(a, r, step, &bits, err));
    if (bits <= left) coarsest = step;
    else finest = step;
    if (bits <= left && bits >= 0.997 * left) return ELLM_OK;
    /* a bit a weight less for each octave, at fine steps */
    double next = step * exp2((bits - 0.9985 * left) / ((double)r->matrix->rows * r->matrix->columns));
    if (next <= finest || next >= coarsest) next = isfinite(coarsest) ? sqrt((finest > 0 ? finest : coarsest / 4) * coarsest) : 2 * step;
    step = next;
  }
  if (isfinite(coarsest)) return try_step(a, r, coarsest, &bits, err);
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: the size that is asked for cannot be met", r->matrix->name);
}

/* The columns of a matrix's input, and their record in the file, where it is another one than the last matrix's. */
static ellm_status next_columns(any_size *a, size_t i, ellm_error *err) {
  const tune_matrix *m = &a->matrices.at[i];
  if (i > 0 && tune_same_input(m, m - 1)) return ELLM_OK;
  columns_free(&a->columns);
  ELLM_TRY(calibration_columns(&a->calibration, m, &a->columns, err));
  a->columns_record = CONTAINER_NO_COLUMNS;
  a->has_columns = a->calibration.squares.sum != NULL && !m->looked_up;
  if (!a->has_columns) return ELLM_OK;
  return container_writer_columns(a->setup.writer, m->matrix->name, a->columns.scale, m->matrix->columns,
                                  &a->columns_record, err);
}

/* The weights that the codes in the scratch file stand for go back to the calibration. */
static ellm_status hand_back(any_size *a, tune_matrix *m, rounder *r, ellm_error *err) {
  codes_reader reader = {&a->codes, m->matrix->columns};
  const size_t bytes = (size_t)m->matrix->rows * m->matrix->columns * sizeof(uint16_t);
  uint16_t *weights = malloc(bytes);
  ellm_status status = weights != NULL ? ELLM_OK : ellm_fail_memory(err, bytes, "a rounded matrix");
  for (uint64_t row = 0; row < m->matrix->rows && status == ELLM_OK; row += r->strip_rows) {
    const uint64_t left = m->matrix->rows - row;
    const size_t n = left < r->strip_rows ? (size_t)left : r->strip_rows;
    status = read_codes(&reader, row, n, r->codes, err);
    if (status == ELLM_OK) rounder_strip_weights(r, row, n, weights + row * m->matrix->columns);
  }
  if (status == ELLM_OK) calibration_rounded(&a->calibration, m, weights);
  else free(weights);
  return status;
}

static ellm_status store_matrix(any_size *a, size_t i, container_tensor *tensor, ellm_error *err) {
  tune_matrix *m = &a->matrices.at[i];
  codes_reader reader;
  rounder r;
  ELLM_TRY(next_columns(a, i, err));
  ELLM_TRY(plan_rest(a, i, err));
  ELLM_TRY(rounder_open(compute_pool(a->model->compute), m->matrix, &a->columns, &r, err));
  ellm_status status;
  if (i + 1 == a->matrices.n) {
    status = fit_last(a, &r, plan_step(&a->plan, i), err);
  } else {
    status = rounder_set(&r, plan_step(&a->plan, i), a->calibration.lambda, err);
    if (status == ELLM_OK) status = round_all(a, &r, err);
  }
  if (status == ELLM_OK) {
    quantized_matrix matrix = describe(a, &r, &reader);
    if (!a->has_columns) matrix.scales.columns = NULL;
    status = quantized_write(a->setup.writer, a->setup.team, &matrix, aim_of(a), tensor, err);
  }
  if (status == ELLM_OK && calibration_wants(&a->calibration, m)) status = hand_back(a, m, &r, err);
  if (status == ELLM_OK) a->planned_bits += a->plan.curves[i].bits;
  rounder_close(&r);
  return status;
}

static ellm_status write_matrix(any_size *a, size_t i, uint64_t done, any_size_stored_fn stored, void *user,
                                ellm_error *err) {
  const source_tensor *source = source_find(a->setup.input, a->matrices.at[i].matrix->name);
  uint8_t digest[16];
  container_tensor *tensor = calloc(1, sizeof *tensor);
  if (tensor == NULL) return ellm_fail_memory(err, sizeof *tensor, "a tensor");
  const pass_progress progress = {
      .meter = a->setup.meter, .stage = "encode", .tensor = source->name, .base = done, .bytes = source->bytes};
  ellm_status status = pass_scan(a->setup.input, source, a->setup.team, &progress, digest, NULL, NULL, err);
  if (status == ELLM_OK) status = store_matrix(a, i, tensor, err);
  if (status == ELLM_OK) status = stored(user, source, digest, tensor, err);
  free(tensor);
  return status;
}

/* A stage of its own: progress begins anew, in its own unit. */
static void begin_stage(any_size *a, uint64_t total) {
  const progress_meter *m = a->setup.meter;
  progress_start(a->setup.meter, m->fn, m->user, total);
}

ellm_status any_size_write(any_size *a, any_size_stored_fn stored, void *user, ellm_error *err) {
  const any_size_setup *setup = &a->setup;
  const ellm_notes notes = {take_note, a};
  const char *path = setup->out_path != NULL ? setup->out_path : source_path(setup->input);
  uint64_t bytes = 0, done = 0;
  ELLM_TRY(find_target(a, err));
  ELLM_TRY(scratch_file_open(path, &a->codes, err));
  begin_stage(a, 0);
  ELLM_TRY(calibrate(a->model, setup->options, a->matrices.weights, path, setup->meter, &notes, &a->calibration, err));
  begin_stage(a, a->matrices.weights);
  ELLM_TRY(calibration_plan(&a->calibration, &a->matrices, setup->meter, &a->plan, err));
  for (size_t i = 0; i < a->matrices.n; i++)
    bytes += source_find(setup->input, a->matrices.at[i].matrix->name)->bytes;
  begin_stage(a, bytes);
  for (size_t i = 0; i < a->matrices.n; i++) {
    ELLM_TRY(write_matrix(a, i, done, stored, user, err));
    done += source_find(setup->input, a->matrices.at[i].matrix->name)->bytes;
  }
  return ELLM_OK;
}

/* ---------------------------------------------------------------------- quality */

static ellm_status measure(any_size *a, const char *path, ellm_activations activations, damage_comparison *out,
                           ellm_error *err) {
  ellm_model_options options;
  ellm_model *model = NULL;
  ellm_model_options_init(&options);
  options.threads = a->setup.team->n_threads;
  options.activations = activations;
  ELLM_TRY(ellm_model_open(path, &options, &model, err));
  const ellm_status status = damage_compare(&a->calibration.held, model, out, err);
  ellm_model_close(model);
  return status;
}

ellm_status any_size_quality(any_size *a, const char *path, char *text, size_t bytes, ellm_error *err) {
  static const char *const names[] = {"self", "self", "text", "none"};
  const calibration *c = &a->calibration;
  const bool calibrated = c->squares.sum != NULL;
  size_t used = (size_t)snprintf(text, bytes, "{\"calibration\":\"%s\",\"effort\":\"%s\"",
                                 calibrated ? names[a->setup.options->calibrate] : "none",
                                 !calibrated ? "none" : c->full ? "full" : "quick");
  if (calibrated && path != NULL) {
    damage_comparison i16, i8;
    ELLM_TRY(measure(a, path, ELLM_ACTIVATIONS_I16, &i16, err));
    ELLM_TRY(measure(a, path, ELLM_ACTIVATIONS_I8, &i8, err));
    used += (size_t)snprintf(text + used, bytes - used,
                             ",\"calibration_tokens\":%zu,\"tokens\":%llu,\"divergence_i16\":%.6g,\"equal_top_i16\":"
                             "%.6g,\"divergence_i8\":%.6g,\"equal_top_i8\":%.6g",
                             c->watched * c->text.length, (unsigned long long)i16.tokens, i16.divergence,
                             i16.equal_top, i8.divergence, i8.equal_top);
  }
  snprintf(text + used, bytes - used, "}");
  return ELLM_OK;
}
