/* SPDX-License-Identifier: Apache-2.0 */
/* Stop strings: see stop.h. */
#include "generate/stop.h"

#include <string.h>

/* Where the earliest stop string begins in text, or `bytes`. */
static size_t find_stop(const stop_filter *filter, const char *text, size_t bytes) {
  size_t first = bytes;
  for (size_t s = 0; s < filter->n_stops; s++) {
    size_t length = strlen(filter->stops[s]);
    for (size_t at = 0; at < first && at + length <= bytes; at++)
      if (memcmp(text + at, filter->stops[s], length) == 0) first = at;
  }
  return first;
}

/* Length of the longest end of text that a stop string begins with. */
static size_t open_end(const stop_filter *filter, const char *text, size_t bytes) {
  size_t longest = 0;
  for (size_t s = 0; s < filter->n_stops; s++) {
    size_t length = strlen(filter->stops[s]);
    for (size_t n = length - 1 < bytes ? length - 1 : bytes; n > longest; n--)
      if (memcmp(text + bytes - n, filter->stops[s], n) == 0) longest = n;
  }
  return longest;
}

bool stop_filter_feed(stop_filter *filter, const char *text, size_t bytes, const char **out, size_t *out_bytes) {
  ellm_buffer *held = &filter->held;
  *out = "";
  *out_bytes = 0;
  if (filter->matched) return true;
  if (filter->passed > 0) memmove(held->data, held->data + filter->passed, held->size - filter->passed);
  held->size -= filter->passed;
  filter->passed = 0;
  if (bytes > 0 && !ellm_buffer_append(held, text, bytes)) return false;
  if (held->size == 0) return true;
  size_t stop = find_stop(filter, (const char *)held->data, held->size);
  filter->matched = stop < held->size;
  filter->passed = filter->matched ? stop : held->size - open_end(filter, (const char *)held->data, held->size);
  *out = (const char *)held->data;
  *out_bytes = filter->passed;
  return true;
}

void stop_filter_rest(stop_filter *filter, const char **out, size_t *out_bytes) {
  bool some = !filter->matched && filter->held.size > filter->passed;
  *out = some ? (const char *)filter->held.data + filter->passed : "";
  *out_bytes = some ? filter->held.size - filter->passed : 0;
  filter->passed = filter->held.size;
}

void stop_filter_free(stop_filter *filter) { ellm_buffer_free(&filter->held); }
