/* SPDX-License-Identifier: Apache-2.0 */
/* An open model: configuration, weights, threads, the pool of pages. What sequences need of it. */
#ifndef ELLM_MODEL_MODEL_H
#define ELLM_MODEL_MODEL_H

#include <pthread.h>
#include <stdatomic.h>

#include "arch/generation_config.h"
#include "model/backend.h"
#include "model/rope.h"

struct ellm_model {
  char *path;
  tensor_source *source;
  model_config config;
  generation_config generation;
  ellm_activations activations;
  ellm_cache_type cache_type; /* in use, never DEFAULT */
  model_weights weights;
  rope_tables ropes;
  compute *compute;
  ellm_team team;          /* n_ranks 0: alone */
  pthread_mutex_t lock;    /* held while threads compute, and while tokenizer, backend and pool are made or grow.
                              The pool's own lock is taken within it, never the other way round */
  backend *backend;        /* made with the first sequence */
  page_pool pool;
  uint32_t cache_positions; /* of the pool when it is made */
  atomic_uint references;  /* the caller's handle, while it is not closed, and one a sequence */
  atomic_bool closed;
  ellm_tokenizer *tokenizer; /* made on first use */
  const struct forward_watch *watch; /* sees the inputs of products (forward_set_watch); NULL: nobody does */
  float *watched;          /* the rows that it sees, NULL without it */
};

/* One user more, one less; the last one frees the model. */
void model_retain(ellm_model *model);
void model_release(ellm_model *model);
/* Make backend and pool, where they are not there yet. */
ellm_status model_prepare(ellm_model *model, ellm_error *err);
/* ELLM_ERR_USAGE: the model was closed. */
ellm_status model_fail_closed(const ellm_model *model, ellm_error *err);

/* What opening a model checks, of a source that stays the caller's: configurations and, by model_weights_check, tensors.
 * used[source_count(from)] says which of them the model takes. */
ellm_status model_check(tensor_source *from, const ellm_notes *notes, bool *used, ellm_error *err);

#endif
