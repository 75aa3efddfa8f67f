/* SPDX-License-Identifier: Apache-2.0 */
/* Perplexity by four published protocols; exact rules in docs/EVALUATION.md. */
#ifndef ELLM_EVAL_PERPLEXITY_H
#define ELLM_EVAL_PERPLEXITY_H

#include "eval/run.h"
#include "eval/statistics.h"

typedef enum perplexity_protocol {
  PERPLEXITY_LLAMA_CPP = 'a', /* the second half of disjoint chunks */
  PERPLEXITY_WINDOWS = 'b',   /* GPTQ: rows joined, disjoint windows */
  PERPLEXITY_STRIDED = 'c',   /* Hugging Face: overlapping windows */
  PERPLEXITY_ROLLING = 'd'    /* lm-evaluation-harness: pages, per word */
} perplexity_protocol;

const char *perplexity_protocol_name(perplexity_protocol protocol);

typedef struct perplexity_request {
  perplexity_protocol protocol;
  const char *text; /* the file as it is; for (d) also JSON lines {"page": TEXT} */
  size_t bytes;
  const char *origin; /* its name, for errors */
  uint32_t n_ctx;     /* 0: the smaller of 512 and the model's context; for (d) the model's context */
  uint32_t stride;    /* (c): 0 = n_ctx / 2 */
} perplexity_request;

typedef struct perplexity_result {
  eval_figure perplexity;      /* per token; (d): per word */
  eval_figure byte_perplexity; /* (d) only */
  uint64_t scored, text_tokens, words, bytes; /* words and bytes: (d) only */
  uint32_t n_ctx, stride;
  double *chunk_nll;           /* mean negative log-likelihood a token; free with eval_perplexity_free */
  size_t n_chunks, n_resumed;  /* chunks, windows or pages */
} perplexity_result;

/* options->limit: the first chunks, windows or pages. */
ellm_status eval_perplexity(ellm_model *model, const perplexity_request *request, const eval_options *options,
                            perplexity_result *result, ellm_error *err);
void eval_perplexity_free(perplexity_result *result);

/* The text as (a) and (c) read it: without one last newline, with special tokens. *ids is malloc'ed. */
ellm_status perplexity_encode(ellm_model *model, const char *text, size_t bytes, uint32_t **ids, size_t *n_ids,
                              ellm_error *err);
/* BOS if the model adds it to a text, else -1: add_bos_token of tokenizer_config.json decides, as in the files that
 * llama.cpp runs; where it is not given, whether the post-processor put BOS before `ids`. */
ellm_status perplexity_bos(ellm_model *model, const uint32_t *ids, size_t n_ids, int64_t *bos, ellm_error *err);
/* n_ctx or its default; ELLM_ERR_USAGE when the model's context is smaller. */
ellm_status perplexity_context(ellm_model *model, uint32_t n_ctx, uint32_t *out, ellm_error *err);

#endif
