/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entrollm bench advise: which preference of compress gives how many tokens per second on a machine, at which size, and
 * what to type for the best of them. The library measures or models (ellm_bench_advise); this prints.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/bench_advise.h"
#include "cli/bench_shape.h"
#include "cli/cli.h"
#include "cli/target.h"

static const option_choice machines[] = {{"avx2", ELLM_MACHINE_AVX2},
                                         {"avx512", ELLM_MACHINE_AVX512},
                                         {"neon", ELLM_MACHINE_NEON},
                                         {NULL, 0}};
/* Clocks of usual machines of these classes. */
static const double usual_ghz[] = {[ELLM_MACHINE_AVX2] = 3.2, [ELLM_MACHINE_AVX512] = 3.5, [ELLM_MACHINE_NEON] = 2.0};

typedef struct request {
  cli_common common;
  const char *shape;
  int bits, cores, machine;
  double bandwidth, ghz;
} request;

typedef struct result {
  const request *request;
  const ellm_bench_advice *advice;
  const char *what;  /* the model or the shape */
  bool file;         /* a .ellm file: codes of its own */
  char *quality;     /* "entrollm.quality" of the file; malloc'ed, or NULL */
} result;

/* ----------------------------------------------------------------- choices */

static const ellm_bench_advice_speed *best_speed(const result *r, const ellm_bench_advice_row *row) {
  const ellm_bench_advice_speed *best = row->speeds;
  for (size_t t = 1; t < r->advice->n_threads; t++)
    if (row->speeds[t].tokens_per_s > best->tokens_per_s) best = &row->speeds[t];
  return best;
}

static bool is_plain(const ellm_bench_advice_row *row) { return strcmp(row->code, "plain") == 0; }

/* The fastest row of a width, or the one of fewest bits. */
static const ellm_bench_advice_row *choose(const result *r, int bits, bool fastest) {
  const ellm_bench_advice_row *best = NULL;
  for (size_t i = 0; i < r->advice->n_rows; i++) {
    const ellm_bench_advice_row *row = &r->advice->rows[i];
    if (row->bits != bits) continue;
    if (best == NULL || (fastest ? best_speed(r, row)->tokens_per_s > best_speed(r, best)->tokens_per_s
                                 : row->bits_a_weight < best->bits_a_weight))
      best = row;
  }
  return best;
}

/* What to type for a row. */
static void flags_of(const result *r, const ellm_bench_advice_row *row, char *text, size_t room) {
  char width[24] = "";
  if (row->bits > 0) snprintf(width, sizeof width, " --bits %d", row->bits);
  const char *isa = option_choice_name(machines, (int)r->advice->machine);
  if (strcmp(row->code, "file") == 0) snprintf(text, room, "run (the file as it is)");
  else if (is_plain(row) && r->file) snprintf(text, room, "run --expand");
  else if (is_plain(row)) snprintf(text, room, "compress%s --code none", width);
  else if (strcmp(row->code, "speed") == 0) snprintf(text, room, "compress%s --prefer speed --for %s", width, isa);
  else snprintf(text, room, "compress%s --prefer %s", width, row->code);
}

static const char *bound_of(const ellm_bench_advice_speed *speed) {
  return speed->memory < speed->decoding ? "memory" : "decoding";
}

/* -------------------------------------------------------------------- JSON */

static json_t *speeds_json(const result *r, const ellm_bench_advice_row *row) {
  json_t *all = json_array();
  for (size_t t = 0; t < r->advice->n_threads; t++) {
    const ellm_bench_advice_speed *s = &row->speeds[t];
    cli_json_append(&all, json_pack("{s:i, s:f, s:f, s:f, s:f, s:s}", "threads", s->threads, "tokens_per_s",
                                    s->tokens_per_s, "memory_tokens_per_s", s->memory, "decoding_tokens_per_s",
                                    s->decoding, "share_of_read_bandwidth", s->tokens_per_s / s->memory, "bound",
                                    bound_of(s)));
  }
  return all;
}

static json_t *row_json(const result *r, const ellm_bench_advice_row *row) {
  char flags[96];
  flags_of(r, row, flags, sizeof flags);
  return json_pack("{s:s, s:o, s:f, s:f, s:o, s:f, s:f, s:f, s:o, s:s, s:o}", "code", row->code, "bits",
                   row->bits > 0 ? json_integer(row->bits) : json_null(), "entropy", row->entropy, "bits_a_weight",
                   row->bits_a_weight, "weight_error", row->weight_error < 0 ? json_null() : json_real(row->weight_error),
                   "file_bytes", row->file_bytes, "bytes_a_token", row->token_bytes, "gweights_per_s_and_thread",
                   row->gweights_per_s, "faster_than_plain_below_gbytes_per_s",
                   is_plain(row) ? json_null() : cli_json_real(row->break_even), "flags", flags, "speeds",
                   speeds_json(r, row));
}

static json_t *best_json(const result *r, const ellm_bench_advice_row *row) {
  char flags[96];
  flags_of(r, row, flags, sizeof flags);
  const ellm_bench_advice_speed *s = best_speed(r, row);
  return json_pack("{s:o, s:s, s:i, s:f, s:f, s:s}", "bits", row->bits > 0 ? json_integer(row->bits) : json_null(),
                   "code", row->code, "threads", s->threads, "tokens_per_s", s->tokens_per_s, "bits_a_weight",
                   row->bits_a_weight, "flags", flags);
}

static int print_json(const result *r) {
  const ellm_bench_advice *a = r->advice;
  json_t *rows = json_array(), *read = json_array(), *fastest = json_array(), *smallest = json_array();
  for (size_t i = 0; i < a->n_rows; i++) {
    cli_json_append(&rows, row_json(r, &a->rows[i]));
    if (i > 0 && a->rows[i].bits == a->rows[i - 1].bits) continue;
    cli_json_append(&fastest, best_json(r, choose(r, a->rows[i].bits, true)));
    cli_json_append(&smallest, best_json(r, choose(r, a->rows[i].bits, false)));
  }
  for (size_t t = 0; t < a->n_threads && a->n_rows > 0; t++)
    cli_json_append(&read, json_pack("{s:i, s:f}", "threads", a->rows[0].speeds[t].threads, "gbytes_per_s",
                                     a->rows[0].speeds[t].read));
  json_t *quality = r->quality != NULL ? json_loads(r->quality, 0, NULL) : NULL;
  return cli_print_json(json_pack(
      "{s:o, s:b, s:s, s:s, s:o, s:f, s:f, s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "model",
      cli_json_text(r->what, strlen(r->what)), "measured", (int)a->measured, "isa", a->isa, "class",
      option_choice_name(machines, (int)a->machine), "ghz", a->measured ? json_null() : json_real(r->request->ghz),
      "weights", a->weights, "weights_a_token", a->token_weights, "read_loop", a->read_loop, "pages",
      !a->measured ? "" : a->huge_pages ? "huge" : "4 KiB", "quality", quality != NULL ? quality : json_null(), "read",
      read, "rows", rows, "fastest", fastest, "smallest", smallest));
}

/* -------------------------------------------------------------------- text */

static void print_head(const result *r) {
  const ellm_bench_advice *a = r->advice;
  const ellm_bench_advice_speed *all = &a->rows[0].speeds[a->n_threads - 1];
  printf("%s: %.3g G weights, %.3g G multiplied per token\n", r->what, a->weights / 1e9, a->token_weights / 1e9);
  if (a->measured)
    printf("measured on this machine: instruction set %s, %d threads read %.1f GB/s (%s%s)\n", a->isa, all->threads,
           all->read, a->read_loop, a->huge_pages ? ", huge pages" : ", pages of 4 KiB");
  else
    printf("modelled, not measured: %d cores of %.3g GHz, class %s, that read %.3g GB/s\n", all->threads, r->request->ghz,
           a->isa, all->read);
  if (r->quality != NULL) cli_print_quality(r->quality);
  else if (r->file) printf("the file does not say how far its predictions are from its source's\n");
  printf("\n");
}

static void print_table(const result *r) {
  const ellm_bench_advice *a = r->advice;
  char text[40];
  printf("%-4s  %-8s  %11s  %8s  %9s  %20s", "bits", "code", "bits/weight", "error", "file", "G weights/s per thread");
  for (size_t t = 0; t < a->n_threads; t++) {
    snprintf(text, sizeof text, "tokens/s -t %d", a->rows[0].speeds[t].threads);
    printf("  %15s", text);
  }
  printf("  %-8s  %7s\n", "bound by", "of read");
  for (size_t i = 0; i < a->n_rows; i++) {
    const ellm_bench_advice_row *row = &a->rows[i];
    const ellm_bench_advice_speed *last = &row->speeds[a->n_threads - 1];
    char bits[12] = "-", error[16] = "-", size[24];
    if (row->bits > 0) snprintf(bits, sizeof bits, "%d", row->bits);
    if (row->weight_error >= 0) snprintf(error, sizeof error, "%.1f %%", 100 * row->weight_error);
    printf("%-4s  %-8s  %11.3f  %8s  %9s  %20.1f", bits, row->code, row->bits_a_weight, error,
           cli_size_text((uint64_t)row->file_bytes, size), row->gweights_per_s);
    for (size_t t = 0; t < a->n_threads; t++) printf("  %15.3g", row->speeds[t].tokens_per_s);
    printf("  %-8s  %5.0f %%\n", bound_of(last), 100 * last->tokens_per_s / last->memory);
  }
}

static void print_choice(const result *r, const char *what, const ellm_bench_advice_row *row) {
  char flags[96], width[24] = "";
  flags_of(r, row, flags, sizeof flags);
  const ellm_bench_advice_speed *s = best_speed(r, row);
  if (row->bits > 0) snprintf(width, sizeof width, "%d bits, ", row->bits);
  printf("%s%-9s %.3g tokens/s at %.3f bits per weight with -t %d: %s\n", width, what, s->tokens_per_s,
         row->bits_a_weight,
         s->threads, flags);
}

/* Where decoding and memory are even. */
static void print_break_even(const result *r, const ellm_bench_advice_row *row) {
  const ellm_bench_advice_speed *s = &row->speeds[r->advice->n_threads - 1];
  char name[32];
  if (is_plain(row)) return;
  if (row->bits > 0) snprintf(name, sizeof name, "%d bits, %s", row->bits, row->code);
  else snprintf(name, sizeof name, "%s", row->code);
  printf("%-16s %d x %.1f G weights/s need %.1f GB/s of %.1f: %s is the limit; ", name, s->threads, row->gweights_per_s,
         s->threads * row->gweights_per_s * row->bits_a_weight / 8, s->read, bound_of(s));
  if (isfinite(row->break_even)) printf("faster than plain codes below %.1f GB/s\n", row->break_even);
  else printf("decodes as fast as plain codes\n");
}

static int print_text(const result *r) {
  const ellm_bench_advice *a = r->advice;
  print_head(r);
  print_table(r);
  printf("\n");
  for (size_t i = 0; i < a->n_rows; i++) print_break_even(r, &a->rows[i]);
  printf("\n");
  for (size_t i = 0; i < a->n_rows; i++) {
    if (i > 0 && a->rows[i].bits == a->rows[i - 1].bits) continue;
    print_choice(r, "fastest:", choose(r, a->rows[i].bits, true));
    print_choice(r, "smallest:", choose(r, a->rows[i].bits, false));
  }
  printf("\nThese are the products of a token at the beginning of a text, with "
         "a little added for everything else. The same\n"
         "codes have the same quality, however they are coded. `run --expand` "
         "reaches the speed of plain codes from any of\n"
         "these files.\n");
  return ELLM_OK;
}

/* ----------------------------------------------------------------- command */

static int check(const request *r, const option_table *table) {
  const bool bandwidth = option_given(table, "bandwidth"), cores = option_given(table, "cores"),
             isa = option_given(table, "isa");
  if (r->shape != NULL && r->common.model != NULL)
    return cli_error(ELLM_ERR_USAGE, "bench advise: -m and --shape cannot be used together");
  if (bandwidth != cores || cores != isa)
    return cli_error(ELLM_ERR_USAGE, "bench advise: a modelled machine needs --bandwidth, --cores and --isa");
  if (option_given(table, "ghz") && !isa)
    return cli_error(ELLM_ERR_USAGE, "bench advise: --ghz needs a modelled machine (--bandwidth, --cores, --isa)");
  if (isa && option_given(table, "threads"))
    return cli_error(ELLM_ERR_USAGE, "bench advise: --cores sets the number of threads of a modelled machine");
  if (r->common.activations == ELLM_ACTIVATIONS_F32)
    return cli_error(ELLM_ERR_USAGE, "bench advise: --activations i8 or i16");
  return ELLM_OK;
}

/* What a .ellm file says of its quality; whether it is one. */
static ellm_status look_at_file(result *r, ellm_error *err) {
  ellm_file *file = NULL;
  if (r->request->common.model == NULL || cli_is_directory(r->what)) return ELLM_OK;
  if (ellm_file_open(r->what, &file, NULL) != ELLM_OK) return ELLM_OK; /* a GGUF file, or an error that comes again */
  const char *quality = ellm_file_metadata(file, "entrollm.quality");
  r->file = true;
  if (quality != NULL && (r->quality = strdup(quality)) == NULL) {
    const size_t bytes = strlen(quality);
    ellm_file_close(file);
    return prog_failure_memory(err, bytes, "what a file says of its quality");
  }
  ellm_file_close(file);
  return ELLM_OK;
}

static ellm_status advise(const request *r, const ellm_bench_shape *shape, result *out, ellm_bench_advice **advice,
                          ellm_error *err) {
  ellm_bench_advise_options options;
  cli_progress progress;
  PROG_TRY(look_at_file(out, err));
  ellm_bench_advise_options_init(&options);
  cli_progress_init(&progress);
  options.model = r->common.model;
  options.shape = shape;
  options.bits = r->bits;
  options.threads = r->common.threads;
  options.digits = r->common.activations == ELLM_ACTIVATIONS_I8 ? 1 : 2;
  options.gbytes_per_s = r->bandwidth;
  options.cores = r->cores;
  options.machine = (ellm_machine)r->machine;
  options.ghz = r->ghz;
  options.progress = cli_progress_update;
  options.progress_user = &progress;
  const ellm_status status = ellm_bench_advise(&options, advice, err);
  cli_progress_end(&progress);
  return status;
}

int cmd_bench_advise(int argc, char **argv) {
  request r = {.machine = ELLM_MACHINE_AVX2};
  option options[] = {
      OPT_SUGGEST("model", 'm', &r.common.model, "MODEL", SUGGEST_MODEL,
                  "a .ellm file, whose codes are coded in every way, or a checkpoint\nfolder or a GGUF file"),
      OPT_SUGGEST("shape", 0, &r.shape, "SHAPE", CLI_SUGGEST_SHAPES,
                  CLI_SHAPES ", or a config.json\n(a path); default smollm-1.7b"),
      OPT_INT("bits", 'b', &r.bits, 2, 8, "N", "width of the codes if MODEL has none (default: 4, 5, 6 and 8)"),
      OPT_REAL("bandwidth", 0, &r.bandwidth, 0.01, 1e5, "GB/S", "model another machine, whose memory delivers this"),
      OPT_INT("cores", 0, &r.cores, 1, 1024, "N", "number of its cores"),
      OPT_CHOICE("isa", 0, &r.machine, machines, "CLASS", "class of its cores: avx512, avx2 or neon"),
      OPT_REAL("ghz", 0, &r.ghz, 0.01, 100, "F", "clock of its cores (default: 3.5, 3.2 and 2, by class)"),
      CLI_OPTION_THREADS(r.common),
      CLI_OPTION_ACTIVATIONS(r.common),
      CLI_OPTION_JSON(r.common),
      CLI_OPTION_QUIET(r.common)};
  option_table table = {
      .command = "bench advise",
      .synopsis = "[-m MODEL | --shape SHAPE] [options]",
      .about = "Say which way of compressing suits a machine. The table has "
               "the tokens per second that a model generates\n"
               "if it is coded for size, for balance, for speed, or not at all, "
               "with 1 to all threads; the size of each\n"
               "file; and whether decoding or memory is the limit. Below it stands "
               "the command to type. This machine is\n"
               "measured, which takes about 20 seconds; another machine is modelled.",
      .notes = "examples:\n  entrollm bench advise --shape qwen3-30b-a3b --bits 4\n"
               "  entrollm bench advise -m model.ellm\n"
               "  entrollm bench advise --bandwidth 25 --cores 4 --isa neon --ghz 2.4",
      .options = options,
      .n_options = sizeof options / sizeof *options};
  int status = cli_parse(&table, argc, argv, &r.common);
  if (status >= 0) return status;
  status = check(&r, &table);
  if (status != ELLM_OK) return status;
  if (r.ghz == 0 && r.bandwidth > 0) r.ghz = usual_ghz[r.machine];
  ellm_bench_shape shape;
  ellm_bench_advice *advice = NULL;
  ellm_error err;
  char *config = NULL;
  if (cli_find_model(&r.common.model, &err) != ELLM_OK) return cli_fail(&err);
  result out = {.request = &r, .what = r.common.model != NULL ? r.common.model : r.shape != NULL ? r.shape : "smollm-1.7b"};
  if (r.shape != NULL) status = cli_find_shape("bench advise", r.shape, &shape, &config);
  if (status != ELLM_OK) return status;
  if (advise(&r, r.shape != NULL ? &shape : NULL, &out, &advice, &err) != ELLM_OK) {
    status = cli_fail(&err);
  } else {
    out.advice = advice;
    status = r.common.json ? print_json(&out) : print_text(&out);
  }
  ellm_bench_advice_free(advice);
  free(out.quality);
  free(config);
  return status;
}
