/* SPDX-License-Identifier: Apache-2.0 */
/* entrollm split: the parts of a model, one for each machine. */
#include <string.h>

#include "cli/cli.h"
#include "cli/shares.h"

typedef struct split_request {
  cli_common common;
  const char *path, *folder, *shares_text;
  int n_parts;
  bool force;
  uint32_t shares[ELLM_TEAM_MOST];
} split_request;

static int print_report_json(const split_request *r, const ellm_split_report *report) {
  json_t *parts = json_array();
  for (size_t i = 0; i < report->n_parts; i++) {
    char name[ELLM_PART_NAME_BYTES];
    ellm_split_part_name((uint32_t)i + 1, (uint32_t)report->n_parts, name);
    cli_json_append(&parts, json_pack("{s:s, s:I, s:I, s:I}", "file", name, "share", (json_int_t)r->shares[i],
                                      "file_bytes", (json_int_t)report->parts[i].file_bytes, "divided_bytes",
                                      (json_int_t)report->parts[i].divided_bytes));
  }
  return cli_print_json(json_pack("{s:o, s:I, s:{s:I, s:I, s:I}, s:o}", "folder",
                                  cli_json_text(r->folder, strlen(r->folder)), "whole_bytes",
                                  (json_int_t)report->whole_bytes, "in_each_part", "coded_bytes",
                                  (json_int_t)report->coded_bytes, "kept_bytes", (json_int_t)report->kept_bytes,
                                  "small_file_bytes", (json_int_t)report->small_file_bytes, "parts", parts));
}

static void print_report(const split_request *r, const ellm_split_report *report) {
  char size[3][24];
  for (size_t i = 0; i < report->n_parts; i++) {
    const ellm_split_part *part = &report->parts[i];
    char name[ELLM_PART_NAME_BYTES];
    ellm_split_part_name((uint32_t)i + 1, (uint32_t)report->n_parts, name);
    printf("%s/%s: %s, %.1f %% of the whole\n", r->folder, name, cli_size_text(part->file_bytes, size[0]),
           100 * (double)part->file_bytes / (double)report->whole_bytes);
  }
  printf("in each of them: %s coded (embedding, routers), %s kept (norms), %s of small files\n",
         cli_size_text(report->coded_bytes, size[0]), cli_size_text(report->kept_bytes, size[1]),
         cli_size_text(report->small_file_bytes, size[2]));
}

static int split(split_request *r) {
  ellm_split_options how;
  ellm_split_report *report;
  ellm_error err;
  cli_progress progress;
  if (cli_find_model(&r->path, &err) != ELLM_OK) return cli_fail(&err);
  cli_progress_init(&progress);
  ellm_split_options_init(&how);
  how.n_parts = (uint32_t)r->n_parts;
  how.shares = r->shares;
  how.overwrite = r->force;
  how.progress = cli_progress_update;
  how.progress_user = &progress;
  const ellm_status status = ellm_split(r->path, r->folder, &how, &report, &err);
  cli_progress_end(&progress);
  if (status == ELLM_ERR_EXISTS) return cli_error(status, "%s (use --force to replace it)", err.message);
  if (status != ELLM_OK) return cli_fail(&err);
  int result = ELLM_OK;
  if (r->common.json) result = print_report_json(r, report);
  else if (!r->common.quiet) print_report(r, report);
  ellm_split_report_free(report);
  return result;
}

int cmd_split(int argc, char **argv) {
  split_request r = {0};
  option options[] = {OPT_INT("parts", 'n', &r.n_parts, 2, ELLM_TEAM_MOST, "N",
                              "number of parts, one for each process"),
                      OPT_TEXT("shares", 0, &r.shares_text, "A:B:...",
                               "shares of the parts, such as 2:1:1 (default: equal)"),
                      OPT_TEXT("output", 'o', &r.folder, "DIR", "the folder to write the parts into"),
                      OPT_FLAG("force", 0, &r.force, "replace parts that are there"),
                      CLI_OPTION_JSON(r.common),
                      CLI_OPTION_QUIET(r.common)};
  option_table table = {
      .command = "split",
      .synopsis = "FILE -n N -o DIR [options]",
      .about = "Write the parts of a .ellm file, one for each process of entrollm-mpi, so that a machine need hold\n"
               "only what it computes. entrollm-mpi -m DIR runs them together, with the bits of the whole file.",
      .options = options,
      .n_options = sizeof options / sizeof *options,
      .operand = "FILE",
      .operand_suggest = SUGGEST_ELLM,
      .operand_target = &r.path};
  const int parsed = cli_parse(&table, argc, argv, &r.common);
  if (parsed >= 0) return parsed;
  if (r.n_parts == 0) return cli_error(ELLM_ERR_USAGE, "split: -n N is missing (see 'entrollm split --help')");
  if (!r.folder) return cli_error(ELLM_ERR_USAGE, "split: -o DIR is missing (see 'entrollm split --help')");
  for (int i = 0; i < r.n_parts; i++) r.shares[i] = 1;
  if (r.shares_text != NULL) {
    const int bad = cli_shares_parse(r.shares_text, "parts", r.shares, (uint32_t)r.n_parts);
    if (bad != ELLM_OK) return bad;
  }
  return split(&r);
}
