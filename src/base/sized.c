/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sized.h"

#include <string.h>

void ellm_sized_init(void *given, const void *own, size_t own_size) {
  size_t size;
  memcpy(&size, own, sizeof size);
  memset(given, 0, size);
  memcpy(given, own, size < own_size ? size : own_size);
}

ellm_status ellm_sized_copy(void *own, size_t own_size, const void *given, const char *name, ellm_error *err) {
  size_t size;
  if (given == NULL) return ELLM_OK;
  memcpy(&size, given, sizeof size);
  if (size < sizeof size || size % sizeof(uint32_t) != 0)
    return ellm_fail(err, ELLM_ERR_USAGE, "%s.size is %zu: it is set by %s_init", name, size, name);
  if (size > own_size)
    return ellm_fail(err, ELLM_ERR_USAGE, "%s.size is %zu: this version of the library knows the first %zu bytes only",
                     name, size, own_size);
  memcpy(own, given, size);
  memcpy(own, &own_size, sizeof own_size);
  return ELLM_OK;
}
