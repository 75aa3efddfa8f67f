/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a source calls the tensors of a model. Most use the names of the architecture. Programs that wrap a model put
 * something before them ("_orig_mod.", "module.", "base_model.model.", "language_model."), and a model that was saved
 * without its head lacks "model.": such tensors are found by their ends, where only one ends so.
 */
#ifndef ELLM_MODEL_TENSOR_NAMES_H
#define ELLM_MODEL_TENSOR_NAMES_H

#include "arch/arch.h"
#include "source/source.h"

typedef struct tensor_names {
  const tensor_source *from;
  const char *root;           /* what the architecture's names of the body begin with: "model.", or "" */
  const source_tensor *first; /* the body's first tensor in the source; NULL: it has the architecture's names, or none */
  size_t prefix_bytes;        /* of first->name: they are in place of the root */
  const source_tensor *other; /* not NULL: another that ends as `first` does, so that neither is taken */
} tensor_names;

/* Looks for the first layer's norm; says in a note how names differ. */
void tensor_names_find(const tensor_source *from, const model_config *config, const ellm_notes *notes,
                       tensor_names *names);
/* The tensor that the architecture calls `name`; NULL: there is none. */
const source_tensor *tensor_names_get(const tensor_names *names, const char *name);

#endif
