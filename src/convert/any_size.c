/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compressing to a size, from opening the model to the last section (docs/ARCHITECTURE.md, "Compressing to a size"):
 * find the matrices, measure or read a plan, round and store matrix after matrix (sized_matrix.c), and measure the
 * result. With a target divergence all but the measuring is repeated for each try (search.c). A source that cannot be
 * run has no text: its matrices are listed by shape, and each counts by its own error.
 */
#include "convert/any_size.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/scratch_file.h"
#include "convert/forecast.h"
#include "convert/matrix_error.h"
#include "convert/report.h"
#include "convert/search.h"
#include "convert/sized_text.h"

/* An upper bound for the metadata that is written after the matrices: their quality, and a number for each. */
static double reserved_bytes(size_t n_matrices) {
  return 2048 + 14 * (double)n_matrices + 128 * (double)(n_matrices / MATRIX_ERRORS_A_RECORD);
}

struct any_size {
  any_size_setup setup;
  sized_matrices s;
  measurements known;
  double seconds;             /* that measuring took */
  double predicted;           /* divergence of the plan; negative: there was no text */
  search search;              /* for a target divergence */
  double divergence;          /* that was measured last */
  const any_size_hooks *hooks;
  ellm_team team;             /* that measures; n_ranks 0: this process alone */
  weight_matrix *listed;      /* of a source that cannot be run */
};

/* --------------------------------------------------------------- opening, closing */

/* Matrices that --keep names are stored as they are. */
static void drop_kept(tune_matrices *all, const ellm_compress_options *options) {
  size_t n = 0;
  for (size_t i = 0; i < all->n; i++) {
    const tune_matrix *m = &all->at[i];
    bool kept = false;
    for (size_t k = 0; k < options->n_keep && !kept; k++) kept = fnmatch(options->keep[k], m->matrix->name, 0) == 0;
    if (kept) all->weights -= (uint64_t)m->matrix->rows * m->matrix->columns;
    else all->at[n++] = *m;
  }
  all->n = n;
}

/* Whether options ask for something that needs a model that can be run; without such a wish, a note is enough. */
static bool asks_for_text(const ellm_compress_options *options) {
  return options->target == ELLM_TARGET_DIVERGENCE || options->effort != ELLM_EFFORT_AUTO ||
         options->calibrate == ELLM_CALIBRATE_SELF || options->calibrate == ELLM_CALIBRATE_FILE;
}

/* All matrices of a source that cannot be run, each with an input of its own of which nothing is known. Their weights
 * must be finite: no logits will tell. */
static ellm_status list_matrices(any_size *a, const ellm_error *why, ellm_error *err) {
  tensor_source *input = a->setup.input;
  tune_matrices *all = &a->s.matrices;
  const size_t most = source_count(input);
  uint8_t digest[16];
  a->listed = calloc(most + 1, sizeof *a->listed);
  all->at = calloc(most + 1, sizeof *all->at);
  if (a->listed == NULL || all->at == NULL) return ellm_fail_memory(err, most * sizeof *all->at, "matrices");
  for (size_t i = 0; i < most; i++) {
    const source_tensor *t = source_at(input, i);
    const pass_progress progress = {.meter = a->setup.meter, .stage = "analyse", .tensor = t->name};
    quant_range range = QUANT_RANGE_EMPTY;
    if (!pass_takes_matrix(t) || t->shape[0] > UINT32_MAX || t->shape[1] > UINT32_MAX) continue;
    ELLM_TRY(pass_scan(input, t, a->setup.workers, &progress, digest, &range, NULL, err));
    weight_matrix *m = &a->listed[i];
    m->name = t->name;
    m->dtype = t->dtype;
    m->rows = (uint32_t)t->shape[0];
    m->columns = (uint32_t)t->shape[1];
    ELLM_TRY(source_map(input, t, &m->data, err));
    all->at[all->n++] = (tune_matrix){.matrix = m, .layer = (uint32_t)i, .input = INPUT_HEAD, .expert = FORWARD_NO_EXPERT, .looked_up = true};
    all->weights += t->n_elements;
  }
  if (a->setup.options->calibrate == ELLM_CALIBRATE_NONE) return ELLM_OK;
  return report_warn(a->setup.report, err, "%s; so it is compressed without calibration", why->message);
}

ellm_status any_size_open(const any_size_setup *setup, any_size **out, ellm_error *err) {
  *out = NULL;
  any_size *a = calloc(1, sizeof *a);
  if (a == NULL) return ellm_fail_memory(err, sizeof *a, "compressing to a size");
  a->setup = *setup;
  a->s = (sized_matrices){
      .options = setup->options, .workers = setup->workers, .writer = setup->writer, .codes = {.fd = -1}};
  ellm_model_options options;
  ellm_model_options_init(&options);
  options.threads = setup->workers->n_threads;
  const ellm_compress_team *team = setup->options->team;
  if (team != NULL && team->n_ranks > 1) {
    a->team = (ellm_team){team->rank, team->n_ranks, team->shares, team->gather, team->user};
    options.team = &a->team;
  }
  ellm_error why;
  ellm_status status = ellm_model_open(source_path(setup->input), &options, &a->s.model, &why);
  if (status == ELLM_OK) status = tune_matrices_of(a->s.model, &a->s.matrices, &why);
  if (status == ELLM_ERR_INPUT && !asks_for_text(setup->options)) {
    ellm_model_close(a->s.model);
    a->s.model = NULL;
    status = list_matrices(a, &why, err);
  } else if (status != ELLM_OK && err != NULL) {
    *err = why;
  }
  if (status == ELLM_OK) drop_kept(&a->s.matrices, setup->options);
  const char *path = setup->options->plan != NULL ? setup->options->plan : setup->kept_plan;
  if (status == ELLM_OK && path != NULL)
    status = measurements_open(path, setup->input, setup->options,
                               calibration_is_full(setup->options, a->s.matrices.weights), path == setup->kept_plan,
                               &a->known, err);
  if (status != ELLM_OK) {
    any_size_close(a);
    return status;
  }
  *out = a;
  return ELLM_OK;
}

void any_size_close(any_size *a) {
  if (a == NULL) return;
  columns_free(&a->s.columns);
  scratch_file_close(&a->s.codes);
  plan_free(&a->s.plan);
  calibration_free(&a->s.calibration);
  measurements_free(&a->known);
  tune_matrices_free(&a->s.matrices);
  free(a->listed);
  ellm_model_close(a->s.model);
  free(a);
}

bool any_size_has_matrices(const any_size *a) { return a->s.matrices.n > 0; }

bool any_size_takes(const any_size *a, const char *name) {
  for (size_t i = 0; i < a->s.matrices.n; i++)
    if (strcmp(a->s.matrices.at[i].matrix->name, name) == 0) return true;
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
  const double weights = (double)a->s.matrices.weights;
  a->s.bytes_before = container_writer_bytes(a->setup.writer);
  double bits = options->target_value * weights;
  if (options->target == ELLM_TARGET_BYTES) {
    const double others = (double)a->s.bytes_before + reserved_bytes(a->s.matrices.n);
    bits = 8 * (options->target_value - others);
    if (bits <= 0)
      return ellm_fail(err, ELLM_ERR_INPUT, "a file of %.0f bytes is impossible: what is not quantized takes %.0f",
                       options->target_value, others);
  }
  a->s.target_bits = (uint64_t)bits;
  return ELLM_OK;
}

/* Between the coarsest and the finest steps? Beyond these the finest are taken, but not for a size that is enough to
 * lose nothing at all. */
static ellm_status check_target(any_size *a, ellm_error *err) {
  static const double lossless_bits = 10.5; /* a weight, of a BF16 model */
  const double bits = (double)a->s.target_bits, weights = (double)a->s.matrices.weights;
  const double least = plan_least_bits(&a->s.plan), most = plan_most_bits(&a->s.plan);
  if (bits >= least && bits <= most) return ELLM_OK;
  if (bits > most && bits < lossless_bits * weights) {
    a->s.target_bits = (uint64_t)most;
    return report_warn(a->setup.report, err, "%.3f bits per weight are more than is useful: using %.3f",
                       bits / weights, most / weights);
  }
  const char *word = bits < least ? "less than is possible" : "more than is useful";
  const double bound = bits < least ? least : most;
  if (a->setup.options->target == ELLM_TARGET_BYTES)
    return ellm_fail(err, ELLM_ERR_INPUT, "a file of %.0f bytes is %s: %.0f at the %s", a->setup.options->target_value,
                     word, (double)a->s.bytes_before + reserved_bytes(a->s.matrices.n) + bound / 8, bits < least ? "least" : "most");
  return ellm_fail(err, ELLM_ERR_INPUT, "%.3f bits per weight are %s: %.3f at the %s", bits / weights, word,
                   bound / weights, bits < least ? "least" : "most");
}

/* ------------------------------------------------------------------------ stages */

/* A stage of its own: progress begins again, in its own unit. */
static void begin_stage(any_size *a, uint64_t total, ellm_unit unit) {
  const progress_meter *m = a->setup.meter;
  progress_start(a->setup.meter, m->fn, m->user, total);
  a->setup.meter->unit = unit;
}

static const char *scratch_path(const any_size *a) {
  return a->setup.out_path != NULL ? a->setup.out_path : source_path(a->setup.input);
}

/* Steps for the bits that are aimed at. */
static ellm_status aim(any_size *a, ellm_error *err) {
  plan_recenter(&a->s.plan);
  ELLM_TRY(plan_steps(&a->s.plan, 0, (double)a->s.target_bits, err));
  a->predicted = a->s.calibration.squares.sum != NULL ? plan_damage(&a->s.plan) : -1;
  return ELLM_OK;
}

ellm_status any_size_measure(any_size *a, ellm_error *err) {
  const ellm_compress_options *options = a->setup.options;
  const ellm_notes notes = {take_note, a};
  sized_matrices *s = &a->s;
  ELLM_TRY(find_target(a, err));
  if (a->known.n_curves < s->matrices.n) ELLM_TRY(forecast(s->model, options, &s->matrices, &a->known, err));
  const double start = clock_seconds();
  begin_stage(a, 0, ELLM_UNIT_BYTES);
  ELLM_TRY(calibrate(s->model, a->setup.workers->pool, options, s->matrices.weights, scratch_path(a), &a->known,
                     a->setup.meter, &notes, &s->calibration, err));
  begin_stage(a, s->matrices.weights, ELLM_UNIT_WEIGHTS);
  ELLM_TRY(calibration_plan(&s->calibration, &s->matrices, scratch_path(a), a->setup.meter, &s->plan, err));
  a->seconds = clock_seconds() - start;
  if (options->target != ELLM_TARGET_DIVERGENCE) {
    ELLM_TRY(check_target(a, err));
    return aim(a, err);
  }
  if (s->calibration.squares.sum == NULL)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: without a text no divergence can be measured", s->model->path);
  a->search = (search){.limit = options->target_value,
                       .least = plan_least_bits(&s->plan) * 1.002,
                       .most = plan_most_bits(&s->plan)};
  bool again;
  return any_size_again(a, &again, err);
}

any_size_try any_size_tried(const any_size *a) {
  return (any_size_try){(double)a->s.target_bits, a->divergence};
}

ellm_status any_size_recall(any_size *a, const any_size_try *tried, ellm_error *err) {
  bool again;
  search_add(&a->search, tried->bits, tried->divergence);
  return any_size_again(a, &again, err);
}

ellm_status any_size_again(any_size *a, bool *again, ellm_error *err) {
  double bits;
  bool done;
  *again = false;
  if (a->setup.options->target != ELLM_TARGET_DIVERGENCE) return ELLM_OK;
  ELLM_TRY(search_next(&a->search, &a->s.plan, &bits, &done, err));
  a->s.target_bits = (uint64_t)bits;
  *again = !done;
  return aim(a, err);
}

/* Other sizes by the same plan, from 2 bits per weight up, as far as it has steps for them. Then it aims where it
 * did. */
static ellm_status predict_curve(any_size *a, sized_expectation *e, ellm_error *err) {
  static const double first_bits = 2, last_bits = 7;
  plan *p = &a->s.plan;
  const double weights = (double)a->s.matrices.weights;
  if (a->s.calibration.squares.sum == NULL) return ELLM_OK; /* nothing was measured */
  for (int i = 0; i < SIZED_CURVE_POINTS; i++) {
    const double bits = first_bits + i * (last_bits - first_bits) / (SIZED_CURVE_POINTS - 1);
    if (bits * weights < plan_least_bits(p) || bits * weights > plan_most_bits(p)) continue;
    plan_recenter(p);
    ELLM_TRY(plan_steps(p, 0, bits * weights, err));
    e->curve[e->n_curve].bits = bits;
    e->curve[e->n_curve++].divergence = plan_damage(p);
  }
  return aim(a, err);
}

ellm_status any_size_plan(any_size *a, char **text, ellm_error *err) {
  const sized_matrices *s = &a->s;
  const double file = (double)s->bytes_before + reserved_bytes(s->matrices.n) + allocation_bits(s->plan.curves, s->matrices.n) / 8;
  sized_expectation e = {
      .file_bytes = file, .seconds = a->seconds, .memory_bytes = forecast_memory(s->model, (uint64_t)file)};
  ELLM_TRY(predict_curve(a, &e, err));
  return sized_plan_text(s, &e, text, err);
}

static const source_tensor *source_of(const any_size *a, size_t i) {
  return source_find(a->setup.input, a->s.matrices.at[i].matrix->name);
}

static ellm_status write_matrix(any_size *a, size_t i, uint64_t done, ellm_error *err) {
  const source_tensor *source = source_of(a, i);
  uint8_t digest[16];
  container_tensor *tensor = calloc(1, sizeof *tensor);
  if (tensor == NULL) return ellm_fail_memory(err, sizeof *tensor, "a tensor");
  const pass_progress progress = {
      .meter = a->setup.meter, .stage = "encode", .tensor = source->name, .base = done, .bytes = source->bytes};
  ellm_status status = pass_scan(a->setup.input, source, a->setup.workers, &progress, digest, NULL, NULL, err);
  if (status == ELLM_OK) status = sized_matrix_store(&a->s, i, tensor, err);
  if (status == ELLM_OK) status = a->hooks->stored(a->hooks->user, source, digest, tensor, err);
  free(tensor);
  return status;
}

static ellm_status columns_stored(void *user, ellm_error *err) {
  const any_size *a = user;
  return a->hooks->stored(a->hooks->user, NULL, NULL, NULL, err);
}

/* ----------------------------------------------------------------------- resuming */

static ellm_status adopt(void *user, size_t i, bool matrix, bool *adopted, ellm_error *err) {
  const any_size *a = user;
  return a->hooks->adopt(a->hooks->user, matrix ? source_of(a, i) : NULL, adopted, err);
}

/* The weights that a matrix has in a file, as calibration takes them. */
static ellm_status rounded_weights(const ellm_source *file, const weight_matrix *m, uint16_t **out, ellm_error *err) {
  enum { ROWS = 64 };
  const size_t columns = m->columns, bytes = (size_t)m->rows * columns * sizeof **out;
  size_t index;
  float *floats = malloc(ROWS * columns * sizeof *floats);
  uint16_t *weights = malloc(bytes);
  ellm_status status = floats != NULL && weights != NULL ? ELLM_OK : ellm_fail_memory(err, bytes, "a rounded matrix");
  if (status == ELLM_OK && !ellm_source_find(file, m->name, &index))
    status = ellm_fail(err, ELLM_ERR_INTERNAL, "%s is not where it was written", m->name);
  for (uint64_t row = 0; row < m->rows && status == ELLM_OK; row += ROWS) {
    const size_t n = m->rows - row < ROWS ? (size_t)(m->rows - row) : ROWS;
    status = ellm_source_read(file, index, row * columns, n * columns, floats, err);
    for (size_t i = 0; i < n * columns && status == ELLM_OK; i++)
      weights[row * columns + i] = bf16_from_float(floats[i]);
  }
  free(floats);
  if (status == ELLM_OK) *out = weights;
  else free(weights);
  return status;
}

/* The calibration stands where it stood when the first n matrices were stored. */
static ellm_status catch_up(any_size *a, size_t n, ellm_error *err) {
  static const uint8_t nobody[16];
  tune_matrices *all = &a->s.matrices;
  const char *path;
  ellm_source *file = NULL;
  if (n == 0 || !calibration_wants(&a->s.calibration, &all->at[0])) return ELLM_OK;
  const uint32_t last_layer = n < all->n ? all->at[n].layer : a->s.model->config.n_layers;
  ELLM_TRY(container_writer_publish(a->setup.writer, nobody, &path, err));
  ellm_status status = ellm_source_open(path, &file, err);
  for (size_t i = 0; i < n && status == ELLM_OK; i++) {
    uint16_t *weights = NULL;
    if (!calibration_wants(&a->s.calibration, &all->at[i])) continue;
    status = progress_report(a->setup.meter, "resume", all->at[i].matrix->name, 0, err);
    if (status == ELLM_OK) status = rounded_weights(file, all->at[i].matrix, &weights, err);
    if (status == ELLM_OK)
      status = calibration_adopted(&a->s.calibration, &all->at[i], weights, last_layer, err);
  }
  ellm_source_close(file);
  ELLM_TRY(status);
  return container_writer_retract(a->setup.writer, err);
}

ellm_status any_size_write(any_size *a, const any_size_hooks *hooks, ellm_error *err) {
  uint64_t bytes = 0, done = 0;
  const size_t n = a->s.matrices.n;
  size_t first = 0;
  bool adopted = true;
  a->hooks = hooks;
  a->s.columns_stored = columns_stored;
  a->s.user = a;
  sized_matrices_begin(&a->s);
  ELLM_TRY(calibration_restart(&a->s.calibration, err));
  if (a->s.codes.fd < 0) ELLM_TRY(scratch_file_open(scratch_path(a), &a->s.codes, err));
  for (size_t i = 0; i < n; i++) bytes += source_of(a, i)->bytes;
  begin_stage(a, bytes, ELLM_UNIT_BYTES);
  while (first < n && adopted) {
    ELLM_TRY(sized_matrix_adopt(&a->s, first, adopt, a, &adopted, err));
    if (adopted) done += source_of(a, first++)->bytes;
  }
  ELLM_TRY(catch_up(a, first, err));
  for (size_t i = first; i < n; i++) {
    ELLM_TRY(write_matrix(a, i, done, err));
    done += source_of(a, i)->bytes;
  }
  return ELLM_OK;
}

/* ---------------------------------------------------------------------- quality */

static ellm_status open_compressed(const any_size *a, const char *path, ellm_activations activations,
                                   ellm_model **model, ellm_error *err) {
  ellm_model_options options;
  ellm_model_options_init(&options);
  options.threads = a->setup.workers->n_threads;
  options.activations = activations;
  return ellm_model_open(path, &options, model, err);
}

static ellm_status measure_quality(any_size *a, const char *path, sized_quality *q, ellm_error *err) {
  calibration *c = &a->s.calibration;
  ellm_model *model = NULL;
  *q = (sized_quality){.predicted = a->predicted};
  damage_meter *held = &c->held;
  ellm_model *one_digit = NULL;
  ELLM_TRY(open_compressed(a, path, ELLM_ACTIVATIONS_I16, &model, err));
  ellm_status status = open_compressed(a, path, ELLM_ACTIVATIONS_I8, &one_digit, err);
  if (status == ELLM_OK) status = damage_compare(held, one_digit, 0, held->n, &q->i8, err);
  if (status == ELLM_OK) status = damage_compare(held, model, 0, held->n, &q->i16, err);
  if (status == ELLM_OK && c->chat) status = damage_compare(held, model, c->conversation, 1, &q->conversation, err);
  if (status == ELLM_OK) status = damage_between(held, model, one_digit, 0, held->n, &q->i8_from_i16, err);
  ellm_model_close(one_digit);
  ellm_model_close(model);
  return status;
}

ellm_status any_size_quality(any_size *a, const char *path, char *text, size_t bytes, ellm_error *err) {
  sized_quality q;
  const bool measured = a->s.calibration.squares.sum != NULL && path != NULL;
  if (measured) ELLM_TRY(measure_quality(a, path, &q, err));
  if (measured) search_add(&a->search, (double)a->s.target_bits, a->divergence = q.i16.divergence);
  sized_quality_text(&a->s, measured ? &q : NULL, text, bytes);
  return ELLM_OK;
}
