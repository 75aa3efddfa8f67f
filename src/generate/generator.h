/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers that are computed together. generator.c queues requests, schedule.c
 * chooses what goes into the next batch and evaluates it, answer.c makes ids and
 * text of logits.
 *
 * Invariants of an answer, between steps:
 *  1. ids[0, n_prompt) is its prompt, ids[n_prompt, n_prompt + n_ids) are its new
 *     ids; `all` = n_prompt + n_ids >= 1.
 *  2. WAITING: it has no sequence of the generator's, and what the caller's holds
 *     does not matter. ACTIVE: its sequence holds ids[0, done), done < all, and
 *     it goes on by evaluating the rest; the logits of ids[all - 1] give the next
 *     id. ENDED: `end` says why; nothing but figures, ids and text is left.
 *  3. Active answers stand in `active` in the order in which they were begun. The
 *     last one gives way where the pool is full.
 */
#ifndef ELLM_GENERATE_GENERATOR_H
#define ELLM_GENERATE_GENERATOR_H

#include <stdatomic.h>

#include "base/memory.h"
#include "base/status.h"
#include "generate/stop.h"
#include "text/stream.h"

enum {
  GENERATOR_ROWS = 256, /* of a batch at most */
  GENERATOR_MOST = 16,
  GENERATOR_PIECE = 32,
  GENERATOR_GROWTH = 256, /* new ids that an answer is given room for when it begins */
  GENERATOR_SHARED = 32 /* positions: to wait for so many that another answer is computing pays */
};

typedef enum answer_state { ANSWER_WAITING, ANSWER_ACTIVE, ANSWER_ENDED } answer_state;

struct ellm_answer {
  ellm_generator *generator;
  ellm_answer *next;       /* of the generator's list, in the order of asking */
  answer_state state;
  ellm_end end;
  ellm_error err;          /* ELLM_END_FAILED */
  atomic_bool cancelled;

  /* the request */
  size_t limit;
  uint32_t positions;      /* at most */
  uint32_t *end_ids;
  size_t n_end_ids;
  char **stop_texts;
  ellm_sequence *given;    /* the caller's */
  bool (*take)(void *user, const ellm_answer *answer, const ellm_answer_part *part);
  ellm_status (*make_room)(void *user, const ellm_answer *answer, uint32_t **prompt, size_t *n_prompt,
                           ellm_error *err);
  void *user;

  uint32_t *ids;           /* [room] */
  size_t n_prompt, n_ids, room;
  size_t first_prompt;     /* ids of the prompt that was asked with */
  ellm_sequence *sequence; /* `given`, or one of the generator's; NULL while waiting */
  size_t done;             /* ids that it holds */
  ellm_sampler *sampler;
  ellm_stream *stream;     /* NULL: no text */
  stop_filter stops;
  ellm_buffer text;        /* NUL-terminated, the NUL not counted */
  bool begun;              /* it has been active: n_kept is set */
  size_t n_kept;
  double start, prompt_seconds, first, seconds; /* clock of the first batch; ...; of the first logits */
};

struct ellm_generator {
  ellm_model *model;
  ellm_model_info info;
  size_t most, piece, keep;
  ellm_answer *answers;    /* all that have not been freed */
  ellm_answer **active;    /* [most], n_active of them */
  size_t n_active;
  ellm_sequence **kept;    /* [keep], n_kept of them, the oldest first */
  size_t n_kept;
  ellm_batch_item *items;  /* [most] of a batch, and whose they are */
  ellm_answer **owners;
  float *logits;           /* [most][vocab_size] */
};

static inline size_t answer_all(const ellm_answer *a) { return a->n_prompt + a->n_ids; }

/* answer.c */

/* Take over a request; its fields are valid. The caller frees *answer (answer_destroy) also after an error. */
ellm_status answer_create(ellm_generator *g, const ellm_request *request, ellm_answer **answer, ellm_error *err);
void answer_destroy(ellm_answer *a);
/* The logits of its last id are there: choose the next one. Errors of the answer's own end it. */
void answer_advance(ellm_answer *a, const float *logits);
/* End it: hand out the text that is held back and leave its sequence. */
void answer_end(ellm_answer *a, ellm_end end);
void answer_fail(ellm_answer *a, const ellm_error *err);

/* schedule.c */

/* An answer that is active is not any more: its sequence is kept, or goes. */
void schedule_leave(ellm_generator *g, ellm_answer *a);
ellm_status schedule_step(ellm_generator *g, bool *more, ellm_error *err);

#endif
