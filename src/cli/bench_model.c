/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entrollm bench model: reading a prompt and generating with one model, by number
 * of threads, of tokens that the context holds already, and of sequences together. Every row is measured
 * in a process of its own (cli/bench_measure.h).
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/bench_measure.h"
#include "cli/bench_model.h"
#include "cli/cli.h"
#include "cli/team.h"

enum { MAX_LIST = 16, MAX_ROWS = (MAX_LIST + 1) * MAX_LIST * MAX_LIST };

typedef struct row {
  const char *test; /* "prompt", "generate" */
  uint32_t tokens, depth, sequences; /* tokens and depth: of each sequence */
  int threads;
  bench_result result;
  double read; /* GB/s that so many threads read from memory */
} row;

typedef struct bench {
  cli_common common;
  int prompt, generated, repeats;
  const char *depths, *threads_text, *sequences_text;
  bool csv, markdown;
  char *model;
  uint64_t file_bytes, token_bytes;
  uint32_t depth[MAX_LIST], sequences[MAX_LIST];
  int threads[MAX_LIST];
  size_t n_depths, n_sequences, n_threads, n_rows;
  row *rows; /* [MAX_ROWS] */
} bench;

/* The share of its experts that a token reads, as config.json says; 1 without experts. */
static double share_of_experts(const ellm_file *file) {
  static const char *const counts[] = {"num_experts", "num_local_experts"};
  size_t bytes = 0;
  const void *text = ellm_file_asset(file, "config.json", &bytes);
  json_t *config = text != NULL ? json_loadb(text, bytes, 0, NULL) : NULL;
  const double used = json_number_value(json_object_get(config, "num_experts_per_tok"));
  double n = 0;
  for (size_t i = 0; i < 2 && n == 0; i++) n = json_number_value(json_object_get(config, counts[i]));
  json_decref(config);
  return used > 0 && used < n ? used / n : 1;
}

/* Bytes of matrices that one token reads: all of them, but of an embedding that is not the head one row only, and of
 * experts those that it chooses. */
static uint64_t bytes_a_token(const char *path) {
  ellm_file *file = NULL;
  uint64_t bytes = 0;
  if (cli_is_directory(path)) return cli_model_bytes(path);
  if (ellm_file_open(path, &file, NULL) != ELLM_OK) return 0;
  ellm_tensor_info info;
  bool untied = false;
  for (size_t i = 0; ellm_file_tensor(file, i, &info); i++) untied = untied || strcmp(info.name, "lm_head.weight") == 0;
  const double experts = share_of_experts(file);
  for (size_t i = 0; ellm_file_tensor(file, i, &info); i++) {
    if (untied && strcmp(info.name, "model.embed_tokens.weight") == 0) continue;
    const bool expert = strstr(info.name, ".experts.") != NULL;
    bytes += expert ? (uint64_t)((double)info.stored_bytes * experts) : info.stored_bytes;
  }
  ellm_file_close(file);
  return bytes;
}

/* "1,2,4" to numbers from low to high. */
static int parse_list(const char *text, const char *what, uint32_t low, uint32_t high, uint32_t list[MAX_LIST],
                      size_t *n) {
  uint32_t *values = NULL;
  size_t count = 0;
  int status = options_parse_ids(text, strlen(text), what, ELLM_ERR_USAGE, &values, &count);
  if (status != 0) return status;
  if (count < 1 || count > MAX_LIST)
    status = cli_error(ELLM_ERR_USAGE, "bench model: %s takes 1 to %d numbers", what, MAX_LIST);
  for (size_t i = 0; status == 0 && i < count; i++) {
    if (values[i] < low || values[i] > high)
      status = cli_error(ELLM_ERR_USAGE, "bench model: %s: %u is not in %u..%u", what, (unsigned)values[i],
                         (unsigned)low, (unsigned)high);
    list[i] = values[i];
  }
  *n = count;
  free(values);
  return status;
}

static void show_progress(const row *r) {
  if (!cli_quiet() && isatty(STDERR_FILENO))
    fprintf(stderr, "\r\033[K%s, depth %u, %u sequences, %d threads ...", r->test, (unsigned)r->depth,
            (unsigned)r->sequences, r->threads);
}

/* One row, unless it has no tokens. */
static ellm_status measure_row(bench *b, bench_job *job, row r, bench_fn fn, ellm_error *err) {
  if (r.tokens == 0) return ELLM_OK;
  job->tokens = r.tokens;
  job->depth = r.depth;
  job->sequences = r.sequences;
  show_progress(&r);
  PROG_TRY(bench_measure(fn, job, &r.result, err));
  b->rows[b->n_rows++] = r;
  return ELLM_OK;
}

/* What memory gives so many threads, into the rows from `first` on. Measured before and after them: what else a machine
 * does changes, and rows are compared with the better moment. */
static ellm_status measure_read(bench *b, const bench_job *job, size_t first, double *before, ellm_error *err) {
  bench_result read;
  show_progress(&(row){.test = "memory", .threads = job->threads});
  PROG_TRY(bench_measure(bench_read, job, &read, err));
  if (read.median > *before) *before = read.median;
  for (size_t i = first; i < b->n_rows; i++) b->rows[i].read = *before;
  return ELLM_OK;
}

static ellm_status measure(bench *b, ellm_error *err) {
  for (size_t t = 0; t < b->n_threads; t++) {
    bench_job job = {.model = b->model, .threads = b->threads[t], .activations = b->common.activations,
                     .cache_type = b->common.cache_type,
                     .repeats = b->repeats,
                     .load = b->common.load,
                     .expand = b->common.expand};
    const size_t first = b->n_rows;
    double read = 0;
    PROG_TRY(measure_read(b, &job, first, &read, err));
    for (size_t d = 0; d < b->n_depths; d++) {
      row r = {.test = "prompt", .tokens = (uint32_t)b->prompt, .depth = b->depth[d], .sequences = 1,
               .threads = job.threads};
      PROG_TRY(measure_row(b, &job, r, bench_prompt, err));
      r.test = "generate";
      r.tokens = (uint32_t)b->generated;
      for (size_t i = 0; i < b->n_sequences; i++) {
        r.sequences = b->sequences[i];
        PROG_TRY(measure_row(b, &job, r, bench_generate, err));
      }
    }
    PROG_TRY(measure_read(b, &job, first, &read, err));
  }
  return ELLM_OK;
}

/* Coded GB a second: of generation, where a token of all sequences together reads all matrices as the file has them. */
static double coded_rate(const bench *b, const row *r) {
  if (b->common.expand) return 0;
  return strcmp(r->test, "generate") == 0 ? r->result.median / r->sequences * (double)b->token_bytes / 1e9 : 0;
}

static int print_json(const bench *b) {
  json_t *rows = json_array();
  for (size_t i = 0; i < b->n_rows; i++) {
    const row *r = &b->rows[i];
    const double rate = coded_rate(b, r);
    cli_json_append(
        &rows, json_pack("{s:s, s:I, s:I, s:I, s:i, s:{s:f, s:f, s:f}, s:o, s:o, s:f, s:f, s:f, s:I, s:I}", "test", r->test,
                        "tokens", (json_int_t)r->tokens, "depth", (json_int_t)r->depth, "sequences",
                        (json_int_t)r->sequences, "threads", r->threads, "tokens_per_s",
                        "median", r->result.median, "min", r->result.low, "max", r->result.high, "coded_gbytes_per_s",
                        rate > 0 ? json_real(rate) : json_null(), "share_of_read_bandwidth",
                        rate > 0 ? json_real(rate / r->read) : json_null(), "products_share",
                        r->result.products, "gathering_share", r->result.gathering, "sent_bytes_a_token", r->result.sent,
                        "peak_rss_bytes",
                        (json_int_t)r->result.peak_bytes, "file_bytes", (json_int_t)b->file_bytes));
  }
  return cli_print_json(json_pack("{s:o, s:s, s:i, s:I, s:o}", "model", cli_json_text(b->model, strlen(b->model)), "isa",
                                  ellm_isa(), "cpus", ellm_cpu_count(), "bytes_a_token", (json_int_t)b->token_bytes,
                                  "rows", rows));
}

static int print_csv(const bench *b) {
  printf("test,tokens,depth,sequences,threads,tokens_per_s,min,max,coded_gbytes_per_s,share_of_read_bandwidth,"
         "products_share,peak_rss_bytes,file_bytes,gathering_share,sent_bytes_a_token\n");
  for (size_t i = 0; i < b->n_rows; i++) {
    const row *r = &b->rows[i];
    const double rate = coded_rate(b, r);
    printf("%s,%u,%u,%u,%d,%.5g,%.5g,%.5g,", r->test, (unsigned)r->tokens, (unsigned)r->depth,
           (unsigned)r->sequences, r->threads, r->result.median, r->result.low, r->result.high);
    if (rate > 0) printf("%.5g,%.5g,", rate, rate / r->read);
    else printf(",,");
    printf("%.5g,%llu,%llu,%.5g,%.5g\n", r->result.products, (unsigned long long)r->result.peak_bytes,
           (unsigned long long)b->file_bytes, r->result.gathering, r->result.sent);
  }
  return ELLM_OK;
}

/* What several processes cost each other. */
static void print_team(const bench *b) {
  printf("\n%u processes; figures of rank 0:\n", (unsigned)cli_team_of_model()->n_ranks);
  for (size_t i = 0; i < b->n_rows; i++) {
    const row *r = &b->rows[i];
    printf("%-9s depth %6u, %3u sequences: %.3g kB sent per token, %.1f %% of the time in gathering\n", r->test,
           (unsigned)r->depth, (unsigned)r->sequences, r->result.sent / 1000, 100 * r->result.gathering);
  }
}

static int print_table(const bench *b) {
  const char *bar = b->markdown ? "|" : "";
  char token[24];
  if (!b->markdown)
    printf("%s, instruction set %s, %d usable cores; a token reads %s\n\n", b->model, ellm_isa(), ellm_cpu_count(),
           cli_size_text(b->token_bytes, token));
  printf("%s%-9s %s %6s %s %6s %s %9s %s %7s %s %9s %s %-17s %s %10s %s %7s %s %8s %s %11s %s %9s %s\n", bar, "test",
         bar, "tokens", bar, "depth", bar, "sequences", bar, "threads", bar, "tokens/s", bar, "least - most", bar,
         "coded GB/s", bar, "of read", bar, "products", bar, "peak memory", bar, "file", bar);
  if (b->markdown) printf("|---|---|---|---|---|---|---|---|---|---|---|---|\n");
  for (size_t i = 0; i < b->n_rows; i++) {
    const row *r = &b->rows[i];
    const double rate = coded_rate(b, r);
    char peak[24], size[24], range[48], speed[24] = "", share[24] = "", products[24];
    snprintf(products, sizeof products, "%.1f %%", 100 * r->result.products);
    snprintf(range, sizeof range, "%.4g - %.4g", r->result.low, r->result.high);
    if (rate > 0) {
      snprintf(speed, sizeof speed, "%.3g", rate);
      snprintf(share, sizeof share, "%.0f %%", 100 * rate / r->read);
    }
    printf("%s%-9s %s %6u %s %6u %s %9u %s %7d %s %9.4g %s %-17s %s %10s %s %7s %s %8s %s %11s %s %9s %s\n", bar,
           r->test, bar, (unsigned)r->tokens, bar, (unsigned)r->depth, bar, (unsigned)r->sequences, bar, r->threads,
           bar, r->result.median, bar, range, bar, speed, bar, share, bar, products, bar,
           cli_size_text(r->result.peak_bytes, peak), bar,
           cli_size_text(b->file_bytes, size), bar);
  }
  if (cli_team_of_model() != NULL) print_team(b);
  return ELLM_OK;
}

static int parse_lists(bench *b) {
  uint32_t threads[MAX_LIST];
  int result = parse_list(b->depths, "-d", 0, 1 << 30, b->depth, &b->n_depths);
  if (result == 0)
    result = parse_list(b->sequences_text, "--sequences", 1, BENCH_MAX_SEQUENCES, b->sequences, &b->n_sequences);
  if (result != 0) return result;
  if (b->threads_text == NULL) {
    b->threads[0] = ellm_cpu_count();
    b->n_threads = 1;
    return 0;
  }
  result = parse_list(b->threads_text, "-t", 1, 1024, threads, &b->n_threads);
  for (size_t i = 0; result == 0 && i < b->n_threads; i++) b->threads[i] = (int)threads[i];
  return result;
}

int cmd_bench_model(int argc, char **argv) {
  bench b = {.prompt = 512, .generated = 64, .repeats = 5, .depths = "0", .sequences_text = "1"};
  option options[] = {
      CLI_OPTION_MODEL(b.common),
      OPT_INT("prompt", 'p', &b.prompt, 0, 1 << 20, "N", "tokens of the prompt (default 512); 0: not measured"),
      OPT_INT("tokens", 'n', &b.generated, 0, 1 << 20, "N", "tokens to generate (default 64); 0: not measured"),
      OPT_TEXT("depth", 'd', &b.depths, "LIST", "tokens that are already in the context, such as 0,512 (default 0)"),
      OPT_TEXT("sequences", 0, &b.sequences_text, "LIST",
               "sequences that are generated together, such as 1,8 (default 1);\nthe rate is that of all of them"),
      OPT_TEXT("threads", 't', &b.threads_text, "LIST", "threads, such as 1,2 (default: all usable cores)"),
      OPT_INT("repeats", 0, &b.repeats, 1, BENCH_MAX_REPEATS, "N",
              "repetitions of each measurement, after one to warm up (default 5)"),
      CLI_OPTION_ACTIVATIONS(b.common),
      CLI_OPTION_KV_CACHE(b.common),
      OPT_FLAG("load", 0, &b.common.load, "copy the file into memory with huge pages first"),
      OPT_FLAG("expand", 0, &b.common.expand, "decode all weights first, into plain codes in memory"),
      CLI_OPTION_JSON(b.common),
      OPT_FLAG("csv", 0, &b.csv, "print comma-separated values"),
      OPT_FLAG("md", 0, &b.markdown, "print a Markdown table"),
      CLI_OPTION_QUIET(b.common)};
  option_table table = {
      .command = "bench model",
      .synopsis = "[-m MODEL] [options]",
      .about = "Measure how a model reads a prompt and generates: tokens per "
               "second (median, least, most); coded bytes\n"
               "per second, and their share of what memory delivers to the same number of threads; the share of the\n"
               "time that matrix products take; and peak memory.",
      .options = options,
      .n_options = sizeof options / sizeof *options};
  int result = cli_parse(&table, argc, argv, &b.common);
  if (result >= 0) return result;
  if (b.common.json + b.csv + b.markdown > 1)
    return cli_error(ELLM_ERR_USAGE, "bench model: --json, --csv and --md cannot be used together");
  result = parse_lists(&b);
  if (result != 0) return result;
  ellm_error err;
  b.rows = calloc(MAX_ROWS, sizeof *b.rows);
  if (b.rows == NULL) return cli_error(ELLM_ERR_IO, "out of memory");
  ellm_status status = cli_model_path(&b.common, &b.model, &err);
  if (status == ELLM_OK) {
    b.file_bytes = cli_model_bytes(b.model);
    b.token_bytes = bytes_a_token(b.model);
    status = measure(&b, &err);
  }
  if (!cli_quiet() && isatty(STDERR_FILENO)) fprintf(stderr, "\r\033[K");
  if (status != ELLM_OK) result = cli_fail(&err);
  else result = b.common.json ? print_json(&b) : b.csv ? print_csv(&b) : print_table(&b);
  free(b.model);
  free(b.rows);
  return result;
}
