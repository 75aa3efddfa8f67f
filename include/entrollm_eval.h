/* SPDX-License-Identifier: Apache-2.0 */
/* The part of entrollm.h for evaluations. entrollm.h includes it, and the rules at the top of entrollm.h apply here. */
#ifndef ENTROLLM_EVAL_H
#define ENTROLLM_EVAL_H
#ifndef ENTROLLM_H
#error "include entrollm.h"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The evaluations of docs/EVALUATION.md. Each is a list of items (chunks of a text, or questions) that are computed one
 * by one and give a result with standard errors. Every evaluation takes a model that no other thread evaluates with
 * meanwhile, data as bytes, a request (what is measured) and options (how it is run; NULL: the defaults). It hands out
 * a result that the caller frees. The model's pool grows to fit the longest item and keeps that size
 * (ellm_model_reserve). Errors: ELLM_ERR_USAGE if the request makes no sense or the state file belongs to another
 * evaluation; ELLM_ERR_INPUT if data, model or state file cannot be evaluated; ELLM_INTERRUPTED if the progress
 * callback stopped it. Then the state file, if there is one, holds what was done.
 */

/* A figure, its standard error, and the ends of its 95 % confidence interval. NaN: not defined. */
typedef struct ellm_figure { double value, error, low, high; } ellm_figure;

typedef struct ellm_eval_options {
  size_t size;               /* set by ellm_eval_options_init */
  const char *state;         /* a file that keeps what is done, from which the evaluation continues. NULL: none */
  size_t limit;              /* only this many items, from the first; 0 = all */
  ellm_progress_fn progress; /* done and total are items, `tensor` is the running result. May be NULL */
  void *progress_user;
} ellm_eval_options;
ELLM_INIT(ellm_eval_options) /* no state, all items, no progress */

/* Stands for what a model computes, as 32 hex digits and NUL: a hash of its logits for a few ids. It is the same for
 * every number of threads and every instruction set. Two models with the same fingerprint give the same results. */
ELLM_API ellm_status ellm_eval_fingerprint(ellm_model *model, char text[33], ellm_error *err);

/* Four published protocols of perplexity. */
typedef enum ellm_perplexity_protocol {
  ELLM_PERPLEXITY_LLAMA_CPP = 'a', /* llama.cpp: the second half of disjoint chunks */
  ELLM_PERPLEXITY_WINDOWS = 'b',   /* GPTQ: rows joined, disjoint windows */
  ELLM_PERPLEXITY_STRIDED = 'c',   /* Hugging Face: overlapping windows */
  ELLM_PERPLEXITY_ROLLING = 'd'    /* lm-evaluation-harness: pages, per word */
} ellm_perplexity_protocol;
ELLM_API const char *ellm_perplexity_protocol_name(ellm_perplexity_protocol protocol); /* one line; static */

typedef struct ellm_perplexity_request {
  size_t size;                       /* set by ellm_perplexity_request_init */
  ellm_perplexity_protocol protocol;
  const char *text;                  /* [bytes], the file as it is; for (d) also JSON lines {"page": TEXT} */
  size_t bytes;
  const char *origin;                /* name of the text, for errors */
  uint32_t n_ctx;                    /* tokens in a window. 0: the smaller of 512 and the model's context; for (d) the
                                        model's context */
  uint32_t stride;                   /* for (c): tokens from one window to the next; 0: n_ctx / 2 */
} ellm_perplexity_request;
ELLM_INIT(ellm_perplexity_request) /* (a), no text yet */

typedef struct ellm_perplexity_result {
  ellm_figure perplexity;      /* per token; (d): per word */
  ellm_figure byte_perplexity; /* (d) only */
  uint64_t scored, text_tokens, words, bytes; /* words and bytes: (d) only */
  uint32_t n_ctx, stride;
  double *chunk_nll;           /* [n_chunks], mean negative log-likelihood per token */
  size_t n_chunks, n_resumed;  /* chunks, windows or pages; and how many of them came from the state file */
} ellm_perplexity_result;
/* options->limit counts chunks, windows or pages. */
ELLM_API ellm_status ellm_eval_perplexity(ellm_model *model, const ellm_perplexity_request *request,
                                          const ellm_eval_options *options, ellm_perplexity_result **result,
                                          ellm_error *err);
ELLM_API void ellm_perplexity_result_free(ellm_perplexity_result *result);

/* How far a model's next-token distributions are from those of a reference: KL(p || q) of the reference p and the model
 * q, over the tokens that perplexity (a) scores. The reference is a model, or logits that it saved earlier. */
typedef struct ellm_divergence_request {
  size_t size;        /* set by ellm_divergence_request_init */
  const char *text;   /* [bytes], the file as it is */
  size_t bytes;
  const char *origin; /* its name, for errors */
  uint32_t n_ctx;     /* tokens in a chunk. 0: as in the saved logits, else the smaller of 512 and the context */
} ellm_divergence_request;
ELLM_INIT(ellm_divergence_request) /* no text yet */

typedef struct ellm_divergence_result {
  ellm_figure kl;         /* mean, in nats per token */
  ellm_figure median, p90, p99;
  double max;
  ellm_figure same_top;   /* share of positions at which both have the same most likely token */
  ellm_figure perplexity, reference_perplexity;
  ellm_figure ratio;      /* perplexity / reference_perplexity, from paired differences */
  uint64_t scored;        /* tokens */
  uint32_t n_ctx;
  double *chunk_kl;       /* [n_chunks], means */
  size_t n_chunks, n_resumed;
} ellm_divergence_result;
/* Compare with an open model of the same vocabulary. options->limit counts chunks. */
ELLM_API ellm_status ellm_eval_divergence(ellm_model *model, ellm_model *reference,
                                          const ellm_divergence_request *request, const ellm_eval_options *options,
                                          ellm_divergence_result **result, ellm_error *err);
/* Compare with the logits saved in `path`. Without a limit, all saved chunks count. */
ELLM_API ellm_status ellm_eval_divergence_saved(ellm_model *model, const char *path,
                                                const ellm_divergence_request *request,
                                                const ellm_eval_options *options, ellm_divergence_result **result,
                                                ellm_error *err);
ELLM_API void ellm_divergence_result_free(ellm_divergence_result *result);
/* Save the logits of a reference over the first options->limit chunks. The file appears when it is complete. After an
 * interruption it stays as PATH.partial, and the same call continues it (options->state is not used). */
ELLM_API ellm_status ellm_eval_save_reference(ellm_model *reference, const ellm_divergence_request *request,
                                              const char *path, bool overwrite, const ellm_eval_options *options,
                                              ellm_error *err);
/* Whether `path` is a file of saved logits (and not a model). */
ELLM_API bool ellm_eval_is_reference(const char *path);

/* Multiple choice: which of several continuations of a text is the likeliest one? */
typedef struct ellm_choice_set ellm_choice_set; /* the items; may be read by several threads at once */
typedef enum ellm_choice_format {
  ELLM_CHOICE_LINES = 0,    /* JSON lines: {"query": TEXT or [TEXT, ...], "choices": [TEXT, ...], "label": INDEX,
                               "delimiter": TEXT} */
  ELLM_CHOICE_HELLASWAG = 1 /* HellaSwag's own JSON lines, or six lines per item: context, label, four endings */
} ellm_choice_format;
typedef enum ellm_choice_protocol { ELLM_CHOICE_LM_EVAL = 0, ELLM_CHOICE_LLAMA_CPP = 1 } ellm_choice_protocol;
ELLM_API const char *ellm_choice_protocol_name(ellm_choice_protocol protocol); /* one line; static */

/* Read a set from text[bytes], which errors call `origin`. Free with ellm_choice_set_free. */
ELLM_API ellm_status ellm_choice_set_read(const char *text, size_t bytes, const char *origin, ellm_choice_format format,
                                          ellm_choice_set **set, ellm_error *err);
ELLM_API void ellm_choice_set_free(ellm_choice_set *set);
ELLM_API size_t ellm_choice_set_count(const ellm_choice_set *set);
/* How many choices an item has, and which of them is right (either may be NULL). False if there is no such item. */
ELLM_API bool ellm_choice_set_item(const ellm_choice_set *set, size_t index, size_t *n_choices, size_t *label);

typedef struct ellm_choice_result {
  ellm_figure acc;      /* share of items whose right choice has the largest score */
  ellm_figure acc_norm; /* share of items whose right choice has the largest score per character; NaN for llama.cpp */
  double *scores;       /* [n_items][most]: sums of log-probabilities; for llama.cpp their means. NaN where an item has
                           fewer choices */
  size_t n_items, most, n_resumed;
} ellm_choice_result;
/* options->limit counts items. */
ELLM_API ellm_status ellm_eval_choice(ellm_model *model, const ellm_choice_set *set, ellm_choice_protocol protocol,
                                      const ellm_eval_options *options, ellm_choice_result **result, ellm_error *err);
ELLM_API void ellm_choice_result_free(ellm_choice_result *result);

/* GSM8K: word problems, answered greedily after worked examples. */
typedef struct ellm_gsm8k_request {
  size_t size;           /* set by ellm_gsm8k_request_init */
  const char *text;      /* [bytes], JSON lines {"question": TEXT, "answer": TEXT} */
  size_t bytes;
  const char *origin;    /* its name, for errors */
  const char *examples;  /* [examples_bytes], put before every question; NULL: nothing */
  size_t examples_bytes;
  uint32_t max_new;      /* the most tokens of an answer; 0: 256 */
} ellm_gsm8k_request;
ELLM_INIT(ellm_gsm8k_request) /* no text yet, no examples */

typedef struct ellm_gsm8k_result {
  ellm_figure strict, flexible; /* share of right answers, if the number after "The answer is" or the last one counts */
  ellm_figure mean_tokens;      /* generated per question */
  uint32_t max_new, max_prompt; /* tokens; longer prompts lost their beginning */
  size_t n_items, n_cut, n_resumed; /* n_cut: prompts that lost their beginning */
} ellm_gsm8k_result;
/* options->limit counts questions. */
ELLM_API ellm_status ellm_eval_gsm8k(ellm_model *model, const ellm_gsm8k_request *request,
                                     const ellm_eval_options *options, ellm_gsm8k_result **result, ellm_error *err);
ELLM_API void ellm_gsm8k_result_free(ellm_gsm8k_result *result);

#ifdef __cplusplus
}
#endif

#endif
