/* SPDX-License-Identifier: Apache-2.0 */
/* Texts as JSON has them, written to a buffer: models and clients send any bytes. */
#ifndef ELLM_SERVE_TEXT_H
#define ELLM_SERVE_TEXT_H

#include "program/buffer.h"

/* A JSON string with its quotes; bytes that are no UTF-8 become U+FFFD. */
void text_json(prog_buffer *out, const char *string, size_t bytes);
/* The same of a string that ends with NUL; NULL: null. */
void text_json_or_null(prog_buffer *out, const char *string);

#endif
