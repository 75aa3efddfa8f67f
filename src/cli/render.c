/* SPDX-License-Identifier: Apache-2.0 */
/* entrollm render: a conversation through the model's chat template. */
#include <stdlib.h>
#include <string.h>

#include "cli/conversation.h"

static int render(const cli_common *common, const cli_template *choice, const char *messages, bool prompt) {
  ellm_error err;
  json_t *conversation = NULL;
  ellm_chat *chat = NULL;
  char *model = NULL, *text = NULL;
  size_t bytes = 0;
  int result;
  json_t *variables = cli_template_variables(choice, "render", &result);
  if (result != ELLM_OK) return result;
  ellm_status status = cli_model_path(common, &model, &err);
  if (status == ELLM_OK) status = cli_conversation_read(messages, &conversation, &err);
  if (status == ELLM_OK) status = cli_chat_open(NULL, model, choice, &chat, &err);
  if (status == ELLM_OK)
    status = cli_conversation_render(chat, conversation, variables,
                                     strcmp(messages, "-") == 0 ? "standard input" : messages, prompt, &text, &bytes,
                                     &err);
  if (status != ELLM_OK) result = cli_fail(&err);
  else if (common->json) result = cli_print_json(json_pack("{s:o}", "text", cli_json_text(text, bytes)));
  else cli_write(text, bytes);
  free(text);
  free(model);
  ellm_chat_free(chat);
  json_decref(conversation);
  json_decref(variables);
  return result;
}

int cmd_render(int argc, char **argv) {
  cli_common common = {0};
  const char *messages = NULL;
  bool prompt = false;
  cli_template choice = {0};
  option options[] = {CLI_OPTION_MODEL(common),
                      OPT_TEXT("messages", 0, &messages, "FILE.json", "the conversation (\"-\": standard input)"),
                      OPT_FLAG("add-generation-prompt", 0, &prompt, "end with the beginning of an answer"),
                      CLI_OPTIONS_TEMPLATE(choice),
                      CLI_OPTION_JSON(common),
                      CLI_OPTION_QUIET(common)};
  option_table table = {
      .command = "render",
      .synopsis = "[-m MODEL] --messages FILE.json [options]",
      .about =
          "Print a conversation as the model's chat template renders it, without adding a newline. FILE.json is a\n"
          "list of messages, or an object with \"messages\" and \"tools\" whose other fields are variables of the\n"
          "template. "
          "MODEL is a .ellm file or a folder with a chat_template.jinja or a tokenizer_config.json.",
      .options = options,
      .n_options = sizeof options / sizeof *options};
  int result = cli_parse(&table, argc, argv, &common);
  if (result < 0) {
    result = messages ? render(&common, &choice, messages, prompt)
                      : cli_error(ELLM_ERR_USAGE, "render: --messages is missing (see 'entrollm render --help')");
  }
  option_list_free(&choice.variables);
  return result;
}
