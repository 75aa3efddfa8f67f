/* SPDX-License-Identifier: Apache-2.0 */
/* entrollm logits: raw little-endian float32, positions x vocabulary. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

enum { BATCH = 32 }; /* positions computed and written at a time */

static void store_little_endian(float *value) {
  uint32_t bits;
  memcpy(&bits, value, sizeof bits);
  const uint8_t bytes[4] = {(uint8_t)bits, (uint8_t)(bits >> 8), (uint8_t)(bits >> 16), (uint8_t)(bits >> 24)};
  memcpy(value, bytes, sizeof bytes);
}

static ellm_status write_logits(ellm_model *model, ellm_sequence *sequence, uint32_t vocab_size, const uint32_t *ids,
                                size_t n_ids, cli_output *output, ellm_error *err) {
  size_t row = vocab_size;
  float *logits = calloc(row * BATCH, sizeof *logits);
  if (!logits) return prog_failure_memory(err, row * BATCH * sizeof *logits, "logits");
  ellm_status status = ellm_sequence_announce(sequence, (uint32_t)n_ids, err);
  for (size_t done = 0; done < n_ids && status == ELLM_OK;) {
    size_t n = n_ids - done < BATCH ? n_ids - done : BATCH;
    if (cli_stopped()) status = prog_failure(err, ELLM_INTERRUPTED, "interrupted");
    if (status == ELLM_OK)
      status = ellm_evaluate(model, &(ellm_batch_item){sequence, ids + done, n, logits, n}, 1, err);
    for (size_t i = 0; i < n && status == ELLM_OK; i++)
      status = ellm_logits_check(logits + i * row, row, (uint32_t)(done + i), err);
    if (status != ELLM_OK) break;
    for (size_t i = 0; i < n * row; i++) store_little_endian(&logits[i]);
    status = cli_output_write(output, logits, n * row * sizeof *logits, err);
    done += n;
  }
  free(logits);
  return status;
}

static ellm_status logits_of(const cli_common *common, const uint32_t *ids, size_t n_ids, const char *path,
                             uint32_t *vocab_size, ellm_error *err) {
  ellm_model *model = NULL;
  ellm_sequence *sequence = NULL;
  ellm_model_info info;
  cli_output output = {0};
  char *model_path = NULL;
  PROG_TRY(cli_open_model(common, &model, &model_path, err));
  ellm_model_get_info(model, &info);
  *vocab_size = info.vocab_size;
  ellm_status status = ELLM_OK;
  const char *reason = info.max_context_reason;
  if (n_ids > info.max_context)
    status = prog_failure(err, ELLM_ERR_INPUT, "%zu ids are more than the model's context of %u positions%s%s", n_ids,
                         (unsigned)info.max_context, reason ? ": " : "", reason ? reason : "");
  if (status == ELLM_OK) status = ellm_model_reserve(model, (uint32_t)n_ids, err);
  if (status == ELLM_OK) status = ellm_sequence_create(model, &sequence, err);
  if (status == ELLM_OK) status = cli_output_open(&output, path, model_path, err);
  if (status == ELLM_OK) {
    status = write_logits(model, sequence, info.vocab_size, ids, n_ids, &output, err);
    if (status == ELLM_OK) status = cli_output_close(&output, err);
    else cli_output_abort(&output);
  }
  ellm_sequence_free(sequence);
  ellm_model_close(model);
  free(model_path);
  return status;
}

int cmd_logits(int argc, char **argv) {
  cli_common common = {0};
  const char *id_text = NULL, *path = NULL;
  option options[] = {CLI_OPTION_MODEL(common),
                      OPT_TEXT("ids", 0, &id_text, "\"1 2 3\"", "the token ids"),
                      OPT_SUGGEST("output", 'o', &path, "F", "*", "the file to write ('-': standard output)"),
                      CLI_OPTION_THREADS(common),
                      CLI_OPTIONS_RUNNING(common),
                      CLI_OPTION_JSON(common),
                      CLI_OPTION_QUIET(common)};
  option_table table = {
      .command = "logits",
      .synopsis = "[-m MODEL] --ids \"1 2 3\" -o F [options]",
      .about = "Write the logits of every position of a sequence: little-endian float32, positions x vocabulary.\n"
               "They do not depend on the number of threads or the instruction set.",
      .options = options,
      .n_options = sizeof options / sizeof *options};
  int status = cli_parse(&table, argc, argv, &common);
  if (status >= 0) return status;
  if (!id_text) return cli_error(ELLM_ERR_USAGE, "logits: --ids is missing (see 'entrollm logits --help')");
  if (!path) return cli_error(ELLM_ERR_USAGE, "logits: -o F is missing (see 'entrollm logits --help')");
  if (common.json && strcmp(path, "-") == 0)
    return cli_error(ELLM_ERR_USAGE, "logits: --json and -o - cannot be used together");

  uint32_t *ids = NULL, vocab_size = 0;
  size_t n_ids = 0;
  ellm_error err;
  status = options_parse_ids(id_text, strlen(id_text), "logits: --ids", ELLM_ERR_USAGE, &ids, &n_ids);
  if (status == ELLM_OK && n_ids == 0) status = cli_error(ELLM_ERR_USAGE, "logits: --ids holds no ids");
  if (status == ELLM_OK && logits_of(&common, ids, n_ids, path, &vocab_size, &err) != ELLM_OK) status = cli_fail(&err);
  free(ids);
  if (status == ELLM_OK && common.json)
    status = cli_print_json(json_pack("{s:o, s:I, s:I}", "file", cli_json_text(path, strlen(path)), "positions",
                                      (json_int_t)n_ids, "vocabulary", (json_int_t)vocab_size));
  return status;
}
