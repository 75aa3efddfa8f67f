/* SPDX-License-Identifier: Apache-2.0 */
/* entrollm report: the command, and the tables as CSV. */
#include <stdlib.h>
#include <string.h>

#include "cli/report_curve.h"
#include "cli/report_page.h"

/* -------------------------------------------------------------------- CSV */

/* A text in quotes, quotes doubled. */
static bool add_quoted(prog_buffer *out, const char *text) {
  bool good = prog_append(out, "\"", 1);
  for (; good && *text; text++)
    good = prog_append(out, text, 1) && (*text != '"' || prog_append(out, text, 1));
  return good && prog_append(out, "\"", 1);
}

static bool add_quality(prog_buffer *out, const report_quality *q) {
  return prog_print(out, ",%.9g,%.3g,%.9g,%.3g,%.6f,%.3g,%.9g,%.3g", q->perplexity.value, q->perplexity.error,
                 q->kl.value, q->kl.error, q->same_top.value, q->same_top.error, q->ratio.value, q->ratio.error);
}

static bool report_csv(const report_data *data, prog_buffer *out) {
  bool good = prog_print(out, "variant,bits,scheme,code,file_bytes,coded_bits,entropy_bits,weight_error");
  for (int kind = 0; good && kind < REPORT_KINDS; kind++) {
    static const char *const figures[] = {"perplexity", "kl", "same_top", "perplexity_ratio"};
    const char *k = kind == REPORT_FLOAT ? "f32" : "run";
    for (size_t i = 0; good && i < sizeof figures / sizeof *figures; i++)
      good = prog_print(out, ",%s_%s,%s_%s_stderr", figures[i], k, figures[i], k);
  }
  good = good && prog_print(out, ",prompt_tokens_per_second,tokens_per_second,peak_memory_bytes\n");
  for (size_t i = 0; good && i < data->n_variants; i++) {
    const report_variant *v = &data->variants[i];
    if (v->original) good = prog_print(out, "original,,,,");
    else
      good = prog_print(out, "%s,%d,%s,%s,", v->name, v->bits, ellm_scheme_name(v->scheme),
                     v->code == ELLM_CODE_HUFFMAN ? "huffman" : "none");
    good = good && prog_print(out, "%llu,%.6f,%.6f,%.9g", (unsigned long long)v->file_bytes, v->coded_bits, v->entropy,
                           v->error) &&
           add_quality(out, &v->quality[REPORT_FLOAT]) && add_quality(out, &v->quality[REPORT_RUN]) &&
           prog_print(out, ",%.1f,%.2f,%llu\n", v->prompt_rate, v->generate_rate, (unsigned long long)v->peak_bytes);
  }
  return good;
}

static bool report_tensors_csv(const report_data *data, prog_buffer *out) {
  bool good = prog_print(out, "variant,tensor,rows,columns,scheme,step,zero,entropy_bits,coded_bits,weight_error\n");
  for (size_t i = 0; good && i < data->n_variants; i++) {
    const report_variant *v = &data->variants[i];
    for (size_t k = 0; good && k < v->n_tensors; k++) {
      const report_tensor *t = &v->tensors[k];
      good = prog_print(out, "%s,", v->name) && add_quoted(out, t->name) &&
             prog_print(out, ",%llu,%llu,%s,%.9g,%d,%.6f,%.6f,%.9g\n", (unsigned long long)t->rows,
                     (unsigned long long)t->columns, ellm_scheme_name(t->scheme), t->step, t->zero, t->entropy,
                     t->coded_bits, t->error);
    }
  }
  return good;
}

/* ---------------------------------------------------------------- command */

typedef struct report_options {
  cli_common common;
  const char *source, *out, *text;
  int ctx, chunks;
  bool force, keep_files;
} report_options;

static ellm_status write_file(const report_options *r, const char *name,
                              bool (*make)(const report_data *data, prog_buffer *out), const report_data *data,
                              ellm_error *err) {
  prog_buffer content = {0};
  cli_output output;
  char *path = cli_path_join(r->out, name);
  ellm_status status = path && make(data, &content) ? ELLM_OK : prog_failure_memory(err, content.bytes, name);
  if (status == ELLM_OK) status = cli_output_open(&output, path, r->source, err);
  if (status == ELLM_OK) {
    status = cli_output_write(&output, content.data, content.bytes, err);
    if (status == ELLM_OK) status = cli_output_close(&output, err);
    else cli_output_abort(&output);
  }
  prog_buffer_free(&content);
  free(path);
  return status;
}

/* The text that the model is evaluated on: -f, else unseen.txt of the folder, else that of the embedded model. */
static ellm_status find_text(const report_options *r, char **path, ellm_error *err) {
  if (r->text) {
    *path = malloc(strlen(r->text) + 1);
    if (!*path) return prog_failure_memory(err, strlen(r->text) + 1, "a path");
    strcpy(*path, r->text);
    return ELLM_OK;
  }
  *path = cli_path_join(r->source, "unseen.txt");
  if (*path && cli_file_exists(*path)) return ELLM_OK;
  free(*path);
  char *embedded = cli_embedded_model();
  *path = embedded ? cli_path_join(embedded, "unseen.txt") : NULL;
  free(embedded);
  if (*path && cli_file_exists(*path)) return ELLM_OK;
  free(*path);
  *path = NULL;
  return prog_failure(err, ELLM_ERR_USAGE, "report: there is no unseen.txt to evaluate on: name a text with -f");
}

static ellm_status check_folder(const report_options *r, ellm_error *err) {
  char *page = cli_path_join(r->out, "index.html");
  if (!page) return prog_failure_memory(err, strlen(r->out), "a path");
  const bool there = cli_file_exists(page);
  free(page);
  if (there && !r->force)
    return prog_failure(err, ELLM_ERR_USAGE, "%s: a report already exists (use --force to replace it)", r->out);
  if (!cli_is_directory(r->source)) return prog_failure(err, ELLM_ERR_INPUT, "%s: not a checkpoint folder", r->source);
  return cli_create_directory(r->out, err);
}

static ellm_status make_report(const report_options *r, report_data *data, ellm_error *err) {
  report_plan plan = {.source = r->source,
                      .out = r->out,
                      .ctx = r->ctx,
                      .chunks = r->chunks,
                      .threads = r->common.threads,
                      .keep_files = r->keep_files};
  char *text = NULL;
  PROG_TRY(find_text(r, &text, err));
  plan.text = text;
  ellm_status status = check_folder(r, err);
  if (status == ELLM_OK) status = report_measure(&plan, data, err);
  if (status == ELLM_OK) status = report_curve_measure(&plan, data, err);
  if (status == ELLM_OK) status = write_file(r, "report.csv", report_csv, data, err);
  if (status == ELLM_OK) status = write_file(r, "tensors.csv", report_tensors_csv, data, err);
  if (status == ELLM_OK) status = write_file(r, "index.html", report_page, data, err);
  free(text);
  data->text = NULL; /* it was `text` */
  return status;
}

int cmd_report(int argc, char **argv) {
  report_options r = {.chunks = 40};
  option options[] = {
      OPT_TEXT("output", 'o', &r.out, "FOLDER", "where index.html, report.csv and tensors.csv go"),
      OPT_TEXT("file", 'f', &r.text, "TEXT",
               "the text to evaluate on, \"-\": standard input (default:\nunseen.txt of DIR or of the embedded model)"),
      OPT_INT("ctx", 'c', &r.ctx, 4, 1 << 24, "N", "tokens in a chunk (default: the smaller of 512 and the context)"),
      OPT_INT("chunks", 0, &r.chunks, 1, 1 << 30, "N", "evaluate the first N chunks of the text (default 40)"),
      OPT_INT("limit", 0, &r.chunks, 1, 1 << 30, "N", "the same as --chunks"),
      OPT_FLAG("keep-files", 0, &r.keep_files, "leave the .ellm files and the reference's logits in FOLDER"),
      OPT_FLAG("force", 0, &r.force, "replace a report in FOLDER"),
      CLI_OPTION_THREADS(r.common),
      CLI_OPTION_JSON(r.common),
      CLI_OPTION_QUIET(r.common)};
  option_table table = {
      .command = "report",
      .synopsis = "DIR -o FOLDER [options]",
      .about = "Compress a checkpoint folder in twelve ways (8 and 4 bits; mixed, symmetric and asymmetric; coded and\n"
               "uncoded), measure size, quality, speed and memory of each, and "
               "write one self-contained web page, with\n"
               "the figures as CSV beside it. An interrupted report continues where it stopped.",
      .options = options,
      .n_options = sizeof options / sizeof *options,
      .operand = "DIR",
      .operand_suggest = SUGGEST_SOURCE,
      .operand_target = &r.source};
  int result = cli_parse(&table, argc, argv, &r.common);
  if (result >= 0) return result;
  if (!r.out) return cli_error(ELLM_ERR_USAGE, "report: -o FOLDER is missing (see 'entrollm report --help')");
  report_data data = {0};
  ellm_error err;
  ellm_status status = cli_find_model(&r.source, &err);
  if (status == ELLM_OK) status = make_report(&r, &data, &err);
  report_data_free(&data);
  if (status != ELLM_OK) return cli_fail(&err);
  if (r.common.json) return cli_print_json(json_pack("{s:o}", "folder", cli_json_text(r.out, strlen(r.out))));
  printf("%s/index.html\n", r.out);
  return ELLM_OK;
}
