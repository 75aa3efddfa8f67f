/* SPDX-License-Identifier: Apache-2.0 */
/* Generating a continuation and streaming its text. */
#ifndef ELLM_CLI_GENERATE_H
#define ELLM_CLI_GENERATE_H

#include "cli/cli.h"
#include "cli/stop.h"

typedef enum end_reason { END_LENGTH, END_EOS, END_STOP, END_CONTEXT, END_INTERRUPTED, END_OUTPUT } end_reason;
extern const char *const end_reason_names[];

typedef struct generation generation;
struct generation {
  /* given */
  ellm_model *model;
  const ellm_tokenizer *tokenizer; /* NULL: ids only, no text */
  const uint32_t *prompt;
  size_t n_prompt;
  size_t limit;                    /* new tokens at most; SIZE_MAX: until the end */
  uint32_t most_positions;         /* of a context of its own; 0: the model's */
  const uint32_t *end_ids;         /* ids that end it; NULL: the model's */
  size_t n_end_ids;
  bool ignore_eos;
  ellm_sampling sampling;
  stop_filter stops;               /* stops, n_stops set */
  enum { SHOW_NOTHING, SHOW_TEXT, SHOW_IDS } show; /* on standard output, as it comes */
  ellm_sequence *sequence;         /* NULL: one of its own. Positions in it that equal the prompt are kept */
  const char *prompt_cache;        /* a file, NULL: none */
  /* Called when the context is full, NULL: that is the end. Sets *made if it has replaced what the sequence holds by
   * something shorter that still ends with all new ids but the last. */
  ellm_status (*make_room)(void *user, const generation *g, bool *made, ellm_error *err);
  void *user;
  uint32_t capacity;               /* positions that the sequence may have; without a sequence that is a result */
  /* results */
  uint32_t *ids;                   /* new ones, without the end-of-sequence id; malloc'ed */
  size_t n_ids;
  ellm_buffer text;
  end_reason end;
  double prompt_seconds, seconds;  /* of reading the prompt, of generating */
  size_t kept;                     /* tokens of the prompt that need not be evaluated */
};

ellm_status generate(generation *g, ellm_error *err);
void generation_free(generation *g);

/* ellm_sequence_restore and ellm_sequence_save with a progress bar. A signal stops them, but no saving that begins after
 * it: what was evaluated is not to be lost. */
ellm_status cli_sequence_restore(ellm_sequence *sequence, const char *path, const uint32_t *ids, size_t n_ids,
                                 ellm_error *err);
ellm_status cli_sequence_save(const ellm_sequence *sequence, const char *path, ellm_error *err);

/* Amount a second; 0 if no time has passed. */
double cli_rate(double amount, double seconds);

#endif
