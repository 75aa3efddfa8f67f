/* SPDX-License-Identifier: Apache-2.0 */
/*
 * XXH3 checksums of the file format (docs/FORMAT.md: X64, X128), seed 0. xxHash
 * is compiled into one file, hash.c, so that no shared library decides which
 * version runs.
 */
#ifndef ELLM_CONTAINER_HASH_H
#define ELLM_CONTAINER_HASH_H

#include <stddef.h>
#include <stdint.h>

enum { HASH_CHUNK = 1 << 20 }; /* chunk of the data digest of a source tensor */

uint64_t hash64(const void *data, size_t bytes);
/* Of a block, in its section's table: the low half. */
uint32_t container_block_checksum(const void *data, size_t bytes);
/* Canonical form: most significant byte first. */
void hash128(const void *data, size_t bytes, uint8_t out[16]);

/* hash64 of bytes that come in pieces. */
typedef struct hash_stream hash_stream;
hash_stream *hash_stream_create(void); /* NULL: no memory */
void hash_stream_free(hash_stream *stream);
void hash_stream_reset(hash_stream *stream);
void hash_stream_add(hash_stream *stream, const void *data, size_t bytes);
uint64_t hash_stream_value(const hash_stream *stream);

/* 32 lower-case hex digits and NUL. */
void hash_hex(const uint8_t hash[16], char out[33]);

#endif
