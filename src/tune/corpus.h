/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text that a model is calibrated on: n sequences of token ids, all of one length. The model writes it itself, from
 * its start token, at temperature 1: that is a sample of what the model knows, needs no data of anybody, and serves
 * about as well as text of the test's own kind. Where the model has a chat template every second sequence begins with
 * what is before a user's message, so that it writes both sides of a conversation.
 *
 * Requests of generate/generator.h would not do: the sums of squares are kept by sequence, so that they are added in one
 * order, while a generator moves its answers from row to row. So this is a second loop that generates, of sequences that
 * all are equally long. Nobody else uses the model meanwhile.
 *
 * The text depends on the model alone: not on threads or instruction set, nor on how many sequences are written at a
 * time, as each has a sampler of its own, seeded by its number.
 */
#ifndef ELLM_TUNE_CORPUS_H
#define ELLM_TUNE_CORPUS_H

#include "base/progress.h"
#include "tune/chances.h"
#include "tune/squares.h"

typedef struct corpus {
  size_t n, length;
  uint32_t *ids;       /* [n][length] */
} corpus;

typedef struct corpus_request {
  size_t n, length;            /* length >= 2 and more than n_start and n_chat */
  const uint32_t *start;       /* what sequences 0, 2, 4, ... begin with, and all where n_chat is 0 */
  size_t n_start;              /* >= 1 */
  const uint32_t *chat;        /* what sequences 1, 3, 5, ... begin with */
  size_t n_chat;
  size_t together;             /* sequences written at a time, >= 1; changes nothing but memory and time */
  size_t watched;              /* the first so many sequences are seen by `squares` and `chances` */
  squares *squares;            /* sums of squares of all inputs; NULL: none */
  token_chances *chances;      /* that the next token had at every position; NULL: none */
} corpus_request;

/* Written by the model. Takes together * length positions of its pool, which it makes large enough. The last id of a
 * sequence is not evaluated. ELLM_ERR_INPUT: logits that are not numbers. Stage "calibrate" of the progress, in tokens
 * of all sequences, meter->done on. */
ellm_status corpus_write(ellm_model *model, const corpus_request *request, progress_meter *meter, corpus *out,
                         ellm_error *err);

/* Cut from a text's ids: at most n sequences, as many as there are whole ones, spread evenly over the text.
 * ELLM_ERR_INPUT where there are fewer than `least`; `origin` names the text. */
ellm_status corpus_cut(const uint32_t *ids, size_t n_ids, size_t n, size_t length, size_t least, const char *origin,
                       corpus *out, ellm_error *err);

void corpus_free(corpus *c); /* fine for one that is all zero */

#endif
