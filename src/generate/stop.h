/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stop strings over a stream of text. What could still become the start of a
 * stop string is held back, so that no part of one is ever let through.
 */
#ifndef ELLM_GENERATE_STOP_H
#define ELLM_GENERATE_STOP_H

#include "base/memory.h"

typedef struct stop_filter {
  const char *const *stops; /* not empty strings */
  size_t n_stops;
  ellm_buffer held;
  size_t passed;            /* bytes of `held` that the last call let through */
  bool matched;             /* a stop string has come: nothing passes after it */
} stop_filter;

/* Add text. What may be shown now is *out, *out_bytes, valid until the next
 * call. False when out of memory. */
bool stop_filter_feed(stop_filter *filter, const char *text, size_t bytes, const char **out, size_t *out_bytes);
/* What is still held back, at the end of the text. */
void stop_filter_rest(stop_filter *filter, const char **out, size_t *out_bytes);
void stop_filter_free(stop_filter *filter);

#endif
