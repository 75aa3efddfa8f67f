/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The printable stand-ins of bytes in byte-level vocabularies (as introduced
 * with GPT-2): the bytes of printable Latin-1 characters stand for themselves,
 * the other 68 for U+0100 and following, in ascending order.
 */
#ifndef ELLM_TEXT_BYTE_LEVEL_H
#define ELLM_TEXT_BYTE_LEVEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/memory.h"

uint32_t byte_level_character(uint8_t byte);
/* The byte of a stand-in, or -1. */
int byte_level_byte(uint32_t cp);

/* Append the stand-ins of all bytes. False: no memory. */
bool byte_level_append(ellm_buffer *out, const char *text, size_t bytes);
/* Append the bytes that a piece stands for; a piece with any other character is
 * appended as it is. `piece` is valid UTF-8. */
bool byte_level_append_bytes(ellm_buffer *out, const char *piece, size_t bytes);

#endif
