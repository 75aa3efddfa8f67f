/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entrollm bench: what this machine does with a model, as a table or as JSON.
 * From a checkpoint folder: full precision and its .ellm files, made in a
 * temporary folder; from a .ellm file: that file alone.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/bench_advise.h"
#include "cli/bench_compress.h"
#include "cli/bench_kernels.h"
#include "cli/bench_measure.h"
#include "cli/bench_model.h"
#include "cli/cli.h"
#include "cli/team.h"

enum { MAX_ROWS = 64 };

typedef struct row {
  const char *test; /* compress, decode, prompt, generate */
  const char *unit;
  char what[24]; /* "full precision", "8 bits", "file" */
  int threads;
  bench_result result;
  uint64_t file_bytes;
} row;

typedef struct bench {
  cli_common common;
  char *model;
  char dir[400], file[2][440];
  row rows[MAX_ROWS];
  size_t n_rows;
  int threads;
} bench;

static ellm_status add_row(bench *b, bench_fn fn, const char *test, const char *unit, const char *what,
                           const bench_job *job, ellm_error *err) {
  row *r = &b->rows[b->n_rows];
  if (b->n_rows == MAX_ROWS) return prog_failure(err, ELLM_ERR_INTERNAL, "too many rows");
  *r = (row){.test = test, .unit = unit, .threads = job->threads};
  snprintf(r->what, sizeof r->what, "%s", what);
  if (!cli_quiet() && isatty(STDERR_FILENO))
    fprintf(stderr, "\r\033[K%s, %s, %d threads ...", test, what, job->threads);
  PROG_TRY(bench_measure(fn, job, &r->result, err));
  r->file_bytes = cli_model_bytes(fn == bench_compress ? job->out : job->model);
  b->n_rows++;
  return ELLM_OK;
}

/* 1, 2, 4, ... and all. */
static int next_threads(int now, int all) { return now >= all ? 0 : now * 2 < all ? now * 2 : all; }

static ellm_status measure_model(bench *b, const char *path, const char *what, bool coded, ellm_error *err) {
  bench_job job = {.model = path, .threads = b->threads};
  if (coded) job.activations = b->common.activations; /* folders run with floats only */
  for (int t = 1; coded && t > 0; t = next_threads(t, b->threads)) {
    job.threads = t;
    PROG_TRY(add_row(b, bench_decode, "decode", "G weights/s", what, &job, err));
  }
  job.threads = b->threads;
  PROG_TRY(add_row(b, bench_prompt, "prompt", "tokens/s", what, &job, err));
  for (int t = 1; t > 0; t = next_threads(t, b->threads)) {
    job.threads = t;
    PROG_TRY(add_row(b, bench_generate, "generate", "tokens/s", what, &job, err));
  }
  return ELLM_OK;
}

static ellm_status measure_folder(bench *b, ellm_error *err) {
  static const int widths[2] = {8, 4};
  for (int i = 0; i < 2; i++) {
    char what[24];
    bench_job job = {.model = b->model, .out = b->file[i], .bits = widths[i], .threads = b->threads};
    snprintf(what, sizeof what, "%d bits", widths[i]);
    PROG_TRY(add_row(b, bench_compress, "compress", "MB/s", what, &job, err));
  }
  PROG_TRY(measure_model(b, b->model, "full precision", false, err));
  PROG_TRY(measure_model(b, b->file[0], "8 bits", true, err));
  return measure_model(b, b->file[1], "4 bits", true, err);
}

static ellm_status make_folder(bench *b, ellm_error *err) {
  const char *parent = cli_temporary_folder();
  if (strlen(parent) > sizeof b->dir - 32) return prog_failure(err, ELLM_ERR_USAGE, "TMPDIR is too long");
  snprintf(b->dir, sizeof b->dir, "%s/entrollm-bench-XXXXXX", parent);
  if (!mkdtemp(b->dir)) {
    int code = errno;
    b->dir[0] = '\0';
    return prog_failure_errno(err, code, "create a folder in", parent);
  }
  for (int i = 0; i < 2; i++) snprintf(b->file[i], sizeof b->file[i], "%s/%d.ellm", b->dir, i == 0 ? 8 : 4);
  return ELLM_OK;
}

static void remove_folder(const bench *b) {
  char partial[460];
  for (int i = 0; b->dir[0] && i < 2; i++) {
    snprintf(partial, sizeof partial, "%s.partial", b->file[i]);
    unlink(b->file[i]);
    unlink(partial);
  }
  if (b->dir[0]) rmdir(b->dir);
}

static int print_rows(const bench *b) {
  if (b->common.json) {
    json_t *rows = json_array();
    for (size_t i = 0; i < b->n_rows; i++) {
      const row *r = &b->rows[i];
      cli_json_append(&rows,
                            json_pack("{s:s, s:s, s:i, s:s, s:{s:f, s:f, s:f}, s:I, s:I}", "test", r->test, "model",
                                      r->what, "threads", r->threads, "unit", r->unit, "value", "median",
                                      r->result.median, "min", r->result.low, "max", r->result.high, "peak_rss_bytes",
                                      (json_int_t)r->result.peak_bytes, "file_bytes", (json_int_t)r->file_bytes));
    }
    return cli_print_json(json_pack("{s:o, s:s, s:i, s:o}", "model", cli_json_text(b->model, strlen(b->model)), "isa",
                                    ellm_isa(), "cpus", ellm_cpu_count(), "rows", rows));
  }
  printf("%s, instruction set %s, %d usable cores\n\n", b->model, ellm_isa(), ellm_cpu_count());
  printf("%-9s %-15s %7s %10s  %-11s  %-19s %11s %10s\n", "test", "model", "threads", "median", "unit", "least - most",
         "peak memory", "size");
  for (size_t i = 0; i < b->n_rows; i++) {
    const row *r = &b->rows[i];
    char peak[24], size[24], range[48];
    snprintf(range, sizeof range, "%.4g - %.4g", r->result.low, r->result.high);
    printf("%-9s %-15s %7d %10.4g  %-11s  %-19s %11s %10s\n", r->test, r->what, r->threads, r->result.median, r->unit,
           range, cli_size_text(r->result.peak_bytes, peak), cli_size_text(r->file_bytes, size));
  }
  return ELLM_OK;
}

static const cli_command commands[] = {
    {"advise", cmd_bench_advise, "which way of compressing suits a machine"},
    {"compress", cmd_bench_compress, "make a file with the shape of a model that you do not have"},
    {"kernels", cmd_bench_kernels, "measure only the kernels"},
    {"model", cmd_bench_model, "measure one model in detail"},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

int cmd_bench(int argc, char **argv) {
  if (cli_team_of_model() != NULL && (argc < 2 || strcmp(argv[1], "model") != 0))
    return cli_error(ELLM_ERR_USAGE, "bench: only bench model runs with several processes");
  for (size_t i = 0; argc > 1 && i < N_COMMANDS; i++)
    if (strcmp(argv[1], commands[i].name) == 0) return commands[i].run(argc - 1, argv + 1);
  bench b = {0};
  option options[] = {CLI_OPTION_MODEL(b.common), CLI_OPTION_THREADS(b.common), CLI_OPTION_ACTIVATIONS(b.common),
                      CLI_OPTION_JSON(b.common), CLI_OPTION_QUIET(b.common)};
  option_table table = {
      .command = "bench",
      .synopsis = "[advise | compress | kernels | model] [-m MODEL] [options]",
      .about = "Measure this machine: compressing (MB of source per second), "
               "decoding (G weights per second, by number\n"
               "of threads), reading a prompt and generating (tokens per second), and peak memory. Medians of five.\n"
               "'entrollm bench model' measures one model in more detail, and "
               "'entrollm bench kernels' only the kernels.\n"
               "'entrollm bench compress' makes a file with the shape of a model whose weights you do not have.\n"
               "'entrollm bench advise' says which way of compressing suits a machine.",
      .options = options,
      .n_options = sizeof options / sizeof *options,
      .commands = commands,
      .n_commands = N_COMMANDS};
  int result = cli_parse(&table, argc, argv, &b.common);
  if (result >= 0) return result;
  ellm_error err;
  b.threads = b.common.threads ? b.common.threads : ellm_cpu_count();
  ellm_status status = cli_model_path(&b.common, &b.model, &err);
  if (status == ELLM_OK && cli_is_directory(b.model)) {
    status = make_folder(&b, &err);
    if (status == ELLM_OK) status = measure_folder(&b, &err);
    remove_folder(&b);
  } else if (status == ELLM_OK) status = measure_model(&b, b.model, "file", true, &err);
  if (!cli_quiet() && isatty(STDERR_FILENO)) fprintf(stderr, "\r\033[K");
  result = status == ELLM_OK ? print_rows(&b) : cli_fail(&err);
  free(b.model);
  return result;
}
