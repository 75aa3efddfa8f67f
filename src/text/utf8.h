/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UTF-8: strict decoding, and replacement of what is invalid by U+FFFD exactly
 * as Python's errors="replace" (and Rust's from_utf8_lossy) does: one U+FFFD
 * for each maximal part of a character that broke off (Unicode 15, 3.9, D93b;
 * table 3-7 for what is well-formed).
 */
#ifndef ELLM_TEXT_UTF8_H
#define ELLM_TEXT_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/memory.h"

typedef enum utf8_kind { UTF8_CHARACTER, UTF8_INVALID, UTF8_INCOMPLETE } utf8_kind;

/* Look at text[0..bytes), bytes > 0. *length is set to the bytes of the
 * character (1..4), of the invalid part that one U+FFFD stands for (1..3), or,
 * when the text ends inside a character that is well-formed so far, of that
 * beginning (1..3). *cp is the code point, or U+FFFD. */
utf8_kind utf8_next(const char *text, size_t bytes, uint32_t *cp, size_t *length);

/* Decode one character of text known to be valid; returns its length. */
static inline size_t utf8_decode(const char *text, uint32_t *cp) {
  const uint8_t *b = (const uint8_t *)text;
  if (b[0] < 0x80) { *cp = b[0]; return 1; }
  if (b[0] < 0xE0) { *cp = (b[0] & 0x1Fu) << 6 | (b[1] & 0x3Fu); return 2; }
  if (b[0] < 0xF0) { *cp = (b[0] & 0x0Fu) << 12 | (b[1] & 0x3Fu) << 6 | (b[2] & 0x3Fu); return 3; }
  *cp = (b[0] & 0x07u) << 18 | (b[1] & 0x3Fu) << 12 | (b[2] & 0x3Fu) << 6 | (b[3] & 0x3Fu);
  return 4;
}

/* Length of a valid character from its first byte. */
static inline size_t utf8_length(char first) {
  uint8_t b = (uint8_t)first;
  return b < 0x80 ? 1 : b < 0xE0 ? 2 : b < 0xF0 ? 3 : 4;
}

/* Write a code point (< 0x110000, no surrogate) to out[4]; returns its length. */
size_t utf8_encode(uint32_t cp, char *out);

/* Length of the longest valid prefix that ends between characters. */
size_t utf8_valid_prefix(const char *text, size_t bytes);
bool utf8_is_valid(const char *text, size_t bytes);

/* Append the text, invalid parts replaced; an incomplete end is one U+FFFD.
 * False: no memory. */
bool utf8_append_replaced(ellm_buffer *out, const char *text, size_t bytes);
bool utf8_append(ellm_buffer *out, uint32_t cp);

#endif
