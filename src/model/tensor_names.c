/* SPDX-License-Identifier: Apache-2.0 */
/* See tensor_names.h. */
#include "model/tensor_names.h"

#include <stdio.h>
#include <string.h>

#include "base/notes.h"

enum { LONGEST_NAME = 1100 };

static const char body_root[] = "model.";

/* Is `end` the name, or what is behind one of its dots? */
static bool ends_with_part(const char *name, const char *end) {
  const size_t n = strlen(name), m = strlen(end);
  if (n < m || strcmp(name + n - m, end) != 0) return false;
  return n == m || name[n - m - 1] == '.';
}

/* The only tensor that ends so; NULL: none, or several, and then *other is one more. */
static const source_tensor *find_end(const tensor_source *from, const char *end, const source_tensor **first,
                                     const source_tensor **other) {
  *first = *other = NULL;
  for (size_t i = 0; i < source_count(from); i++) {
    const source_tensor *t = source_at(from, i);
    if (!ends_with_part(t->name, end)) continue;
    if (*first != NULL) {
      *other = t;
      return NULL;
    }
    *first = t;
  }
  return *first;
}

void tensor_names_find(const tensor_source *from, const model_config *config, const ellm_notes *notes,
                       tensor_names *names) {
  char text[ARCH_NAME_BYTES];
  const arch_tensors *tensors = config->tensors;
  const char *name = arch_tensor_name(tensors, 0, tensors->attention_norm, "weight", text);
  const bool rooted = strncmp(name, body_root, sizeof body_root - 1) == 0;
  *names = (tensor_names){.from = from, .root = rooted ? body_root : ""};
  if (source_find(from, name) != NULL) return;
  const char *end = name + strlen(names->root);
  if (find_end(from, end, &names->first, &names->other) == NULL) return;
  names->prefix_bytes = strlen(names->first->name) - strlen(end);
  if (names->prefix_bytes > 0)
    ellm_note(notes, "%s: names of tensors begin with \"%.*s\", not with \"%s\"", source_path(from),
              (int)names->prefix_bytes, names->first->name, names->root);
  else ellm_note(notes, "%s: names of tensors lack the beginning \"%s\"", source_path(from), names->root);
}

const source_tensor *tensor_names_get(const tensor_names *names, const char *name) {
  const source_tensor *exact = source_find(names->from, name), *first, *other;
  if (exact != NULL || names->first == NULL || names->other != NULL) return exact;
  const size_t root = strlen(names->root);
  if (strncmp(name, names->root, root) != 0 || root == 0) /* the head, which is outside of the body */
    return find_end(names->from, name, &first, &other);
  char text[LONGEST_NAME];
  const int n = snprintf(text, sizeof text, "%.*s%s", (int)names->prefix_bytes, names->first->name, name + root);
  return n > 0 && (size_t)n < sizeof text ? source_find(names->from, text) : NULL;
}
