/* SPDX-License-Identifier: Apache-2.0 */
/* entrollm chat: reading what is said, and the loop. See chat_messages.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/chat_answer.h"
#include "cli/chat_commands.h"
#include "cli/input.h"

enum { DEFAULT_TOKENS = 512 };

typedef struct chat_options {
  cli_common common;
  cli_sampling sampling;
  const char *system, *prompt_cache;
  int context;
  cli_template choice;
} chat_options;

/* ------------------------------------------------------------------ reading */

static const char block_mark[] = "\"\"\"";

static bool is_block_mark(const prog_buffer *line) {
  size_t n = line->bytes;
  while (n > 0 && (line->data[n - 1] == ' ' || line->data[n - 1] == '\t')) n--;
  return n == sizeof block_mark - 1 && memcmp(line->data, block_mark, n) == 0;
}

/* What is said next: one line; lines joined by a backslash at their end; or the lines between two marks. *verbatim:
 * between marks, where nothing is a command. */
static line_result read_words(chat *c, prog_buffer *line, prog_buffer *words, bool *verbatim) {
  bool more = true;
  prog_buffer_clear(words);
  *verbatim = false;
  for (size_t n = 0; more; n++) {
    const line_result result = line_reader_next(c->lines, n == 0 ? "> " : ". ", line);
    if (result == LINE_END && n > 0) break; /* what was said till then */
    if (result != LINE_TEXT) {
      const bool more_typed = result == LINE_INTERRUPTED && n > 0; /* lines before this one */
      return more_typed && !prog_append(line, "?", 1) ? LINE_FAILED : result;
    }
    if (n == 0 && is_block_mark(line)) {
      *verbatim = true;
      continue;
    }
    if (*verbatim && is_block_mark(line)) break;
    more = *verbatim || (line->bytes > 0 && line->data[line->bytes - 1] == '\\');
    if (more && !*verbatim) line->bytes--;
    const bool first = words->bytes == 0 && n == (*verbatim ? 1u : 0u);
    if ((!first && !prog_append(words, "\n", 1)) ||
        (line->bytes > 0 && !prog_append(words, line->data, line->bytes)))
      return LINE_FAILED;
  }
  return LINE_TEXT;
}

/* A message of the user, then the answer. Without one the message is forgotten, too. */
static void talk(chat *c, const char *text, size_t bytes) {
  const bool appended = chat_append(c, "user", text, bytes);
  if (appended && !chat_answer(c)) {
    json_array_remove(c->messages, json_array_size(c->messages) - 1);
    chat_say(c, "[the message is not kept]");
  }
}

static bool is_blank(const prog_buffer *text) {
  for (size_t i = 0; i < text->bytes; i++)
    if (!strchr(" \t\r\n", text->data[i]) || text->data[i] == '\0') return false;
  return true;
}

static void handle(chat *c, prog_buffer *words, bool verbatim) {
  if (is_blank(words)) return;
  if (!prog_append(words, "", 1)) {
    chat_complain(c, ELLM_ERR_IO, "out of memory for a message");
    return;
  }
  const char *text = words->data;
  if (!verbatim && text[0] == '/' && text[1] != '/') chat_command(c, text + 1);
  else if (!verbatim && text[0] == '/') talk(c, text + 1, words->bytes - 2);
  else talk(c, text, words->bytes - 1);
}

/* At the prompt. The first interruption clears the line, a second one with nothing typed is the end. */
static void interrupted(chat *c, bool typed, bool *warned) {
  if (c->terminal) fputc('\n', stderr);
  const bool end = !cli_forget_interrupt() || !c->terminal || (*warned && !typed);
  if (end) {
    c->quit = true;
    c->status = cli_error(ELLM_INTERRUPTED, "interrupted");
  } else if (!typed) {
    chat_say(c, "[Ctrl-C again, Ctrl-D or /quit to end]");
  }
  *warned = true;
}

static void reading_failed(chat *c, line_result result, int code) {
  const int status =
      result == LINE_TOO_LONG
          ? cli_error(ELLM_ERR_INPUT, "a line of standard input has more than %d MiB", LINE_LIMIT >> 20)
          : cli_error(ELLM_ERR_IO, "cannot read standard input: %s", strerror(code ? code : ENOMEM));
  if (c->status == ELLM_OK) c->status = status;
  c->quit = true;
}

static void loop(chat *c) {
  prog_buffer line = {0}, words = {0};
  bool warned = false, verbatim;
  while (!c->quit) {
    const line_result result = read_words(c, &line, &words, &verbatim);
    switch (result) {
      case LINE_TEXT:
        warned = false;
        handle(c, &words, verbatim);
        break;
      case LINE_INTERRUPTED: interrupted(c, line.bytes > 0, &warned); break;
      case LINE_TOO_LONG:
      case LINE_FAILED: reading_failed(c, result, errno); break;
      case LINE_END:
        if (c->terminal) fputc('\n', stderr);
        c->quit = true;
        break;
    }
  }
  prog_buffer_free(&line);
  prog_buffer_free(&words);
}

/* -------------------------------------------------------------------- start */

static bool color_wanted(int stream) {
  const char *no_color = getenv("NO_COLOR"), *terminal = getenv("TERM");
  return isatty(stream) && !(no_color && *no_color) && terminal && *terminal && strcmp(terminal, "dumb") != 0;
}

/* A sequence of up to `positions`; 0: as many as the model's pool has by default. */
static ellm_status make_sequence(chat *c, uint32_t positions, ellm_error *err) {
  if (positions > c->info.max_context)
    return prog_failure(err, ELLM_ERR_INPUT, "%s: a context of %u positions is beyond the model's %u", c->path,
                     (unsigned)positions, (unsigned)c->info.max_context);
  ellm_model_cache_usage(c->model, &c->capacity, NULL);
  if (positions > 0 || c->capacity > c->info.max_context) c->capacity = positions > 0 ? positions : c->info.max_context;
  PROG_TRY(ellm_model_reserve(c->model, c->capacity, err));
  return ellm_sequence_create(c->model, &c->sequence, err);
}

static ellm_status open_chat(chat *c, const chat_options *r, ellm_error *err) {
  PROG_TRY(cli_open_model(&r->common, &c->model, &c->path, err));
  ellm_model_get_info(c->model, &c->info);
  PROG_TRY(cli_chat_open(c->model, c->path, &r->choice, &c->format, err));
  PROG_TRY(ellm_model_tokenizer(c->model, &c->tokenizer, err));
  PROG_TRY(make_sequence(c, (uint32_t)r->context, err));
  if (r->prompt_cache && cli_file_exists(r->prompt_cache))
    PROG_TRY(cli_sequence_restore(c->sequence, r->prompt_cache, NULL, 0, err));
  c->messages = json_array();
  c->more = json_object();
  c->terminal = isatty(STDIN_FILENO);
  c->color = color_wanted(STDERR_FILENO);
  const bool out = isatty(STDOUT_FILENO);
  c->lines = line_reader_create(c->terminal && (out || isatty(STDERR_FILENO)), out ? stdout : stderr,
                                color_wanted(out ? STDOUT_FILENO : STDERR_FILENO));
  if (!c->messages || !c->more || !c->lines) return prog_failure_memory(err, sizeof *c, "a chat");
  if (r->system && !chat_append(c, "system", r->system, strlen(r->system)))
    return prog_failure_memory(err, strlen(r->system), "the system prompt");
  return ELLM_OK;
}

static void close_chat(chat *c) {
  line_reader_free(c->lines);
  json_decref(c->messages);
  json_decref(c->more);
  json_decref(c->variables);
  ellm_sequence_free(c->sequence);
  ellm_chat_free(c->format);
  ellm_grammar_free(c->grammar);
  ellm_model_close(c->model);
  free(c->path);
}

static int run_chat(const chat_options *r, const option_table *table) {
  chat c = {0};
  ellm_error err;
  int result;
  c.variables = cli_template_variables(&r->choice, "chat", &result);
  if (result != ELLM_OK) return result;
  if (open_chat(&c, r, &err) != ELLM_OK ||
      cli_sampling_grammar(&r->sampling, c.model, &c.grammar, &err) != ELLM_OK)
    result = cli_fail(&err);
  if (result == ELLM_OK) {
    const ellm_sampling s = cli_sampling_choose(&r->sampling, table, c.model);
    c.settings = r->sampling; /* the stop strings stay the request's */
    c.settings.temperature = (double)s.temperature;
    c.settings.top_k = s.top_k;
    c.settings.top_p = (double)s.top_p;
    c.settings.min_p = (double)s.min_p;
    c.settings.repeat_penalty = (double)s.repeat_penalty;
    c.settings.seed.value = s.seed;
    if (c.terminal) chat_say(&c, "[/help lists the commands, /quit or Ctrl-D ends]");
    loop(&c);
    result = c.status;
    if (r->prompt_cache && c.answers > 0 && ellm_sequence_length(c.sequence) > 0 &&
        cli_sequence_save(c.sequence, r->prompt_cache, &err) != ELLM_OK) {
      const int failed = cli_fail(&err);
      if (result == ELLM_OK) result = failed;
    }
  }
  close_chat(&c);
  return result;
}

int cmd_chat(int argc, char **argv) {
  chat_options r = {.sampling.tokens = DEFAULT_TOKENS};
  option options[] = {CLI_OPTION_MODEL(r.common),
                      OPT_TEXT("system", 0, &r.system, "TEXT", "the system prompt"),
                      CLI_OPTIONS_SAMPLING(r.sampling, "the most tokens of an answer (default 512); -1: until\n"
                                                       "it ends or the context is full"),
                      OPT_INT("ctx", 'c', &r.context, 16, 1 << 30, "N",
                              "tokens of the context (default: the smaller of 4096 and the\nmodel's limit)"),
                      OPT_TEXT("prompt-cache", 0, &r.prompt_cache, "FILE",
                               "start from the evaluated tokens in this file if it exists, and\n"
                               "store them there at the end"),
                      CLI_OPTIONS_TEMPLATE(r.choice),
                      CLI_OPTION_THREADS(r.common),
                      CLI_OPTIONS_RUNNING(r.common),
                      CLI_OPTION_QUIET(r.common)};
  option_table table = {
      .command = "chat",
      .synopsis = "[-m MODEL] [options]",
      .about = "Talk with a model that has a chat template. A message is one "
               "line. A backslash at its end continues it\n"
               "on the next line, and lines between two lines of \"\"\" are taken literally. Ctrl-C "
               "stops an answer; at\n"
               "the prompt it clears the line, and pressed twice it ends the program. When the context is full, the\n"
               "oldest turns are dropped, and the program says so. Special tokens of the model are plain text in what\n"
               "you type.\n"
               "\n"
               "Answers go to standard output, everything else to standard "
               "error. If the input is not a terminal, each\n"
               "line is a message or a command, and the exit status is that of the first one that failed.",
      .notes = chat_command_help,
      .options = options,
      .n_options = sizeof options / sizeof *options};
  int status = cli_parse(&table, argc, argv, &r.common);
  if (status < 0) {
    status = cli_sampling_check(&r.sampling, &table);
    if (r.system && r.sampling.escape) cli_unescape((char *)r.system, strlen(r.system));
    if (status == ELLM_OK && r.system && !prog_valid_utf8(r.system, strlen(r.system)))
      status = cli_error(ELLM_ERR_INPUT, "chat: the text of --system is not valid UTF-8");
    if (status == ELLM_OK) status = run_chat(&r, &table);
  }
  option_list_free(&r.sampling.stops);
  option_list_free(&r.choice.variables);
  return status;
}
