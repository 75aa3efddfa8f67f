/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoding id by id, for output while a text is being generated: each id
 * returns the text that it completes, in whole UTF-8 characters. Joined, the
 * parts equal ellm_tokenizer_decode of all ids wherever the bytes form valid
 * UTF-8; for byte pieces that do not, this decoder keeps the valid characters
 * around them, which the whole-sequence decoder turns into U+FFFD. A decoder of
 * a shape that no model uses, one whose later steps may change what was given
 * out, gives all its text at the end.
 */
#ifndef ELLM_TEXT_STREAM_H
#define ELLM_TEXT_STREAM_H

#include "base/status.h"

typedef struct ellm_stream ellm_stream;

/* The tokenizer must outlive the stream. A stream is for one thread at a time. */
ellm_status ellm_stream_create(const ellm_tokenizer *tokenizer, bool skip_special, ellm_stream **stream,
                               ellm_error *err);
void ellm_stream_free(ellm_stream *stream);

/* Feed one id. *text (NUL-terminated, not counted in *bytes) is the newly
 * completed text, often empty while a character is incomplete; it is owned by
 * the stream and valid until the next call. */
ellm_status ellm_stream_next(ellm_stream *stream, uint32_t id, const char **text, size_t *bytes, ellm_error *err);

/* The end: what was held back, U+FFFD for incomplete characters. The stream is
 * then as new. */
ellm_status ellm_stream_flush(ellm_stream *stream, const char **text, size_t *bytes, ellm_error *err);

/* The bytes that one id stands for where text is before it, whole characters or not; *bytes is 0 for ids without
 * text. What was fed does not matter and stays. ELLM_ERR_INPUT for a decoder that gives all its text at the end.
 * *text is owned by the stream and valid until the next call. */
ellm_status ellm_stream_id_bytes(ellm_stream *stream, uint32_t id, const char **text, size_t *bytes, ellm_error *err);

#endif
