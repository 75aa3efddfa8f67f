/* SPDX-License-Identifier: Apache-2.0 */
/* entrollm inspect: the description, the codes of a tensor, the histogram. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/target.h"
#include "cli/histogram.h"
#include "cli/inspect_source.h"
#include "cli/kind.h"
#include "cli/shares.h"

/* The index of a tensor by name. */
static ellm_status find_tensor(const ellm_file *file, const char *path, const char *name, size_t *index,
                               ellm_tensor_info *info, ellm_error *err) {
  for (*index = 0; ellm_file_tensor(file, *index, info); ++*index)
    if (strcmp(info->name, name) == 0) return ELLM_OK;
  return prog_failure(err, ELLM_ERR_INPUT, "%s: there is no tensor '%s'", path, name);
}

/* All codes of a quantized tensor, malloc'ed. */
static ellm_status read_codes(const ellm_file *file, size_t index, const ellm_tensor_info *info, int threads,
                              uint8_t **codes, ellm_error *err) {
  *codes = malloc(info->n_elements ? (size_t)info->n_elements : 1);
  if (!*codes) return prog_failure_memory(err, (size_t)info->n_elements, "codes");
  ellm_status status = ellm_file_codes(file, index, threads, *codes, err);
  if (status != ELLM_OK) {
    free(*codes);
    *codes = NULL;
  }
  return status;
}

static ellm_status write_codes(const ellm_file *file, const char *path, const char *name, const char *out, int threads,
                               ellm_error *err) {
  ellm_tensor_info info;
  size_t index;
  uint8_t *codes;
  cli_output output;
  PROG_TRY(find_tensor(file, path, name, &index, &info, err));
  if (info.kept)
    return prog_failure(err, ELLM_ERR_INPUT, "%s: tensor '%s' is kept as it is and has no codes", path, name);
  PROG_TRY(read_codes(file, index, &info, threads, &codes, err));
  ellm_status status = cli_output_open(&output, out, path, err);
  if (status == ELLM_OK) {
    status = cli_output_write(&output, codes, (size_t)info.n_elements, err);
    if (status == ELLM_OK) status = cli_output_close(&output, err);
    else cli_output_abort(&output);
  }
  free(codes);
  return status;
}

/* Counts of the codes of one tensor, or of all where name is NULL. */
static ellm_status count_codes(const ellm_file *file, const char *path, const char *name, int threads, histogram *h,
                               ellm_error *err) {
  ellm_tensor_info info;
  size_t first = 0, last = ellm_file_tensor_count(file);
  if (name) {
    PROG_TRY(find_tensor(file, path, name, &first, &info, err));
    last = first + 1;
    if (info.kept)
      return prog_failure(err, ELLM_ERR_INPUT, "%s: tensor '%s' is kept as it is and has no codes", path, name);
  }
  for (size_t i = first; i < last; i++) {
    uint8_t *codes;
    if (cli_stopped()) return prog_failure(err, ELLM_INTERRUPTED, "interrupted");
    if (!ellm_file_tensor(file, i, &info) || info.kept) continue;
    PROG_TRY(read_codes(file, i, &info, threads, &codes, err));
    for (uint64_t k = 0; k < info.n_elements; k++) h->counts[codes[k]]++;
    free(codes);
    h->total += info.n_elements;
    if (info.bits > h->bits) h->bits = info.bits;
  }
  if (h->total == 0) return prog_failure(err, ELLM_ERR_INPUT, "%s: there are no quantized weights", path);
  return ELLM_OK;
}

static ellm_status write_histogram(const ellm_file *file, const char *path, const char *name, const char *out,
                                   int threads, ellm_error *err) {
  histogram h = {.title = name ? name : "all quantized tensors"};
  cli_output output;
  prog_buffer svg = {0};
  PROG_TRY(count_codes(file, path, name, threads, &h, err));
  ellm_status status = histogram_svg(&h, &svg) ? cli_output_open(&output, out, path, err)
                                               : prog_failure_memory(err, svg.bytes, "the histogram");
  if (status == ELLM_OK) {
    status = cli_output_write(&output, svg.data, svg.bytes, err);
    if (status == ELLM_OK) status = cli_output_close(&output, err);
    else cli_output_abort(&output);
  }
  prog_buffer_free(&svg);
  return status;
}

/* The small files of the source, malloc'ed; NULL: no memory. */
static ellm_asset_info *list_assets(const ellm_file *file, size_t *n) {
  *n = ellm_file_asset_count(file);
  ellm_asset_info *assets = calloc(*n + 1, sizeof *assets);
  for (size_t i = 0; assets && i < *n; i++) ellm_file_asset_at(file, i, &assets[i]);
  return assets;
}

/* The ids that end a turn, as running this file takes them; *runs is false where it cannot be run. */
static ellm_status end_ids(const char *path, ellm_model_info *info, bool *runs, ellm_error *err) {
  ellm_model_options options;
  ellm_model *model;
  ellm_model_options_init(&options);
  options.threads = 1;
  options.notes = cli_notes;
  const ellm_status status = ellm_model_open(path, &options, &model, err);
  *runs = status == ELLM_OK;
  if (status != ELLM_OK) return status == ELLM_ERR_INPUT || status == ELLM_ERR_USAGE ? ELLM_OK : status;
  ellm_model_get_info(model, info);
  ellm_model_close(model);
  return ELLM_OK;
}

static json_t *end_ids_json(const ellm_model_info *info) {
  json_t *ids = json_array();
  for (size_t i = 0; i < info->n_eos; i++) cli_json_append(&ids, json_integer(info->eos_ids[i]));
  return ids;
}

static void print_end_ids(const ellm_model_info *info) {
  printf(info->n_eos > 0 ? "ids that end a turn:" : "no id ends a turn");
  for (size_t i = 0; i < info->n_eos; i++) printf(" %u", (unsigned)info->eos_ids[i]);
  printf("\n");
}

/* What a part of a model says of itself. */
static json_t *part_json(const ellm_part_info *part) {
  json_t *shares = json_array();
  for (uint32_t i = 0; i < part->n_parts; i++) cli_json_append(&shares, json_integer(part->shares[i]));
  return json_pack("{s:i, s:i, s:o, s:s, s:I}", "number", (int)part->number, "parts", (int)part->n_parts, "shares", shares,
                   "whole", part->whole, "whole_bytes", (json_int_t)part->whole_bytes);
}

static void print_part(const ellm_part_info *part) {
  char shares[96], size[24];
  printf("\npart %u of %u (shares %s) of model %s, %s: for entrollm-mpi, together with the others\n",
         (unsigned)part->number, (unsigned)part->n_parts, cli_shares_text(part->shares, part->n_parts, shares), part->whole,
         cli_size_text(part->whole_bytes, size));
}

static int print_description(const ellm_file *file, const char *path, const char *name) {
  ellm_tensor_info info;
  ellm_totals totals;
  char source[33], self[33];
  ellm_model_info model;
  ellm_error err;
  bool runs;
  if (end_ids(path, &model, &runs, &err) != ELLM_OK) return cli_fail(&err);
  json_t *tensors = json_array();
  for (size_t i = 0; ellm_file_tensor(file, i, &info); i++)
    if (!name || strcmp(info.name, name) == 0) cli_json_append(&tensors, cli_tensor_json(&info));
  ellm_file_totals(file, &totals);
  ellm_file_identity(file, source, self);
  size_t n_assets;
  ellm_asset_info *assets = list_assets(file, &n_assets);
  json_t *files = assets ? cli_assets_json(assets, n_assets) : NULL;
  free(assets);
  const char *quality = ellm_file_metadata(file, "entrollm.quality");
  ellm_part_info part;
  const bool is_part = ellm_file_part(file, &part);
  json_t *all = json_pack("{s:o, s:s, s:s, s:o, s:o, s:o, s:o, s:o*}", "file", cli_json_text(path, strlen(path)),
                          "identity", self, "source_identity", source, "tensors", tensors, "assets", files, "totals",
                          cli_totals_json(&totals), "eos_ids", runs ? end_ids_json(&model) : json_null(), "quality",
                          quality ? json_loads(quality, 0, NULL) : NULL);
  if (all && is_part && json_object_set_new(all, "part", part_json(&part)) != 0) {
    json_decref(all);
    all = NULL;
  }
  return cli_print_json(all);
}

static int print_table(const ellm_file *file, const char *path, const char *name) {
  ellm_totals t;
  ellm_tensor_info info;
  ellm_model_info model;
  ellm_error err;
  bool runs;
  char size[24];
  if (end_ids(path, &model, &runs, &err) != ELLM_OK) return cli_fail(&err);
  size_t count = ellm_file_tensor_count(file), used = 0, n_assets;
  ellm_tensor_info *tensors = calloc(count ? count : 1, sizeof *tensors);
  ellm_asset_info *assets = list_assets(file, &n_assets);
  if (!tensors || !assets) {
    free(tensors);
    free(assets);
    prog_failure_memory(&err, count * sizeof *tensors, "the table");
    return cli_fail(&err);
  }
  for (size_t i = 0; ellm_file_tensor(file, i, &info); i++)
    if (!name || strcmp(info.name, name) == 0) tensors[used++] = info;
  cli_print_tensors(tensors, used);
  free(tensors);
  if (!name) cli_print_assets(assets, n_assets);
  free(assets);
  const char *quality = ellm_file_metadata(file, "entrollm.quality");
  if (quality && !name) {
    printf("\n");
    cli_print_quality(quality);
  }
  ellm_part_info part;
  if (ellm_file_part(file, &part)) print_part(&part);
  ellm_file_totals(file, &t);
  bool exact = false;
  for (size_t i = 0; ellm_file_tensor(file, i, &info); i++) exact = exact || info.exact;
  printf("\n%s; %llu weights %s, entropy %.3f, Huffman optimum %.3f, effective %.3f bits per weight\n",
         cli_size_text(t.file_bytes, size), (unsigned long long)t.weights, exact ? "coded without loss" : "quantized",
         t.entropy, t.huffman_bits_per_weight, t.coded_bits_per_weight);
  if (runs) print_end_ids(&model);
  return ELLM_OK;
}

int cmd_inspect(int argc, char **argv) {
  cli_common common = {0};
  const char *path = NULL, *name = NULL, *codes = NULL, *svg = NULL;
  bool as_table = false;
  option options[] = {OPT_TEXT("tensor", 0, &name, "NAME", "describe only this tensor"),
                      OPT_TEXT("codes", 0, &codes, "OUT", "write the codes of the tensor: one byte each, row by row"),
                      OPT_TEXT("histogram", 0, &svg, "OUT.svg",
                               "draw how often each code occurs, in the tensor or in all"),
                      OPT_FLAG("table", 0, &as_table, "print a table instead of JSON"),
                      CLI_OPTION_THREADS(common),
                      CLI_OPTION_JSON(common),
                      CLI_OPTION_QUIET(common)};
  option_table table = {
      .command = "inspect",
      .synopsis = "FILE [options]",
      .about = "Describe a .ellm file as JSON: every tensor, the small files in it, and totals that count\n"
               "everything. With --codes or --histogram, write that file instead. For a GGUF file or a checkpoint\n"
               "folder, describe architecture, sizes, types of tensors, tokenizer and chat template.",
      .options = options,
      .n_options = sizeof options / sizeof *options,
      .operand = "FILE",
      .operand_suggest = SUGGEST_MODEL,
      .operand_target = &path};
  int parsed = cli_parse(&table, argc, argv, &common);
  if (parsed >= 0) return parsed;
  if (codes && !name) return cli_error(ELLM_ERR_USAGE, "inspect: --codes needs --tensor NAME");
  if (as_table && common.json) return cli_error(ELLM_ERR_USAGE, "inspect: --table and --json cannot be used together");

  ellm_error err;
  if (cli_find_model(&path, &err) != ELLM_OK) return cli_fail(&err);
  bool is_source;
  if (cli_is_source(path, &is_source, &err) != ELLM_OK) return cli_fail(&err);
  if (is_source) {
    if (codes || svg) return cli_error(ELLM_ERR_INPUT, "%s: is not compressed and has no codes", path);
    return cli_inspect_source(path, name, as_table);
  }

  ellm_file *file = NULL;
  ellm_tensor_info info;
  size_t index;
  if (ellm_file_open(path, &file, &err) != ELLM_OK) return cli_fail(&err);
  ellm_status status = name ? find_tensor(file, path, name, &index, &info, &err) : ELLM_OK;
  if (status == ELLM_OK && codes) status = write_codes(file, path, name, codes, common.threads, &err);
  if (status == ELLM_OK && svg) status = write_histogram(file, path, name, svg, common.threads, &err);
  int result = status == ELLM_OK ? ELLM_OK : cli_fail(&err);
  if (result == ELLM_OK && as_table) result = print_table(file, path, name);
  else if (result == ELLM_OK && ((!codes && !svg) || common.json)) result = print_description(file, path, name);
  ellm_file_close(file);
  return result;
}
