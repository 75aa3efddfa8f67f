/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of questions with several answers, and the forms of files they come in
 * (docs/EVALUATION.md).
 */
#ifndef ELLM_EVAL_CHOICE_READ_H
#define ELLM_EVAL_CHOICE_READ_H

#include "base/memory.h"
#include "base/status.h"

enum { CHOICE_MOST = 64 };

typedef struct choice_text {
  char *query;        /* UTF-8, NUL-terminated; no NUL inside */
  char *continuation; /* with what is between it and the query */
  size_t characters;  /* of the choice, without that; at least 1 */
} choice_text;

typedef struct choice_item {
  choice_text *choices; /* [n], 2 <= n <= CHOICE_MOST */
  size_t n, label;      /* label < n */
} choice_item;

struct ellm_choice_set {
  choice_item *items;
  size_t count, capacity;
  size_t most; /* choices of an item at most */
};

/* JSON lines: {"query": TEXT or [TEXT, ...], "choices": [TEXT, ...], "label": INDEX, "delimiter": TEXT}. */
ellm_status choice_read_lines(const char *text, size_t bytes, const char *origin, ellm_choice_set *set,
                              ellm_error *err);
/* HellaSwag: its original JSON lines (preprocessed here), or six lines an item: context, label, four endings. */
ellm_status choice_read_hellaswag(const char *text, size_t bytes, const char *origin, ellm_choice_set *set,
                                  ellm_error *err);
void choice_set_free(ellm_choice_set *set); /* what it holds */

/* Append an item, copying the texts; `delimiter` is between query and choice. For the readers. */
ellm_status choice_set_add(ellm_choice_set *set, const char *const *queries, const char *delimiter,
                           const char *const *choices, size_t n, size_t label, ellm_error *err);

/* lm-evaluation-harness's clean-up of a HellaSwag text, appended to `out`. */
ellm_status hellaswag_preprocess(const char *text, size_t bytes, ellm_buffer *out, ellm_error *err);

#endif
