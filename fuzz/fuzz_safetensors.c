/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: the header of a safetensors file. The input is the file up to
 * the end of its header; the first byte chooses how much data follows: none,
 * or what the header itself asks for, so that the check of the whole does not
 * hide what comes after it. What is accepted must cover the data exactly.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "checkpoint/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The largest number after a comma or bracket: a guess at the end of the data. */
static uint64_t largest_number(const char *json, size_t n) {
  uint64_t largest = 0, number = 0;
  for (size_t i = 0; i < n; i++) {
    const bool digit = json[i] >= '0' && json[i] <= '9';
    number = digit && number < UINT64_MAX / 100 ? number * 10 + (uint64_t)(json[i] - '0') : 0;
    if (number > largest && number < (uint64_t)1 << 40) largest = number;
  }
  return largest;
}

static void check(const safetensors_header *header, uint64_t data_bytes) {
  uint64_t at = 0;
  for (size_t i = 0; i < header->n_tensors; i++) {
    const checkpoint_tensor *t = &header->tensors[i];
    uint64_t elements = 1;
    for (int d = 0; d < t->n_dims; d++) {
      if (!ellm_mul_u64(elements, t->shape[d], &elements)) abort();
    }
    if (t->name == NULL || t->name[0] == '\0' || t->n_dims > ELLM_MAX_DIMS) abort();
    if (elements != t->n_elements || t->bytes != elements * ellm_dtype_size(t->dtype) || t->offset != at) abort();
    at += t->bytes;
  }
  if (at != data_bytes) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 9) return 0;
  const char *json = (const char *)data + 9;
  const size_t n = size - 9;
  const uint64_t data_bytes = (data[0] & 1) != 0 ? largest_number(json, n) : 0;
  ellm_error err = {0};
  size_t bytes = 0;
  ellm_status status = safetensors_header_bytes(data + 1, size - 1, "fuzz", &bytes, &err);
  if (status != ELLM_OK && (status != ELLM_ERR_INPUT || err.message[0] == '\0')) abort();
  if (status == ELLM_OK && bytes > n) abort();
  if (n == 0) return 0;
  char *copy = malloc(n); /* a heap block of the right size: reading beyond it is seen */
  if (copy == NULL) return 0;
  memcpy(copy, json, n);
  safetensors_header header;
  status = safetensors_parse(copy, n, 8 + n + data_bytes, "fuzz", &header, &err);
  free(copy);
  if (status == ELLM_OK) {
    check(&header, data_bytes);
    safetensors_free(&header);
  } else if (status != ELLM_ERR_INPUT || err.message[0] == '\0') {
    abort();
  }
  return 0;
}
