/* SPDX-License-Identifier: Apache-2.0 */
/* entrollm verify and entrollm decompress. */
#include <string.h>

#include "cli/cli.h"

static int print_verified(const char *path, const ellm_verify_result *result, bool json) {
  if (json) {
    json_t *problems = json_array();
    for (size_t i = 0; i < result->n_problems; i++)
      cli_json_append(&problems, cli_json_text(result->problems[i], strlen(result->problems[i])));
    return cli_print_json(json_pack("{s:b, s:I, s:o}", "ok", (int)result->ok, "checked_bytes",
                                    (json_int_t)result->checked_bytes, "problems", problems));
  }
  for (size_t i = 0; i < result->n_problems; i++) printf("%s\n", result->problems[i]);
  if (result->ok) printf("%s: ok, %llu bytes checked\n", path, (unsigned long long)result->checked_bytes);
  return ELLM_OK;
}

int cmd_verify(int argc, char **argv) {
  cli_common common = {0};
  const char *path = NULL, *against = NULL, *calibrate = NULL;
  bool again = false;
  option options[] = {OPT_SUGGEST("against", 0, &against, "DIR", SUGGEST_SOURCE,
                                  "also compare with this checkpoint or GGUF file: its identity, and for\neach matrix "
                                  "its codes, or the recorded error if the file was made to a\nsize"),
                      OPT_FLAG("requantize", 0, &again,
                               "with --against: also make the file again, with the recorded options,\nand compare "
                               "the bytes"),
                      OPT_TEXT("calibrate", 0, &calibrate, "FILE", "with --requantize: the text that it was calibrated on"),
                      CLI_OPTION_THREADS(common), CLI_OPTION_JSON(common), CLI_OPTION_QUIET(common)};
  option_table table = {
      .command = "verify",
      .synopsis = "FILE [options]",
      .about = "Check every byte of a .ellm file against its checksums, and name the section, tensor and block that\n"
               "is damaged. Exit status 0: no problems; 5: problems were found; 3: this is not a .ellm file.",
      .options = options,
      .n_options = sizeof options / sizeof *options,
      .operand = "FILE",
      .operand_suggest = SUGGEST_ELLM,
      .operand_target = &path};
  int parsed = cli_parse(&table, argc, argv, &common);
  if (parsed >= 0) return parsed;
  if (again && against == NULL)
    return cli_error(ELLM_ERR_USAGE, "verify: --requantize needs --against DIR, what the file was made from");
  if (calibrate != NULL && !again)
    return cli_error(ELLM_ERR_USAGE, "verify: --calibrate needs --requantize");

  ellm_verify_options how;
  ellm_verify_result *result;
  ellm_error err;
  cli_progress progress;
  cli_progress_init(&progress);
  if (cli_find_model(&path, &err) != ELLM_OK || cli_find_model(&against, &err) != ELLM_OK) return cli_fail(&err);
  ellm_verify_options_init(&how);
  how.against = against;
  how.requantize = again;
  how.calibrate_file = calibrate;
  how.threads = common.threads;
  how.progress = cli_progress_update;
  how.progress_user = &progress;
  ellm_status status = ellm_verify(path, &how, &result, &err);
  cli_progress_end(&progress);
  if (result) {
    int printed = print_verified(path, result, common.json);
    if (printed != ELLM_OK) status = (ellm_status)printed;
    else if (status == ELLM_ERR_DIFFERENCE)
      cli_error(status, "%s: verification found %zu problem%s", path, result->n_problems,
                result->n_problems == 1 ? "" : "s");
  } else {
    cli_fail(&err);
    if (common.json && status == ELLM_ERR_INPUT)
      cli_print_json(json_pack("{s:b, s:i, s:[o]}", "ok", 0, "checked_bytes", 0, "problems",
                               cli_json_text(err.message, strlen(err.message))));
  }
  ellm_verify_free(result);
  return (int)status;
}

int cmd_decompress(int argc, char **argv) {
  static const option_choice dtypes[] = {{"f32", ELLM_F32}, {"f16", ELLM_F16}, {"bf16", ELLM_BF16}, {NULL, 0}};
  cli_common common = {0};
  const char *path = NULL, *folder = NULL;
  int dtype = -1;
  bool force = false;
  option options[] = {OPT_TEXT("output", 'o', &folder, "DIR", "the folder to write; it must not exist or be empty"),
                      OPT_CHOICE("dtype", 0, &dtype, dtypes, "TYPE", "f32, f16 or bf16 (default: as in the source)"),
                      OPT_FLAG("force", 0, &force, "write into a folder that is not empty"),
                      CLI_OPTION_THREADS(common),
                      CLI_OPTION_JSON(common),
                      CLI_OPTION_QUIET(common)};
  option_table table = {
      .command = "decompress",
      .synopsis = "FILE -o DIR [options]",
      .about = "Write a Hugging Face checkpoint folder with the dequantized weights. Kept tensors and the other\n"
               "files of the source come back byte for byte.",
      .options = options,
      .n_options = sizeof options / sizeof *options,
      .operand = "FILE",
      .operand_suggest = SUGGEST_ELLM,
      .operand_target = &path};
  int parsed = cli_parse(&table, argc, argv, &common);
  if (parsed >= 0) return parsed;
  if (!folder) return cli_error(ELLM_ERR_USAGE, "decompress: -o DIR is missing (see 'entrollm decompress --help')");

  ellm_error err;
  cli_progress progress;
  cli_progress_init(&progress);
  if (cli_find_model(&path, &err) != ELLM_OK) return cli_fail(&err);
  ellm_decompress_options how;
  ellm_decompress_options_init(&how);
  how.dtype = dtype;
  how.overwrite = force;
  how.threads = common.threads;
  how.progress = cli_progress_update;
  how.progress_user = &progress;
  double start = cli_seconds();
  ellm_status status = ellm_decompress(path, folder, &how, &err);
  double seconds = cli_seconds() - start;
  cli_progress_end(&progress);
  if (status == ELLM_ERR_EXISTS) return cli_error(status, "%s (use --force to write into it)", err.message);
  if (status != ELLM_OK) return cli_fail(&err);
  uint64_t bytes = cli_model_bytes(folder);
  char size[24];
  if (common.json)
    return cli_print_json(json_pack("{s:o, s:I, s:o}", "folder", cli_json_text(folder, strlen(folder)), "tensor_bytes",
                                    (json_int_t)bytes, "seconds", cli_json_real(seconds)));
  if (!common.quiet) printf("%s: %s of tensors in %.2f s\n", folder, cli_size_text(bytes, size), seconds);
  return ELLM_OK;
}
