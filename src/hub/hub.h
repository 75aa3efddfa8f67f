/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Models of the Hugging Face hub by name. The program side's own library: it sees entrollm.h, libcurl, libcrypto,
 * jansson and nothing else, prints nothing and does not read the environment.
 */
#ifndef ELLM_HUB_HUB_H
#define ELLM_HUB_HUB_H

#include "hub/list.h"
#include "hub/names.h"
#include "hub/options.h"

typedef struct hub_result {
  char commit[HUB_COMMIT_DIGITS + 1];
  char *folder;    /* of the snapshot in the cache */
  char *path;      /* of the model: the folder, or the one GGUF or .ellm file that was wanted */
  hub_list files;  /* of the repository; `chosen`, `fetched` and `bytes` say what was downloaded */
  uint64_t bytes, fetched; /* of the chosen files: all, and those that came over the network */
  bool several;    /* after an error: one of the files that are `candidate` must be chosen */
} hub_result;

/* Defaults: the hub's endpoint, 5 retries, 30 s, nothing else. */
void hub_options_init(hub_options *options);

/*
 * Bring a model into the cache: ask the hub what the revision is now, bring the files that match name->file and the
 * patterns (none: what a model needs, see choose.h) and are not there, link them, remember the revision. With `one`,
 * what is chosen must be one model. Errors: ELLM_ERR_IO for the network, the hub's refusals and the disk,
 * ELLM_ERR_INPUT for answers that contradict themselves or a hash, ELLM_ERR_USAGE for what was asked for,
 * ELLM_INTERRUPTED. Free the result with hub_result_free in any case. Several processes may pull at once.
 */
ellm_status hub_pull(const hub_options *options, const hub_name *name, const char *const *patterns, size_t n_patterns,
                     bool one, hub_result *result, ellm_error *err);

/* The same of what is in the cache, without the network; ELLM_ERR_IO: a model of this name is not there, or not
 * whole. */
ellm_status hub_find(const hub_options *options, const hub_name *name, const char *const *patterns, size_t n_patterns,
                     bool one, hub_result *result, ellm_error *err);
void hub_result_free(hub_result *result);

#endif
