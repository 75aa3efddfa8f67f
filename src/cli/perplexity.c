/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entrollm perplexity (= eval perplexity). Protocol a is llama.cpp's: one
 * trailing newline dropped, the text tokenized once with special tokens,
 * chunks of --ctx tokens, the second half of each scored; where the model adds
 * BOS, it replaces the first token of every chunk.
 */
#include <stdlib.h>
#include <string.h>

#include "checkpoint/json.h"
#include "cli/cli.h"

enum { TEXT_LIMIT = 1 << 30, DEFAULT_CTX = 512 };

static const option_choice protocols[] = {{"a", 'a'}, {"b", 'b'}, {"c", 'c'}, {"d", 'd'}, {NULL, 0}};

typedef struct request {
  cli_common common;
  const char *text;
  int protocol, ctx, chunks;
} request;

/*
 * Does the model add BOS? add_bos_token of tokenizer_config.json decides, as in
 * the files that llama.cpp runs; where it is not given, whether the
 * post-processor put BOS before this text.
 */
static ellm_status find_bos(ellm_model *model, const uint32_t *ids, size_t n_ids, int64_t *bos, ellm_error *err) {
  ellm_model_info info;
  size_t bytes = 0;
  ellm_model_get_info(model, &info);
  bool adds = info.bos_id >= 0 && n_ids > 0 && ids[0] == (uint64_t)info.bos_id;
  const void *text = ellm_model_asset(model, "tokenizer_config.json", &bytes);
  if (text) {
    json_t *root = NULL;
    ELLM_TRY(json_parse(text, bytes, "tokenizer_config.json", &root, err));
    const json_t *value = json_object_get(root, "add_bos_token");
    if (json_is_boolean(value)) adds = json_is_true(value);
    json_decref(root);
  }
  *bos = adds ? info.bos_id : -1;
  return ELLM_OK;
}

/* The ids of the text file, as protocol a reads it. */
static ellm_status read_ids(ellm_model *model, const char *path, uint32_t **ids, size_t *n_ids, ellm_error *err) {
  const ellm_tokenizer *tokenizer;
  uint8_t *text = NULL;
  size_t bytes = 0;
  ELLM_TRY(ellm_model_tokenizer(model, &tokenizer, err));
  ELLM_TRY(file_read_all(path, TEXT_LIMIT, &text, &bytes, err));
  if (bytes > 0 && text[bytes - 1] == '\n') bytes--;
  if (!cli_valid_utf8((const char *)text, bytes)) cli_note("%s is not valid UTF-8: what is not became U+FFFD", path);
  ellm_status status =
      ellm_tokenizer_encode(tokenizer, (const char *)text, bytes, ELLM_ENCODE_DEFAULT, ids, n_ids, err);
  free(text);
  return status;
}

static ellm_status measure(ellm_model *model, const request *r, uint32_t *n_ctx, size_t *n_ids, ellm_perplexity *result,
                           ellm_error *err) {
  ellm_model_info info;
  uint32_t *ids = NULL;
  int64_t bos = -1;
  cli_progress progress;
  ellm_model_get_info(model, &info);
  *n_ctx = r->ctx ? (uint32_t)r->ctx : info.max_context < DEFAULT_CTX ? info.max_context : DEFAULT_CTX;
  if (*n_ctx > info.max_context)
    return ellm_fail(err, ELLM_ERR_USAGE, "--ctx %u is more than the model's context of %u positions", (unsigned)*n_ctx,
                     (unsigned)info.max_context);
  ELLM_TRY(read_ids(model, r->text, &ids, n_ids, err));
  ellm_status status = find_bos(model, ids, *n_ids, &bos, err);
  if (status == ELLM_OK && *n_ids < *n_ctx)
    status =
        ellm_fail(err, ELLM_ERR_INPUT, "%s: its %zu tokens are fewer than one chunk of %u (choose a smaller --ctx)",
                  r->text, *n_ids, (unsigned)*n_ctx);
  cli_progress_init(&progress, false);
  if (status == ELLM_OK)
    status = ellm_perplexity_a(model, ids, *n_ids, *n_ctx, bos, (size_t)r->chunks, cli_progress_update, &progress,
                               result, err);
  cli_progress_end(&progress);
  free(ids);
  return status;
}

static int print_result(const request *r, uint32_t n_ctx, size_t n_ids, const ellm_perplexity *p, double seconds) {
  if (r->common.json) {
    json_t *chunks = json_array();
    for (size_t i = 0; i < p->n_chunks; i++) cli_json_append(&chunks, cli_json_real(p->chunk_nll[i]));
    return cli_print_json(json_pack("{s:s, s:s, s:o, s:o, s:I, s:I, s:i, s:o, s:o}", "protocol", "a", "protocol_name",
                                    "llama.cpp", "perplexity", cli_json_real(p->perplexity), "stderr",
                                    cli_json_real(p->standard_error), "tokens", (json_int_t)p->scored_tokens,
                                    "text_tokens", (json_int_t)n_ids, "ctx", (int)n_ctx, "chunks", chunks, "seconds",
                                    cli_json_real(seconds)));
  }
  printf("perplexity %.4f +- %.4f (protocol a, llama.cpp's: %zu chunks of %u tokens, %llu tokens scored)\n",
         p->perplexity, p->standard_error, p->n_chunks, (unsigned)n_ctx, (unsigned long long)p->scored_tokens);
  return ELLM_OK;
}

int cmd_perplexity(int argc, char **argv) {
  request r = {.protocol = 'a'};
  int stride = 0;
  option options[] = {CLI_OPTION_MODEL(r.common),
                      OPT_TEXT("file", 'f', &r.text, "TEXT", "the text file"),
                      OPT_CHOICE("protocol", 0, &r.protocol, protocols, "P", "a: llama.cpp's (default)"),
                      OPT_INT("ctx", 'c', &r.ctx, 4, 1 << 24, "N",
                              "tokens a chunk (default: 512 or the model's context, the smaller)"),
                      OPT_INT("stride", 0, &stride, 1, 1 << 24, "N", "of protocol c"),
                      OPT_INT("chunks", 0, &r.chunks, 1, 1 << 30, "N", "the first N chunks only (default: all)"),
                      CLI_OPTION_THREADS(r.common),
                      CLI_OPTION_ACTIVATIONS(r.common),
                      CLI_OPTION_JSON(r.common),
                      CLI_OPTION_QUIET(r.common)};
  option_table table = {
      .command = "perplexity",
      .synopsis = "[-m MODEL] -f TEXT [options]",
      .about = "Perplexity of a model on a text, with its standard error. 'entrollm eval perplexity' is the same.\n"
               "Figures of different protocols or tokenizers must not be compared.",
      .options = options,
      .n_options = sizeof options / sizeof *options};
  int parsed = cli_parse(&table, argc, argv, &r.common);
  if (parsed >= 0) return parsed;
  if (r.protocol != 'a')
    return cli_error(ELLM_ERR_USAGE, "perplexity: --protocol %c is not available in this version", r.protocol);
  if (stride) return cli_error(ELLM_ERR_USAGE, "perplexity: --stride belongs to protocol c");
  if (!r.text) return cli_error(ELLM_ERR_USAGE, "perplexity: -f TEXT is missing (see 'entrollm perplexity --help')");

  ellm_model *model = NULL;
  ellm_error err;
  ellm_perplexity result = {0};
  char *path = NULL;
  uint32_t n_ctx = 0;
  size_t n_ids = 0;
  double start = cli_seconds();
  if (cli_open_model(&r.common, &model, &path, &err) != ELLM_OK) return cli_fail(&err);
  int status = measure(model, &r, &n_ctx, &n_ids, &result, &err) == ELLM_OK
                   ? print_result(&r, n_ctx, n_ids, &result, cli_seconds() - start)
                   : cli_fail(&err);
  ellm_perplexity_free(&result);
  ellm_model_close(model);
  free(path);
  return status;
}

int cmd_eval(int argc, char **argv) {
  if (argc < 2) return cli_error(ELLM_ERR_USAGE, "eval: the evaluation is missing (available: perplexity)");
  if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
    printf("usage: entrollm eval perplexity [options]\n\nThe same as 'entrollm perplexity'; see 'entrollm perplexity "
           "--help'.\n");
    return ELLM_OK;
  }
  if (strcmp(argv[1], "perplexity") == 0) return cmd_perplexity(argc - 1, argv + 1);
  return cli_error(ELLM_ERR_USAGE, "eval: unknown evaluation '%s' (available: perplexity)", argv[1]);
}
