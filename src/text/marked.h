/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts of messages must not act as control tokens. A chat template is rendered
 * to one text, in which "<|im_end|>" written by a user cannot be told from that
 * of the template. So a marker, a character that occurs nowhere in the messages,
 * is put into every special token that occurs in a message before rendering; the
 * template passes it on; the tokenizer finds no special token across it and
 * takes it out before the text is split into words. The ids are those of the
 * same text, with the special tokens of the template only.
 *
 * What it cannot do: a template whose marks are not tokens but plain text
 * ("[INST]" of some) has nothing that tells them from the same text in a message.
 */
#ifndef ELLM_TEXT_MARKED_H
#define ELLM_TEXT_MARKED_H

#include "base/memory.h"

enum { TEXT_MARKER_BYTES = 4 };
typedef struct text_marker { char bytes[TEXT_MARKER_BYTES]; } text_marker;

/* n different characters of a private use area that do not occur in the text; false if fewer are left. */
bool text_marker_choose(const char *text, size_t bytes, text_marker *markers, size_t n);

/* Bytes of the longest special token that the text begins with, 0: none. */
size_t text_special_bytes(const ellm_tokenizer *tokenizer, const char *text, size_t bytes);

/* Append a text (valid UTF-8, without the marker) to *out with the marker behind the first character of every special
 * token in it. */
ellm_status text_mark_special(const ellm_tokenizer *tokenizer, const text_marker *marker, const char *text,
                              size_t bytes, ellm_buffer *out, ellm_error *err);

#endif
