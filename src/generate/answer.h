/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One answer: its request, its ids and text, and how it continues. An answer knows
 * nothing of the others; schedule.h says when it is computed.
 *
 * Invariants, between steps of the schedule:
 *  1. ids[0, n_prompt) is its prompt, ids[n_prompt, n_prompt + n_ids) are its new
 *     ids; `all` = n_prompt + n_ids >= 1.
 *  2. WAITING: it has no sequence of the generator's, and what the caller's holds
 *     does not matter. ACTIVE: its sequence holds ids[0, done), done < all, and
 *     it continues by evaluating the rest; the logits of ids[all - 1] give the next
 *     id. ENDED: `end` says why; nothing but figures, ids and text is left.
 */
#ifndef ELLM_GENERATE_ANSWER_H
#define ELLM_GENERATE_ANSWER_H

#include <stdatomic.h>

#include "base/memory.h"
#include "base/status.h"
#include "generate/stop.h"
#include "grammar/grammar.h"
#include "text/stream.h"

typedef enum answer_state { ANSWER_WAITING, ANSWER_ACTIVE, ANSWER_ENDED } answer_state;

struct ellm_answer {
  ellm_generator *generator; /* whose it is: nothing of it is used here */
  ellm_answer *next;         /* of the generator's list, in the order of asking */
  uint32_t vocab_size;
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
  ellm_sequence *sequence; /* `given`, or one of the generator's; NULL while it is not among the active ones */
  size_t done;             /* ids that it holds */
  ellm_sampler *sampler;
  grammar_matcher *matcher; /* where the answer is in its grammar; NULL: it has none */
  uint64_t *allowed;       /* [ceil(vocab_size / 64)] ids that can come next; with a grammar */
  bool asked, over;        /* `allowed` is of the newest id; nothing can come */
  size_t n_chances;        /* that are told with each id */
  ellm_chance top[ELLM_MAX_CHANCES]; /* of the newest id, [n_chances], and its own */
  double chance;
  ellm_stream *stream;     /* NULL: no text */
  stop_filter stops;
  ellm_buffer text;        /* NUL-terminated, the NUL not counted */
  bool begun;              /* it has been active: n_kept is set */
  size_t n_kept;
  double start, prompt_seconds, first, seconds; /* clock of the first batch; ...; of the first logits */
};

static inline size_t answer_all(const ellm_answer *a) { return a->n_prompt + a->n_ids; }

/* Take over a request of this generator and model; its fields are valid. The caller frees *answer (answer_destroy) also
 * after an error. */
ellm_status answer_create(ellm_generator *generator, ellm_model *model, const ellm_model_info *info,
                          const ellm_request *request, ellm_answer **answer, ellm_error *err);
void answer_destroy(ellm_answer *a);
/* The logits of its last id are there: choose the next one. Errors of the answer's own end it. */
void answer_advance(ellm_answer *a, const float *logits);
/* End it, handing out the text that is held back. Its sequence stays, for the schedule to take away. */
void answer_end(ellm_answer *a, ellm_end end);
void answer_fail(ellm_answer *a, const ellm_error *err);

#endif
