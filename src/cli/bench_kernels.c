/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entrollm bench kernels: what reading, decoding and decoding with product reach
 * on this machine, by layout, entropy, instruction set, threads and where the
 * blocks lie. The matrices are made for it, codes of normally distributed weights
 * at the entropies of the usual widths, or they are the largest of a .ellm file.
 *
 * One row is one measurement (ellm_bench_kernel). "ram": more coded bytes than caches
 * hold, read through; "cache": the same few blocks again and again.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/bench_kernels.h"
#include "cli/cli.h"

typedef struct source { double step; int bits; } source; /* entropies 1.4, 2.2, 3.0, 4.0, 5.5 */
enum { N_SOURCES = 5 };
static const source sources[N_SOURCES] = {{1.77, 4}, {0.95, 5}, {0.52, 6}, {0.26, 7}, {0.09, 8}};
/* Nearly one in 200 codes is beyond fields of 2 to 6 bits. */
static const source field_sources[N_SOURCES] = {{1.75, 4}, {0.755, 5}, {0.362, 6}, {0.179, 7}, {0.0895, 8}};

typedef struct coding { const char *name; ellm_prefer prefer; ellm_code code; const source *sources; } coding;
static const coding codings[] = {{"balanced", ELLM_PREFER_BALANCED, ELLM_CODE_HUFFMAN, sources},
                                 {"size", ELLM_PREFER_SIZE, ELLM_CODE_HUFFMAN, sources},
                                 {"none", ELLM_PREFER_BALANCED, ELLM_CODE_NONE, sources},
                                 {"fields", ELLM_PREFER_SPEED, ELLM_CODE_FIELDS, field_sources}};
enum { N_CODINGS = sizeof codings / sizeof codings[0] };

enum { MAX_TENSORS = 6, SCALAR_BLOCKS = 8 };

typedef enum op_choice { ALL_OPS = -1 } op_choice;
static const option_choice op_choices[] = {{"read", ELLM_BENCH_READ},
                                           {"decode", ELLM_BENCH_DECODE},
                                           {"dot", ELLM_BENCH_DOT},
                                           {"multiply", ELLM_BENCH_MULTIPLY},
                                           {NULL, 0}};

typedef struct row {
  ellm_bench_op op;
  const char *prefer;       /* NULL: of a file */
  char *tensor;             /* NULL: made here */
  char layout[12];
  const char *isa;
  int threads;
  int digits, tokens;       /* 0 where there are none */
  bool cached;
  double entropy, coded_bits;
  ellm_bench_speed speed;
  const ellm_bench_ceiling *ceiling; /* of reading */
} row;

/* What so many threads read, whatever is read: measured when it is first asked for. */
typedef struct ceiling { int threads; bool cached; ellm_bench_ceiling found; } ceiling;

typedef struct bench {
  cli_common common;
  int op, repeats, megabytes, tokens;
  const char *layout, *isa;
  row *rows;
  size_t n_rows, room;
  ceiling ceilings[4]; /* one thread and all, from memory and from cache */
  size_t n_ceilings;
} bench;

static void free_rows(bench *b) {
  for (size_t i = 0; i < b->n_rows; i++) free(b->rows[i].tensor);
  free(b->rows);
}

static ellm_status append_row(bench *b, const row *r, const char *tensor, ellm_error *err) {
  if (b->n_rows == b->room) {
    const size_t room = b->room > 0 ? 2 * b->room : 64;
    row *rows = realloc(b->rows, room * sizeof *rows);
    if (rows == NULL) return prog_failure_memory(err, room * sizeof *rows, "rows");
    b->rows = rows;
    b->room = room;
  }
  b->rows[b->n_rows] = *r;
  b->rows[b->n_rows].tensor = tensor ? strdup(tensor) : NULL;
  if (tensor && b->rows[b->n_rows].tensor == NULL) return prog_failure_memory(err, strlen(tensor), "a name");
  b->n_rows++;
  return ELLM_OK;
}

/* ---------------------------------------------------------------- measuring */

/* The row of a matrix that is read at the ceiling. */
static ellm_status measure_read(bench *b, row *r, ellm_error *err) {
  ceiling *c = b->ceilings;
  const ceiling *end = c + b->n_ceilings;
  while (c < end && (c->threads != r->threads || c->cached != r->cached)) c++;
  if (c == end) {
    ellm_bench_read_options options;
    ellm_bench_read_options_init(&options);
    options.bytes = (uint64_t)b->megabytes * 1000000;
    options.threads = r->threads;
    options.cached = r->cached;
    options.repeats = b->repeats;
    *c = (ceiling){.threads = r->threads, .cached = r->cached};
    PROG_TRY(ellm_bench_read(&options, &c->found, err));
    b->n_ceilings++;
  }
  const double scale = 8 / r->coded_bits; /* GB/s to G weights/s */
  r->ceiling = &c->found;
  r->speed = (ellm_bench_speed){c->found.speed.median * scale, c->found.speed.least * scale, c->found.speed.most * scale};
  return ELLM_OK;
}

static ellm_status measure_row(bench *b, const ellm_bench_matrix *matrix, row *r, const char *tensor,
                               ellm_error *err) {
  ellm_bench_job job;
  if (cli_stopped()) return prog_failure(err, ELLM_INTERRUPTED, "interrupted");
  if (!cli_quiet() && isatty(STDERR_FILENO))
    fprintf(stderr, "\r\033[K%s, %s, %.1f bits, %s, %d threads ...", option_choice_name(op_choices, (int)r->op),
            r->layout, r->entropy, r->isa, r->threads);
  r->ceiling = NULL;
  if (r->op == ELLM_BENCH_READ) {
    PROG_TRY(measure_read(b, r, err));
    return append_row(b, r, tensor, err);
  }
  ellm_bench_job_init(&job);
  job.op = r->op;
  job.isa = r->isa;
  job.threads = r->threads;
  if (r->digits) job.digits = r->digits;
  if (r->tokens) job.tokens = (uint32_t)r->tokens;
  job.cached = r->cached;
  job.max_blocks = strcmp(r->isa, "scalar") == 0 ? SCALAR_BLOCKS : 0;
  job.repeats = b->repeats;
  PROG_TRY(ellm_bench_kernel(matrix, &job, &r->speed, err));
  return append_row(b, r, tensor, err);
}

/* One thread and all, from memory and from cache. A matrix that caches hold is not in memory. */
static ellm_status measure_op(bench *b, const ellm_bench_matrix *matrix, row *r, const char *tensor, ellm_error *err) {
  const bool large = (double)ellm_bench_matrix_get_info(matrix)->coded_bytes >= 0.9e6 * b->megabytes;
  const int all = b->common.threads ? b->common.threads : ellm_cpu_count();
  for (int threads = 1;; threads = all) {
    r->threads = threads;
    for (int cached = large ? 0 : 1; cached < 2; cached++) {
      r->cached = cached != 0;
      PROG_TRY(measure_row(b, matrix, r, tensor, err));
    }
    if (threads >= all) return ELLM_OK;
  }
}

static bool wanted(const char *choice, const char *name) { return choice == NULL || strcmp(choice, name) == 0; }

/* Levels were called tuples once. */
static bool wanted_layout(const char *choice, const char *name) {
  return wanted(choice != NULL && strcmp(choice, "tuples") == 0 ? "levels" : choice, name);
}

static ellm_status measure_matrix(bench *b, const ellm_bench_matrix *matrix, const char *prefer, const char *tensor,
                                  ellm_error *err) {
  const ellm_bench_matrix_info *info = ellm_bench_matrix_get_info(matrix);
  row r = {.prefer = prefer, .entropy = info->entropy, .coded_bits = info->coded_bits};
  snprintf(r.layout, sizeof r.layout, "%s", info->layout);
  if (!wanted_layout(b->layout, r.layout)) return ELLM_OK;
  for (int op = ELLM_BENCH_READ; op <= ELLM_BENCH_MULTIPLY; op++) {
    if (b->op == ALL_OPS ? op == ELLM_BENCH_MULTIPLY : b->op != op) continue;
    r.op = (ellm_bench_op)op;
    r.digits = op < ELLM_BENCH_DOT ? 0 : b->common.activations == ELLM_ACTIVATIONS_I8 ? 1 : 2;
    r.tokens = op == ELLM_BENCH_MULTIPLY ? b->tokens : op == ELLM_BENCH_DOT;
    if (op == ELLM_BENCH_READ) { /* whatever is fastest */
      r.isa = ellm_isa();
      PROG_TRY(measure_op(b, matrix, &r, tensor, err));
      continue;
    }
    for (size_t i = 0; (r.isa = ellm_isa_at(i)) != NULL; i++)
      if (wanted(b->isa, r.isa)) PROG_TRY(measure_op(b, matrix, &r, tensor, err));
  }
  return ELLM_OK;
}

static ellm_status measure_normal(bench *b, const coding *c, const source *s, ellm_error *err) {
  ellm_bench_matrix *matrix;
  ellm_bench_matrix_options options;
  ellm_bench_matrix_options_init(&options);
  options.step = s->step;
  options.bits = s->bits;
  options.prefer = c->prefer;
  options.code = c->code;
  options.n_codes = 1; /* a small one first, for the bits per weight */
  PROG_TRY(ellm_bench_matrix_create(&options, &matrix, err));
  const ellm_bench_matrix_info *info = ellm_bench_matrix_get_info(matrix);
  const double bits = info->coded_bits;
  const bool skip = !wanted_layout(b->layout, info->layout);
  ellm_bench_matrix_free(matrix);
  if (skip) return ELLM_OK;
  options.n_codes = (uint64_t)(1e6 * b->megabytes * 8 / (bits < 1 ? 1 : bits));
  PROG_TRY(ellm_bench_matrix_create(&options, &matrix, err));
  const ellm_status status = measure_matrix(b, matrix, c->name, NULL, err);
  ellm_bench_matrix_free(matrix);
  return status;
}

/* -------------------------------------------------------------- of a file */

/* The largest quantized tensor that has not the shape of one of the n chosen; false if there is none. */
static bool next_tensor(const ellm_file *file, const size_t *chosen, size_t n, size_t *best) {
  ellm_tensor_info tensor, other;
  uint64_t most = 0;
  for (size_t i = 0; ellm_file_tensor(file, i, &tensor); i++) {
    bool known = tensor.kept || tensor.payload_bytes == 0;
    for (size_t j = 0; j < n; j++)
      known = known || (ellm_file_tensor(file, chosen[j], &other) && other.shape[0] == tensor.shape[0] &&
                        other.shape[1] == tensor.shape[1]);
    if (known || tensor.n_elements <= most) continue;
    most = tensor.n_elements;
    *best = i;
  }
  return most > 0;
}

static ellm_status measure_tensor(bench *b, const ellm_file *file, size_t index, ellm_error *err) {
  ellm_bench_matrix *matrix;
  ellm_tensor_info info;
  ellm_file_tensor(file, index, &info);
  PROG_TRY(ellm_bench_matrix_of_file(file, index, &matrix, err));
  const ellm_status status = measure_matrix(b, matrix, NULL, info.name, err);
  ellm_bench_matrix_free(matrix);
  return status;
}

/* The largest coded tensors of different shape. */
static ellm_status measure_file(bench *b, const char *path, ellm_error *err) {
  ellm_file *file = NULL;
  size_t chosen[MAX_TENSORS], n = 0;
  PROG_TRY(ellm_file_open(path, &file, err));
  while (n < MAX_TENSORS && next_tensor(file, chosen, n, &chosen[n])) n++;
  ellm_status status =
      n > 0 ? ELLM_OK : prog_failure(err, ELLM_ERR_INPUT, "%s: there are no quantized weights", path);
  for (size_t i = 0; status == ELLM_OK && i < n; i++) status = measure_tensor(b, file, chosen[i], err);
  ellm_file_close(file);
  return status;
}

/* ------------------------------------------------------------------ output */

static json_t *speed_json(const ellm_bench_speed *speed, double factor) {
  return json_pack("{s:f, s:f, s:f}", "median", speed->median * factor, "min", speed->least * factor, "max",
                   speed->most * factor);
}

static const char *digits_name(const row *r) { return r->digits == 0 ? NULL : r->digits == 1 ? "i8" : "i16"; }

static const char *pages_name(const ellm_bench_ceiling *c) { return c->huge_pages ? "huge" : "4 KiB"; }

static json_t *row_json(const row *r) {
  json_t *json = json_pack("{s:s, s:s, s:s?, s:s?, s:s, s:i, s:f, s:f, s:s, s:s?}", "op",
                           option_choice_name(op_choices, (int)r->op), "layout", r->layout, "prefer", r->prefer,
                           "tensor", r->tensor, "isa", r->isa, "threads", r->threads, "entropy", r->entropy,
                           "coded_bits", r->coded_bits, "source", r->cached ? "cache" : "ram", "activations",
                           digits_name(r));
  bool ok = json_object_set_new(json, "gweights_per_s", speed_json(&r->speed, 1)) == 0 &&
            json_object_set_new(json, "gbytes_per_s", speed_json(&r->speed, r->coded_bits / 8)) == 0;
  if (ok && r->op == ELLM_BENCH_MULTIPLY) {
    ok = json_object_set_new(json, "tokens", json_integer((json_int_t)r->tokens)) == 0 &&
         json_object_set_new(json, "gproducts_per_s", speed_json(&r->speed, r->tokens)) == 0;
  }
  if (ok && r->ceiling != NULL) {
    ok = json_object_set_new(json, "loop", json_string(r->ceiling->loop)) == 0 &&
         json_object_set_new(json, "pages", json_string(pages_name(r->ceiling))) == 0;
  }
  if (ok) return json;
  json_decref(json);
  return NULL;
}

static int print_rows(const bench *b) {
  if (b->common.json) {
    json_t *rows = json_array();
    for (size_t i = 0; i < b->n_rows; i++) cli_json_append(&rows, row_json(&b->rows[i]));
    return cli_print_json(json_pack("{s:s, s:i, s:o}", "isa", ellm_isa(), "cpus", ellm_cpu_count(), "rows",
                                    rows));
  }
  printf("%-8s %-8s %-6s %7s %6s %-7s %-6s %7s  %-11s  %-15s %7s\n", "op", "layout", "prefer", "entropy", "bits", "isa",
         "source", "threads", "G weights/s", "least - most", "GB/s");
  for (size_t i = 0; i < b->n_rows; i++) {
    const row *r = &b->rows[i];
    char op[16], range[32];
    snprintf(op, sizeof op, "%s%s%s", r->op == ELLM_BENCH_MULTIPLY ? "mul" : option_choice_name(op_choices, (int)r->op),
             r->digits ? " " : "", r->digits ? digits_name(r) : "");
    snprintf(range, sizeof range, "%.2f - %.2f", r->speed.least, r->speed.most);
    printf("%-8s %-8s %-6s %7.2f %6.3f %-7s %-6s %7d  %11.2f  %-15s %7.2f%s%s\n", op, r->layout,
           r->prefer ? r->prefer : "-", r->entropy, r->coded_bits, r->isa, r->cached ? "cache" : "ram", r->threads,
           r->speed.median, range, r->speed.median * r->coded_bits / 8, r->tensor ? "  " : "",
           r->tensor ? r->tensor : "");
  }
  for (size_t i = 0; i < b->n_ceilings; i++) {
    const ceiling *c = &b->ceilings[i];
    printf("%sread, %d thread%s, %s: %.2f GB/s (%s%s)\n", i == 0 ? "\n" : "", c->threads, c->threads == 1 ? "" : "s",
           c->cached ? "cache" : "ram", c->found.speed.median, c->found.loop,
           c->cached ? "" : c->found.huge_pages ? ", huge pages" : ", pages of 4 KiB");
  }
  return ELLM_OK;
}

int cmd_bench_kernels(int argc, char **argv) {
  bench b = {.op = ALL_OPS, .repeats = 5, .megabytes = 160, .tokens = 128, .isa = getenv("ENTROLLM_ISA")};
  option options[] = {
      OPT_SUGGEST("model", 'm', &b.common.model, "FILE", SUGGEST_ELLM,
                  "use the largest tensors of this .ellm file, not made-up ones"),
      CLI_OPTION_THREADS(b.common),
      CLI_OPTION_ACTIVATIONS(b.common),
      OPT_CHOICE("op", 0, &b.op, op_choices, "OP",
                 "only read, decode, dot (decode and multiply by one token) or\nmultiply (by many tokens)"),
      OPT_SUGGEST("layout", 0, &b.layout, "LAYOUT", "huffman levels fields plain4 plain8",
                  "only huffman, levels, fields, plain4 or plain8"),
      OPT_INT("tokens", 0, &b.tokens, 1, ELLM_BENCH_TOKENS, "N", "tokens of multiply (default 128)"),
      OPT_INT("megabytes", 0, &b.megabytes, 1, 65536, "N",
              "MB of the coded matrix; should exceed the caches (default 160)"),
      OPT_INT("repeats", 0, &b.repeats, 1, ELLM_BENCH_REPEATS, "N", "repetitions of each measurement (default 5)"),
      CLI_OPTION_JSON(b.common),
      CLI_OPTION_QUIET(b.common)};
  option_table table = {
      .command = "bench kernels",
      .synopsis = "[options]",
      .about = "Measure the kernels on this machine: reading, decoding, and decoding with multiplication, in G (10^9)\n"
               "weights per second. The codes are those of normally distributed weights, with entropies of 1.4 to 5.5\n"
               "bits. The table has a row for each layout, instruction set, number of threads, and place (cache or\n"
               "memory). ENTROLLM_ISA limits it to one instruction set. For reading, the fastest of several loops\n"
               "counts, in small and in huge pages; the table names it.",
      .options = options,
      .n_options = sizeof options / sizeof *options};
  int result = cli_parse(&table, argc, argv, &b.common);
  if (result >= 0) return result;
  ellm_error err;
  if (b.isa != NULL && *b.isa == '\0') b.isa = NULL;
  if (b.common.activations == ELLM_ACTIVATIONS_F32)
    return cli_error(ELLM_ERR_USAGE, "bench kernels: --activations i8 or i16");
  ellm_status status = ELLM_OK;
  if (b.common.model != NULL) {
    status = cli_find_model(&b.common.model, &err);
    if (status == ELLM_OK) status = measure_file(&b, b.common.model, &err);
  } else {
    for (size_t c = 0; c < N_CODINGS; c++)
      for (size_t s = 0; status == ELLM_OK && s < N_SOURCES; s++)
        status = measure_normal(&b, &codings[c], &codings[c].sources[s], &err);
  }
  if (!cli_quiet() && isatty(STDERR_FILENO)) fprintf(stderr, "\r\033[K");
  result = status == ELLM_OK ? print_rows(&b) : cli_fail(&err);
  free_rows(&b);
  return result;
}
