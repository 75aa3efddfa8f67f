/* SPDX-License-Identifier: Apache-2.0 */
/* See name_list.h. */
#include "checkpoint/name_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

ellm_status name_list_add(name_list *list, const char *name, ellm_error *err) {
  list->n++;
  char *copy = strdup(name);
  if (copy == NULL) return ellm_fail_memory(err, strlen(name) + 1, "the name of a file");
  for (size_t i = 0; i < NAME_LIST_SHOWN && copy != NULL; i++) {
    if (list->names[i] != NULL && strcmp(list->names[i], copy) <= 0) continue;
    char *moved = list->names[i];
    list->names[i] = copy;
    copy = moved;
  }
  free(copy);
  return ELLM_OK;
}

const char *name_list_text(const name_list *list, char text[280]) {
  size_t used = 0;
  text[0] = '\0';
  for (size_t i = 0; i < NAME_LIST_SHOWN && list->names[i] != NULL; i++)
    used += (size_t)snprintf(text + used, 280 - used, "%s%.60s", i > 0 ? ", " : "", list->names[i]);
  if (list->n > NAME_LIST_SHOWN) snprintf(text + used, 280 - used, ", ...");
  return text;
}

void name_list_free(name_list *list) {
  for (size_t i = 0; i < NAME_LIST_SHOWN; i++) free(list->names[i]);
  *list = (name_list){0};
}
