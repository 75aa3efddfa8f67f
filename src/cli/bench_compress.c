/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entrollm bench compress: a .ellm file as large as that of a model whose weights are not at hand, by the paper's
 * method from random weights that are made while they are read.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "cli/bench_compress.h"
#include "cli/bench_shape.h"
#include "cli/cli.h"

static const option_choice prefers[] = {{"size", ELLM_PREFER_SIZE},
                                        {"balanced", ELLM_PREFER_BALANCED},
                                        {"speed", ELLM_PREFER_SPEED},
                                        {NULL, 0}};

typedef struct request {
  cli_common common;
  const char *shape, *output;
  int bits, prefer, layers;
  option_seed seed;
  bool force;
} request;

static uint64_t peak_bytes(void) {
  struct rusage usage;
  return getrusage(RUSAGE_SELF, &usage) == 0 ? (uint64_t)usage.ru_maxrss * 1024 : 0;
}

static double rate(const ellm_report *report, double seconds) {
  return seconds > 0 ? (double)report->source_bytes / seconds / 1e6 : 0;
}

static int print_json(const request *r, const ellm_report *report, double seconds) {
  const ellm_totals *totals = &report->totals;
  return cli_print_json(json_pack(
      "{s:o, s:o, s:o, s:i, s:s, s:I, s:o, s:I, s:I, s:o, s:o, s:I}", "shape", cli_json_text(r->shape, strlen(r->shape)),
      "seed", cli_json_u64(r->seed.value), "file", cli_json_text(r->output, strlen(r->output)), "bits", r->bits, "prefer",
      option_choice_name(prefers, r->prefer), "n_tensors", (json_int_t)report->n_tensors, "totals",
      cli_totals_json(totals), "source_bytes", (json_int_t)report->source_bytes, "file_bytes",
      (json_int_t)totals->file_bytes, "seconds", cli_json_real(seconds), "mb_per_s", cli_json_real(rate(report, seconds)),
      "peak_rss_bytes", (json_int_t)peak_bytes()));
}

static void print_text(const request *r, const ellm_report *report, double seconds) {
  const ellm_totals *t = &report->totals;
  char source[24], file[24], peak[24];
  printf("%s, %llu random weights (seed %llu) in %zu tensors, %d bits\n", r->shape, (unsigned long long)t->parameters,
         (unsigned long long)r->seed.value, report->n_tensors, r->bits);
  printf("size                     %s -> %s\n", cli_size_text(report->source_bytes, source),
         cli_size_text(t->file_bytes, file));
  printf("entropy of the codes     %.3f bits per weight\n", t->entropy);
  printf("effective bits           %.3f bits per weight (tables, padding, checksums, directory included)\n",
         t->coded_bits_per_weight);
  printf("speed                    %.2f s, %.0f MB/s of source\n", seconds, rate(report, seconds));
  printf("peak memory              %s\n", cli_size_text(peak_bytes(), peak));
}

static int bench_compress_shape(const request *r) {
  ellm_compress_options options;
  ellm_report *report = NULL;
  ellm_bench_shape shape;
  ellm_error err;
  cli_progress progress;
  char *config = NULL;
  int result = cli_find_shape("bench compress", r->shape, &shape, &config);
  if (result != ELLM_OK) return result;
  shape.layers = (uint32_t)r->layers;
  shape.seed = r->seed.value;
  ellm_compress_options_init(&options);
  cli_progress_init(&progress);
  options.bits = r->bits;
  options.prefer = (ellm_prefer)r->prefer;
  options.overwrite = r->force;
  options.threads = r->common.threads;
  options.progress = cli_progress_update;
  options.progress_user = &progress;
  const double start = cli_seconds();
  const ellm_status status = ellm_bench_compress(&shape, r->output, &options, &report, &err);
  const double seconds = cli_seconds() - start;
  cli_progress_end(&progress);
  if (status != ELLM_OK) result = cli_fail(&err);
  else if (r->common.json) result = print_json(r, report, seconds);
  else if (!r->common.quiet) print_text(r, report, seconds);
  ellm_report_free(report);
  free(config);
  return result;
}

int cmd_bench_compress(int argc, char **argv) {
  request r = {.bits = 4, .prefer = ELLM_PREFER_BALANCED, .seed = {.value = 1}};
  option options[] = {
      OPT_SUGGEST("shape", 0, &r.shape, "SHAPE", CLI_SUGGEST_SHAPES,
                  CLI_SHAPES ", or a config.json of any\nmodel that can be run (a path)"),
      OPT_SUGGEST("output", 'o', &r.output, "FILE", SUGGEST_ELLM, "the .ellm file to write"),
      OPT_INT("bits", 'b', &r.bits, 2, 8, "N", "codes of 2 to 8 bits, one step per tensor (default 4)"),
      OPT_CHOICE("prefer", 0, &r.prefer, prefers, "KIND", "as in compress: size, balanced (default), speed"),
      OPT_INT("layers", 0, &r.layers, 1, 1 << 16, "N", "number of layers (default: as in the shape)"),
      OPT_SEED("seed", 0, &r.seed, "N", "seed of the weights (default 1)"),
      OPT_FLAG("force", 0, &r.force, "replace FILE if it exists"),
      CLI_OPTION_THREADS(r.common),
      CLI_OPTION_JSON(r.common),
      CLI_OPTION_QUIET(r.common)};
  option_table table = {
      .command = "bench compress",
      .synopsis = "--shape SHAPE -o FILE [options]",
      .about = "Compress random weights with the shape of a model by the paper's method. The weights are made while\n"
               "they are read and never stored, so that models larger than the disk can be measured. Their entropies\n"
               "are about those of trained weights. FILE runs as fast as that model would ('entrollm bench model -m\n"
               "FILE'), but its text means nothing.",
      .notes = "example:\n  entrollm bench compress --shape qwen3-30b-a3b -o qwen.ellm --bits 4\n"
               "  entrollm bench model -m qwen.ellm -p 128 -n 32",
      .options = options,
      .n_options = sizeof options / sizeof *options};
  const int status = cli_parse(&table, argc, argv, &r.common);
  if (status >= 0) return status;
  if (r.shape == NULL) return cli_error(ELLM_ERR_USAGE, "bench compress: --shape SHAPE is missing");
  if (r.output == NULL) return cli_error(ELLM_ERR_USAGE, "bench compress: -o FILE is missing");
  return bench_compress_shape(&r);
}
