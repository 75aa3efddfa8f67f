/* SPDX-License-Identifier: Apache-2.0 */
/* An open model: configuration, weights, threads. What contexts need of it. */
#ifndef ELLM_MODEL_MODEL_H
#define ELLM_MODEL_MODEL_H

#include <pthread.h>

#include "arch/generation_config.h"
#include "model/rope.h"
#include "model/weights.h"

struct ellm_model {
  char *path;
  tensor_source *source;
  model_config config;
  generation_config generation;
  ellm_activations activations;
  bool half_precision;     /* the KV cache is of F16, else of F32 */
  model_weights weights;
  rope_tables ropes;
  compute *compute;
  pthread_mutex_t lock;    /* held while threads compute, and while the tokenizer is made */
  ellm_tokenizer *tokenizer; /* made on first use */
};

/* Is it one of the ids that end a sequence? */
bool model_is_eos(const ellm_model_info *info, uint32_t id);

#endif
