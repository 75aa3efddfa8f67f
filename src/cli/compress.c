/* SPDX-License-Identifier: Apache-2.0 */
/* entrollm compress. */
#include <string.h>

#include "cli/cli.h"
#include "cli/target.h"
#include "cli/team.h"

static const option_choice schemes[] = {{"mixed", ELLM_SCHEME_MIXED},
                                        {"symmetric", ELLM_SCHEME_SYMMETRIC},
                                        {"asymmetric", ELLM_SCHEME_ASYMMETRIC},
                                        {NULL, 0}};
static const option_choice prefers[] = {{"size", ELLM_PREFER_SIZE},
                                        {"balanced", ELLM_PREFER_BALANCED},
                                        {"speed", ELLM_PREFER_SPEED},
                                        {NULL, 0}};
enum { NO_MACHINE = -1 };
static const option_choice machines[] = {{"avx2", ELLM_MACHINE_AVX2},
                                         {"avx512", ELLM_MACHINE_AVX512},
                                         {"neon", ELLM_MACHINE_NEON},
                                         {NULL, 0}};
static const option_choice codes[] = {{"huffman", ELLM_CODE_HUFFMAN},
                                      {"none", ELLM_CODE_NONE},
                                      {"fields", ELLM_CODE_FIELDS},
                                      {NULL, 0}};

typedef struct compress_options {
  cli_common common;
  const char *source, *output;
  int bits, scheme, prefer, machine, code;
  bool dry_run, force, resume, no_assets, strict, lossless;
  option_list keep, include;
  cli_target target;
} compress_options;

/* What the tensors take in the file, all told. */
static uint64_t stored_bytes(const ellm_report *report) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < report->n_tensors; i++) bytes += report->tensors[i].stored_bytes;
  return bytes;
}

static json_t *report_json(const compress_options *r, const ellm_report *report, double seconds) {
  const ellm_totals *totals = &report->totals;
  double coded = totals->coded_bits_per_weight;
  json_t *file = r->output ? cli_json_text(r->output, strlen(r->output)) : NULL;
  if (r->output && !file) return NULL;
  json_t *tensors = json_array(), *warnings = json_array();
  for (size_t i = 0; i < report->n_tensors; i++) cli_json_append(&tensors, cli_tensor_json(&report->tensors[i]));
  for (size_t i = 0; i < report->n_warnings; i++)
    cli_json_append(&warnings, cli_json_text(report->warnings[i], strlen(report->warnings[i])));
  const bool sized = report->plan != NULL, uniform = !sized && !r->lossless;
  const double source = (double)report->source_bytes;
  json_t *quality = report->quality != NULL ? json_loads(report->quality, 0, NULL) : NULL;
  json_t *plan = sized ? json_loads(report->plan, 0, NULL) : NULL;
  return json_pack("{s:o*, s:o*, s:o*, s:b, s:b, s:o, s:s, s:s, s:s, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "file",
                   file, "quality", quality, "plan", plan, "dry_run", (int)r->dry_run, "lossless", (int)r->lossless,
                   "bits", uniform ? json_integer(r->bits) : json_null(), "scheme", option_choice_name(schemes, r->scheme),
                   "prefer", option_choice_name(prefers, r->prefer), "code", option_choice_name(codes, r->code),
                   "tensors", tensors, "assets", cli_assets_json(report->assets, report->n_assets),
                   "totals", cli_totals_json(totals), "source_bytes",
                   (json_int_t)report->source_bytes, "ratio_to_source",
                   cli_json_real(source > 0 ? (double)stored_bytes(report) / source : 0), "ratio_to_plain",
                   uniform ? cli_json_real(coded > 0 ? r->bits / coded : 0) : json_null(), "ratio_to_16_bits",
                   cli_json_real(coded > 0 ? 16 / coded : 0), "seconds", cli_json_real(seconds), "mb_per_s",
                   cli_json_real(seconds > 0 ? (double)report->source_bytes / seconds / 1e6 : 0), "warnings", warnings);
}

static void print_lossless(const ellm_report *report, size_t kept) {
  const uint64_t stored = stored_bytes(report);
  char source[24], size[24];
  printf("\n%zu tensors coded without loss, %zu kept as they are\n", report->n_tensors - kept, kept);
  printf("tensors                  %s -> %s: %.2f %% saved, counting everything except the small files\n",
         cli_size_text(report->source_bytes, source), cli_size_text(stored, size),
         report->source_bytes > 0 ? 100 - 100.0 * (double)stored / (double)report->source_bytes : 0);
}

/* A dry run to a size: nothing was rounded, so there is nothing but what is expected. */
static void print_planned(const ellm_report *report, double seconds) {
  char source[24];
  cli_print_plan(report->plan, true);
  printf("size of the source       %s\n", cli_size_text(report->source_bytes, source));
  printf("measured in              %.1f s; nothing was written\n", seconds);
}

static void print_report(const compress_options *r, const ellm_report *report, double seconds) {
  const ellm_totals *t = &report->totals;
  char source[24], file[24];
  size_t kept = 0;
  for (size_t i = 0; i < report->n_tensors; i++) kept += report->tensors[i].kept;
  cli_print_tensors(report->tensors, report->n_tensors);
  cli_print_assets(report->assets, report->n_assets);
  if (r->lossless) print_lossless(report, kept);
  else if (report->plan != NULL) printf("\n%zu tensors quantized, %zu kept as they are\n", report->n_tensors - kept, kept);
  else printf("\n%zu tensors quantized to %d bits, %zu kept as they are\n", report->n_tensors - kept, r->bits, kept);
  printf("weights %-16s %llu of %llu parameters\n", r->lossless ? "coded" : "quantized", (unsigned long long)t->weights,
         (unsigned long long)t->parameters);
  printf("size                     %s -> %s%s\n", cli_size_text(report->source_bytes, source),
         cli_size_text(t->file_bytes, file), r->dry_run ? " (estimated; nothing was written)" : "");
  if (t->weights > 0) {
    printf("%-24s %.3f bits per weight\n", r->lossless ? "entropy, raw bits counted" : "entropy of the codes",
           t->entropy);
    printf("Huffman optimum          %.3f bits per weight\n", t->huffman_bits_per_weight);
    printf("effective bits           %.3f bits per weight (tables, padding, checksums, directory included)\n",
           t->coded_bits_per_weight);
    if (report->plan == NULL && !r->lossless)
      printf("smaller than             plain %d-bit codes %.2f times, 16-bit weights %.2f times\n", r->bits,
             r->bits / t->coded_bits_per_weight, 16 / t->coded_bits_per_weight);
  }
  if (report->quality != NULL) {
    cli_print_quality(report->quality);
    cli_print_full_gain(report->quality, t->coded_bits_per_weight);
  }
  if (!r->lossless)
    printf("preferred                %s%s\n", option_choice_name(prefers, r->prefer),
           r->code == ELLM_CODE_NONE ? " (not coded)" : r->code == ELLM_CODE_FIELDS ? " (fields)" : "");
  printf("speed                    %.2f s, %.0f MB/s of source\n", seconds,
         seconds > 0 ? (double)report->source_bytes / seconds / 1e6 : 0);
}

static int check_lossless(const option_table *table) {
  static const char *const others[] = {"bits",   "scheme",  "prefer",    "for",    "code",   "target-size", "target-bpw",
                                       "max-kl", "quality", "calibrate", "effort", "memory", "plan"};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    if (option_given(table, others[i]))
      return cli_error(ELLM_ERR_USAGE, "compress: --lossless quantizes nothing and cannot be used with --%s",
                       others[i]);
  return ELLM_OK;
}

static int compress(const compress_options *r, const option_table *table) {
  ellm_compress_options options;
  ellm_report *report = NULL;
  ellm_error err;
  cli_progress progress;
  ellm_compress_options_init(&options);
  cli_progress_init(&progress);
  options.bits = r->bits;
  options.scheme = (ellm_scheme)r->scheme;
  options.keep = r->keep.items;
  options.n_keep = r->keep.count;
  options.prefer = (ellm_prefer)r->prefer;
  if (r->machine != NO_MACHINE) options.machine = (ellm_machine)r->machine;
  options.code = (ellm_code)r->code;
  options.include = r->include.items;
  options.n_include = r->include.count;
  options.no_assets = r->no_assets;
  options.strict = r->strict;
  options.dry_run = r->dry_run;
  options.overwrite = r->force;
  options.resume = r->resume;
  options.threads = r->common.threads;
  options.progress = cli_progress_update;
  options.progress_user = &progress;
  options.notes = cli_notes;
  options.lossless = r->lossless;
  options.team = cli_team_of_compress();
  int wrong = r->lossless ? check_lossless(table) : ELLM_OK;
  if (wrong == ELLM_OK) wrong = cli_target_apply(&r->target, table, &options);
  if (wrong != ELLM_OK) return wrong;
  double start = cli_seconds();
  ellm_status status = ellm_compress(r->source, r->output, &options, &report, &err);
  double seconds = cli_seconds() - start;
  cli_progress_end(&progress);
  int result = (int)status;
  if (status != ELLM_OK) result = cli_fail(&err);
  else {
    for (size_t i = 0; i < report->n_warnings; i++) cli_note("%s", report->warnings[i]);
    if (r->common.json) result = cli_print_json(report_json(r, report, seconds));
    else if (r->dry_run && report->plan != NULL && !r->common.quiet) print_planned(report, seconds);
    else if (!r->common.quiet) print_report(r, report, seconds);
  }
  ellm_report_free(report);
  return result;
}

int cmd_compress(int argc, char **argv) {
  compress_options r = {.bits = 8, .scheme = ELLM_SCHEME_MIXED, .prefer = ELLM_PREFER_BALANCED,
                        .machine = NO_MACHINE, .code = ELLM_CODE_HUFFMAN};
  option options[] = {
      OPT_SUGGEST("output", 'o', &r.output, "FILE", SUGGEST_ELLM, "the .ellm file to write"),
      CLI_OPTIONS_TARGET(r.target),
      OPT_FLAG("lossless", 0, &r.lossless,
               "quantize nothing: code F32, F16 and BF16 so that every bit comes back\n(about a third smaller); the "
               "file gives the results of the folder"),
      OPT_INT("bits", 'b', &r.bits, 2, 8, "N",
              "the paper's method, for comparison and not recommended: codes of 2\nto 8 bits, one step per tensor "
              "(8 if --scheme or --code is given)"),
      OPT_CHOICE("scheme", 0, &r.scheme, schemes, "KIND",
                 "mixed (default: symmetric if all weights of a tensor have one sign,\nelse asymmetric), "
                 "symmetric, asymmetric"),
      OPT_LIST("keep", 0, &r.keep, "GLOB", "store tensors with these names verbatim; may be given several times"),
      OPT_CHOICE("prefer", 0, &r.prefer, prefers, "KIND",
                 "how the code is chosen: size (the fewest bits), balanced "
                 "(default: the\nfastest that is at most a few "
                 "percent larger), speed (the least time on a\nkind of processor: often fields of one width with exact "
                 "patches)"),
      OPT_CHOICE("for", 0, &r.machine, machines, "KIND",
                 "the processors for --prefer speed: avx2 (default), avx512, neon; all\nothers can read the file, too"),
      OPT_CHOICE("code", 0, &r.code, codes, "KIND",
                 "huffman (default), none (plain codes, for comparison), or fields\n(fields of one width with "
                 "patches)"),
      OPT_LIST("include", 0, &r.include, "GLOB",
               "also store files with these names; may be given several times.\nConfiguration, tokenizer, templates, "
               "licence and card are always stored"),
      OPT_FLAG("no-assets", 0, &r.no_assets, "of the small files, store only configuration, tokenizer and templates"),
      OPT_FLAG("strict", 0, &r.strict, "refuse a model that could not be run, instead of a note"),
      OPT_FLAG("dry-run", 0, &r.dry_run,
               "write nothing, report what would be written; with a target size:\nmeasure, and print the plan"),
      OPT_FLAG("force", 0, &r.force, "replace FILE if it exists"),
      OPT_FLAG("resume", 0, &r.resume, "keep FILE.partial when stopped, and continue from it"),
      CLI_OPTION_THREADS(r.common),
      CLI_OPTION_JSON(r.common),
      CLI_OPTION_QUIET(r.common)};
  option_table table = {
      .command = "compress",
      .synopsis = "DIR -o FILE [options]",
      .about = "Compress a Hugging Face checkpoint folder (config.json, tokenizer.json, model.safetensors or its\n"
               "shards), a GGUF file or hf:OWNER/NAME into one .ellm file. "
               "Matrices are quantized to the size that you\n"
               "ask for (--target-size, --target-bpw, --quality or --max-kl; default: --quality standard), calibrated\n"
               "on text that the model writes itself, and Huffman-coded. The rest is kept as it is.\n"
               "The file appears under its name only when it is complete. Until then its folder also needs room for\n"
               "the codes of the largest matrix, one byte per weight. The same input gives the same bytes.",
      .notes = "examples:\n  entrollm compress models/stories-4m -o stories.ellm --quality small --plan stories.plan\n"
               "  entrollm compress models/stories-4m -o stories.ellm --max-kl 0.02 --plan stories.plan\n"
               "  entrollm compress models/stories-4m -o stories-4.ellm --bits 4 --prefer size --keep '*embed*'",
      .options = options,
      .n_options = sizeof options / sizeof *options,
      .operand = "DIR",
      .operand_suggest = SUGGEST_SOURCE,
      .operand_target = &r.source};
  int status = cli_parse(&table, argc, argv, &r.common);
  if (status < 0) {
    ellm_error err;
    if (!r.output && !r.dry_run)
      status = cli_error(ELLM_ERR_USAGE, "compress: -o FILE is missing (see 'entrollm compress --help')");
    else if (r.machine != NO_MACHINE && r.prefer != ELLM_PREFER_SPEED)
      status = cli_error(ELLM_ERR_USAGE, "compress: --for needs --prefer speed");
    else status = cli_find_model(&r.source, &err) == ELLM_OK ? compress(&r, &table) : cli_fail(&err);
  }
  option_list_free(&r.keep);
  option_list_free(&r.include);
  return status;
}
