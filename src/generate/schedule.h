/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers that are computed together: what goes into the next batch, who begins,
 * who gives way. generator.c queues requests; answer.h is one of them.
 *
 * Invariant, between steps: active answers are in `active` in the order in which
 * they were begun, and are those that have a sequence. The last one gives way where
 * the pool is full.
 */
#ifndef ELLM_GENERATE_SCHEDULE_H
#define ELLM_GENERATE_SCHEDULE_H

#include "generate/answer.h"

enum {
  GENERATOR_ROWS = 256, /* of a batch at most */
  GENERATOR_MOST = 16,
  GENERATOR_PIECE = 32
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

/* The sequence becomes the newest kept one, or goes. */
void schedule_keep(ellm_generator *g, ellm_sequence *sequence);
/* An answer that is active is not any more: its sequence is kept, or goes. */
void schedule_leave(ellm_generator *g, ellm_answer *a);
/* One batch. *more: there are answers that have not ended. */
ellm_status schedule_step(ellm_generator *g, bool *more, ellm_error *err);

#endif
