/* SPDX-License-Identifier: Apache-2.0 */
/* entrollm eval hellaswag and entrollm eval choice. */
#include <stdlib.h>
#include <string.h>

#include "cli/eval_shared.h"

static const option_choice protocols[] = {
    {"lm-eval", ELLM_CHOICE_LM_EVAL}, {"llama.cpp", ELLM_CHOICE_LLAMA_CPP}, {NULL, 0}};


typedef struct choice_options {
  cli_eval eval;
  const char *text;
  int protocol;
  bool items;
  ellm_choice_format format;
  ellm_choice_set *set;
} choice_options;

static json_t *items_json(const ellm_choice_set *set, const ellm_choice_result *c) {
  json_t *items = json_array();
  for (size_t i = 0; i < c->n_items; i++) {
    json_t *scores = json_array();
    size_t n = 0, label = 0;
    ellm_choice_set_item(set, i, &n, &label);
    for (size_t k = 0; k < n; k++) cli_json_append(&scores, cli_json_real(c->scores[i * c->most + k]));
    cli_json_append(&items, json_pack("{s:I, s:o}", "label", (json_int_t)label, "scores", scores));
  }
  return items;
}

static json_t *to_json(const void *request_of, const void *result) {
  const choice_options *r = request_of;
  const ellm_choice_result *c = result;
  json_t *o = json_pack("{s:s, s:s, s:I}", "protocol", option_choice_name(protocols, r->protocol), "protocol_name",
                        ellm_choice_protocol_name((ellm_choice_protocol)r->protocol), "items_scored",
                        (json_int_t)c->n_items);
  if (!o) return NULL;
  cli_json_figure(o, "acc", c->acc);
  if (r->protocol == ELLM_CHOICE_LM_EVAL) cli_json_figure(o, "acc_norm", c->acc_norm);
  if (r->items && json_object_set_new(o, "items", items_json(r->set, c)) != 0) {
    json_decref(o);
    return NULL;
  }
  return o;
}

static void print(const void *request_of, const void *result) {
  const choice_options *r = request_of;
  const ellm_choice_result *c = result;
  cli_print_figure("acc", c->acc, 100, 2, " %");
  if (r->protocol == ELLM_CHOICE_LM_EVAL) cli_print_figure("acc_norm", c->acc_norm, 100, 2, " %");
  printf("%-24s %s\n", "protocol", ellm_choice_protocol_name((ellm_choice_protocol)r->protocol));
  printf("%-24s %zu\n%-24s %s\n", "items", c->n_items, "activations", cli_activations_text(r->eval.model));
}

static int measure(choice_options *r) {
  ellm_eval_options options;
  ellm_choice_result *result = NULL;
  char *text = NULL;
  size_t bytes = 0;
  ellm_error err;
  ellm_status status = cli_eval_begin(&r->eval, &options, &err);
  if (status == ELLM_OK) status = cli_eval_read(r->text, &text, &bytes, &err);
  if (status == ELLM_OK) status = ellm_choice_set_read(text, bytes, r->text, r->format, &r->set, &err);
  free(text);
  if (status == ELLM_OK)
    status = ellm_eval_choice(r->eval.model, r->set, (ellm_choice_protocol)r->protocol, &options, &result, &err);
  const int code = result ? cli_eval_end(&r->eval, result->n_resumed, result->n_items, print, to_json, r, result)
                          : cli_eval_fail(&r->eval, &err);
  ellm_choice_result_free(result);
  ellm_choice_set_free(r->set);
  return code;
}

int cmd_eval_hellaswag(int argc, char **argv) {
  choice_options r = {.protocol = ELLM_CHOICE_LM_EVAL, .format = ELLM_CHOICE_HELLASWAG};
  option options[] = {
      CLI_OPTION_MODEL(r.eval.common),
      OPT_TEXT("file", 'f', &r.text, "FILE",
               "HellaSwag: its JSON lines (activity_label, ctx_a, ctx_b, endings,\n"
               "label), or six lines per item (\"-\": standard input)"),
      OPT_CHOICE("protocol", 0, &r.protocol, protocols, "P", "lm-eval (default; 0-shot acc and acc_norm) or llama.cpp"),
      OPT_FLAG("items", 0, &r.items, "with --json: also print the scores of every item"),
      CLI_OPTIONS_EVAL(r.eval, "items")};
  option_table table = {
      .command = "eval hellaswag",
      .synopsis = "[-m MODEL] -f FILE [options]",
      .about = "HellaSwag: how often the model finds the right one of four endings the likeliest.\n"
               "For lm-eval's protocol the JSON lines give exact results, for llama.cpp's the form with six lines.",
      .options = options,
      .n_options = sizeof options / sizeof *options};
  int parsed = cli_parse(&table, argc, argv, &r.eval.common);
  if (parsed >= 0) return parsed;
  if (!r.text) return cli_error(ELLM_ERR_USAGE, "eval hellaswag: -f FILE is missing");
  return measure(&r);
}

int cmd_eval_choice(int argc, char **argv) {
  choice_options r = {.protocol = ELLM_CHOICE_LM_EVAL, .format = ELLM_CHOICE_LINES};
  option options[] = {CLI_OPTION_MODEL(r.eval.common),
                      OPT_TEXT("file", 'f', &r.text, "FILE", "the same as FILE.jsonl; \"-\": standard input"),
                      OPT_FLAG("items", 0, &r.items, "with --json: also print the scores of every item"),
                      CLI_OPTIONS_EVAL(r.eval, "items")};
  option_table table = {
      .command = "eval choice",
      .synopsis = "FILE.jsonl [-m MODEL] [options]",
      .about = "Multiple choice (ARC, PIQA, WinoGrande and the like) by lm-eval's protocol. A line of the file is\n"
               "{\"query\": \"Q\", \"choices\": [\"A\", \"B\"], \"label\": 0}. \"query\" may be a list "
               "with one text per choice.\n"
               "\"delimiter\" is the text between query and choice (default: a space).",
      .options = options,
      .n_options = sizeof options / sizeof *options,
      .operand = "FILE.jsonl",
      .operand_target = &r.text,
      .operand_optional = true};
  int parsed = cli_parse(&table, argc, argv, &r.eval.common);
  if (parsed >= 0) return parsed;
  if (!r.text) return cli_error(ELLM_ERR_USAGE, "eval choice: FILE.jsonl is missing (see 'entrollm eval choice --help')");
  return measure(&r);
}
