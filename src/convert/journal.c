/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See journal.h. Bytes: magic (8), key (16), then entries {u32 record bytes,
 * digest (16), record, u64 XXH3-64 of all that}. Entries that hold are never
 * rewritten; the first new one cuts off what follows.
 */
#include "convert/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/file.h"
#include "container/hash.h"

enum { HEAD = 24, ENTRY_HEAD = 20, ENTRY_TAIL = 8 };
static const size_t journal_limit = (size_t)1 << 28;
static const char magic[8] = "ELLMjrn1";

struct journal {
  char *path;
  FILE *file;          /* NULL until the first addition */
  uint8_t *data;       /* of the earlier run */
  size_t size;         /* of its entries that hold, head included */
  size_t at;           /* next entry */
  size_t last;         /* entry last given */
  uint8_t key[16];
};

/* The entry at `at`, with its length; false if there is no whole one. */
static bool parse(const journal *j, size_t at, journal_entry *entry, size_t *length) {
  if (at > j->size || j->size - at < ENTRY_HEAD + ENTRY_TAIL) return false;
  const uint8_t *p = j->data + at;
  size_t bytes = load_u32(p);
  if (bytes > j->size - at - ENTRY_HEAD - ENTRY_TAIL) return false;
  if (load_u64(p + ENTRY_HEAD + bytes) != hash64(p, ENTRY_HEAD + bytes)) return false;
  *entry = (journal_entry){.record = p + ENTRY_HEAD, .bytes = bytes, .digest = p + 4};
  *length = ENTRY_HEAD + bytes + ENTRY_TAIL;
  return true;
}

ellm_status journal_open(const char *out_path, const uint8_t key[16], journal **out, ellm_error *err) {
  *out = NULL;
  journal *j = calloc(1, sizeof *j);
  if (j != NULL) j->path = path_append(out_path, JOURNAL_ENDING);
  if (j == NULL || j->path == NULL) {
    free(j);
    return ellm_fail_memory(err, sizeof *j, "a journal");
  }
  memcpy(j->key, key, 16);
  /* A journal that cannot be read is as none. */
  if (file_exists(j->path) && file_read_all(j->path, journal_limit, &j->data, &j->size, NULL) != ELLM_OK) {
    j->data = NULL;
    j->size = 0;
  }
  if (j->size < HEAD || memcmp(j->data, magic, 8) != 0 || memcmp(j->data + 8, key, 16) != 0) j->size = 0;
  j->at = j->last = j->size < HEAD ? j->size : HEAD;
  *out = j;
  return ELLM_OK;
}

bool journal_has_entries(const journal *j) {
  journal_entry entry;
  size_t length;
  return j->size > 0 && parse(j, HEAD, &entry, &length);
}

bool journal_next(journal *j, journal_entry *entry) {
  size_t length;
  if (j->size == 0 || !parse(j, j->at, entry, &length)) return false;
  j->last = j->at;
  j->at += length;
  return true;
}

void journal_reject(journal *j) { j->at = j->last; }

/* Cut the file after the entries that hold and continue writing there. */
static ellm_status start(journal *j, ellm_error *err) {
  bool fresh = j->at < HEAD;
  int fd;
  do {
    fd = open(j->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | (fresh ? O_CREAT | O_TRUNC : 0), 0666);
  } while (fd < 0 && errno == EINTR);
  j->file = fd >= 0 ? fdopen(fd, fresh ? "wb" : "r+b") : NULL;
  if (j->file == NULL) {
    int code = errno;
    if (fd >= 0) close(fd);
    return ellm_fail_errno(err, code, "write", j->path);
  }
  bool ok = fresh ? fwrite(magic, 1, 8, j->file) == 8 && fwrite(j->key, 1, 16, j->file) == 16
                  : ftruncate(fileno(j->file), (off_t)j->at) == 0 && fseeko(j->file, (off_t)j->at, SEEK_SET) == 0;
  return ok ? ELLM_OK : ellm_fail_errno(err, errno, "write", j->path);
}

ellm_status journal_add(journal *j, const uint8_t *record, size_t bytes, const uint8_t digest[16], ellm_error *err) {
  if (j->file == NULL) ELLM_TRY(start(j, err));
  size_t total = ENTRY_HEAD + bytes + ENTRY_TAIL;
  uint8_t *entry = malloc(total);
  if (entry == NULL) return ellm_fail_memory(err, total, "a journal entry");
  store_u32(entry, (uint32_t)bytes);
  memcpy(entry + 4, digest, 16);
  memcpy(entry + ENTRY_HEAD, record, bytes);
  store_u64(entry + ENTRY_HEAD + bytes, hash64(entry, ENTRY_HEAD + bytes));
  bool ok = fwrite(entry, 1, total, j->file) == total && fflush(j->file) == 0;
  int code = errno;
  free(entry);
  return ok ? ELLM_OK : ellm_fail_errno(err, code, "write", j->path);
}

bool journal_next_pair(journal *j, double *a, double *b) {
  journal_entry entry;
  size_t length;
  if (j->size == 0 || !parse(j, j->at, &entry, &length) || entry.bytes != 0) return false;
  memcpy(a, entry.digest, sizeof *a);
  memcpy(b, entry.digest + sizeof *a, sizeof *b);
  j->last = j->at;
  j->at += length;
  return true;
}

/* A section's record is never empty. */
ellm_status journal_add_pair(journal *j, double a, double b, ellm_error *err) {
  uint8_t digest[16];
  memcpy(digest, &a, sizeof a);
  memcpy(digest + sizeof a, &b, sizeof b);
  return journal_add(j, digest, 0, digest, err);
}

size_t journal_mark(const journal *j) {
  return j->file != NULL ? (size_t)ftello(j->file) : j->at < HEAD ? HEAD : j->at;
}

ellm_status journal_rewind(journal *j, size_t mark, ellm_error *err) {
  if (j->file == NULL) {
    if (j->at > mark) j->at = mark;
    return ELLM_OK;
  }
  const bool ok = fflush(j->file) == 0 && ftruncate(fileno(j->file), (off_t)mark) == 0 &&
                  fseeko(j->file, (off_t)mark, SEEK_SET) == 0;
  return ok ? ELLM_OK : ellm_fail_errno(err, errno, "write", j->path);
}

void journal_close(journal *j) {
  if (j == NULL) return;
  if (j->file != NULL) fclose(j->file);
  free(j->data);
  free(j->path);
  free(j);
}

void journal_remove(const char *out_path) {
  char *path = path_append(out_path, JOURNAL_ENDING);
  if (path != NULL) unlink(path);
  free(path);
}
