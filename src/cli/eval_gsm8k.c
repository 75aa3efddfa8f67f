/* SPDX-License-Identifier: Apache-2.0 */
/* entrollm eval gsm8k. */
#include <stdlib.h>

#include "cli/eval_shared.h"

typedef struct gsm8k_options {
  cli_eval eval;
  const char *text, *examples;
  int max_new;
} gsm8k_options;

static const char *protocol_name(const gsm8k_options *r) {
  return r->examples ? "lm-evaluation-harness gsm8k_cot: greedy, after the examples given"
                     : "lm-evaluation-harness gsm8k_cot, but 0-shot: greedy, no examples";
}

static json_t *to_json(const void *request_of, const void *result) {
  const gsm8k_options *r = request_of;
  const ellm_gsm8k_result *g = result;
  json_t *o = json_pack("{s:s, s:I, s:i, s:i, s:I}", "protocol_name", protocol_name(r), "questions",
                        (json_int_t)g->n_items, "max_new", (int)g->max_new, "max_prompt", (int)g->max_prompt,
                        "prompts_cut", (json_int_t)g->n_cut);
  if (!o) return NULL;
  cli_json_figure(o, "strict", g->strict);
  cli_json_figure(o, "flexible", g->flexible);
  cli_json_figure(o, "mean_tokens", g->mean_tokens);
  return o;
}

static void print(const void *request_of, const void *result) {
  const gsm8k_options *r = request_of;
  const ellm_gsm8k_result *g = result;
  cli_print_figure("strict match", g->strict, 100, 2, " %");
  cli_print_figure("flexible extract", g->flexible, 100, 2, " %");
  cli_print_figure("tokens an answer", g->mean_tokens, 1, 1, "");
  printf("%-24s %s\n%-24s %zu\n%-24s %s\n", "protocol", protocol_name(r), "questions", g->n_items, "activations",
         cli_activations_text(r->eval.model));
}

static int measure(gsm8k_options *r) {
  ellm_eval_options options;
  ellm_gsm8k_result *result = NULL;
  ellm_gsm8k_request what;
  char *text = NULL, *examples = NULL;
  ellm_error err;
  ellm_gsm8k_request_init(&what);
  what.origin = r->text;
  what.max_new = (uint32_t)r->max_new;
  ellm_status status = cli_eval_begin(&r->eval, &options, &err);
  if (status == ELLM_OK) status = cli_eval_read(r->text, &text, &what.bytes, &err);
  if (status == ELLM_OK && r->examples) status = cli_eval_read(r->examples, &examples, &what.examples_bytes, &err);
  what.text = text;
  what.examples = examples;
  if (status == ELLM_OK) status = ellm_eval_gsm8k(r->eval.model, &what, &options, &result, &err);
  free(text);
  free(examples);
  if (result && result->n_cut)
    cli_note("%zu prompts were longer than %u tokens and lost their beginning", result->n_cut,
             (unsigned)result->max_prompt);
  const int code = result ? cli_eval_end(&r->eval, result->n_resumed, result->n_items, print, to_json, r, result)
                          : cli_eval_fail(&r->eval, &err);
  ellm_gsm8k_result_free(result);
  return code;
}

int cmd_eval_gsm8k(int argc, char **argv) {
  gsm8k_options r = {.max_new = 256};
  option options[] = {CLI_OPTION_MODEL(r.eval.common),
                      OPT_TEXT("file", 'f', &r.text, "FILE", "JSON lines {\"question\": TEXT, \"answer\": TEXT}\n(\"-\": standard input)"),
                      OPT_TEXT("examples", 'x', &r.examples, "FILE",
                               "put this text before every question: the eight examples\n"
                               "\"Q: ...\\nA: ...\\n\\n\" of the protocol"),
                      OPT_INT("max-new", 'n', &r.max_new, 1, 1 << 20, "N",
                              "the most tokens of an answer (default 256)"),
                      CLI_OPTIONS_EVAL(r.eval, "questions")};
  option_table table = {
      .command = "eval gsm8k",
      .synopsis = "[-m MODEL] -f FILE [--examples FILE] [options]",
      .about = "GSM8K: word problems, answered greedily with a chain of thought. The strict score takes the number\n"
               "after \"The answer is\", the flexible score the last number of the answer.",
      .options = options,
      .n_options = sizeof options / sizeof *options};
  int parsed = cli_parse(&table, argc, argv, &r.eval.common);
  if (parsed >= 0) return parsed;
  if (!r.text) return cli_error(ELLM_ERR_USAGE, "eval gsm8k: -f FILE is missing");
  return measure(&r);
}
