/* SPDX-License-Identifier: Apache-2.0 */
/* One answer of the library's generator, shown as it comes: what run and chat share. */
#ifndef ELLM_CLI_GENERATE_H
#define ELLM_CLI_GENERATE_H

#include "cli/cli.h"

typedef struct generation generation;
struct generation {
  /* given */
  ellm_model *model;
  bool text;                       /* false: ids only */
  const uint32_t *prompt;
  size_t n_prompt;
  size_t limit;                    /* new tokens at most; SIZE_MAX: until the end */
  uint32_t most_positions;         /* of prompt and answer; 0: the model's context */
  const uint32_t *end_ids;         /* ids that end it; NULL: the model's */
  size_t n_end_ids;
  bool ignore_eos;
  ellm_sampling sampling;
  const char *const *stops;
  size_t n_stops;
  const ellm_grammar *grammar;     /* NULL: any text */
  enum { SHOW_NOTHING, SHOW_TEXT, SHOW_IDS } show; /* on standard output, as it comes */
  ellm_sequence *sequence;         /* NULL: one of its own. Positions in it that equal the prompt are kept */
  const char *prompt_cache;        /* a file, NULL: none */
  ellm_status (*make_room)(void *user, const ellm_answer *answer, uint32_t **prompt, size_t *n_prompt,
                           ellm_error *err); /* as in ellm_request */
  void *user;
  /* results, until generation_free */
  const uint32_t *ids;             /* new ones, without the end-of-sequence id */
  size_t n_ids;
  const char *new_text;
  size_t text_bytes;
  ellm_end end;
  bool interrupted;                /* by a signal */
  const char *end_name;
  double prompt_seconds, seconds;  /* of reading the prompt, of generating */
  uint32_t capacity;               /* positions that the sequence may have */
  size_t kept;                     /* tokens of the prompt that need not be evaluated */
  /* inside */
  ellm_generator *generator;
  ellm_sequence *own;
  ellm_answer *answer;
  bool saved;                      /* the prompt cache holds all of the prompt */
  ellm_error save_error;
};

ellm_status generate(generation *g, ellm_error *err);
void generation_free(generation *g);

/* ellm_sequence_restore and ellm_sequence_save with a progress bar. A signal stops them, but no saving that begins
 * after it: what was evaluated is not to be lost. */
ellm_status cli_sequence_restore(ellm_sequence *sequence, const char *path, const uint32_t *ids, size_t n_ids,
                                 ellm_error *err);
ellm_status cli_sequence_save(const ellm_sequence *sequence, const char *path, ellm_error *err);

/* Amount a second; 0 if no time has passed. */
double cli_rate(double amount, double seconds);

#endif
