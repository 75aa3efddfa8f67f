/* SPDX-License-Identifier: Apache-2.0 */
#include "source/kind.h"

#include <stdlib.h>

void made_tensor_free(made_tensor *made) {
  if (made == NULL) return;
  free(made->name);
  made->free(made);
}

ellm_status source_make_tensors(tensor_source *s, size_t n, ellm_error *err) {
  s->tensors = calloc(n + 1, sizeof *s->tensors);
  s->by_name = calloc(n + 1, sizeof *s->by_name);
  s->made = calloc(n + 1, sizeof *s->made);
  s->made_data = calloc(n + 1, sizeof *s->made_data);
  if (s->tensors == NULL || s->by_name == NULL || s->made == NULL || s->made_data == NULL)
    return ellm_fail_memory(err, n * sizeof *s->tensors, "tensors");
  s->n_tensors = n;
  return ELLM_OK;
}
