/* SPDX-License-Identifier: Apache-2.0 */
#include "program/utf8.h"

prog_utf8_kind prog_utf8_next(const char *text, size_t bytes, uint32_t *cp, size_t *length) {
  const uint8_t *b = (const uint8_t *)text, first = b[0];
  *cp = 0xFFFD;
  *length = 1;
  if (first < 0x80) {
    *cp = first;
    return PROG_UTF8_CHARACTER;
  }
  if (first < 0xC2 || first > 0xF4) return PROG_UTF8_INVALID;
  const size_t wanted = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  /* The second byte's range excludes long forms, surrogates and what is beyond U+10FFFF. */
  uint8_t low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
  uint8_t high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
  uint32_t value = first & (0x7Fu >> wanted);
  for (size_t i = 1; i < wanted; i++) {
    *length = i;
    if (i == bytes) return PROG_UTF8_INCOMPLETE;
    if (b[i] < low || b[i] > high) return PROG_UTF8_INVALID;
    value = value << 6 | (b[i] & 0x3Fu);
    low = 0x80;
    high = 0xBF;
  }
  *length = wanted;
  *cp = value;
  return PROG_UTF8_CHARACTER;
}

bool prog_valid_utf8(const char *text, size_t bytes) {
  uint32_t cp;
  for (size_t i = 0, n; i < bytes; i += n)
    if (prog_utf8_next(text + i, bytes - i, &cp, &n) != PROG_UTF8_CHARACTER) return false;
  return true;
}

bool prog_utf8_append(prog_buffer *out, uint32_t cp) {
  char bytes[4];
  size_t n = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
  static const uint8_t first[] = {0, 0, 0xC0, 0xE0, 0xF0};
  for (size_t i = n; i-- > 1; cp >>= 6) bytes[i] = (char)(0x80 | (cp & 0x3F));
  bytes[0] = (char)(first[n] | cp);
  return prog_append(out, bytes, n);
}

bool prog_utf8_append_replaced(prog_buffer *out, const char *text, size_t bytes) {
  bool good = true;
  for (size_t i = 0, n; good && i < bytes; i += n) {
    uint32_t cp;
    good = prog_utf8_next(text + i, bytes - i, &cp, &n) == PROG_UTF8_CHARACTER ? prog_append(out, text + i, n)
                                                                             : prog_utf8_append(out, 0xFFFD);
  }
  return good;
}
