/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a GGUF header front to back. Every step asks for its bytes first; none goes beyond the end. */
#ifndef ELLM_GGUF_CURSOR_H
#define ELLM_GGUF_CURSOR_H

#include "base/status.h"

typedef struct gguf_cursor {
  const uint8_t *data;
  uint64_t size, at; /* at <= size */
  const char *path;  /* for messages */
} gguf_cursor;

/* Bytes that are in the file; not NUL-terminated, and may hold anything. */
typedef struct gguf_string {
  const char *data;
  size_t bytes;
} gguf_string;

/* The two arguments of "%.*s" for a string; long ones are cut. */
#define GGUF_SHOWN(string) (int)((string).bytes < 200 ? (string).bytes : 200), (string).data

static inline uint64_t gguf_left(const gguf_cursor *c) { return c->size - c->at; }

/* The next `bytes` bytes, and continue after them. ELLM_ERR_INPUT names `what` where they are beyond the end. */
ellm_status gguf_take(gguf_cursor *c, uint64_t bytes, const char *what, const uint8_t **out, ellm_error *err);
ellm_status gguf_take_u32(gguf_cursor *c, const char *what, uint32_t *out, ellm_error *err);
ellm_status gguf_take_u64(gguf_cursor *c, const char *what, uint64_t *out, ellm_error *err);

#endif
