/* SPDX-License-Identifier: Apache-2.0 */
/* See hash.h. By libcrypto, which uses the processor's own instructions for these where it has them. */
#include "hub/hash.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

enum { SHA256_DIGITS = 64 };

ellm_status hub_hash_begin(hub_hash *hash, const char *wanted, uint64_t bytes, ellm_error *err) {
  char head[40];
  const bool large = strlen(wanted) == SHA256_DIGITS;
  const int length = snprintf(head, sizeof head, "blob %llu", (unsigned long long)bytes);
  if (hash->state == NULL) hash->state = EVP_MD_CTX_new();
  if (hash->state == NULL) return prog_failure_memory(err, 0, "a hash");
  bool begun = EVP_DigestInit_ex(hash->state, large ? EVP_sha256() : EVP_sha1(), NULL) == 1;
  if (begun && !large) begun = EVP_DigestUpdate(hash->state, head, (size_t)length + 1) == 1;
  if (begun) return ELLM_OK;
  return prog_failure(err, ELLM_ERR_IO, "libcrypto refuses to compute %s", large ? "SHA-256" : "SHA-1");
}

bool hub_hash_add(hub_hash *hash, const void *data, size_t bytes) {
  return EVP_DigestUpdate(hash->state, data, bytes) == 1;
}

bool hub_hash_equals(hub_hash *hash, const char *wanted) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  char text[2 * EVP_MAX_MD_SIZE + 1];
  unsigned bytes = 0;
  if (EVP_DigestFinal_ex(hash->state, digest, &bytes) != 1) return false;
  for (unsigned i = 0; i < bytes; i++) snprintf(text + 2 * i, 3, "%02x", digest[i]);
  return bytes > 0 && strcmp(text, wanted) == 0;
}

void hub_hash_free(hub_hash *hash) {
  EVP_MD_CTX_free(hash->state);
  hash->state = NULL;
}
