/* SPDX-License-Identifier: Apache-2.0 */
/* See cursor.h. */
#include "gguf/cursor.h"

#include "base/bytes.h"

ellm_status gguf_take(gguf_cursor *c, uint64_t bytes, const char *what, const uint8_t **out, ellm_error *err) {
  if (bytes > gguf_left(c)) {
    return ellm_fail(err, ELLM_ERR_INPUT,
                     "%s: %s: %llu bytes at offset %llu are beyond the end of the file (%llu bytes)",
                     c->path, what, (unsigned long long)bytes, (unsigned long long)c->at, (unsigned long long)c->size);
  }
  *out = c->data + c->at;
  c->at += bytes;
  return ELLM_OK;
}

ellm_status gguf_take_u32(gguf_cursor *c, const char *what, uint32_t *out, ellm_error *err) {
  const uint8_t *data;
  ELLM_TRY(gguf_take(c, 4, what, &data, err));
  *out = load_u32(data);
  return ELLM_OK;
}

ellm_status gguf_take_u64(gguf_cursor *c, const char *what, uint64_t *out, ellm_error *err) {
  const uint8_t *data;
  ELLM_TRY(gguf_take(c, 8, what, &data, err));
  *out = load_u64(data);
  return ELLM_OK;
}
