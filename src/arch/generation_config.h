/* SPDX-License-Identifier: Apache-2.0 */
/*
 * generation_config.json and the end token of tokenizer_config.json: what ends
 * a turn, and how a model wants to be sampled. Sampling is a matter of taste: a
 * value that makes no sense is a note, and counts as not given. An id that ends
 * a turn is not: a model that never stops is a broken one.
 */
#ifndef ELLM_ARCH_GENERATION_CONFIG_H
#define ELLM_ARCH_GENERATION_CONFIG_H

#include "base/notes.h"

enum {
  CONFIG_MAX_EOS = 16,
  GENERATION_DEFAULT_TOP_K = 50 /* of Transformers, where nothing names it */
};

typedef struct generation_config {
  /* ids that end a turn: generation_config's, else config's, else those of the architecture's class; then others that
   * generation_config_add_eos has added */
  uint32_t eos_ids[CONFIG_MAX_EOS];
  size_t n_eos;
  int do_sample;                    /* -1 when not given */
  double temperature, top_p, min_p, repetition_penalty; /* negative when not given */
  int top_k;                        /* 0: all tokens */
} generation_config;

/* A file's text; `json` is NULL where there is none, `origin` names it in errors. */
typedef struct config_text { const void *json; size_t bytes; const char *origin; } config_text;

/* `generation` is generation_config.json, `model` config.json; class_eos_id is model_config's (-1: none). A
 * generation_config.json that cannot be read counts as missing, as in Transformers, with a note. */
ellm_status generation_config_parse(const config_text *generation, const config_text *model, int64_t class_eos_id,
                                    const ellm_notes *notes, generation_config *config, ellm_error *err);
/* One more id, if it is not there; false where there is no room. */
bool generation_config_add_eos(generation_config *config, uint32_t id);

/* eos_token of tokenizer_config.json: its content, malloc'ed, or NULL where none is given. *id is what
 * added_tokens_decoder of the same file says about it, -1 where it says nothing. A file or a value that cannot be read
 * is a note. Fails only where there is no memory. */
ellm_status tokenizer_config_eos(const config_text *text, const ellm_notes *notes, char **content, int64_t *id,
                                 ellm_error *err);

#endif
