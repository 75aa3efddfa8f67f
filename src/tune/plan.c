/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a plan: for each matrix a curve of bits and damage over steps, and from all curves the steps for a target.
 *
 * A curve has two parts. Bits and squared errors at PLAN_POINTS steps come from rounding a sample of rows. What a unit
 * of squared error does to the output comes from one measurement: the matrix is rounded at one coarse step, the text is
 * computed with it, and the divergence is divided by the squared error (tune/damage.h). At small damage divergence is
 * proportional to squared error, so this one unit serves for all steps. Layers between measured ones take their unit
 * from their neighbours. calib/allocate.h then shares out the bits.
 */
#include "tune/plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/exact_math.h"
#include "base/memory.h"

/* Steps are relative to the root mean square of a row. They go from 1/32, where hardly two weights share a code, to
 * 2.8, where nearly all codes are zero. The divergence is measured at a coarse step, where it is large enough to stand
 * out of the sampling noise of few tokens. */
static const double first_log2_step = -5, log2_spacing = 0.8125, measured_step = 0.8, LN2 = 0.69314718055994530942;
enum { SAMPLE_ROWS = 256 };

static double exp2_of(double x) { return exact_exp(x * LN2); }

/*
 * Roughly what a matrix takes besides the entropy of its codes: 16 bits for the scale of each row and, if it is the
 * first matrix of its input, of each column; half of 64 bytes on average for the alignment of each section; 32 bytes
 * and about 2 bytes per code for the code book; and zeros that pad the rows to a multiple of 16. All this matters only
 * for small matrices.
 */
static double fixed_bits(const tune_matrix *m, bool has_columns, size_t n_codes) {
  static const double half_section = 8 * 32, bits_a_zero = 2;
  const double rows = m->matrix->rows, columns = m->matrix->columns, padding = (16 - m->matrix->rows % 16) % 16;
  return 16 * rows + half_section + 8 * (32 + 2 * (double)n_codes) + bits_a_zero * padding * columns +
         (has_columns && m->part == 0 && !m->looked_up ? 16 * columns + half_section : 0);
}

/* calib/allocate.h needs curves whose bits fall and whose damage rises with the step, but samples are noisy. Where two
 * points contradict each other, the coarser one is believed: at fine steps codes may be too large for their range, and
 * one bad point there must not suggest that finer steps gain nothing. */
static void make_monotonic(allocation_point *points) {
  for (size_t i = 1; i < PLAN_POINTS; i++)
    if (points[i].bits > points[i - 1].bits) points[i].bits = points[i - 1].bits;
  for (size_t i = PLAN_POINTS - 1; i > 0; i--)
    if (points[i - 1].damage > points[i].damage) points[i - 1].damage = points[i].damage;
}

/* Bits and squared errors of a matrix at all steps. weights[rows][columns] (NULL: not wanted): it at measured_step, and
 * *error its squared error there. */
static ellm_status measure_curve(const plan_request *request, const tune_matrix *m, const input_columns *columns,
                                 allocation_point *points, uint16_t *weights, double *error, ellm_error *err) {
  rounder r = {0};
  rounder_estimate at;
  ellm_status status = rounder_open(request->pool, m, columns, &r, err);
  if (status == ELLM_OK && weights != NULL) {
    status = rounder_set(&r, measured_step, 0, err);
    if (status == ELLM_OK) status = rounder_weights(&r, weights, err);
    if (status == ELLM_OK) status = rounder_sample(&r, SAMPLE_ROWS, &at, err);
    *error = at.damage;
  }
  for (size_t i = 0; i < PLAN_POINTS && status == ELLM_OK; i++) {
    points[i].log2_step = first_log2_step + (double)i * log2_spacing;
    status = rounder_set(&r, exp2_of(points[i].log2_step), 0, err);
    if (status == ELLM_OK) status = rounder_sample(&r, SAMPLE_ROWS, &at, err);
    points[i].bits = at.entropy_bits * request->overhead + fixed_bits(m, request->meter != NULL, at.n_codes);
    points[i].damage = at.damage;
  }
  rounder_close(&r);
  return status;
}

/*
 * What a unit of error does changes slowly from layer to layer, except in the first and the last ones. These are all
 * measured, and every third of the others, because measuring takes longest; docs/QUANTIZATION.md says what that costs.
 */
bool plan_measures(const tune_matrix *m, uint32_t n_layers) {
  enum { FIRST_ALL = 4, LAST_ALL = 2, EVERY = 3 };
  return m->layer < FIRST_ALL || m->layer + LAST_ALL >= n_layers || m->layer % EVERY == 0;
}

static bool is_expert(const tune_matrix *m) { return m->expert != FORWARD_NO_EXPERT; }

/* The nearest matrix of the same place in its layer that is measured by rule, before or after number i; i if there is
 * none. What holds for one expert of a layer holds for all. */
static size_t neighbour(const plan_request *request, size_t i, bool after) {
  const tune_matrix *all = request->matrices->at, *m = &all[i];
  for (size_t k = i; after ? ++k < request->matrices->n : k-- > 0;)
    if (all[k].input == m->input && all[k].part == m->part && is_expert(&all[k]) == is_expert(m) &&
        plan_measures(&all[k], request->n_layers))
      return k;
  return i;
}

/* Measured by the rule above, or because no neighbour is. */
static bool is_measured(const plan_request *request, size_t i) {
  if (request->meter == NULL) return false;
  return plan_measures(&request->matrices->at[i], request->n_layers) ||
         (neighbour(request, i, false) == i && neighbour(request, i, true) == i);
}

/* The geometric interpolation between its neighbours: units differ by factors, not by sums. */
static double unit_between(const plan_request *request, const double *units, size_t i) {
  const tune_matrix *at = request->matrices->at;
  const size_t before = neighbour(request, i, false), after = neighbour(request, i, true);
  if (before == i || after == i) return units[before == i ? after : before];
  const double share = (double)(at[i].layer - at[before].layer) / (double)(at[after].layer - at[before].layer);
  return exact_exp((1 - share) * exact_log(units[before]) + share * exact_log(units[after]));
}

/* Squared errors become divergences, and the curves what calib/allocate.h wants. */
static void apply_units(const plan_request *request, const double *units, plan *out) {
  for (size_t i = 0; i < out->matrices->n; i++) {
    const bool measured = request->meter == NULL || is_measured(request, i);
    const double unit = measured ? units[i] : unit_between(request, units, i);
    for (size_t k = 0; k < PLAN_POINTS; k++) {
      const double damage = out->measured[i][k].damage * unit;
      out->measured[i][k].damage = damage > 1e-300 ? damage : 1e-300;
    }
    make_monotonic(out->measured[i]);
  }
}

static ellm_status plan_create(const tune_matrices *matrices, plan *out, ellm_error *err) {
  const size_t n = matrices->n;
  *out = (plan){.matrices = matrices};
  out->curves = calloc(n, sizeof *out->curves);
  out->points = calloc(n, sizeof *out->points);
  out->measured = calloc(n, sizeof *out->measured);
  return out->curves != NULL && out->points != NULL && out->measured != NULL
             ? ELLM_OK
             : ellm_fail_memory(err, n * sizeof *out->points, "a plan");
}

ellm_status plan_take(const tune_matrices *matrices, const allocation_point (*known)[PLAN_POINTS], plan *out,
                      ellm_error *err) {
  ELLM_TRY(plan_create(matrices, out, err));
  memcpy(out->measured, known, matrices->n * sizeof *out->measured);
  return ELLM_OK;
}

/* Measuring at work. */
typedef struct measuring {
  const plan_request *request;
  progress_meter *progress;
  uint64_t before, done;   /* weights of matrices */
  plan *out;
  double *units;           /* [matrices->n] what a unit of squared error does to the output */
  input_columns columns;
  const tune_matrix *read; /* columns are those of its input; NULL: of none */
  damage_change *changes;  /* [matrices->n] */
} measuring;

/* One matrix; a change more of those that are measured together, if `change` says so. */
static ellm_status measure_matrix(measuring *w, size_t i, bool change, size_t *n_changes, double *error,
                                  ellm_error *err) {
  tune_matrix *m = &w->request->matrices->at[i];
  const size_t weights = (size_t)m->matrix->rows * m->matrix->columns;
  uint16_t *rounded = NULL;
  double at = 0;
  ELLM_TRY(progress_report(w->progress, "measure", m->matrix->name, w->before + w->done, err));
  if (w->read == NULL || !tune_same_input(m, w->read)) {
    columns_free(&w->columns);
    w->read = NULL;
    ELLM_TRY(w->request->columns(w->request->user, i, &w->columns, err));
    w->read = m;
  }
  if (change) {
    rounded = malloc(weights * sizeof *rounded);
    if (rounded == NULL) return ellm_fail_memory(err, weights * sizeof *rounded, "a matrix at a coarse step");
    w->changes[(*n_changes)++] = (damage_change){m, {(const uint8_t *)rounded, ELLM_BF16}};
  }
  ELLM_TRY(measure_curve(w->request, m, &w->columns, w->out->measured[i], rounded, &at, err));
  *error += at;
  w->done += weights;
  return ELLM_OK;
}

/* The matrices of this part from number `first` to `end` are measured together: one, or one kind of all experts of a
 * layer. */
static ellm_status measure_together(measuring *w, size_t first, size_t end, size_t part, ellm_error *err) {
  const plan_request *request = w->request;
  const tune_matrix *at = request->matrices->at;
  const bool change = is_measured(request, first);
  const double before = (double)w->done;
  double error = 0, divergence = 0, unit = 1;
  size_t n = 0;
  ellm_status status = ELLM_OK;
  for (size_t i = first; i < end && status == ELLM_OK; i++)
    if (at[i].part == part) status = measure_matrix(w, i, change, &n, &error, err);
  if (status == ELLM_OK && n > 0) {
    status = damage_of(request->meter, w->changes, n, &divergence, err);
    /* a divergence of 0, of a matrix that does nothing for these tokens, would give it no bits at all */
    const double least = 1e-9 * ((double)w->done - before) / (double)request->matrices->weights;
    unit = (divergence > least ? divergence : least) / (error > 0 ? error : 1);
  }
  for (size_t i = 0; i < n; i++) free((void *)(uintptr_t)w->changes[i].elements.data);
  for (size_t i = first; i < end; i++)
    if (at[i].part == part) w->units[i] = unit;
  return status;
}

static ellm_status measure_all(measuring *w, ellm_error *err) {
  const tune_matrices *all = w->request->matrices;
  for (size_t first = 0, end; first < all->n; first = end) {
    const tune_matrix *m = &all->at[first];
    size_t most = m->part;
    end = first + 1;
    for (; is_expert(m) && end < all->n && is_expert(&all->at[end]) && all->at[end].layer == m->layer &&
           all->at[end].input == m->input; end++)
      if (all->at[end].part > most) most = all->at[end].part;
    for (size_t part = is_expert(m) ? 0 : most; part <= most; part++)
      ELLM_TRY(measure_together(w, first, end, part, err));
  }
  return ELLM_OK;
}

ellm_status plan_measure(const plan_request *request, progress_meter *progress, plan *out, ellm_error *err) {
  const size_t n = request->matrices->n;
  measuring w = {.request = request, .progress = progress, .before = progress->done, .out = out};
  w.units = calloc(n, sizeof *w.units);
  w.changes = calloc(n, sizeof *w.changes);
  ellm_status status = plan_create(request->matrices, out, err);
  if (status == ELLM_OK && (w.units == NULL || w.changes == NULL))
    status = ellm_fail_memory(err, n * sizeof *w.changes, "a plan");
  if (status == ELLM_OK) status = measure_all(&w, err);
  if (status == ELLM_OK) apply_units(request, w.units, out);
  columns_free(&w.columns);
  free(w.units);
  free(w.changes);
  return status == ELLM_OK ? progress_report(progress, "measure", "", w.before + w.done, err) : status;
}

void plan_free(plan *p) {
  free(p->curves);
  free(p->points);
  free(p->measured);
  *p = (plan){0};
}

/* ---------------------------------------------------------------------- steps */

static const double octaves = 1; /* that steps may lie from the center */

/* A curve at a step within its range. */
static allocation_point at_step(const allocation_point *points, double log2_step) {
  const double place = (log2_step - points[0].log2_step) / log2_spacing;
  size_t i = place > 0 ? (size_t)place : 0;
  if (i > PLAN_POINTS - 2) i = PLAN_POINTS - 2;
  return allocation_between(&points[i], &points[i + 1], log2_step);
}

static double bits_at(const plan *p, size_t first, double log2_step) {
  double sum = 0;
  for (size_t i = first; i < p->matrices->n; i++) sum += at_step(p->measured[i], log2_step).bits;
  return sum;
}

/* The center for these bits, and the parts of all curves about it. */
static void find_center(plan *p, double bits) {
  double low = first_log2_step, high = first_log2_step + (PLAN_POINTS - 1) * log2_spacing;
  for (int i = 0; i < 60; i++) {
    p->center = (low + high) / 2;
    if (bits_at(p, 0, p->center) > bits) low = p->center;
    else high = p->center;
  }
  for (size_t i = 0; i < p->matrices->n; i++) {
    allocation_point *points = p->points[i];
    size_t n = 0;
    for (size_t k = 0; k < PLAN_POINTS; k++) {
      const double offset = octaves * (2 * (double)k / (PLAN_POINTS - 1) - 1);
      const allocation_point next = at_step(p->measured[i], p->center + offset);
      if (n == 0 || next.log2_step > points[n - 1].log2_step) points[n++] = next; /* else beyond the range */
    }
    p->curves[i] = (allocation_curve){.points = points, .n_points = n};
  }
  p->centered = true;
}

double plan_least_bits(const plan *p) { return bits_at(p, 0, first_log2_step + (PLAN_POINTS - 1) * log2_spacing); }

double plan_most_bits(const plan *p) { return bits_at(p, 0, first_log2_step); }

void plan_recenter(plan *p) { p->centered = false; }

double plan_damage(const plan *p) { return allocation_damage(p->curves, p->matrices->n); }

ellm_status plan_steps(plan *p, size_t first, double bits, ellm_error *err) {
  const size_t n = p->matrices->n;
  if (!p->centered) {
    const double least = plan_least_bits(p);
    if (bits < least)
      return ellm_fail(err, ELLM_ERR_INPUT, "%.3f bits per weight are less than is possible, which is %.3f",
                       bits / (double)p->matrices->weights, least / (double)p->matrices->weights);
    find_center(p, bits);
  }
  ellm_error ignored;
  if (allocate_for_bits(p->curves + first, n - first, bits, &ignored) == ELLM_OK) return ELLM_OK;
  for (size_t i = first; i < n; i++) { /* too few are left: the coarsest that the center allows */
    const allocation_curve *c = &p->curves[i];
    const allocation_point *last = &c->points[c->n_points - 1];
    p->curves[i].log2_step = last->log2_step;
    p->curves[i].bits = last->bits;
    p->curves[i].damage = last->damage;
  }
  return ELLM_OK;
}

double plan_step(const plan *p, size_t matrix) { return exp2_of(p->curves[matrix].log2_step); }
