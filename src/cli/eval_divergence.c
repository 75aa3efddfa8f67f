/* SPDX-License-Identifier: Apache-2.0 */
/* entrollm eval divergence: comparing with a reference, and saving its logits. */
#include <stdlib.h>
#include <string.h>

#include "cli/eval_shared.h"
#include "cli/team.h"

static const char protocol_name[] = "KL(reference || model) over the tokens of llama.cpp's perplexity";

typedef struct divergence_options {
  cli_eval eval;
  const char *text, *reference, *save;
  int ctx;
  bool force;
} divergence_options;

static json_t *to_json(const void *request_of, const void *result) {
  const divergence_options *r = request_of;
  const ellm_divergence_result *d = result;
  json_t *chunks = json_array();
  for (size_t i = 0; i < d->n_chunks; i++) cli_json_append(&chunks, cli_json_real(d->chunk_kl[i]));
  json_t *o = json_pack("{s:s, s:o, s:o, s:I, s:i, s:o}", "protocol_name", protocol_name, "reference",
                        cli_json_text(r->reference, strlen(r->reference)), "kl_max", cli_json_real(d->max), "tokens",
                        (json_int_t)d->scored, "ctx", (int)d->n_ctx, "chunks", chunks);
  if (!o) return NULL;
  cli_json_figure(o, "kl", d->kl);
  cli_json_figure(o, "kl_median", d->median);
  cli_json_figure(o, "kl_90", d->p90);
  cli_json_figure(o, "kl_99", d->p99);
  cli_json_figure(o, "same_top", d->same_top);
  cli_json_figure(o, "perplexity", d->perplexity);
  cli_json_figure(o, "reference_perplexity", d->reference_perplexity);
  cli_json_figure(o, "perplexity_ratio", d->ratio);
  return o;
}

static void print(const void *request_of, const void *result) {
  const divergence_options *r = request_of;
  const ellm_divergence_result *d = result;
  cli_print_figure("KL, mean", d->kl, 1, 6, "");
  cli_print_figure("KL, median", d->median, 1, 6, "");
  cli_print_figure("KL, 90 %", d->p90, 1, 6, "");
  cli_print_figure("KL, 99 %", d->p99, 1, 6, "");
  printf("%-24s %.6f\n", "KL, largest", d->max);
  cli_print_figure("same most likely token", d->same_top, 100, 2, " %");
  cli_print_figure("perplexity", d->perplexity, 1, 4, "");
  cli_print_figure("of the reference", d->reference_perplexity, 1, 4, "");
  cli_print_figure("ratio", d->ratio, 1, 5, "");
  printf("%-24s %s\n", "protocol", protocol_name);
  printf("%-24s %zu chunks of %u tokens; %llu tokens scored\n", "scored", d->n_chunks, (unsigned)d->n_ctx,
         (unsigned long long)d->scored);
  printf("%-24s %s\n", "activations", cli_activations_text(r->eval.model));
}

/* A reference folder is computed in floats, a .ellm file as it runs by default; where only the reference is computed,
 * --activations and --kv-cache are about it. */
static ellm_status open_reference(const divergence_options *r, ellm_model **model, ellm_error *err) {
  ellm_model_options options;
  ellm_model_options_init(&options);
  options.notes = cli_notes;
  options.threads = r->eval.common.threads;
  if (r->save) {
    options.activations = (ellm_activations)r->eval.common.activations;
    options.cache_type = (ellm_cache_type)r->eval.common.cache_type;
  }
  const char *reference = r->reference;
  PROG_TRY(cli_find_model(&reference, err));
  return ellm_model_open(reference, &options, model, err);
}

static void init_request(const divergence_options *r, ellm_divergence_request *what) {
  ellm_divergence_request_init(what);
  what->origin = r->text;
  what->n_ctx = (uint32_t)r->ctx;
}

static ellm_status compare(divergence_options *r, const ellm_divergence_request *what, const ellm_eval_options *options,
                           ellm_divergence_result **result, ellm_error *err) {
  ellm_model *reference;
  if (ellm_eval_is_reference(r->reference))
    return ellm_eval_divergence_saved(r->eval.model, r->reference, what, options, result, err);
  PROG_TRY(open_reference(r, &reference, err));
  ellm_status status = ellm_eval_divergence(r->eval.model, reference, what, options, result, err);
  ellm_model_close(reference);
  return status;
}

static int measure(divergence_options *r) {
  ellm_eval_options options;
  ellm_divergence_result *result = NULL;
  ellm_divergence_request what;
  char *text = NULL;
  ellm_error err;
  init_request(r, &what);
  ellm_status status = cli_eval_begin(&r->eval, &options, &err);
  if (status == ELLM_OK) status = cli_eval_read(r->text, &text, &what.bytes, &err);
  what.text = text;
  if (status == ELLM_OK) status = compare(r, &what, &options, &result, &err);
  free(text);
  const int code = result ? cli_eval_end(&r->eval, result->n_resumed, result->n_chunks, print, to_json, r, result)
                          : cli_eval_fail(&r->eval, &err);
  ellm_divergence_result_free(result);
  return code;
}

static int save(divergence_options *r) {
  ellm_eval_options options;
  ellm_divergence_request what;
  ellm_model *reference = NULL;
  char *text = NULL;
  ellm_error err;
  if (cli_team_of_model() != NULL)
    return cli_error(ELLM_ERR_USAGE, "eval divergence: --save does not run with several processes");
  init_request(r, &what);
  cli_eval_options(&r->eval, &options);
  ellm_status status = cli_eval_read(r->text, &text, &what.bytes, &err);
  what.text = text;
  if (status == ELLM_OK) status = open_reference(r, &reference, &err);
  if (status == ELLM_OK) status = ellm_eval_save_reference(reference, &what, r->save, r->force, &options, &err);
  cli_progress_end(&r->eval.progress);
  ellm_model_close(reference);
  free(text);
  if (status == ELLM_INTERRUPTED) {
    cli_fail(&err);
    cli_note("the same command continues");
    return ELLM_INTERRUPTED;
  }
  if (status != ELLM_OK) return cli_fail(&err);
  const uint64_t bytes = cli_model_bytes(r->save);
  if (r->eval.common.json)
    return cli_print_json(json_pack("{s:o, s:o, s:I}", "reference", cli_json_text(r->reference, strlen(r->reference)),
                                    "saved", cli_json_text(r->save, strlen(r->save)), "file_bytes", (json_int_t)bytes));
  char size[24];
  printf("saved %s of logits in %s\n", cli_size_text(bytes, size), r->save);
  return ELLM_OK;
}

int cmd_eval_divergence(int argc, char **argv) {
  divergence_options r = {0};
  option options[] = {
      CLI_OPTION_MODEL(r.eval.common),
      OPT_SUGGEST("reference", 'r', &r.reference, "DIR|SAVED", "* /",
                  "the reference: a model, or logits saved by --save"),
      OPT_TEXT("file", 'f', &r.text, "TEXT", "the text file (\"-\": standard input)"),
      OPT_INT("ctx", 'c', &r.ctx, 4, 1 << 24, "N",
              "tokens in a chunk (default: as in SAVED, else the smaller of 512 and\nthe model's context)"),
      OPT_TEXT("save", 0, &r.save, "FILE", "save the reference's logits in FILE and compare nothing"),
      OPT_FLAG("force", 0, &r.force, "replace FILE if it exists"),
      CLI_OPTIONS_EVAL(r.eval, "chunks")};
  option_table table = {
      .command = "eval divergence",
      .synopsis = "-m MODEL --reference DIR|SAVED -f TEXT [options]",
      .about = "Measure how far the next-token distributions of a model are from those of a reference, usually the\n"
               "checkpoint that it was compressed from. The results are the KL "
               "divergence in nats per token, how often\n"
               "both have the same most likely token, and the ratio of their perplexities from paired differences.",
      .notes = "examples:\n  entrollm eval divergence -m m4.ellm --reference models/stories-4m -f text.txt\n"
               "  entrollm eval divergence --reference models/stories-4m -f text.txt --save stories.logits\n"
               "  entrollm eval divergence -m m4.ellm --reference stories.logits -f text.txt",
      .options = options,
      .n_options = sizeof options / sizeof *options};
  int parsed = cli_parse(&table, argc, argv, &r.eval.common);
  if (parsed >= 0) return parsed;
  if (!r.reference) return cli_error(ELLM_ERR_USAGE, "eval divergence: --reference is missing");
  if (!r.text) return cli_error(ELLM_ERR_USAGE, "eval divergence: -f TEXT is missing");
  if (!r.save) return measure(&r);
  if (r.eval.common.model || r.eval.state)
    return cli_error(ELLM_ERR_USAGE,
                     "eval divergence: --save saves the logits of the reference: it takes no -m and no --state");
  return save(&r);
}
