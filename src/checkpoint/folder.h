/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which files of a folder hold a checkpoint's weights; where there are none, what is there instead and what to do
 * about it. Names and first bytes are looked at, nothing else is read.
 */
#ifndef ELLM_CHECKPOINT_FOLDER_H
#define ELLM_CHECKPOINT_FOLDER_H

#include "base/status.h"

#define CHECKPOINT_SINGLE_NAME "model.safetensors"
#define CHECKPOINT_INDEX_NAME "model.safetensors.index.json"
enum { CHECKPOINT_MAX_SHARDS = 4096 };

/* The folder that `path` stands for: itself, or, of a folder of Hugging Face's cache ("models--NAME", with snapshots/
 * in it), its only snapshot. Several, or something that is not a folder, is ELLM_ERR_INPUT. *folder is malloc'ed. */
ellm_status folder_find(const char *path, char **folder, ellm_error *err);

typedef struct folder_weights {
  bool indexed;   /* CHECKPOINT_INDEX_NAME says which files; `names` is empty then */
  char **names;   /* else the files: one, or all shards "model-I-of-N.safetensors" */
  size_t n_names;
} folder_weights;

/* model.safetensors is taken before an index, as in Transformers, and an index before shards without one. A folder that
 * has none of them is ELLM_ERR_INPUT with the cause. Free with folder_weights_free, after an error, too. */
ellm_status folder_find_weights(const char *folder, folder_weights *weights, ellm_error *err);
void folder_weights_free(folder_weights *weights);

#endif
