/* SPDX-License-Identifier: Apache-2.0 */
/* generation_config.json: what ends a sequence, and how a model wants to be sampled. */
#ifndef ELLM_ARCH_GENERATION_CONFIG_H
#define ELLM_ARCH_GENERATION_CONFIG_H

#include "base/status.h"

enum { CONFIG_MAX_EOS = 16 };

typedef struct generation_config {
  uint32_t eos_ids[CONFIG_MAX_EOS]; /* generation_config's, else config's */
  size_t n_eos;
  int do_sample;                    /* -1 when not given */
  double temperature, top_p, min_p, repetition_penalty; /* negative when not given */
  int top_k;                        /* negative when not given */
} generation_config;

/* A file's text; `json` is NULL where there is none, `origin` names it in errors. */
typedef struct config_text { const void *json; size_t bytes; const char *origin; } config_text;

/* generation_config.json; what it leaves out of the end-of-sequence ids is taken from config.json. */
ellm_status generation_config_parse(const config_text *generation, const config_text *model, generation_config *config,
                                    ellm_error *err);

#endif
