/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 of what comes in: strict; what is invalid becomes U+FFFD as Python's errors="replace" does. */
#ifndef ELLM_CLI_UTF8_H
#define ELLM_CLI_UTF8_H

#include "cli/buffer.h"

typedef enum cli_utf8_kind { CLI_UTF8_CHARACTER, CLI_UTF8_INVALID, CLI_UTF8_INCOMPLETE } cli_utf8_kind;

/* Look at text[bytes], bytes > 0. *length: bytes of the character (1..4), of the invalid part that one U+FFFD stands
 * for (1..3), or, where the text ends inside a character that is well-formed so far, of that beginning (1..3). *cp is
 * the code point, or U+FFFD. */
cli_utf8_kind cli_utf8_next(const char *text, size_t bytes, uint32_t *cp, size_t *length);
bool cli_valid_utf8(const char *text, size_t bytes);

/* False: no memory. */
bool cli_utf8_append(cli_buffer *out, uint32_t cp); /* cp < 0x110000, no surrogate */
bool cli_utf8_append_replaced(cli_buffer *out, const char *text, size_t bytes);

#endif
