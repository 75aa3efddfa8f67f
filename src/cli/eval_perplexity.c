/* SPDX-License-Identifier: Apache-2.0 */
/* entrollm eval perplexity (= entrollm perplexity). */
#include <stdlib.h>

#include "cli/eval_shared.h"

static const option_choice protocols[] = {{"a", ELLM_PERPLEXITY_LLAMA_CPP},
                                          {"b", ELLM_PERPLEXITY_WINDOWS},
                                          {"c", ELLM_PERPLEXITY_STRIDED},
                                          {"d", ELLM_PERPLEXITY_ROLLING},
                                          {NULL, 0}};

typedef struct perplexity_options {
  cli_eval eval;
  const char *text;
  int protocol, ctx, stride, chunks;
} perplexity_options;

static json_t *to_json(const void *request_of, const void *result) {
  const perplexity_options *r = request_of;
  const ellm_perplexity_result *p = result;
  json_t *chunks = json_array();
  for (size_t i = 0; i < p->n_chunks; i++) cli_json_append(&chunks, cli_json_real(p->chunk_nll[i]));
  json_t *o = json_pack("{s:s, s:s, s:o, s:I, s:I, s:i, s:o}", "protocol", option_choice_name(protocols, r->protocol),
                        "protocol_name", ellm_perplexity_protocol_name((ellm_perplexity_protocol)r->protocol), "stderr",
                        cli_json_real(p->perplexity.error), "tokens", (json_int_t)p->scored, "text_tokens",
                        (json_int_t)p->text_tokens, "ctx", (int)p->n_ctx, "chunks", chunks);
  if (!o) return NULL;
  cli_json_figure(o, "perplexity", p->perplexity);
  if (r->protocol == ELLM_PERPLEXITY_STRIDED) cli_json_set(&o, "stride", json_integer((json_int_t)p->stride));
  if (r->protocol == ELLM_PERPLEXITY_ROLLING) {
    cli_json_set(&o, "unit", json_string("word"));
    cli_json_set(&o, "words", json_integer((json_int_t)p->words));
    cli_json_set(&o, "bytes", json_integer((json_int_t)p->bytes));
    cli_json_figure(o, "byte_perplexity", p->byte_perplexity);
  } else cli_json_set(&o, "unit", json_string("token"));
  return o;
}

static void print(const void *request_of, const void *result) {
  const perplexity_options *r = request_of;
  const ellm_perplexity_result *p = result;
  const bool pages = r->protocol == ELLM_PERPLEXITY_ROLLING;
  cli_print_figure(pages ? "word perplexity" : "perplexity", p->perplexity, 1, 4, "");
  if (pages) cli_print_figure("byte perplexity", p->byte_perplexity, 1, 4, "");
  printf("%-24s %s, %s\n", "protocol", option_choice_name(protocols, r->protocol),
         ellm_perplexity_protocol_name((ellm_perplexity_protocol)r->protocol));
  printf("%-24s %zu %s of %s%u tokens", "scored", p->n_chunks,
         pages ? "pages" : r->protocol == ELLM_PERPLEXITY_LLAMA_CPP ? "chunks" : "windows", pages ? "up to " : "",
         (unsigned)p->n_ctx);
  if (r->protocol == ELLM_PERPLEXITY_STRIDED) printf(", %u apart", (unsigned)p->stride);
  printf("; %llu tokens scored", (unsigned long long)p->scored);
  if (pages) printf(", %llu words", (unsigned long long)p->words);
  printf("\n%-24s %s\n", "activations", cli_activations_text(r->eval.model));
}

static int measure(perplexity_options *r) {
  ellm_eval_options options;
  ellm_perplexity_request what;
  ellm_perplexity_result *result = NULL;
  char *text = NULL;
  size_t bytes = 0;
  ellm_error err;
  ellm_status status = cli_eval_begin(&r->eval, &options, &err);
  if (status == ELLM_OK) status = cli_eval_read(r->text, &text, &bytes, &err);
  if (r->chunks) options.limit = (size_t)r->chunks;
  ellm_perplexity_request_init(&what);
  what.protocol = (ellm_perplexity_protocol)r->protocol;
  what.text = text;
  what.bytes = bytes;
  what.origin = r->text;
  what.n_ctx = (uint32_t)r->ctx;
  what.stride = (uint32_t)r->stride;
  if (status == ELLM_OK) status = ellm_eval_perplexity(r->eval.model, &what, &options, &result, &err);
  free(text);
  const int code = result ? cli_eval_end(&r->eval, result->n_resumed, result->n_chunks, print, to_json, r, result)
                          : cli_eval_fail(&r->eval, &err);
  ellm_perplexity_result_free(result);
  return code;
}

int cmd_perplexity(int argc, char **argv) {
  perplexity_options r = {.protocol = 'a'};
  option options[] = {
      CLI_OPTION_MODEL(r.eval.common),
      OPT_TEXT("file", 'f', &r.text, "TEXT", "the text file (\"-\": standard input); protocol d also takes JSON lines {\"page\": TEXT}"),
      OPT_CHOICE("protocol", 0, &r.protocol, protocols, "P",
                 "a: llama.cpp (default), b: GPTQ, c: Hugging Face strided,\nd: lm-evaluation-harness, per word"),
      OPT_INT("ctx", 'c', &r.ctx, 4, 1 << 24, "N",
              "tokens in a chunk (default: the smaller of 512 and the model's\ncontext; for d the model's context)"),
      OPT_INT("stride", 0, &r.stride, 1, 1 << 24, "N",
              "for protocol c: tokens from one window to the next (default: ctx / 2)"),
      OPT_INT("chunks", 0, &r.chunks, 1, 1 << 30, "N", "the same as --limit"),
      CLI_OPTIONS_EVAL(r.eval, "chunks")};
  option_table table = {
      .command = "perplexity",
      .synopsis = "[-m MODEL] -f TEXT [options]",
      .about = "Measure the perplexity of a model on a text, with its standard error. 'entrollm eval perplexity' is\n"
               "the same command. Do not compare figures of different protocols or tokenizers.",
      .options = options,
      .n_options = sizeof options / sizeof *options};
  int parsed = cli_parse(&table, argc, argv, &r.eval.common);
  if (parsed >= 0) return parsed;
  if (r.stride && r.protocol != ELLM_PERPLEXITY_STRIDED)
    return cli_error(ELLM_ERR_USAGE, "perplexity: --stride belongs to protocol c");
  if (!r.text) return cli_error(ELLM_ERR_USAGE, "perplexity: -f TEXT is missing (see 'entrollm perplexity --help')");
  return measure(&r);
}
