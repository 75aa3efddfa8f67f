/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which files of a repository are asked for. Without patterns what this program needs of a model: its safetensors
 * (model.safetensors, or what the index names), configurations, tokenizer, chat templates, licence; of a repository
 * without safetensors its one GGUF or .ellm file. With patterns what matches.
 */
#ifndef ELLM_HUB_CHOOSE_H
#define ELLM_HUB_CHOOSE_H

#include "hub/list.h"

typedef struct hub_choice {
  char main[1024]; /* path of the model within the repository: a file; "": the folder itself */
  bool index;      /* the shards are those that the index names: hub_choose_shards, once it is there */
  bool several;    /* there is more than one model: the candidates of the list */
} hub_choice;

#define HUB_INDEX "model.safetensors.index.json"

/* Set `chosen` of the files. ELLM_ERR_USAGE where a pattern matches nothing or where one of several models would have
 * to be chosen (`several`): the candidates are marked then. With `one`, patterns must leave one model, too. */
ellm_status hub_choose(const hub_name *name, const char *const *patterns, size_t n_patterns, bool one, hub_list *list,
                       hub_choice *choice, ellm_error *err);
/* Choose the shards that the index names; each must be in the list. */
ellm_status hub_choose_shards(const hub_name *name, const char *index_path, hub_list *list, ellm_error *err);
/* Weights are downloaded last: where they are, all else is. */
bool hub_is_weights(const char *path);

#endif
