/* SPDX-License-Identifier: Apache-2.0 */
/* entrollm run: continue a text. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/conversation.h"
#include "cli/generate.h"
#include "cli/input.h"
#include "cli/sampling.h"

enum { DEFAULT_TOKENS = 256 };

typedef struct run_options {
  cli_common common;
  cli_sampling sampling;
  const char *prompt, *file, *prompt_ids, *prompt_cache, *system;
  int context;
  cli_template choice;
  bool ignore_eos, print_ids, chat;
  cli_text text; /* of -p, of the file or of standard input; its data is NULL with --prompt-ids */
} run_options;

/* The text of the prompt. Standard input is read where it is named, and where nothing is and it is no terminal. */
static int read_prompt(run_options *r) {
  ellm_error err;
  const bool named = r->prompt || r->file, dash = r->prompt && strcmp(r->prompt, "-") == 0;
  if (r->prompt_ids) return ELLM_OK;
  if (!named && isatty(STDIN_FILENO)) return ELLM_OK;
  const ellm_status status = r->prompt && !dash ? cli_text_copy(r->prompt, &r->text, &err)
                                                : cli_text_read(r->file ? r->file : "-", &r->text, &err);
  if (status != ELLM_OK) return cli_fail(&err);
  if (!r->prompt || dash) cli_text_drop_newline(&r->text);
  if (!named && r->text.bytes == 0) cli_text_free(&r->text); /* an empty pipe names no prompt */
  if (r->text.data && r->sampling.escape) r->text.bytes = cli_unescape(r->text.data, r->text.bytes);
  return ELLM_OK;
}

/* The prompt as a message of the user. Special tokens in it are recognized, as in any prompt of this command. */
static ellm_status chat_ids(const run_options *r, const ellm_chat *chat, json_t *variables, uint32_t **ids,
                            size_t *n_ids, ellm_error *err) {
  json_t *conversation;
  PROG_TRY(cli_conversation_of_text(r->system, r->text.data, r->text.bytes, &conversation, err));
  const ellm_status status = cli_conversation_encode(chat, conversation, variables, true, ids, n_ids, err);
  json_decref(conversation);
  return status;
}

/* The prompt as ids, malloc'ed; of a conversation with the ids that end an answer, owned by *chat. */
static int prompt_ids(const run_options *r, const char *path, const ellm_tokenizer *tokenizer, generation *g,
                      ellm_chat **chat, uint32_t **ids) {
  ellm_error err;
  int result;
  if (r->prompt_ids)
    return options_parse_ids(r->prompt_ids, strlen(r->prompt_ids), "run: --prompt-ids", ELLM_ERR_USAGE, ids,
                             &g->n_prompt);
  if (!r->chat)
    return ellm_tokenizer_encode(tokenizer, r->text.data, r->text.bytes, ELLM_ENCODE_DEFAULT, ids, &g->n_prompt,
                                 &err) == ELLM_OK
               ? ELLM_OK
               : cli_fail(&err);
  json_t *variables = cli_template_variables(&r->choice, "run", &result);
  if (result != ELLM_OK) return result;
  ellm_status status = cli_chat_open(g->model, path, &r->choice, chat, &err);
  if (status == ELLM_OK) status = chat_ids(r, *chat, variables, ids, &g->n_prompt, &err);
  if (status == ELLM_OK) g->n_end_ids = ellm_chat_end_ids(*chat, &g->end_ids);
  json_decref(variables);
  return status == ELLM_OK ? ELLM_OK : cli_fail(&err);
}

static json_t *result_json(const generation *g, const char *path) {
  json_t *text = g->text ? cli_json_text(g->new_text, g->text_bytes) : NULL;
  if (g->text && !text) return NULL;
  return json_pack("{s:o*, s:o, s:s, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:I}", "text", text, "ids",
                   cli_json_ids(g->ids, g->n_ids), "end", g->end_name, "prompt_tokens",
                   (json_int_t)g->n_prompt, "cached_tokens", (json_int_t)g->kept, "tokens", (json_int_t)g->n_ids,
                   "prompt_tokens_per_s", cli_json_real(cli_rate((double)(g->n_prompt - g->kept), g->prompt_seconds)),
                   "tokens_per_s", cli_json_real(cli_rate((double)g->n_ids, g->seconds)), "temperature",
                   cli_json_real(g->sampling.temperature), "seed", cli_json_u64(g->sampling.seed), "model_bytes",
                   (json_int_t)cli_model_bytes(path));
}

/* What comes after the text. Returns the exit status. */
static int finish(const run_options *r, const generation *g, const char *path) {
  char size[24], cached[40] = "";
  int result = ELLM_OK;
  if (g->kept > 0) snprintf(cached, sizeof cached, " (%zu from the cache)", g->kept);
  if (r->common.json) result = cli_print_json(result_json(g, path));
  else if (g->show == SHOW_IDS || (isatty(STDOUT_FILENO) && g->text_bytes > 0)) cli_write("\n", 1);
  cli_flush();
  if (g->interrupted) return cli_error(ELLM_INTERRUPTED, "interrupted");
  if (g->end == ELLM_END_CONTEXT || g->end == ELLM_END_FULL) /* said even when quiet: the text was cut */
    cli_error(ELLM_OK, "the context of %u tokens is full: stopped after %zu new tokens", (unsigned)g->capacity,
              g->n_ids);
  if (!r->common.quiet && !r->common.json && cli_output_ok())
    fprintf(stderr, "prompt %zu tokens%s, %.0f tokens/s; generated %zu tokens, %.1f tokens/s; model %s\n", g->n_prompt,
            cached, cli_rate((double)(g->n_prompt - g->kept), g->prompt_seconds), g->n_ids,
            cli_rate((double)g->n_ids, g->seconds), cli_size_text(cli_model_bytes(path), size));
  return result;
}

static int generate_once(const run_options *r, const option_table *table) {
  generation g = {
      .limit = cli_sampling_limit(&r->sampling),
      .most_positions = (uint32_t)r->context,
      .ignore_eos = r->ignore_eos,
      .prompt_cache = r->prompt_cache};
  ellm_error err;
  char *path = NULL;
  uint32_t *ids = NULL;
  ellm_chat *chat = NULL;
  ellm_grammar *grammar = NULL;
  const ellm_tokenizer *tokenizer = NULL;
  if (cli_open_model(&r->common, &g.model, &path, &err) != ELLM_OK) return cli_fail(&err);
  g.text = r->text.data || !r->print_ids || r->sampling.stops.count > 0;
  int result = ELLM_OK;
  if (g.text && ellm_model_tokenizer(g.model, &tokenizer, &err) != ELLM_OK) result = cli_fail(&err);
  if (result == ELLM_OK) result = prompt_ids(r, path, tokenizer, &g, &chat, &ids);
  if (result == ELLM_OK && cli_sampling_grammar(&r->sampling, g.model, &grammar, &err) != ELLM_OK)
    result = cli_fail(&err);
  if (result == ELLM_OK) {
    g.prompt = ids;
    g.sampling = cli_sampling_choose(&r->sampling, table, g.model);
    g.stops = r->sampling.stops.items;
    g.n_stops = r->sampling.stops.count;
    g.grammar = grammar;
    g.show = r->common.json ? SHOW_NOTHING : r->print_ids ? SHOW_IDS : SHOW_TEXT;
    result = generate(&g, &err) == ELLM_OK ? finish(r, &g, path) : cli_fail(&err);
  }
  generation_free(&g);
  ellm_chat_free(chat);
  ellm_grammar_free(grammar);
  free(ids);
  ellm_model_close(g.model);
  free(path);
  return result;
}

/* Standard input is read last: a mistyped command does not wait for it. */
static int check(run_options *r, const option_table *table) {
  if ((r->prompt != NULL) + (r->file != NULL) + (r->prompt_ids != NULL) > 1)
    return cli_error(ELLM_ERR_USAGE, "run: -p, -f and --prompt-ids cannot be used together (see 'entrollm run "
                                     "--help')");
  if (r->chat && r->prompt_ids) return cli_error(ELLM_ERR_USAGE, "run: --chat needs a text, -p TEXT or -f FILE");
  if (r->system && !r->chat) return cli_error(ELLM_ERR_USAGE, "run: --system needs --chat");
  if ((r->choice.choice || r->choice.variables.count > 0) && !r->chat)
    return cli_error(ELLM_ERR_USAGE, "run: --template and --template-var need --chat");
  int status = cli_sampling_check(&r->sampling, table);
  if (status == ELLM_OK && r->system && r->sampling.escape) cli_unescape((char *)r->system, strlen(r->system));
  if (status == ELLM_OK && r->system && !prog_valid_utf8(r->system, strlen(r->system)))
    status = cli_error(ELLM_ERR_INPUT, "run: the text of --system is not valid UTF-8");
  if (status == ELLM_OK) status = read_prompt(r);
  if (status != ELLM_OK) return status;
  if (!r->text.data && !r->prompt_ids)
    return cli_error(ELLM_ERR_USAGE, "run: give -p TEXT, -f FILE, --prompt-ids or a text on standard input "
                                     "(see 'entrollm run --help')");
  if (r->text.data && !prog_valid_utf8(r->text.data, r->text.bytes))
    return cli_error(ELLM_ERR_INPUT, "run: the prompt is not valid UTF-8");
  return ELLM_OK;
}

int cmd_run(int argc, char **argv) {
  run_options r = {.sampling.tokens = DEFAULT_TOKENS};
  option options[] = {
      CLI_OPTION_MODEL(r.common),
      OPT_TEXT("prompt", 'p', &r.prompt, "TEXT",
               "the text to continue (\"-\": standard input);\nspecial tokens in it are recognized"),
      OPT_TEXT("file", 'f', &r.file, "FILE",
               "continue the text in this file (\"-\": standard input);\na newline at its end is not part of it"),
      CLI_OPTIONS_SAMPLING(r.sampling, "the most new tokens (default 256); -1: until the text ends or the\n"
                                       "context is full"),
      OPT_INT("ctx", 'c', &r.context, 1, 1 << 30, "N", "the most tokens of prompt and new text (default: the model's)"),
      OPT_FLAG("ignore-eos", 0, &r.ignore_eos, "continue after the end-of-sequence token"),
      OPT_TEXT("prompt-ids", 0, &r.prompt_ids, "\"1 2 3\"", "the prompt as token ids"),
      OPT_FLAG("print-ids", 0, &r.print_ids, "print token ids instead of text"),
      OPT_FLAG("chat", 0, &r.chat, "the text is a user's message: apply the chat template"),
      OPT_TEXT("system", 0, &r.system, "TEXT", "with --chat: the system prompt"),
      CLI_OPTIONS_TEMPLATE(r.choice),
      OPT_TEXT("prompt-cache", 0, &r.prompt_cache, "FILE",
               "keep the evaluated prompt in this file, so that the next prompt that\nbegins alike starts from there"),
      CLI_OPTION_THREADS(r.common),
      CLI_OPTIONS_RUNNING(r.common),
      CLI_OPTION_JSON(r.common),
      CLI_OPTION_QUIET(r.common)};
  option_table table = {
      .command = "run",
      .synopsis = "[-m MODEL] -p TEXT | -f FILE [options]",
      .about = "Continue a text that comes from -p, -f or a pipe. The new text "
               "is streamed to standard output, without\n"
               "the prompt. Temperature, top-k, top-p, min-p and repetition penalty default to the model's\n"
               "generation_config; a model that does not ask for sampling is "
               "decoded greedily. The same model, prompt,\n"
               "options and seed give the same text for any number of threads and on any machine.",
      .notes = "example:\n  entrollm run -p \"Once upon a time\" -n 100 --temp 0.7 --seed 1",
      .options = options,
      .n_options = sizeof options / sizeof *options};
  int status = cli_parse(&table, argc, argv, &r.common);
  if (status < 0) {
    status = check(&r, &table);
    if (status == ELLM_OK) status = generate_once(&r, &table);
  }
  option_list_free(&r.sampling.stops);
  option_list_free(&r.choice.variables);
  cli_text_free(&r.text);
  return status;
}
