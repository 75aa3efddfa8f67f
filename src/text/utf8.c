/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8; see utf8.h. */
#include "text/utf8.h"

#include <string.h>

utf8_kind utf8_next(const char *text, size_t bytes, uint32_t *cp, size_t *length) {
  const uint8_t *b = (const uint8_t *)text;
  uint8_t first = b[0];
  *cp = 0xFFFD;
  *length = 1;
  if (first < 0x80) {
    *cp = first;
    return UTF8_CHARACTER;
  }
  if (first < 0xC2 || first > 0xF4) return UTF8_INVALID;
  size_t wanted = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  /* The second byte's range excludes long forms, surrogates and > U+10FFFF. */
  uint8_t low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
  uint8_t high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
  for (size_t i = 1; i < wanted; ++i) {
    *length = i;
    if (i == bytes) return UTF8_INCOMPLETE;
    if (b[i] < low || b[i] > high) return UTF8_INVALID;
    low = 0x80;
    high = 0xBF;
  }
  *length = wanted;
  utf8_decode(text, cp);
  return UTF8_CHARACTER;
}

size_t utf8_encode(uint32_t cp, char *out) {
  uint8_t *b = (uint8_t *)out;
  if (cp < 0x80) {
    b[0] = (uint8_t)cp;
    return 1;
  }
  if (cp < 0x800) {
    b[0] = (uint8_t)(0xC0 | cp >> 6);
    b[1] = (uint8_t)(0x80 | (cp & 0x3F));
    return 2;
  }
  if (cp < 0x10000) {
    b[0] = (uint8_t)(0xE0 | cp >> 12);
    b[1] = (uint8_t)(0x80 | (cp >> 6 & 0x3F));
    b[2] = (uint8_t)(0x80 | (cp & 0x3F));
    return 3;
  }
  b[0] = (uint8_t)(0xF0 | cp >> 18);
  b[1] = (uint8_t)(0x80 | (cp >> 12 & 0x3F));
  b[2] = (uint8_t)(0x80 | (cp >> 6 & 0x3F));
  b[3] = (uint8_t)(0x80 | (cp & 0x3F));
  return 4;
}

size_t utf8_valid_prefix(const char *text, size_t bytes) {
  size_t at = 0;
  while (at < bytes) {
    if (bytes - at >= 8) { /* eight ASCII bytes at once */
      uint64_t word;
      memcpy(&word, text + at, 8);
      if ((word & UINT64_C(0x8080808080808080)) == 0) {
        at += 8;
        continue;
      }
    }
    uint32_t cp;
    size_t length;
    if (utf8_next(text + at, bytes - at, &cp, &length) != UTF8_CHARACTER) break;
    at += length;
  }
  return at;
}

bool utf8_is_valid(const char *text, size_t bytes) { return utf8_valid_prefix(text, bytes) == bytes; }

bool utf8_append(ellm_buffer *out, uint32_t cp) {
  char encoded[4];
  return ellm_buffer_append(out, encoded, utf8_encode(cp, encoded));
}

bool utf8_append_replaced(ellm_buffer *out, const char *text, size_t bytes) {
  for (size_t at = 0; at < bytes;) {
    size_t valid = utf8_valid_prefix(text + at, bytes - at);
    if (valid > 0 && !ellm_buffer_append(out, text + at, valid)) return false;
    at += valid;
    if (at == bytes) break;
    uint32_t cp;
    size_t length;
    utf8_next(text + at, bytes - at, &cp, &length);
    if (!utf8_append(out, 0xFFFD)) return false;
    at += length;
  }
  return true;
}
