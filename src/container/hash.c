/* SPDX-License-Identifier: Apache-2.0 */
/* The one place where xxHash is compiled; see hash.h. */
#include "container/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* The type is xxHash's own under our name; it never has another definition. */
static XXH3_state_t *state_of(hash_stream *stream) { return (XXH3_state_t *)(void *)stream; }

uint64_t hash64(const void *data, size_t bytes) { return XXH3_64bits(data, bytes); }

uint32_t container_block_checksum(const void *data, size_t bytes) { return (uint32_t)hash64(data, bytes); }

void hash128(const void *data, size_t bytes, uint8_t out[16]) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(data, bytes));
  for (int i = 0; i < 16; i++) out[i] = canonical.digest[i];
}

hash_stream *hash_stream_create(void) {
  XXH3_state_t *state = XXH3_createState();
  if (state != NULL) XXH3_64bits_reset(state);
  return (hash_stream *)(void *)state;
}

void hash_stream_free(hash_stream *stream) {
  if (stream != NULL) XXH3_freeState(state_of(stream));
}

void hash_stream_reset(hash_stream *stream) { XXH3_64bits_reset(state_of(stream)); }

void hash_stream_add(hash_stream *stream, const void *data, size_t bytes) {
  if (bytes > 0) XXH3_64bits_update(state_of(stream), data, bytes);
}

uint64_t hash_stream_value(const hash_stream *stream) {
  return XXH3_64bits_digest((const XXH3_state_t *)(const void *)stream);
}

void hash_hex(const uint8_t hash[16], char out[33]) {
  static const char digits[] = "0123456789abcdef";
  for (int i = 0; i < 16; i++) {
    out[2 * i] = digits[hash[i] >> 4];
    out[2 * i + 1] = digits[hash[i] & 15];
  }
  out[32] = '\0';
}
