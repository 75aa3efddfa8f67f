/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: the .ellm reader and, through it, code books and blocks. The
 * first byte chooses: even, the rest is a file as it stands; odd, all its
 * checksums are made right first, so that mutations get past them. Whatever
 * opens is read to the end with the scalar decoder.
 */
#include "../tests/container/samples.h"
#include "container/hash.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Block checksums of the coded tensors, before the heads that hold them are sealed. */
static void reseal_blocks(uint8_t *data, size_t size) {
  uint64_t at = load_u64(data + 16), bytes = load_u64(data + 24);
  if (at > size || bytes > size - at) return;
  for (uint64_t p = at + 8; p + 80 <= at + bytes;) {
    uint64_t offset = load_u64(data + p + 16), section = load_u64(data + p + 24), head = load_u64(data + p + 32);
    uint64_t n = load_u32(data + p + 68), payload = load_u64(data + p + 72);
    bool fits = offset <= size && section <= size - offset && head <= section && payload <= section - head &&
                8 * n <= head;
    for (uint64_t b = 0; load_u32(data + p) == RECORD_CODED && fits && b < n; b++) {
      uint8_t *table = data + offset + head - 8 * n + 8 * b;
      uint64_t first = load_u32(table), last = b + 1 < n ? load_u32(table + 8) : payload;
      if (first <= last && last <= payload)
        store_u32(table + 4, container_block_checksum(data + offset + head + first, (size_t)(last - first)));
    }
    uint32_t step = load_u32(data + p + 4);
    if (step < 48) return;
    p += step;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 1) return 0;
  bool seal = (data[0] & 1) != 0;
  size--;
  uint8_t *copy = malloc(size + 1); /* a heap block of the right size: reading beyond it is seen */
  if (copy == NULL) return 0;
  memcpy(copy, data + 1, size);
  if (seal && size >= 72) {
    reseal_blocks(copy, size);
    sample_reseal(copy, size);
  }
  ellm_file *file;
  ellm_error err = {0};
  ellm_status status = container_open_memory(copy, size, "fuzz", &file, &err);
  if (status != ELLM_OK && status != ELLM_ERR_INPUT) abort();
  if (status == ELLM_OK) {
    status = sample_read_all(file, &err);
    if (status != ELLM_OK && status != ELLM_ERR_INPUT) abort();
    ellm_totals totals;
    ellm_file_totals(file, &totals);
    ellm_file_close(file);
  }
  free(copy);
  return 0;
}
