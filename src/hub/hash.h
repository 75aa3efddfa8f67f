/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hashes by which the hub names the content of files: SHA-256 for large ones (64 digits), git's SHA-1 of a blob for
 * small ones (40 digits: of "blob SIZE", a NUL and the content).
 */
#ifndef ELLM_HUB_HASH_H
#define ELLM_HUB_HASH_H

#include <stdbool.h>
#include <stdint.h>

#include "program/failure.h"

typedef struct hub_hash { void *state; /* libcrypto's */ } hub_hash;

/* Begin a hash of the kind that `wanted` is of (hub_is_hash), for content of so many bytes. One that was begun before
 * is begun again; free with hub_hash_free. */
ellm_status hub_hash_begin(hub_hash *hash, const char *wanted, uint64_t bytes, ellm_error *err);
bool hub_hash_add(hub_hash *hash, const void *data, size_t bytes);
/* Is it the one that is expected? Ends the hash. */
bool hub_hash_equals(hub_hash *hash, const char *wanted);
void hub_hash_free(hub_hash *hash);

#endif
