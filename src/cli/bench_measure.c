/* SPDX-License-Identifier: Apache-2.0 */
/* The measurements of `entrollm bench`: see bench_measure.h. */
#include "cli/bench_measure.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/team.h"
#include "cli/team_model.h"

enum { REPEATS = 5 };

static int compare_doubles(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static int repeats_of(const bench_job *job) { return job->repeats > 0 ? job->repeats : REPEATS; }

static void summarize(double *values, int n, bench_result *result) {
  qsort(values, (size_t)n, sizeof *values, compare_doubles);
  result->median = values[n / 2];
  result->low = values[0];
  result->high = values[n - 1];
}

/* --------------------------------------------------------- child processes */

typedef struct answer {
  ellm_error err;
  bench_result result;
} answer;

static void answer_from_child(int pipe_end, bench_fn fn, const bench_job *job) {
  answer a;
  memset(&a, 0, sizeof a);
  ellm_status status = fn(job, &a.result, &a.err);
  a.err.status = status;
  const char *data = (const char *)&a;
  for (size_t sent = 0; sent < sizeof a;) {
    ssize_t n = write(pipe_end, data + sent, sizeof a - sent);
    if (n > 0) sent += (size_t)n;
    else if (n < 0 && errno != EINTR) break;
  }
  _exit(0);
}

/* Read the whole answer; a signal is passed on to the child, which ends by its own checks. */
static bool read_answer(int pipe_end, pid_t pid, answer *a) {
  size_t got = 0;
  while (got < sizeof *a) {
    ssize_t n = read(pipe_end, (char *)a + got, sizeof *a - got);
    if (n > 0) got += (size_t)n;
    else if (n < 0 && errno == EINTR) kill(pid, SIGTERM);
    else break;
  }
  return got == sizeof *a;
}

/* A child would be no member of the team. */
static ellm_status measure_here(bench_fn fn, const bench_job *job, bench_result *result, ellm_error *err) {
  struct rusage usage;
  memset(result, 0, sizeof *result);
  const ellm_status status = fn(job, result, err);
  if (getrusage(RUSAGE_SELF, &usage) == 0) result->peak_bytes = (uint64_t)usage.ru_maxrss * 1024;
  return status;
}

ellm_status bench_measure(bench_fn fn, const bench_job *job, bench_result *result, ellm_error *err) {
  struct rusage usage;
  int ends[2], wait_status = 0;
  answer a;
  if (cli_stopped()) return prog_failure(err, ELLM_INTERRUPTED, "interrupted");
  if (cli_team_of_model() != NULL) return measure_here(fn, job, result, err);
  if (pipe(ends) != 0) return prog_failure_errno(err, errno, "create", "a pipe");
  fflush(NULL);
  pid_t pid = fork();
  if (pid < 0) {
    int code = errno;
    close(ends[0]);
    close(ends[1]);
    return prog_failure_errno(err, code, "start", "a process");
  }
  if (pid == 0) {
    close(ends[0]);
    answer_from_child(ends[1], fn, job);
  }
  close(ends[1]);
  bool whole = read_answer(ends[0], pid, &a);
  close(ends[0]);
  while (wait4(pid, &wait_status, 0, &usage) < 0 && errno == EINTR) {
  }
  if (cli_stopped()) return prog_failure(err, ELLM_INTERRUPTED, "interrupted");
  if (!whole) return prog_failure(err, ELLM_ERR_INTERNAL, "a measurement ended early (wait status %d)", wait_status);
  if (a.err.status != ELLM_OK && err) *err = a.err;
  *result = a.result;
  result->peak_bytes = (uint64_t)usage.ru_maxrss * 1024;
  return a.err.status;
}

/* ---------------------------------------------------------------- compress */

static bool keep_going(void *user, const ellm_progress *step) {
  (void)user;
  (void)step;
  return !cli_stopped();
}

ellm_status bench_compress(const bench_job *job, bench_result *result, ellm_error *err) {
  double rates[REPEATS];
  for (int i = 0; i < REPEATS; i++) {
    ellm_compress_options options;
    ellm_report *report;
    ellm_compress_options_init(&options);
    options.bits = job->bits;
    options.overwrite = true;
    options.threads = job->threads;
    options.progress = keep_going;
    double start = cli_seconds();
    PROG_TRY(ellm_compress(job->model, job->out, &options, &report, err));
    rates[i] = (double)report->source_bytes / (cli_seconds() - start) / 1e6;
    result->amount = report->source_bytes;
    ellm_report_free(report);
  }
  summarize(rates, REPEATS, result);
  return ELLM_OK;
}

/* ------------------------------------------------------------------ decode */

ellm_status bench_decode(const bench_job *job, bench_result *result, ellm_error *err) {
  ellm_file *file = NULL;
  ellm_bench_speed speed = {0};
  PROG_TRY(ellm_file_open(job->model, &file, err));
  const ellm_status status =
      ellm_bench_decode(file, job->threads, REPEATS, keep_going, NULL, &speed, &result->amount, err);
  result->median = speed.median;
  result->low = speed.least;
  result->high = speed.most;
  ellm_file_close(file);
  return status;
}

/* ------------------------------------------------------- prompt, generation */

/* A sequence of ids that exist in every model: the text does not matter for speed. */
static uint32_t some_id(size_t i, uint32_t vocab_size) { return (uint32_t)((i * 2654435761u + 17) % vocab_size); }

/* What is measured: a model and sequences of it, each with ids of its own. */
typedef struct subject {
  ellm_model *model;
  uint32_t n_sequences, depth, n;              /* tokens before, tokens measured: of each */
  ellm_batch_item items[BENCH_MAX_SEQUENCES];  /* sequences, and the logits of the last token of each */
  uint32_t *ids;                               /* [n_sequences][depth + n] */
  float *logits;                               /* [n_sequences][vocab_size] */
} subject;

typedef ellm_status (*rates_fn)(subject *s, const bench_job *job, bench_result *result, ellm_error *err);

/* Time, what of it went into products of matrices and into gathering, and bytes that were sent. */
typedef struct split_timer { double seconds, products, gathering, sent; } split_timer;

static split_timer split_start(const subject *s) {
  const cli_team_costs costs = cli_team_so_far();
  return (split_timer){cli_seconds(), ellm_bench_product_seconds(s->model), costs.seconds, (double)costs.sent};
}

/* Seconds since the start; everything is added to `all`. */
static double split_stop(const split_timer *start, const subject *s, split_timer *all) {
  const double seconds = cli_seconds() - start->seconds;
  all->seconds += seconds;
  const cli_team_costs costs = cli_team_so_far();
  all->products += ellm_bench_product_seconds(s->model) - start->products;
  all->gathering += costs.seconds - start->gathering;
  all->sent += (double)costs.sent - start->sent;
  return seconds;
}

static void split_tell(const split_timer *all, uint64_t tokens, bench_result *result) {
  result->products = all->products / all->seconds;
  result->gathering = all->gathering / all->seconds;
  result->sent = all->sent / (double)tokens;
}

/* To all sequences the n ids from number `first` of theirs on; logits of the last one, or none. */
static ellm_status append(subject *s, uint32_t first, uint32_t n, bool logits, ellm_error *err) {
  for (uint32_t i = 0; i < s->n_sequences; i++) {
    s->items[i].ids = s->ids + (size_t)i * (s->depth + s->n) + first;
    s->items[i].n_ids = n;
    s->items[i].n_logits = logits;
  }
  return ellm_evaluate(s->model, s->items, s->n_sequences, err);
}

static ellm_status go_back(const subject *s, ellm_error *err) {
  for (uint32_t i = 0; i < s->n_sequences; i++)
    PROG_TRY(ellm_sequence_truncate(s->items[i].sequence, s->depth, err));
  return ELLM_OK;
}

static ellm_status prompt_rates(subject *s, const bench_job *job, bench_result *result, ellm_error *err) {
  double rates[BENCH_MAX_REPEATS];
  const int repeats = repeats_of(job);
  split_timer all = {0};
  for (int i = -1; i < repeats; i++) { /* one to warm up */
    if (cli_stopped()) return prog_failure(err, ELLM_INTERRUPTED, "interrupted");
    PROG_TRY(go_back(s, err));
    split_timer timer = split_start(s);
    PROG_TRY(append(s, s->depth, s->n, true, err));
    if (i >= 0) rates[i] = (double)s->n / split_stop(&timer, s, &all);
  }
  summarize(rates, repeats, result);
  result->amount = s->n;
  split_tell(&all, result->amount * (uint64_t)repeats, result);
  return ELLM_OK;
}

static ellm_status generate_rates(subject *s, const bench_job *job, bench_result *result, ellm_error *err) {
  double rates[BENCH_MAX_REPEATS];
  const uint64_t tokens = (uint64_t)s->n * s->n_sequences;
  const int repeats = repeats_of(job);
  split_timer all = {0};
  for (int i = -1; i < repeats; i++) {
    PROG_TRY(go_back(s, err));
    split_timer timer = split_start(s);
    for (uint32_t k = 0; k < s->n; k++) {
      if (cli_stopped()) return prog_failure(err, ELLM_INTERRUPTED, "interrupted");
      PROG_TRY(append(s, s->depth + k, 1, true, err));
      if (i < 0 && k == 3) break; /* enough to warm up: every block was checked */
    }
    if (i >= 0) rates[i] = (double)tokens / split_stop(&timer, s, &all);
  }
  summarize(rates, repeats, result);
  result->amount = tokens;
  split_tell(&all, result->amount * (uint64_t)repeats, result);
  return ELLM_OK;
}

/* Ids, logits, and sequences that hold `depth` tokens. */
static ellm_status subject_prepare(subject *s, const ellm_model_info *info, ellm_error *err) {
  const size_t all = (size_t)s->depth + s->n, pages = (all + ELLM_PAGE_POSITIONS - 1) / ELLM_PAGE_POSITIONS;
  s->ids = calloc(s->n_sequences, all * sizeof *s->ids);
  s->logits = calloc(s->n_sequences, info->vocab_size * sizeof *s->logits);
  if (!s->ids || !s->logits)
    return prog_failure_memory(err, s->n_sequences * (all + info->vocab_size) * sizeof *s->ids, "ids and logits");
  for (size_t i = 0; i < all * s->n_sequences; i++) s->ids[i] = some_id(i, info->vocab_size);
  PROG_TRY(ellm_model_reserve(s->model, (uint32_t)(pages * ELLM_PAGE_POSITIONS * s->n_sequences), err));
  for (uint32_t i = 0; i < s->n_sequences; i++) {
    PROG_TRY(ellm_sequence_create(s->model, &s->items[i].sequence, err));
    PROG_TRY(ellm_sequence_announce(s->items[i].sequence, (uint32_t)all, err));
    s->items[i].logits = s->logits + (size_t)i * info->vocab_size;
  }
  return append(s, 0, s->depth, false, err);
}

static ellm_status with_sequences(const bench_job *job, uint32_t n_sequences, uint32_t usual, rates_fn fn,
                                  bench_result *result, ellm_error *err) {
  subject s = {.n_sequences = n_sequences > 0 ? n_sequences : 1, .depth = job->depth};
  ellm_model_info info;
  ellm_model_options options;
  ellm_model_options_init(&options);
  options.threads = job->threads;
  options.activations = (ellm_activations)job->activations;
  options.cache_type = (ellm_cache_type)job->cache_type;
  options.load = job->load;
  options.expand = job->expand;
  options.team = cli_team_of_model();
  options.cache_positions = 1; /* what is reserved decides */
  PROG_TRY(ellm_model_open(job->model, &options, &s.model, err));
  ellm_status status = cli_team_check_model(s.model, job->model, err);
  ellm_model_get_info(s.model, &info);
  s.n = job->tokens > 0 ? job->tokens : usual < info.max_context ? usual : info.max_context;
  const size_t all = (size_t)s.depth + s.n;
  if (status == ELLM_OK && all > info.max_context)
    status = prog_failure(err, ELLM_ERR_USAGE, "%s: %zu tokens are more than the model's context of %u", job->model, all,
                         (unsigned)info.max_context);
  if (status == ELLM_OK) status = subject_prepare(&s, &info, err);
  if (status == ELLM_OK) status = fn(&s, job, result, err);
  for (uint32_t i = 0; i < s.n_sequences; i++) ellm_sequence_free(s.items[i].sequence);
  free(s.logits);
  free(s.ids);
  ellm_model_close(s.model);
  return status;
}

ellm_status bench_prompt(const bench_job *job, bench_result *result, ellm_error *err) {
  return with_sequences(job, 1, BENCH_PROMPT, prompt_rates, result, err);
}

ellm_status bench_generate(const bench_job *job, bench_result *result, ellm_error *err) {
  return with_sequences(job, job->sequences, BENCH_GENERATED, generate_rates, result, err);
}

/* -------------------------------------------------------------------- memory */

ellm_status bench_read(const bench_job *job, bench_result *result, ellm_error *err) {
  ellm_bench_read_options options;
  ellm_bench_ceiling ceiling;
  ellm_bench_read_options_init(&options);
  options.threads = job->threads;
  PROG_TRY(ellm_bench_read(&options, &ceiling, err));
  result->median = ceiling.speed.median;
  result->low = ceiling.speed.least;
  result->high = ceiling.speed.most;
  result->amount = options.bytes;
  return ELLM_OK;
}
