/* SPDX-License-Identifier: Apache-2.0 */
/* Generating a continuation and streaming its text. */
#ifndef ELLM_CLI_GENERATE_H
#define ELLM_CLI_GENERATE_H

#include "cli/cli.h"
#include "cli/stop.h"

typedef enum end_reason { END_LENGTH, END_EOS, END_STOP, END_CONTEXT, END_INTERRUPTED, END_OUTPUT } end_reason;
extern const char *const end_reason_names[];

typedef struct generation {
  /* given */
  ellm_model *model;
  const ellm_tokenizer *tokenizer; /* NULL: ids only, no text */
  const uint32_t *prompt;
  size_t n_prompt;
  size_t limit;                    /* new tokens at most */
  bool ignore_eos;
  ellm_sampling sampling;
  stop_filter stops;               /* stops, n_stops set */
  enum { SHOW_NOTHING, SHOW_TEXT, SHOW_IDS } show; /* on standard output, as it comes */
  /* results */
  uint32_t *ids;                   /* new ones, without the end-of-sequence id; malloc'ed */
  size_t n_ids;
  ellm_buffer text;
  end_reason end;
  double prompt_seconds, seconds;  /* of reading the prompt, of generating */
  uint32_t capacity;               /* positions of the context */
} generation;

ellm_status generate(generation *g, ellm_error *err);
void generation_free(generation *g);

#endif
