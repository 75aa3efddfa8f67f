/* SPDX-License-Identifier: Apache-2.0 */
#include "tune/plan.h"

#include <math.h>
#include <stdlib.h>

#include "base/exact_math.h"
#include "base/memory.h"

/* Steps from 1/32 of a row's mean square, where hardly a code is shared by two weights, to 2.8, where nearly all are
 * zero; the divergence is measured at one where it is large enough to stand above the sampling of a few tokens. */
static const double first_log2_step = -5, log2_spacing = 0.8125, measured_step = 0.8, LN2 = 0.69314718055994530942;
enum { SAMPLE_ROWS = 256 };

static double exp2_of(double x) { return exact_exp(x * LN2); }

/* Scales and codes that a matrix has beside its entropy: 16 bits a row, and its share of a column's. */
static double fixed_bits(const tune_matrix *m) { return 16.0 * (m->matrix->rows + (double)m->matrix->columns / 2); }

ellm_status plan_columns(const plan_request *request, const tune_matrix *m, input_columns *out, ellm_error *err) {
  if (request->squares == NULL || m->looked_up) return columns_unknown(m->matrix->columns, out, err);
  uint64_t tokens;
  const double *sums = squares_of(request->squares, m->layer, m->input, &tokens);
  return columns_from_squares(sums, m->matrix->columns, tokens, &COLUMNS_QUICK_DEFAULTS, m->matrix->name, out, err);
}

/* The divergence with the matrix alone at measured_step. */
static ellm_status measure_divergence(const plan_request *request, rounder *r, tune_matrix *m, double *divergence,
                                      ellm_error *err) {
  const size_t bytes = (size_t)m->matrix->rows * m->matrix->columns * sizeof(uint16_t);
  uint16_t *weights = malloc(bytes);
  if (weights == NULL) return ellm_fail_memory(err, bytes, "a matrix at a coarse step");
  ellm_status status = rounder_set(r, measured_step, 0, err);
  if (status == ELLM_OK) status = rounder_weights(r, weights, err);
  if (status == ELLM_OK) status = damage_of(request->meter, m, weights, divergence, err);
  free(weights);
  return status;
}

/* The curve that its points give must be what calib/allocate.h wants, whatever noise there is in a sample. */
static void make_monotonic(allocation_point *points) {
  for (size_t i = 1; i < PLAN_POINTS; i++) {
    if (points[i].bits > points[i - 1].bits) points[i].bits = points[i - 1].bits;
    if (points[i].damage < points[i - 1].damage) points[i].damage = points[i - 1].damage;
  }
}

static ellm_status measure_curve(const plan_request *request, tune_matrix *m, allocation_point *points,
                                 ellm_error *err) {
  const double weights = (double)m->matrix->rows * m->matrix->columns;
  input_columns columns;
  rounder r = {0};
  rounder_estimate at;
  double divergence = 0, unit = 1;
  ELLM_TRY(plan_columns(request, m, &columns, err));
  ellm_status status = rounder_open(compute_pool(request->model->compute), m->matrix, &columns, &r, err);
  if (status == ELLM_OK && request->meter != NULL) {
    status = measure_divergence(request, &r, m, &divergence, err);
    if (status == ELLM_OK) status = rounder_sample(&r, SAMPLE_ROWS, &at, err);
    /* a divergence of 0, of a matrix that does nothing for these tokens, would give it no bits at all */
    const double least = 1e-9 * weights / (double)request->matrices->weights;
    if (status == ELLM_OK) unit = (divergence > least ? divergence : least) / (at.damage > 0 ? at.damage : 1);
  }
  for (size_t i = 0; i < PLAN_POINTS && status == ELLM_OK; i++) {
    points[i].log2_step = first_log2_step + (double)i * log2_spacing;
    status = rounder_set(&r, exp2_of(points[i].log2_step), 0, err);
    if (status == ELLM_OK) status = rounder_sample(&r, SAMPLE_ROWS, &at, err);
    points[i].bits = at.entropy_bits * request->overhead + fixed_bits(m);
    points[i].damage = at.damage * unit > 1e-300 ? at.damage * unit : 1e-300;
  }
  if (status == ELLM_OK) make_monotonic(points);
  rounder_close(&r);
  columns_free(&columns);
  return status;
}

ellm_status plan_measure(const plan_request *request, progress_meter *progress, plan *out, ellm_error *err) {
  const size_t n = request->matrices->n;
  const uint64_t before = progress->done;
  uint64_t done = 0;
  *out = (plan){.matrices = request->matrices};
  out->curves = calloc(n, sizeof *out->curves);
  out->points = calloc(n, sizeof *out->points);
  if (out->curves == NULL || out->points == NULL) return ellm_fail_memory(err, n * sizeof *out->points, "a plan");
  for (size_t i = 0; i < n; i++) {
    tune_matrix *m = &request->matrices->at[i];
    ELLM_TRY(progress_report(progress, "measure", m->matrix->name, before + done, err));
    ELLM_TRY(measure_curve(request, m, out->points[i], err));
    out->curves[i] = (allocation_curve){.points = out->points[i], .n_points = PLAN_POINTS};
    done += (uint64_t)m->matrix->rows * m->matrix->columns;
  }
  return progress_report(progress, "measure", "", before + done, err);
}

void plan_free(plan *p) {
  free(p->curves);
  free(p->points);
  *p = (plan){0};
}

double plan_step(const plan *p, size_t matrix) { return exp2_of(p->curves[matrix].log2_step); }
