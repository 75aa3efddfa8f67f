/* SPDX-License-Identifier: Apache-2.0 */
/* A growing run of bytes: lines and files that come in, pages and answers that go out. */
#ifndef ELLM_PROGRAM_BUFFER_H
#define ELLM_PROGRAM_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "program/printf.h"

/* data[bytes], a NUL behind it once something was added. All zero: empty. Not for several threads at once. */
typedef struct prog_buffer {
  char *data;
  size_t bytes, room;
  bool failed; /* memory ran out: it is as it was before that, and nothing is added any more */
} prog_buffer;

/* False: no memory, now or before. It is enough to look once, at the last call or at `failed`. */
bool prog_reserve(prog_buffer *buffer, size_t more); /* room for as many more bytes, and a NUL */
bool prog_append(prog_buffer *buffer, const void *data, size_t bytes);
bool prog_print(prog_buffer *buffer, const char *format, ...) PROG_PRINTF(2, 3); /* any length */

void prog_buffer_clear(prog_buffer *buffer); /* empty; its memory stays */
void prog_buffer_free(prog_buffer *buffer);  /* empty after it */

#endif
