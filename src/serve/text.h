/* SPDX-License-Identifier: Apache-2.0 */
/* A text that grows: bodies that come in, answers that go out. */
#ifndef ELLM_SERVE_TEXT_H
#define ELLM_SERVE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#if defined(__GNUC__)
#define SERVE_PRINTF(format_index, first) __attribute__((format(printf, format_index, first)))
#else
#define SERVE_PRINTF(format_index, first)
#endif

/* data[bytes], a NUL behind it once something was added. All zero: empty. When memory runs out `failed` is set, the
 * text
 * stays as it is, and further calls do nothing, so that it is enough to look once at the end. */
typedef struct text {
  char *data;
  size_t bytes, room;
  bool failed;
} text;

void text_add(text *t, const void *data, size_t bytes);
void text_print(text *t, const char *format, ...) SERVE_PRINTF(2, 3); /* up to 1,000 bytes a call */
/* A JSON string with its quotes; bytes that are no UTF-8 become U+FFFD. */
void text_json(text *t, const char *string, size_t bytes);
/* The same of a string that ends with NUL; NULL: null. */
void text_json_or_null(text *t, const char *string);
void text_free(text *t); /* empty after it */

#endif
