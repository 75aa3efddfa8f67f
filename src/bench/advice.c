/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ellm_bench_advise of the public header. All codes of one width lie in memory together and are measured in turns, since
 * neighbours on the same machine come and go; figures are medians.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/sized.h"
#include "bench/advise.h"
#include "bench/read.h"
#include "bench/shape_source.h"
#include "bench/speed.h"
#include "bench/token_run.h"
#include "bench/token_sample.h"
#include "coder/machine.h"

enum { CODES = 5, MOST_WIDTHS = 4, MOST_ROWS = CODES * MOST_WIDTHS, TURNS = 7, MOST_TURNS = 21, MOST_CORES = 1024, READ_REPEATS = 3 };
#define SAMPLE_BYTES 128e6   /* coded: so much more than caches hold that little of it is still there at the next turn */
#define MODELLED_WEIGHTS 64e6 /* that codes are counted of, at least */
#define CACHE_BYTES 64e6      /* more than caches hold */
#define LONGEST_TURN 0.7     /* seconds of a pass: of slower ones there are fewer */
#define LONGEST_WIDTH 5.0    /* seconds of all turns of a width, of which three are made in any case */

typedef struct code {
  const char *name;
  ellm_prefer prefer;
  ellm_code code;
} code;
/* As in ellm_bench_advice; the first is the file's own. */
static const code codes[CODES] = {{"file", ELLM_PREFER_BALANCED, ELLM_CODE_HUFFMAN},
                                  {"size", ELLM_PREFER_SIZE, ELLM_CODE_HUFFMAN},
                                  {"balanced", ELLM_PREFER_BALANCED, ELLM_CODE_HUFFMAN},
                                  {"speed", ELLM_PREFER_SPEED, ELLM_CODE_HUFFMAN},
                                  {"plain", ELLM_PREFER_BALANCED, ELLM_CODE_NONE}};
enum { AS_IT_IS = 0, PLAIN = 4 };

/* The advice with its memory: one block. */
typedef struct advice_block {
  ellm_bench_advice public;
  ellm_bench_advice_row rows[MOST_ROWS];
  ellm_bench_advice_speed speeds[MOST_ROWS][ADVISE_COUNTS];
} advice_block;

typedef struct adviser {
  const ellm_bench_advise_options *options;
  tensor_source *source;
  advice_block *out;
  int counts[ADVISE_COUNTS];
  size_t n_counts;
  thread_pool *pools[ADVISE_COUNTS];          /* of so many threads; when modelling only the last */
  ellm_bench_ceiling ceilings[ADVISE_COUNTS]; /* .speed.median alone when modelling */
  progress_meter meter;
  uint64_t done;
} adviser;

/* One width: all codes of it. */
typedef struct width {
  token_plan plan;
  token_sample sample;
  bool used[CODES];
  coded_sample coded[CODES];
  size_t row[CODES];      /* in the advice */
  double seconds[CODES][ADVISE_COUNTS][MOST_TURNS];
  double cached[CODES];
  int n_turns;
} width;

static bool is_quantized(const adviser *a) { return source_file(a->source) != NULL; }

static ellm_status step(adviser *a, const char *name, ellm_error *err) {
  return progress_report(&a->meter, "measure", name, a->done++, err);
}

static coder_aim aim_of(const adviser *a, int i) {
  return (coder_aim){codes[i].prefer, a->out->public.machine, codes[i].code, 0};
}

/* -------------------------------------------------------------------- rows */

static void add_row(adviser *a, width *w, int i, int bits, double bits_a_weight) {
  ellm_bench_advice *p = &a->out->public;
  const token_plan *plan = &w->plan;
  const size_t n = w->row[i] = p->n_rows++;
  p->weights = plan->weights;
  p->token_weights = plan->token_weights;
  a->out->rows[n] = (ellm_bench_advice_row){.code = codes[i].name,
                                            .bits = bits,
                                            .entropy = w->sample.entropy,
                                            .bits_a_weight = bits_a_weight,
                                            .weight_error = w->sample.weight_error,
                                            .token_bytes = plan->token_weights * bits_a_weight / 8 + (double)plan->raw_bytes,
                                            .file_bytes = plan->weights * bits_a_weight / 8 + (double)plan->other_bytes,
                                            .speeds = a->out->speeds[n]};
  if (i == AS_IT_IS) a->out->rows[n].file_bytes = (double)container_file_bytes(source_file(a->source));
}

static advise_token token_of(const adviser *a, const width *w, size_t row, double decode_seconds) {
  return (advise_token){.bytes = a->out->rows[row].token_bytes,
                        .decode_seconds = decode_seconds,
                        .other_seconds = advise_other_seconds(w->plan.n_layers, w->plan.hidden_size)};
}

/* Break-evens of a width, when its rates are there. */
static void break_even(adviser *a, const width *w) {
  const ellm_bench_advice_row *plain = &a->out->rows[w->row[PLAIN]];
  for (int i = 0; i < PLAIN; i++) {
    ellm_bench_advice_row *row = &a->out->rows[w->row[i]];
    if (w->used[i])
      row->break_even = advise_break_even(row->gweights_per_s, plain->gweights_per_s, plain->bits_a_weight,
                                          a->counts[a->n_counts - 1]);
  }
}

/* --------------------------------------------------------------- measuring */

static uint64_t widths_of(const adviser *a) { return a->options->bits != 0 || is_quantized(a) ? 1 : MOST_WIDTHS; }
/* One width has as much time as several. */
static int turns_of(const adviser *a) { return widths_of(a) == 1 ? MOST_TURNS : TURNS; }

static ellm_status measure_turn(adviser *a, width *w, token_run *run, int turn, ellm_error *err) {
  for (int i = 0; i < CODES; i++)
    for (size_t t = 0; w->used[i] && t < a->n_counts; t++) {
      ELLM_TRY(step(a, codes[i].name, err));
      ELLM_TRY(token_run_once(run, &w->coded[i], a->pools[t], &w->seconds[i][t][turn], err));
    }
  return ELLM_OK;
}

static ellm_status measure_all(adviser *a, width *w, token_run *run, ellm_error *err) {
  double longest = 0; /* seconds of a pass, by what it stands for */
  const double part = token_plan_taken(&w->plan) / w->plan.token_weights;
  w->n_turns = turns_of(a);
  ELLM_TRY(measure_turn(a, w, run, 0, err)); /* to warm up, and to see how long it takes */
  for (int i = 0; i < CODES; i++)
    if (w->used[i] && w->seconds[i][0][0] * part > longest) longest = w->seconds[i][0][0] * part;
  if (longest > LONGEST_TURN) w->n_turns = 1;
  else if (2 * longest > LONGEST_TURN) w->n_turns = 3;
  const double start = clock_seconds();
  for (int turn = 0; longest <= LONGEST_TURN && turn < w->n_turns; turn++) {
    ELLM_TRY(measure_turn(a, w, run, turn, err));
    if (turn >= 2 && clock_seconds() - start > LONGEST_WIDTH) w->n_turns = turn + 1; /* others are at work, too */
  }
  for (int i = 0; i < CODES; i++)
    if (w->used[i]) ELLM_TRY(token_run_cached(run, &w->coded[i], &w->cached[i], err));
  return ELLM_OK;
}

static void measured_rows(adviser *a, width *w) {
  for (int i = 0; i < CODES; i++) {
    if (!w->used[i]) continue;
    ellm_bench_advice_row *row = &a->out->rows[w->row[i]];
    const advise_token token = token_of(a, w, w->row[i], w->cached[i]);
    row->gweights_per_s = w->plan.token_weights / w->cached[i] / 1e9;
    for (size_t t = 0; t < a->n_counts; t++) {
      ellm_bench_advice_speed *speed = &a->out->speeds[w->row[i]][t];
      const double products = bench_speed_of(w->seconds[i][t], w->n_turns).median;
      const double raw = (double)w->plan.raw_bytes / (1e9 * a->ceilings[t].speed.median);
      *speed = advise_speed(&token, a->counts[t], a->ceilings[t].speed.median);
      speed->tokens_per_s = 1 / (products + raw + token.other_seconds);
      const double read = row->token_bytes * speed->tokens_per_s / 1e9; /* memory may give more than a moment ago */
      if (read > a->ceilings[t].speed.median && row->token_bytes > CACHE_BYTES) a->ceilings[t].speed.median = read;
    }
  }
}

static ellm_status code_all(adviser *a, width *w, int bits, ellm_error *err) {
  thread_pool *pool = a->pools[a->n_counts - 1];
  for (int i = 0; i < CODES; i++) {
    if (i == AS_IT_IS && bits != 0) continue;
    ELLM_TRY(step(a, "coding", err));
    if (i == AS_IT_IS) ELLM_TRY(coded_sample_of_file(&w->plan, &w->coded[i], err));
    else ELLM_TRY(coded_sample_make(&w->sample, aim_of(a, i), pool, &w->coded[i], err));
    w->used[i] = true;
    add_row(a, w, i, bits, w->coded[i].bits);
  }
  return ELLM_OK;
}

static ellm_status measure_width(adviser *a, width *w, int bits, ellm_error *err) {
  token_run *run = NULL;
  ELLM_TRY(code_all(a, w, bits, err));
  ELLM_TRY(token_run_create(&w->plan, (unsigned)a->options->digits, a->counts[a->n_counts - 1], &run, err));
  const ellm_status status = measure_all(a, w, run, err);
  token_run_free(run);
  if (status == ELLM_OK) measured_rows(a, w);
  return status;
}

/* --------------------------------------------------------------- modelling */

static ellm_status model_width(adviser *a, width *w, int bits, ellm_error *err) {
  for (int i = 0; i < CODES; i++) {
    double bits_a_weight, cycles;
    if (i == AS_IT_IS && bits != 0) continue;
    ELLM_TRY(step(a, codes[i].name, err));
    if (i == AS_IT_IS)
      ELLM_TRY(coded_sample_model_file(&w->sample, a->out->public.machine, &bits_a_weight, &cycles, err));
    else
      ELLM_TRY(coded_sample_model(&w->sample, aim_of(a, i), a->out->public.machine, &bits_a_weight, &cycles, err));
    w->used[i] = true;
    add_row(a, w, i, bits, bits_a_weight);
    ellm_bench_advice_row *row = &a->out->rows[w->row[i]];
    row->gweights_per_s = a->options->ghz / cycles;
    const advise_token token = token_of(a, w, w->row[i], w->plan.token_weights * cycles / (1e9 * a->options->ghz));
    for (size_t t = 0; t < a->n_counts; t++)
      a->out->speeds[w->row[i]][t] = advise_speed(&token, a->counts[t], a->ceilings[t].speed.median);
  }
  return ELLM_OK;
}

/* ---------------------------------------------------------------- together */

/* Bits a weight of the coded matrices of a file, or what codes of a width will have, about: two less. */
static double guessed_bits(const adviser *a, int bits) {
  double all = 0, weights = 0;
  if (bits != 0) return bits > 3 ? bits - 2 : 1.5;
  for (size_t i = 0; i < source_count(a->source); i++) {
    const container_tensor *t = source_at(a->source, i)->coded;
    if (t == NULL) continue;
    all += 8 * (double)t->payload_bytes;
    weights += (double)t->n_elements;
  }
  return weights > 0 && all > weights ? all / weights : 1;
}

static ellm_status advise_width(adviser *a, int bits, ellm_error *err) {
  width *w = calloc(1, sizeof *w);
  if (w == NULL) return ellm_fail_memory(err, sizeof *w, "a measurement");
  const bool measured = a->out->public.measured;
  const double wanted = measured ? 8 * SAMPLE_BYTES / guessed_bits(a, bits) : MODELLED_WEIGHTS;
  ellm_status status = token_plan_make(a->source, wanted, &w->plan, err);
  if (status == ELLM_OK) status = token_sample_make(&w->plan, bits, a->pools[a->n_counts - 1], &w->sample, err);
  if (status == ELLM_OK) status = measured ? measure_width(a, w, bits, err) : model_width(a, w, bits, err);
  if (status == ELLM_OK) break_even(a, w);
  for (int i = 0; i < CODES; i++)
    if (w->coded[i].coded != NULL) coded_sample_free(&w->coded[i]);
  token_sample_free(&w->sample);
  token_plan_free(&w->plan);
  free(w);
  return status;
}

static ellm_status measure_reading(adviser *a, ellm_error *err) {
  ellm_bench_read_options options;
  ellm_bench_read_options_init(&options);
  options.repeats = READ_REPEATS;
  for (size_t t = 0; t < a->n_counts; t++) {
    ELLM_TRY(step(a, "memory", err));
    ELLM_TRY(read_ceiling(&options, a->pools[t], &a->ceilings[t], err));
  }
  a->out->public.read_loop = a->ceilings[a->n_counts - 1].loop;
  a->out->public.huge_pages = a->ceilings[a->n_counts - 1].huge_pages;
  return ELLM_OK;
}

/* How many steps there will be, about. */
static uint64_t steps_of(const adviser *a) {
  const uint64_t codes_of_all = widths_of(a) * CODES;
  return a->out->public.measured ? a->n_counts + codes_of_all * (1 + a->n_counts * (1 + (uint64_t)turns_of(a)))
                                 : codes_of_all;
}

static ellm_status prepare(adviser *a, ellm_error *err) {
  const ellm_bench_advise_options *o = a->options;
  ellm_bench_advice *p = &a->out->public;
  const bool measured = p->measured;
  int most = measured ? o->threads : o->cores;
  if (most == 0) most = cpu_affinity_count();
  a->n_counts = advise_thread_counts(most, a->counts);
  a->meter.total = steps_of(a);
  if (!measured) {
    for (size_t t = 0; t < a->n_counts; t++)
      a->ceilings[t].speed.median = advise_read_share(o->gbytes_per_s, a->counts[t], o->cores);
    p->isa = o->machine == ELLM_MACHINE_AVX512 ? "avx512" : o->machine == ELLM_MACHINE_AVX2 ? "avx2" : "neon";
    p->machine = o->machine;
    return thread_pool_create(0, &a->pools[a->n_counts - 1], err);
  }
  p->isa = kernels_best()->isa;
  p->machine = strcmp(p->isa, "avx512") == 0      ? ELLM_MACHINE_AVX512
               : strncmp(p->isa, "neon", 4) == 0 ? ELLM_MACHINE_NEON
                                                  : ELLM_MACHINE_AVX2;
  for (size_t t = 0; t < a->n_counts; t++) ELLM_TRY(thread_pool_create(a->counts[t], &a->pools[t], err));
  return measure_reading(a, err);
}

static ellm_status advise(adviser *a, ellm_error *err) {
  static const int usual[MOST_WIDTHS] = {4, 5, 6, 8};
  ellm_bench_advice *p = &a->out->public;
  ELLM_TRY(prepare(a, err));
  if (is_quantized(a)) {
    ELLM_TRY(advise_width(a, 0, err));
  } else if (a->options->bits != 0) {
    ELLM_TRY(advise_width(a, a->options->bits, err));
  } else {
    for (int i = 0; i < MOST_WIDTHS; i++) ELLM_TRY(advise_width(a, usual[i], err));
  }
  for (size_t i = 0; i < p->n_rows; i++) /* ceilings have grown since, maybe */
    for (size_t t = 0; t < a->n_counts; t++) {
      ellm_bench_advice_speed *speed = &a->out->speeds[i][t];
      speed->read = a->ceilings[t].speed.median;
      speed->memory = 1e9 * speed->read / a->out->rows[i].token_bytes;
    }
  p->n_threads = a->n_counts;
  return ELLM_OK;
}

static ellm_status check_options(const ellm_bench_advise_options *o, ellm_error *err) {
  if (o->bits != 0 && (o->bits < 2 || o->bits > 8)) return ellm_fail(err, ELLM_ERR_USAGE, "codes of %d bits", o->bits);
  if (o->digits < 1 || o->digits > 2) return ellm_fail(err, ELLM_ERR_USAGE, "%d digits", o->digits);
  if (o->threads < 0 || o->threads > MOST_CORES) return ellm_fail(err, ELLM_ERR_USAGE, "%d threads", o->threads);
  if (o->model != NULL && o->shape != NULL) return ellm_fail(err, ELLM_ERR_USAGE, "a model and a shape");
  if (o->gbytes_per_s == 0) return ELLM_OK;
  if (!(o->gbytes_per_s > 0) || !(o->ghz > 0) || o->cores < 1 || o->cores > MOST_CORES)
    return ellm_fail(err, ELLM_ERR_USAGE, "no machine has %d cores of %g GHz and a memory of %g GB/s", o->cores, o->ghz,
                     o->gbytes_per_s);
  return coder_machine_of(o->machine) != NULL
             ? ELLM_OK
             : ellm_fail(err, ELLM_ERR_USAGE, "unknown class of machine %d", (int)o->machine);
}

void ellm_bench_advise_options_init_sized(ellm_bench_advise_options *given, size_t size) {
  const ellm_bench_advise_options own = {.size = size, .digits = 2};
  ellm_sized_init(given, &own, sizeof own);
}

static ellm_status open_source(const ellm_bench_advise_options *o, tensor_source **source, ellm_error *err) {
  ellm_bench_shape usual;
  ellm_bench_shape_init(&usual);
  usual.name = "smollm-1.7b";
  if (o->model != NULL) return source_open(o->model, NULL, source, err);
  if (o->shape == NULL) return shape_source_open(&usual, source, err);
  ELLM_SIZED(ellm_bench_shape, shape, o->shape, err);
  return shape_source_open(&shape, source, err);
}

ellm_status ellm_bench_advise(const ellm_bench_advise_options *given, ellm_bench_advice **out, ellm_error *err) {
  *out = NULL;
  ELLM_SIZED(ellm_bench_advise_options, options, given, err);
  ELLM_TRY(check_options(&options, err));
  adviser a = {.options = &options, .out = calloc(1, sizeof *a.out)};
  if (a.out == NULL) return ellm_fail_memory(err, sizeof *a.out, "an advice");
  a.out->public.rows = a.out->rows;
  a.out->public.read_loop = "";
  a.out->public.measured = options.gbytes_per_s == 0;
  progress_start(&a.meter, options.progress, options.progress_user, 1);
  a.meter.unit = ELLM_UNIT_ITEMS;
  ellm_status status = open_source(&options, &a.source, err);
  if (status == ELLM_OK) status = advise(&a, err);
  for (size_t t = 0; t < a.n_counts; t++) thread_pool_free(a.pools[t]);
  source_close(a.source);
  if (status == ELLM_OK) *out = &a.out->public;
  else free(a.out);
  return status;
}

void ellm_bench_advice_free(ellm_bench_advice *advice) { free(advice); }
