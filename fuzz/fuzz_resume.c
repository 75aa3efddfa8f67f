/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: what compress keeps between runs, the journal of --resume and the measurements of --plan. The first byte
 * chooses: bit 0, a plan, else a journal; bit 1, checksums are made right first. A journal is read as a run reads it,
 * sections and pairs, and goes on: what is written then is read again after what was kept.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "container/hash.h"
#include "convert/journal.h"
#include "convert/measurements.h"
#include "want.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD = 24, ENTRY = 20 + 8 }; /* of a journal, see journal.c */

static char folder[] = "/tmp/fuzz-resume-XXXXXX", output[64];
static pid_t owner;

static void remove_folder(void) {
  if (getpid() != owner) return;
  journal_remove(output);
  rmdir(folder);
}

static void make_folder(void) {
  want(mkdtemp(folder) != NULL);
  owner = getpid();
  atexit(remove_folder);
  snprintf(output, sizeof output, "%s/out", folder);
}

static void read_plan(uint8_t *data, size_t size, bool seal) {
  measurements m = {0};
  ellm_error err = {0};
  if (seal && size >= 8) store_u64(data + size - 8, hash64(data, size - 8));
  const ellm_status status = measurements_parse(data, size, "fuzz", &m, &err);
  want(status == ELLM_OK || (status == ELLM_ERR_INPUT && err.message[0] != '\0'));
  if (status == ELLM_OK) {
    uint64_t sum = strlen(m.key);
    want(m.watched <= m.text.n && (m.chances.n == 0 || m.chances.positions > 0));
    for (size_t i = 0; i < m.text.n * m.text.length; i++) sum += m.text.ids[i];
    for (size_t i = 0; i < m.chances.n; i++) sum ^= m.chances.sum[i];
    for (size_t i = 0; i < m.n_squares; i++) sum += m.squares[i] > 0;
    for (size_t i = 0; i < m.n_curves; i++) sum += m.curves[i][PLAN_POINTS - 1].bits > 0;
    want(sum != UINT64_C(0x123456789abcdef));
  }
  measurements_free(&m);
}

static void seal_journal(uint8_t *data, size_t size) {
  for (size_t at = HEAD; at + ENTRY <= size;) {
    const size_t bytes = load_u32(data + at);
    if (bytes > size - at - ENTRY) return;
    store_u64(data + at + 20 + bytes, hash64(data + at, 20 + bytes));
    at += ENTRY + bytes;
  }
}

/* Entries that hold, up to `most`; half of them are asked for as pairs. */
static size_t read_entries(journal *j, size_t most, const uint8_t *data, size_t size) {
  size_t n = 0;
  journal_entry entry;
  double a, b;
  for (; n < most; n++) {
    if (n % 2 == 1 && journal_next_pair(j, &a, &b)) continue;
    if (!journal_next(j, &entry)) break;
    want(entry.bytes <= size);
    uint64_t sum = 0;
    for (size_t i = 0; i < entry.bytes; i++) sum += entry.record[i];
    for (size_t i = 0; i < 16; i++) sum += entry.digest[i];
    want(sum <= 255 * (entry.bytes + 16));
  }
  (void)data;
  return n;
}

static void read_journal(uint8_t *data, size_t size, bool seal) {
  uint8_t key[16] = {0}, digest[16] = {1, 2, 3};
  journal *j;
  ellm_error err = {0};
  char path[128];
  if (seal) seal_journal(data, size);
  if (size >= HEAD) memcpy(key, data + 8, 16);
  snprintf(path, sizeof path, "%s%s", output, JOURNAL_ENDING);
  FILE *file = fopen(path, "wb");
  want(file != NULL && fwrite(data, 1, size, file) == size && fclose(file) == 0);
  want(journal_open(output, key, &j, &err) == ELLM_OK);
  const bool any = journal_has_entries(j);
  size_t n = read_entries(j, SIZE_MAX, data, size);
  want(any == (n > 0));
  if (n > 0 && size % 3 == 0) {
    journal_reject(j);
    n--;
  }
  want(journal_add(j, digest, 3, digest, &err) == ELLM_OK);
  const size_t mark = journal_mark(j);
  want(journal_add_pair(j, 1.5, -2, &err) == ELLM_OK);
  if (size % 5 == 0) want(journal_rewind(j, mark, &err) == ELLM_OK);
  journal_close(j);
  want(journal_open(output, key, &j, &err) == ELLM_OK);
  want(read_entries(j, SIZE_MAX, data, size + ENTRY) == n + (size % 5 == 0 ? 1 : 2));
  journal_close(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (owner == 0) make_folder();
  if (size < 1) return 0;
  uint8_t *copy = copy_of(data + 1, size - 1);
  if (copy == NULL) return 0;
  if ((data[0] & 1) != 0) read_plan(copy, size - 1, (data[0] & 2) != 0);
  else read_journal(copy, size - 1, (data[0] & 2) != 0);
  free(copy);
  return 0;
}
