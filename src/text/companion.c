/* SPDX-License-Identifier: Apache-2.0 */
/* See companion.h. */
#include "text/companion.h"

#include <pthread.h>
#include <stdlib.h>

#include "text/tokenizer.h"

struct tokenizer_companion {
  pthread_mutex_t lock;
  void *made;
  companion_free_fn free_made;
};

ellm_status tokenizer_companion_create(tokenizer_companion **companion, ellm_error *err) {
  tokenizer_companion *c = *companion = calloc(1, sizeof *c);
  if (c && pthread_mutex_init(&c->lock, NULL) == 0) return ELLM_OK;
  free(c);
  *companion = NULL;
  return ellm_fail_memory(err, sizeof *c, "tokenizer");
}

void tokenizer_companion_destroy(tokenizer_companion *c) {
  if (!c) return;
  if (c->made) c->free_made(c->made);
  pthread_mutex_destroy(&c->lock);
  free(c);
}

ellm_status tokenizer_companion_get(const ellm_tokenizer *tokenizer, companion_make_fn make,
                                    companion_free_fn free_made, void **made, ellm_error *err) {
  tokenizer_companion *c = tokenizer->companion;
  ellm_status status = ELLM_OK;
  pthread_mutex_lock(&c->lock);
  if (!c->made) {
    status = make(tokenizer, &c->made, err);
    c->free_made = free_made;
  }
  *made = c->made;
  pthread_mutex_unlock(&c->lock);
  return status;
}
