/* SPDX-License-Identifier: Apache-2.0 */
/* What fuzz targets share: what must be true whatever the input is, and inputs of which no byte more can be read. */
#ifndef ENTROLLM_FUZZ_WANT_H
#define ENTROLLM_FUZZ_WANT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static inline void want(bool truth) {
  if (!truth) abort();
}

/* A heap block of the right size: reading beyond it is seen. NULL: no memory. */
static inline void *copy_of(const void *data, size_t size) {
  void *copy = malloc(size > 0 ? size : 1);
  if (copy != NULL && size > 0) memcpy(copy, data, size);
  return copy;
}

#endif
