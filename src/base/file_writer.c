/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that appears under its name only when it is whole. Invariant: until
 * commit has renamed it, the data are in PATH.partial beside the target, locked
 * (flock) so that two runs cannot write over each other.
 */
#include "base/file_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

struct file_writer {
  int fd;
  uint64_t size;
  char *path, *partial;
  file_writer_options options;
};

static void writer_free(file_writer *writer) {
  if (writer->fd >= 0) close(writer->fd);
  free(writer->path);
  free(writer->partial);
  free(writer);
}

/* Whether the name still leads to the opened file: not so if the run that held the lock has renamed or removed it. */
static bool is_at(const char *path, const struct stat *opened) {
  struct stat named;
  return lstat(path, &named) == 0 && named.st_dev == opened->st_dev && named.st_ino == opened->st_ino;
}

/* Opens PATH.partial and locks it against other runs; only then its content may change. */
static ellm_status writer_open_partial(file_writer *writer, ellm_error *err) {
  struct stat info;
  int tries = 10; /* some network file systems know no lasting file numbers */
  do {
    if (writer->fd >= 0) close(writer->fd);
    do {
      writer->fd = open(writer->partial, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    } while (writer->fd < 0 && errno == EINTR);
    if (writer->fd < 0) return ellm_fail_errno(err, errno, "create", writer->partial);
    if (flock(writer->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) { /* else there are no locks here */
      return ellm_fail(err, ELLM_ERR_IO, "%s: is being written by another run", writer->partial);
    }
    if (fstat(writer->fd, &info) != 0) return ellm_fail_errno(err, errno, "stat", writer->partial);
  } while (!is_at(writer->partial, &info) && --tries > 0);
  if (!S_ISREG(info.st_mode)) return ellm_fail(err, ELLM_ERR_IO, "%s: is not a regular file", writer->partial);
  if (!writer->options.resume) {
    const ellm_status status = file_writer_truncate(writer, 0, err);
    if (status != ELLM_OK && !writer->options.keep_partial) unlink(writer->partial);
    return status;
  }
  writer->size = (uint64_t)info.st_size;
  return ELLM_OK;
}

/* Something of this name would be replaced. What cannot be looked at may be there. */
static ellm_status refuse_existing(const char *path, const char *how, ellm_error *err) {
  bool there;
  ELLM_TRY(file_there(path, &there, err));
  return there ? ellm_fail(err, ELLM_ERR_EXISTS, "%s: %s", path, how) : ELLM_OK;
}

ellm_status file_writer_allowed(const char *path, const file_writer_options *options, ellm_error *err) {
  struct stat there;
  if (path[0] == '\0') return ellm_fail(err, ELLM_ERR_USAGE, "the name of the file to write is empty");
  /* a device or a FIFO would be replaced by the file */
  if (stat(path, &there) == 0 && !S_ISREG(there.st_mode))
    return ellm_fail(err, S_ISDIR(there.st_mode) ? ELLM_ERR_USAGE : ELLM_ERR_IO, "%s: %s", path,
                     S_ISDIR(there.st_mode) ? "is a directory" : "is not a regular file");
  if (!options->unfinished && path_is_partial(path))
    return ellm_fail(err, ELLM_ERR_USAGE, "%s: names that end in %s are reserved for unfinished files", path,
                     PARTIAL_ENDING);
  if (!options->overwrite) ELLM_TRY(refuse_existing(path, "already exists", err));
  char *folder = path_folder(path);
  if (folder == NULL) return ellm_fail_memory(err, strlen(path) + 1, path);
  const bool writable = access(folder, W_OK | X_OK) == 0;
  const int code = errno;
  free(folder);
  return writable ? ELLM_OK : ellm_fail_errno(err, code, "create", path);
}

ellm_status file_writer_open(const char *path, const file_writer_options *options, file_writer **out,
                             ellm_error *err) {
  *out = NULL;
  ELLM_TRY(file_writer_allowed(path, options, err));
  file_writer *writer = calloc(1, sizeof *writer);
  if (writer == NULL) return ellm_fail_memory(err, sizeof *writer, path);
  writer->fd = -1;
  writer->options = *options;
  writer->path = strdup(path);
  writer->partial = path_append(path, PARTIAL_ENDING);
  if (writer->path == NULL || writer->partial == NULL) {
    writer_free(writer);
    return ellm_fail_memory(err, strlen(path) + sizeof PARTIAL_ENDING, path);
  }
  const ellm_status status = writer_open_partial(writer, err);
  if (status != ELLM_OK) {
    writer_free(writer);
    return status;
  }
  *out = writer;
  return ELLM_OK;
}

ellm_status file_writer_write_at(file_writer *writer, uint64_t offset, const void *data, size_t bytes,
                                 ellm_error *err) {
  ELLM_TRY(file_put(writer->fd, writer->partial, offset, data, bytes, err));
  if (offset + bytes > writer->size) writer->size = offset + bytes;
  return ELLM_OK;
}

ellm_status file_writer_append(file_writer *writer, const void *data, size_t bytes, ellm_error *err) {
  return file_writer_write_at(writer, writer->size, data, bytes, err);
}

ellm_status file_writer_read_at(file_writer *writer, uint64_t offset, void *data, size_t bytes, ellm_error *err) {
  const file_reader reader = {.fd = writer->fd, .size = writer->size, .path = writer->partial};
  return file_reader_read(&reader, offset, data, bytes, err);
}

ellm_status file_writer_truncate(file_writer *writer, uint64_t size, ellm_error *err) {
  int code;
  do {
    code = ftruncate(writer->fd, (off_t)size);
  } while (code != 0 && errno == EINTR);
  if (code != 0) return ellm_fail_errno(err, errno, "truncate", writer->partial);
  writer->size = size;
  return ELLM_OK;
}

ellm_status file_writer_sync(file_writer *writer, ellm_error *err) {
  int code;
  do {
    code = fsync(writer->fd);
  } while (code != 0 && errno == EINTR);
  if (code != 0) return ellm_fail_errno(err, errno, "sync", writer->partial);
  return ELLM_OK;
}

const char *file_writer_partial(const file_writer *writer) { return writer->partial; }

uint64_t file_writer_size(const file_writer *writer) { return writer->size; }

/* The folder that `path` is in: the rename must survive a crash. */
static ellm_status open_folder(const char *path, int *fd, ellm_error *err) {
  char *folder = path_folder(path);
  if (folder == NULL) return ellm_fail_memory(err, strlen(path) + 1, path);
  const ellm_status status = directory_open(folder, fd, err);
  free(folder);
  return status;
}

ellm_status file_writer_commit(file_writer *writer, ellm_error *err) {
  int folder = -1; /* opened first: after the rename nothing should fail any more */
  ellm_status status = file_writer_sync(writer, err);
  if (status == ELLM_OK) status = open_folder(writer->path, &folder, err);
  if (status == ELLM_OK && !writer->options.overwrite)
    status = refuse_existing(writer->path, "appeared meanwhile", err);
  /* renamed while the lock is held: another run must not empty the file before it has its name */
  if (status == ELLM_OK && rename(writer->partial, writer->path) != 0) {
    status = ellm_fail_errno(err, errno, "rename to", writer->path);
  }
  if (status != ELLM_OK) {
    if (folder >= 0) close(folder);
    file_writer_abort(writer);
    return status;
  }
  status = directory_sync(folder, writer->path, err);
  if (folder >= 0) close(folder);
  writer_free(writer);
  return status;
}

void file_writer_abort(file_writer *writer) {
  if (writer == NULL) return;
  if (!writer->options.keep_partial) unlink(writer->partial);
  writer_free(writer);
}
