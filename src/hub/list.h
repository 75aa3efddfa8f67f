/* SPDX-License-Identifier: Apache-2.0 */
/* A list of the files of a repository, as the hub or a folder of the cache has them. */
#ifndef ELLM_HUB_LIST_H
#define ELLM_HUB_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hub/names.h"

typedef struct hub_file {
  char *path;                     /* within the repository (hub_is_path) */
  uint64_t bytes;                 /* where `known` */
  char hash[HUB_HASH_DIGITS + 1]; /* what its content is called (hub_is_hash), where `known` */
  bool known;
  bool chosen;    /* to be downloaded, or what was downloaded */
  bool candidate; /* a model: one of several, where one must be chosen */
  uint64_t model_bytes; /* of a candidate: with the other parts of its set; 0: not known */
  bool fetched;   /* came over the network */
} hub_file;

/* Zero-initialize; free with hub_list_free. */
typedef struct hub_list { hub_file *files; size_t n, room; } hub_list;

/* A new file at the end, the path copied; NULL: no memory. Valid until the next one. */
hub_file *hub_list_add(hub_list *list, const char *path);
/* In a list that is sorted. */
hub_file *hub_list_find(const hub_list *list, const char *path);
/* By path. The first path that is there twice, or NULL. */
const char *hub_list_sort(hub_list *list);
void hub_list_free(hub_list *list);

#endif
