/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See download.h. Invariants while a blob comes: its lock is held; `have` bytes of HASH.incomplete are written and are
 * what the hash has seen; transfer->done counts them. A blob gets its name only after its size and hash are right and
 * its bytes are on the disk.
 */
#include "hub/download.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hub/hash.h"
#include "hub/listing.h"

enum { READ_BYTES = 1 << 18 };

typedef struct blob {
  hub_transfer *transfer;
  const hub_file *file;
  const char *what;
  char *path, *partial;
  int fd;
  uint64_t have;
  bool resumed; /* part of it was there when we came */
  hub_hash hash;
} blob;

bool hub_transfer_tick(void *user) {
  hub_transfer *t = user;
  const hub_options *options = t->http->options;
  if (options->progress == NULL || t->total == 0) return options->goes_on == NULL || options->goes_on(NULL);
  const ellm_progress step = {.stage = "pull", .tensor = t->path != NULL ? t->path : "", .done = t->done,
                              .total = t->total, .unit = ELLM_UNIT_BYTES};
  return options->progress(options->progress_user, &step);
}

bool hub_blob_is_there(const hub_cache *cache, const hub_file *file, uint64_t *part) {
  struct stat info;
  char *path = hub_cache_blob(cache, file->hash, ""), *partial = hub_cache_blob(cache, file->hash, ".incomplete");
  const bool there = path != NULL && stat(path, &info) == 0 && S_ISREG(info.st_mode) &&
                     (uint64_t)info.st_size == file->bytes;
  *part = 0;
  if (!there && partial != NULL && lstat(partial, &info) == 0 && S_ISREG(info.st_mode) &&
      (uint64_t)info.st_size <= file->bytes)
    *part = (uint64_t)info.st_size;
  free(path);
  free(partial);
  return there;
}

/* ----------------------------------------------------------------- the blob */

/* Nothing of what is there counts. */
static ellm_status start_over(blob *b, ellm_error *err) {
  b->transfer->done -= b->have;
  b->have = 0;
  b->resumed = false;
  if (ftruncate(b->fd, 0) != 0 || lseek(b->fd, 0, SEEK_SET) != 0)
    return prog_failure_errno(err, errno, "write", b->partial);
  return hub_hash_begin(&b->hash, b->file->hash, b->file->bytes, err);
}

/* Progress of reading again: a bar of its own, so that the rate of the download is that of the network. */
static bool tell_reading(const blob *b, uint64_t bytes) {
  const hub_options *options = b->transfer->http->options;
  const ellm_progress step = {.stage = "check", .tensor = b->file->path, .done = b->have, .total = bytes,
                              .unit = ELLM_UNIT_BYTES};
  return options->progress == NULL || options->progress(options->progress_user, &step);
}

/* The beginning that an earlier pull left: read again, for the hash. */
static ellm_status take_up(blob *b, uint64_t bytes, ellm_error *err) {
  char *buffer = malloc(READ_BYTES);
  if (buffer == NULL) return prog_failure_memory(err, 0, "a buffer");
  ellm_status status = ELLM_OK;
  while (b->have < bytes && status == ELLM_OK) {
    const ssize_t n = read(b->fd, buffer, READ_BYTES);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) status = prog_failure_errno(err, errno, "read", b->partial);
    else if (n == 0) break;
    else if (!hub_hash_add(&b->hash, buffer, (size_t)n))
      status = prog_failure(err, ELLM_ERR_IO, "%s: no hash", b->what);
    else b->have += (uint64_t)n;
    if (status == ELLM_OK && !tell_reading(b, bytes)) status = prog_failure(err, ELLM_INTERRUPTED, "interrupted");
  }
  free(buffer);
  b->transfer->done += b->have;
  b->resumed = b->have > 0;
  return status;
}

/* Locked, too, and still what its name leads to. Programs that share the cache may remove each other's lock of a blob
 * in the moment between leaving and removing it; then this one keeps two writers apart. */
static bool is_ours(const blob *b) {
  struct stat opened, named;
  if (flock(b->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) return false;
  return fstat(b->fd, &opened) == 0 && lstat(b->partial, &named) == 0 && opened.st_dev == named.st_dev &&
         opened.st_ino == named.st_ino;
}

static ellm_status open_partial(blob *b, ellm_error *err) {
  struct stat info;
  b->fd = open(b->partial, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
  if (b->fd < 0 || fstat(b->fd, &info) != 0) return prog_failure_errno(err, errno, "create", b->partial);
  if (!S_ISREG(info.st_mode)) return prog_failure(err, ELLM_ERR_IO, "%s: is not a regular file", b->partial);
  if (!is_ours(b)) return prog_failure(err, ELLM_ERR_IO, "%s: is being written by another run", b->partial);
  if ((uint64_t)info.st_size > b->file->bytes) return start_over(b, err); /* no beginning of this one */
  PROG_TRY(hub_hash_begin(&b->hash, b->file->hash, b->file->bytes, err));
  return take_up(b, (uint64_t)info.st_size, err);
}

/* ----------------------------------------------------------------- the sink */

static uint64_t sink_have(void *user) { return ((const blob *)user)->have; }

static bool sink_whole(void *user) {
  const blob *b = user;
  return b->have == b->file->bytes;
}

/* Does the answer speak of the file that we want? */
static ellm_status check_answer(const blob *b, const hub_response *r, uint64_t from, ellm_error *err) {
  const char *hash = r->linked_etag[0] != '\0' ? r->linked_etag : r->etag;
  const uint64_t left = b->file->bytes - from;
  if (r->commit[0] != '\0' && strcmp(r->commit, b->transfer->commit) != 0)
    return prog_failure(err, ELLM_ERR_INPUT, "%s: the hub sends it of another commit, %s", b->what, r->commit);
  if (hub_is_hash(hash) && strcmp(hash, b->file->hash) != 0)
    return prog_failure(err, ELLM_ERR_INPUT, "%s: the hub sends %s instead of %s", b->what, hash, b->file->hash);
  if (r->linked_size >= 0 && (uint64_t)r->linked_size != b->file->bytes)
    return prog_failure(err, ELLM_ERR_INPUT, "%s: the hub sends %lld bytes instead of %llu", b->what,
                        (long long)r->linked_size, (unsigned long long)b->file->bytes);
  if (r->length >= 0 && (uint64_t)r->length != left)
    return prog_failure(err, ELLM_ERR_INPUT, "%s: the server sends %lld bytes instead of %llu", b->what,
                        (long long)r->length, (unsigned long long)left);
  return ELLM_OK;
}

static ellm_status sink_begin(void *user, const hub_response *r, ellm_error *err) {
  blob *b = user;
  if (r->status != 206) { /* 200: the whole file, whatever we asked for; 416: what is there is too much */
    if (b->have > 0) PROG_TRY(start_over(b, err));
    return r->status == 416 ? ELLM_OK : check_answer(b, r, 0, err);
  }
  if (!r->ranged || b->have == 0 || r->range_from != b->have || r->range_total != b->file->bytes)
    return prog_failure(err, ELLM_ERR_INPUT, "%s: the server sends another part of it than was asked for", b->what);
  return check_answer(b, r, b->have, err);
}

static ellm_status sink_take(void *user, const void *data, size_t bytes, ellm_error *err) {
  blob *b = user;
  const char *at = data;
  if (bytes > b->file->bytes - b->have)
    return prog_failure(err, ELLM_ERR_INPUT, "%s: the server sends more than its %llu bytes", b->what,
                        (unsigned long long)b->file->bytes);
  while (bytes > 0) {
    const ssize_t n = write(b->fd, at, bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return prog_failure_errno(err, n < 0 ? errno : ENOSPC, "write", b->partial);
    if (!hub_hash_add(&b->hash, at, (size_t)n)) return prog_failure(err, ELLM_ERR_IO, "%s: no hash", b->what);
    b->have += (uint64_t)n;
    b->transfer->done += (uint64_t)n;
    at += n;
    bytes -= (size_t)n;
  }
  return ELLM_OK;
}

/* ------------------------------------------------------------------ bringing */

static ellm_status bring(blob *b, ellm_error *err) {
  char url[HUB_MAX_URL];
  hub_response response;
  const hub_transfer *t = b->transfer;
  const hub_sink sink = {sink_have, sink_begin, sink_take, sink_whole, b};
  if (!hub_file_url(t->http, t->name, t->commit, b->file->path, url))
    return prog_failure(err, ELLM_ERR_INPUT, "%s: the URL is too long", b->what);
  const hub_request request = {.url = url, .what = b->what, .sink = &sink};
  if (sink_whole(b) && b->file->bytes > 0) return ELLM_OK;
  return hub_http_run(t->http, &request, &response, err);
}

/* Size and hash are right: to the disk, then the name. */
static ellm_status keep_blob(blob *b, ellm_error *err) {
  int code = fsync(b->fd) == 0 ? 0 : errno;
  if (code == 0 && rename(b->partial, b->path) != 0) code = errno;
  if (code != 0) return prog_failure_errno(err, code, "write", b->path);
  char *slash = strrchr(b->path, '/');
  *slash = '\0';
  hub_sync_folder(b->path);
  *slash = '/';
  return ELLM_OK;
}

/* Twice at most: what was there before may have been spoilt. */
static ellm_status bring_checked(blob *b, ellm_error *err) {
  PROG_TRY(open_partial(b, err));
  for (;;) {
    PROG_TRY(bring(b, err));
    if (hub_hash_equals(&b->hash, b->file->hash)) return keep_blob(b, err);
    if (!b->resumed) break;
    PROG_TRY(start_over(b, err));
  }
  unlink(b->partial);
  b->transfer->done -= b->have;
  return prog_failure(err, ELLM_ERR_INPUT, "%s: its %s is not %s: what came was thrown away", b->what,
                      strlen(b->file->hash) == HUB_HASH_DIGITS ? "SHA-256" : "hash (git's SHA-1)", b->file->hash);
}

static void tell_waiting(void *user) {
  const hub_transfer *t = user;
  const ellm_notes *notes = &t->http->options->notes;
  char line[512];
  if (notes->take == NULL) return;
  snprintf(line, sizeof line, "%s: %.200s is being downloaded by another run: waiting for it", t->name->repository,
           t->path);
  notes->take(notes->user, line);
}

static ellm_status bring_locked(blob *b, ellm_error *err) {
  hub_transfer *t = b->transfer;
  uint64_t part;
  int lock;
  PROG_TRY(hub_cache_lock(t->cache, b->file->hash, hub_transfer_tick, tell_waiting, t, &lock, err));
  ellm_status status = ELLM_OK;
  if (hub_blob_is_there(t->cache, b->file, &part)) t->done += b->file->bytes; /* downloaded while we waited */
  else status = bring_checked(b, err);
  if (b->fd >= 0) close(b->fd);
  hub_cache_unlock(t->cache, b->file->hash, lock);
  return status;
}

ellm_status hub_download(hub_transfer *transfer, hub_file *file, ellm_error *err) {
  uint64_t part;
  char what[sizeof transfer->name->repository + 1024];
  snprintf(what, sizeof what, "%s: %s", transfer->name->repository, file->path);
  transfer->path = file->path;
  if (!hub_blob_is_there(transfer->cache, file, &part)) {
    blob b = {.transfer = transfer, .file = file, .what = what, .fd = -1};
    b.path = hub_cache_blob(transfer->cache, file->hash, "");
    b.partial = hub_cache_blob(transfer->cache, file->hash, ".incomplete");
    const ellm_status status = b.path != NULL && b.partial != NULL ? bring_locked(&b, err)
                                                                   : prog_failure_memory(err, 0, "a path");
    hub_hash_free(&b.hash);
    free(b.path);
    free(b.partial);
    PROG_TRY(status);
    file->fetched = true;
  }
  return hub_cache_link(transfer->cache, transfer->commit, file->path, file->hash, err);
}
