/* SPDX-License-Identifier: Apache-2.0 */
/* See sampling.h. */
#include "cli/sampling.h"

#include <inttypes.h>
#include <string.h>

#include "cli/input.h"

ellm_sampling cli_sampling_choose(const cli_sampling *options, const option_table *table, const ellm_model *model) {
  ellm_sampling s;
  ellm_sampling_init(&s);
  ellm_model_sampling(model, &s);
  s.seed = options->seed.value;
  if (option_given(table, "temp")) s.temperature = (float)options->temperature;
  if (option_given(table, "top-k")) s.top_k = options->top_k;
  if (option_given(table, "top-p")) s.top_p = (float)options->top_p;
  if (option_given(table, "min-p")) s.min_p = (float)options->min_p;
  if (option_given(table, "repeat-penalty")) s.repeat_penalty = (float)options->repeat_penalty;
  bool narrowed = option_given(table, "top-k") || option_given(table, "top-p") || option_given(table, "min-p") ||
                  option_given(table, "seed");
  if (s.temperature == 0 && narrowed && !option_given(table, "temp"))
    cli_note("this model decodes greedily by default: --temp turns sampling on");
  if (options->seed.drawn && s.temperature != 0) cli_note("seed %" PRIu64, options->seed.value);
  return s;
}

int cli_sampling_check(cli_sampling *options, const option_table *table) {
  if (options->grammar && options->schema)
    return cli_error(ELLM_ERR_USAGE, "%s: --grammar and --json-schema cannot be used together", table->command);
  for (size_t i = 0; i < options->stops.count; i++) {
    const char *stop = options->stops.items[i];
    const size_t bytes = strlen(stop);
    if (options->escape && cli_unescape((char *)stop, bytes) != strlen(stop))
      return cli_error(ELLM_ERR_USAGE, "%s: --stop takes a text without \\x00", table->command);
    if (!*stop) return cli_error(ELLM_ERR_USAGE, "%s: --stop takes a text that is not empty", table->command);
    if (!prog_valid_utf8(stop, strlen(stop)))
      return cli_error(ELLM_ERR_INPUT, "%s: the text of --stop is not valid UTF-8", table->command);
  }
  return ELLM_OK;
}

ellm_status cli_sampling_grammar(const cli_sampling *options, ellm_model *model, ellm_grammar **grammar,
                                 ellm_error *err) {
  const char *path = options->grammar ? options->grammar : options->schema;
  const ellm_tokenizer *tokenizer;
  cli_text text;
  *grammar = NULL;
  if (!path) return ELLM_OK;
  PROG_TRY(ellm_model_tokenizer(model, &tokenizer, err));
  PROG_TRY(cli_text_read(path, &text, err));
  const ellm_status status = options->grammar
                                 ? ellm_grammar_create(tokenizer, text.data, text.bytes, path, grammar, err)
                                 : ellm_grammar_create_schema(tokenizer, text.data, text.bytes, path, grammar, err);
  cli_text_free(&text);
  return status;
}

size_t cli_sampling_limit(const cli_sampling *options) {
  return options->tokens < 0 ? SIZE_MAX : (size_t)options->tokens;
}
