/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Multiple choice: which of several continuations of a text is likeliest.
 * HellaSwag is one such list; others come as JSON lines. The forms and the
 * rules of both protocols are in docs/EVALUATION.md.
 */
#ifndef ELLM_EVAL_CHOICE_H
#define ELLM_EVAL_CHOICE_H

#include "base/memory.h"
#include "eval/run.h"
#include "eval/statistics.h"

enum { CHOICE_MOST = 64 };

typedef struct choice_text {
  char *query;        /* UTF-8, NUL-terminated; no NUL inside */
  char *continuation; /* with what stands between it and the query */
  size_t characters;  /* of the choice, without that; at least 1 */
} choice_text;

typedef struct choice_item {
  choice_text *choices; /* [n], 2 <= n <= CHOICE_MOST */
  size_t n, label;      /* label < n */
} choice_item;

typedef struct choice_set {
  choice_item *items;
  size_t count, capacity;
  size_t most; /* choices of an item at most */
} choice_set;

/* JSON lines: {"query": TEXT or [TEXT, ...], "choices": [TEXT, ...], "label": INDEX, "delimiter": TEXT}. */
ellm_status choice_read_lines(const char *text, size_t bytes, const char *origin, choice_set *set, ellm_error *err);
/* HellaSwag: its original JSON lines (preprocessed here), or six lines an item: context, label, four endings. */
ellm_status choice_read_hellaswag(const char *text, size_t bytes, const char *origin, choice_set *set,
                                  ellm_error *err);
void choice_set_free(choice_set *set);

/* Append an item, copying the texts; `delimiter` stands between query and choice. For the readers. */
ellm_status choice_set_add(choice_set *set, const char *const *queries, const char *delimiter,
                           const char *const *choices, size_t n, size_t label, ellm_error *err);

typedef enum choice_protocol { CHOICE_LM_EVAL, CHOICE_LLAMA_CPP } choice_protocol;
const char *choice_protocol_name(choice_protocol protocol);

typedef struct choice_result {
  eval_figure acc;      /* share of items whose label has the largest score */
  eval_figure acc_norm; /* ... score by character; NaN for CHOICE_LLAMA_CPP */
  double *scores;       /* [n_items][most]: sum of log-probabilities; llama.cpp: their mean. eval_choice_free */
  size_t n_items, most, n_resumed;
} choice_result;

/* options->limit: the first items. */
ellm_status eval_choice(ellm_model *model, const choice_set *set, choice_protocol protocol,
                        const eval_options *options, choice_result *result, ellm_error *err);
void eval_choice_free(choice_result *result);

/* lm-evaluation-harness's clean-up of a HellaSwag text, appended to `out`. */
ellm_status hellaswag_preprocess(const char *text, size_t bytes, ellm_buffer *out, ellm_error *err);

#endif
