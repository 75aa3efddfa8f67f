/* SPDX-License-Identifier: Apache-2.0 */
/* entrollm render: a conversation through the model's chat template. */
#include <stdlib.h>
#include <string.h>

#include "cli/conversation.h"

int cmd_render(int argc, char **argv) {
  cli_common common = {0};
  const char *messages = NULL;
  bool prompt = false;
  option options[] = {CLI_OPTION_MODEL(common),
                      OPT_TEXT("messages", 0, &messages, "FILE.json", "the conversation (\"-\": standard input)"),
                      OPT_FLAG("add-generation-prompt", 0, &prompt, "end with the beginning of an answer"),
                      CLI_OPTION_JSON(common),
                      CLI_OPTION_QUIET(common)};
  option_table table = {
      .command = "render",
      .synopsis = "[-m MODEL] --messages FILE.json [options]",
      .about =
          "Print a conversation as the model's chat template renders it; no newline is added. FILE.json is a list\n"
          "of messages, or an object with \"messages\" and \"tools\"; its other fields are variables of the template.\n"
          "MODEL is a .ellm file or a folder with a chat_template.jinja or a tokenizer_config.json.",
      .options = options,
      .n_options = sizeof options / sizeof *options};
  int parsed = cli_parse(&table, argc, argv, &common);
  if (parsed >= 0) return parsed;
  if (!messages) return cli_error(ELLM_ERR_USAGE, "render: --messages is missing (see 'entrollm render --help')");

  ellm_error err;
  conversation c = {0};
  char *model = NULL, *text = NULL;
  size_t bytes = 0;
  ellm_status status = cli_model_path(&common, &model, &err);
  if (status == ELLM_OK) status = conversation_read(messages, &c, &err);
  if (status == ELLM_OK) status = conversation_render(model, &c, prompt, &text, &bytes, &err);
  int result = status == ELLM_OK ? ELLM_OK : cli_fail(&err);
  if (result == ELLM_OK && common.json) result = cli_print_json(json_pack("{s:o}", "text", cli_json_text(text, bytes)));
  else if (result == ELLM_OK) cli_write(text, bytes);
  free(text);
  free(model);
  conversation_free(&c);
  return result;
}
