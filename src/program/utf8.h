/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 of what comes in: strict; what is invalid becomes U+FFFD as Python's errors="replace" does. */
#ifndef ELLM_PROGRAM_UTF8_H
#define ELLM_PROGRAM_UTF8_H

#include "program/buffer.h"

typedef enum prog_utf8_kind { PROG_UTF8_CHARACTER, PROG_UTF8_INVALID, PROG_UTF8_INCOMPLETE } prog_utf8_kind;

/* Look at text[bytes], bytes > 0. *length: bytes of the character (1..4), of the invalid part that one U+FFFD stands
 * for (1..3), or, where the text ends inside a character that is well-formed so far, of that beginning (1..3). *cp is
 * the code point, or U+FFFD. */
prog_utf8_kind prog_utf8_next(const char *text, size_t bytes, uint32_t *cp, size_t *length);
bool prog_valid_utf8(const char *text, size_t bytes);

/* False: no memory. */
bool prog_utf8_append(prog_buffer *out, uint32_t cp); /* cp < 0x110000, no surrogate */
bool prog_utf8_append_replaced(prog_buffer *out, const char *text, size_t bytes);

#endif
