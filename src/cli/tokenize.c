/* SPDX-License-Identifier: Apache-2.0 */
/* entrollm tokenize and entrollm detokenize: standard input byte for byte. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

/* "1 2 3" */
static void write_ids(const uint32_t *ids, size_t n_ids) {
  char text[16];
  for (size_t i = 0; i < n_ids && cli_output_ok(); i++) {
    int length = snprintf(text, sizeof text, "%s%u", i ? " " : "", (unsigned)ids[i]);
    cli_write(text, (size_t)length);
  }
}

int cmd_tokenize(int argc, char **argv) {
  cli_common common = {0};
  bool no_bos = false, special_as_text = false;
  option options[] = {CLI_OPTION_MODEL(common),
                      OPT_FLAG("no-bos", 0, &no_bos, "leave out what the post-processor adds"),
                      OPT_FLAG("special-as-text", 0, &special_as_text, "do not recognize special tokens in the text"),
                      CLI_OPTION_THREADS(common),
                      CLI_OPTION_JSON(common),
                      CLI_OPTION_QUIET(common)};
  option_table table = {
      .command = "tokenize",
      .synopsis = "[-m MODEL] [options] < TEXT",
      .about = "Turn standard input, byte for byte, into token ids separated by spaces. MODEL is a .ellm file or any\n"
               "folder with a tokenizer.json or tokenizer.model. Invalid UTF-8 becomes U+FFFD.",
      .options = options,
      .n_options = sizeof options / sizeof *options};
  int parsed = cli_parse(&table, argc, argv, &common);
  if (parsed >= 0) return parsed;

  ellm_error err;
  ellm_tokenizer *tokenizer = NULL;
  char *text = NULL;
  size_t bytes = 0, n_ids = 0;
  uint32_t *ids = NULL;
  unsigned flags = (no_bos ? ELLM_ENCODE_NO_POST : 0u) | (special_as_text ? ELLM_ENCODE_SPECIAL_AS_TEXT : 0u);
  ellm_status status = cli_open_tokenizer(&common, &tokenizer, &err);
  if (status == ELLM_OK) status = cli_read_stdin(&text, &bytes, &err);
  if (status == ELLM_OK) status = ellm_tokenizer_encode(tokenizer, text, bytes, flags, &ids, &n_ids, &err);
  int result = status == ELLM_OK ? ELLM_OK : cli_fail(&err);
  if (result == ELLM_OK && !prog_valid_utf8(text, bytes))
    cli_note("standard input is not valid UTF-8: invalid parts became U+FFFD");
  if (result == ELLM_OK && common.json) result = cli_print_json(json_pack("{s:o}", "ids", cli_json_ids(ids, n_ids)));
  else if (result == ELLM_OK) {
    write_ids(ids, n_ids);
    cli_write("\n", 1);
  }
  free(ids);
  free(text);
  ellm_tokenizer_free(tokenizer);
  return result;
}

int cmd_detokenize(int argc, char **argv) {
  cli_common common = {0};
  const char *id_text = NULL;
  bool skip_special = false;
  option options[] = {CLI_OPTION_MODEL(common),
                      OPT_TEXT("ids", 0, &id_text, "\"1 2 3\"", "the ids (default: read from standard input)"),
                      OPT_FLAG("skip-special", 0, &skip_special, "leave special tokens out"),
                      CLI_OPTION_THREADS(common),
                      CLI_OPTION_JSON(common),
                      CLI_OPTION_QUIET(common)};
  option_table table = {.command = "detokenize",
                        .synopsis = "[-m MODEL] [options] < IDS",
                        .about = "Turn token ids into the text that they stand for, without adding a newline.",
                        .options = options,
                        .n_options = sizeof options / sizeof *options};
  int parsed = cli_parse(&table, argc, argv, &common);
  if (parsed >= 0) return parsed;

  ellm_error err;
  ellm_tokenizer *tokenizer = NULL;
  char *input = NULL, *text = NULL;
  size_t input_bytes = 0, bytes = 0, n_ids = 0;
  uint32_t *ids = NULL;
  ellm_status status = cli_open_tokenizer(&common, &tokenizer, &err);
  if (status == ELLM_OK && !id_text) status = cli_read_stdin(&input, &input_bytes, &err);
  int result = status == ELLM_OK ? ELLM_OK : cli_fail(&err);
  if (result == ELLM_OK) {
    result = id_text
                 ? options_parse_ids(id_text, strlen(id_text), "detokenize: --ids", ELLM_ERR_USAGE, &ids, &n_ids)
                 : options_parse_ids(input, input_bytes, "detokenize: standard input", ELLM_ERR_INPUT, &ids, &n_ids);
    if (result == ELLM_OK && ellm_tokenizer_decode(tokenizer, ids, n_ids, skip_special, &text, &bytes, &err) != ELLM_OK)
      result = cli_fail(&err);
  }
  if (result == ELLM_OK && common.json) result = cli_print_json(json_pack("{s:o}", "text", cli_json_text(text, bytes)));
  else if (result == ELLM_OK) cli_write(text, bytes);
  free(text);
  free(ids);
  free(input);
  ellm_tokenizer_free(tokenizer);
  return result;
}
