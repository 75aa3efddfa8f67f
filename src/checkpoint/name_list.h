/* SPDX-License-Identifier: Apache-2.0 */
/* The first few of many names, by alphabet, for messages: "a, b, c, ...". */
#ifndef ELLM_CHECKPOINT_NAME_LIST_H
#define ELLM_CHECKPOINT_NAME_LIST_H

#include "base/status.h"

enum { NAME_LIST_SHOWN = 4 };

typedef struct name_list { /* zero-initialize */
  char *names[NAME_LIST_SHOWN];
  size_t n; /* all that were added */
} name_list;

ellm_status name_list_add(name_list *list, const char *name, ellm_error *err);
/* Returns `text`; each name with at most 60 bytes. */
const char *name_list_text(const name_list *list, char text[280]);
void name_list_free(name_list *list);

#endif
