/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The precompiled normalization rules of SentencePiece ("precompiled_charsmap"): strings and what they become. The blob
 * holds the bytes of a double array of 32-bit units, their number before it (U32), and behind it the texts that strings
 * become, each ended by NUL.
 *
 *   unit: bits 0-7 the byte that leads here; bit 8: a leaf follows, whose lower 31 bits are the offset of the text;
 *         bit 9: the offset of the children, bits 10-31, is to be shifted by 8
 *
 * Places that a unit names are checked when they are gone to: what leads out of the array is no rule.
 */
#ifndef ELLM_TEXT_CHARSMAP_H
#define ELLM_TEXT_CHARSMAP_H

#include "base/memory.h"
#include "base/status.h"

typedef struct charsmap {
  uint8_t *blob;      /* owned */
  size_t n_units;
  const char *texts;  /* in the blob; the last one ends with NUL */
  size_t texts_bytes;
} charsmap;

/* Copies the blob. ELLM_ERR_INPUT begins with `origin`. */
ellm_status charsmap_create(const void *blob, size_t bytes, const char *origin, charsmap **out, ellm_error *err);
void charsmap_free(charsmap *map); /* NULL is fine */

/* The rule for the shortest, or longest, string that text[0..bytes), valid UTF-8, begins with: bytes of that string, 0:
 * there is none. *becomes is NUL-terminated, valid UTF-8, and may be empty. */
size_t charsmap_shortest(const charsmap *map, const char *text, size_t bytes, const char **becomes);
size_t charsmap_longest(const charsmap *map, const char *text, size_t bytes, const char **becomes);

#endif
