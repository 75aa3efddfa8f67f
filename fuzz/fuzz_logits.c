/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: files of saved logits. The first byte chooses: bit 0, the checksums of header and rows are made right
 * first; bit 1, the header's number of chunks, too, so that the file is as long as it says. All rows of what is
 * accepted are read; those that are accepted are rows of logits.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "container/hash.h"
#include "eval/reference.h"
#include "want.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void seal(uint8_t *data, size_t size, bool fit) {
  const uint64_t record = reference_record_bytes(load_u32(data + 16)), rows = load_u32(data + 8);
  const uint64_t records = (size - REFERENCE_HEAD_BYTES) / record;
  if (fit && rows > 0) store_u32(data + 12, (uint32_t)(records / rows));
  store_u64(data + 80, hash64(data, 80));
  for (uint64_t i = 0; i < records; i++) {
    uint8_t *at = data + REFERENCE_HEAD_BYTES + i * record;
    store_u64(at + record - 8, hash64(at, (size_t)(record - 8)));
  }
}

static void check_row(const uint8_t *record, uint32_t vocab_size) {
  float *row = malloc(vocab_size * sizeof *row), label_logit;
  double log_sum;
  if (row == NULL) return;
  if (reference_row_decode(record, vocab_size, row, &log_sum, &label_logit)) {
    want(reference_row_label(record) < vocab_size && isfinite(log_sum) && !isnan(label_logit));
    for (uint32_t i = 0; i < vocab_size; i++) want(!isnan(row[i]) && row[i] != INFINITY);
  }
  free(row);
}

static void read_file(const char *path) {
  reference_file file;
  ellm_error err = {0};
  const ellm_status status = reference_open(path, &file, &err);
  want(status == ELLM_OK || (status == ELLM_ERR_INPUT && err.message[0] != '\0'));
  if (status != ELLM_OK) return;
  const reference_head *h = &file.head;
  const size_t bytes = (size_t)reference_record_bytes(h->vocab_size);
  uint8_t *record = malloc(bytes), again[REFERENCE_HEAD_BYTES];
  reference_head back;
  reference_head_encode(h, again);
  want(reference_head_decode(again, "fuzz", &back, &err) == ELLM_OK && memcmp(&back, h, sizeof back) == 0);
  want(record != NULL && reference_is_file(path));
  for (uint32_t chunk = 0; chunk < h->chunks; chunk++)
    for (uint32_t row = 0; row < h->rows; row++) {
      want(reference_read(&file, chunk, row, 1, record, &err) == ELLM_OK);
      check_row(record, h->vocab_size);
    }
  want(reference_read(&file, h->chunks, 0, 1, record, &err) != ELLM_OK);
  free(record);
  reference_close(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static FILE *file; /* a name is needed: of a file without one that is open */
  char path[64];
  if (size < 1) return 0;
  uint8_t *copy = malloc(size);
  if (copy == NULL) return 0;
  memcpy(copy, data + 1, size - 1);
  if (size - 1 >= REFERENCE_HEAD_BYTES && (data[0] & 1) != 0) seal(copy, size - 1, (data[0] & 2) != 0);
  if (file == NULL) file = tmpfile();
  const int fd = file != NULL ? fileno(file) : -1;
  want(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, copy, size - 1, 0) == (ssize_t)(size - 1));
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  read_file(path);
  free(copy);
  return 0;
}
