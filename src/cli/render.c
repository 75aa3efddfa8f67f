/* SPDX-License-Identifier: Apache-2.0 */
/* entrollm render: a conversation through the model's chat template. */
#include <stdlib.h>
#include <string.h>

#include "checkpoint/json.h"
#include "cli/conversation.h"

static const size_t file_limit = (size_t)64 << 20;


static ellm_status check_messages(const char *path, const json_t *messages, ellm_error *err) {
  if (!json_is_array(messages))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: a list of messages is expected, or an object with one in \"messages\"",
                     path);
  for (size_t i = 0; i < json_array_size(messages); i++)
    if (!json_is_object(json_array_get(messages, i)))
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: message %zu is not an object", path, i + 1);
  return ELLM_OK;
}

/* A file of messages: the list itself, or an object with it and with tools, documents and whatever
 * else the template asks for. */
static ellm_status read_conversation(const char *path, conversation *c, ellm_error *err) {
  const bool from_stdin = strcmp(path, "-") == 0;
  const char *origin = from_stdin ? "standard input" : path;
  char *text = NULL;
  uint8_t *data = NULL;
  size_t bytes = 0;
  ellm_status status =
      from_stdin ? cli_read_stdin(&text, &bytes, err) : file_read_all(path, file_limit, &data, &bytes, err);
  if (status == ELLM_OK) status = json_parse(from_stdin ? (void *)text : (void *)data, bytes, origin, &c->root, err);
  free(text);
  free(data);
  if (status != ELLM_OK) return status;
  c->messages = json_is_object(c->root) ? json_object_get(c->root, "messages") : c->root;
  c->tools = json_object_get(c->root, "tools");
  c->documents = json_object_get(c->root, "documents");
  if (c->tools && !json_is_array(c->tools) && !json_is_null(c->tools))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: \"tools\" is not a list", origin);
  return check_messages(origin, c->messages, err);
}

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
  if (status == ELLM_OK) status = read_conversation(messages, &c, &err);
  if (status == ELLM_OK) status = conversation_render(model, &c, prompt, &text, &bytes, &err);
  int result = status == ELLM_OK ? ELLM_OK : cli_fail(&err);
  if (result == ELLM_OK && common.json) result = cli_print_json(json_pack("{s:o}", "text", cli_json_text(text, bytes)));
  else if (result == ELLM_OK) cli_write(text, bytes);
  free(text);
  free(model);
  conversation_free(&c);
  return result;
}
