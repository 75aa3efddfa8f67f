/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the `tokenizers` library asks of Unicode, character by character, and
 * the normalization forms. Answers equal the library's (0.23) for every code
 * point; unicode_tables.c says why that needs more than utf8proc.
 */
#ifndef ELLM_TEXT_UNICODE_H
#define ELLM_TEXT_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/memory.h"

/* General category as two letters, "Cn" where unassigned (or too new). */
const char *unicode_category(uint32_t cp);
bool unicode_is_space(uint32_t cp);        /* White_Space */
bool unicode_is_python_space(uint32_t cp); /* str.isspace and \s of Python: U+001C to U+001F, too */
bool unicode_is_numeric(uint32_t cp);      /* categories Nd, Nl, No */
bool unicode_is_punctuation(uint32_t cp);  /* ASCII punctuation and category P */
bool unicode_is_word(uint32_t cp);         /* \w of Unicode regular expressions (UTS 18) */
bool unicode_is_accent(uint32_t cp);       /* category M */
/* Full lower case of one character, without context: one or two code points. */
size_t unicode_lowercase(uint32_t cp, uint32_t out[2]);

/* Bytes of the extended grapheme cluster that the text, valid UTF-8 and not empty, begins with. */
size_t unicode_grapheme(const char *text, size_t bytes);

typedef enum unicode_form { UNICODE_NFC, UNICODE_NFD, UNICODE_NFKC, UNICODE_NFKD } unicode_form;

/* Append the normalization form of valid UTF-8 text. Linear in the length, long
 * runs of combining marks included. False: no memory. */
bool unicode_normalize(unicode_form form, const char *text, size_t bytes, ellm_buffer *out);

#endif
