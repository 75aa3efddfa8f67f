/* SPDX-License-Identifier: Apache-2.0 */
/* See list.h. */
#include "hub/list.h"

#include <stdlib.h>
#include <string.h>

hub_file *hub_list_add(hub_list *list, const char *path) {
  if (list->n == list->room) {
    const size_t room = list->room > 0 ? 2 * list->room : 32;
    hub_file *grown = realloc(list->files, room * sizeof *grown);
    if (grown == NULL) return NULL;
    list->files = grown;
    list->room = room;
  }
  hub_file *file = &list->files[list->n];
  *file = (hub_file){.path = strdup(path)};
  if (file->path == NULL) return NULL;
  list->n++;
  return file;
}

static int by_path(const void *a, const void *b) {
  return strcmp(((const hub_file *)a)->path, ((const hub_file *)b)->path);
}

hub_file *hub_list_find(const hub_list *list, const char *path) {
  const hub_file wanted = {.path = (char *)path};
  return list->n > 0 ? bsearch(&wanted, list->files, list->n, sizeof *list->files, by_path) : NULL;
}

const char *hub_list_sort(hub_list *list) {
  if (list->n > 1) qsort(list->files, list->n, sizeof *list->files, by_path);
  for (size_t i = 1; i < list->n; i++)
    if (strcmp(list->files[i - 1].path, list->files[i].path) == 0) return list->files[i].path;
  return NULL;
}

void hub_list_free(hub_list *list) {
  for (size_t i = 0; i < list->n; i++) free(list->files[i].path);
  free(list->files);
  *list = (hub_list){0};
}
