/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes and their stand-ins; see byte_level.h. */
#include "text/byte_level.h"

#include "text/utf8.h"

/* Not printable in Latin-1: 0..32, 127..160 and 173, numbered in this order. */
uint32_t byte_level_character(uint8_t byte) {
  if (byte <= 32) return 256u + byte;
  if (byte >= 127 && byte <= 160) return 256u + 33 + (byte - 127u);
  if (byte == 173) return 256u + 67;
  return byte;
}

int byte_level_byte(uint32_t cp) {
  if (cp >= 256) {
    if (cp <= 256 + 32) return (int)(cp - 256);
    if (cp <= 256 + 66) return (int)(cp - 256 - 33 + 127);
    return cp == 256 + 67 ? 173 : -1;
  }
  return byte_level_character((uint8_t)cp) == cp ? (int)cp : -1;
}

bool byte_level_append(ellm_buffer *out, const char *text, size_t bytes) {
  size_t room;
  if (bytes == 0) return true; /* the buffer may have no memory yet */
  if (!ellm_mul_size(bytes, 2, &room) || !ellm_buffer_reserve(out, room)) return false;
  char *to = (char *)out->data + out->size;
  for (size_t i = 0; i < bytes; ++i) to += utf8_encode(byte_level_character((uint8_t)text[i]), to);
  out->size = (size_t)((uint8_t *)to - out->data);
  return true;
}

bool byte_level_append_bytes(ellm_buffer *out, const char *piece, size_t bytes) {
  size_t before = out->size;
  if (!ellm_buffer_reserve(out, bytes)) return false;
  for (size_t at = 0; at < bytes;) {
    uint32_t cp;
    at += utf8_decode(piece + at, &cp);
    int byte = byte_level_byte(cp);
    if (byte < 0) {
      out->size = before;
      return ellm_buffer_append(out, piece, bytes);
    }
    out->data[out->size++] = (uint8_t)byte;
  }
  return true;
}
