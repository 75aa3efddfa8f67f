/* SPDX-License-Identifier: Apache-2.0 */
/* A file without a name (base/file.h). */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* O_TMPFILE of Linux */
#endif
#include "base/scratch_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

/* Where the system or the file system has no nameless files: a name that nobody has, hidden, removed at once. */
static int open_hidden(const char *folder) {
  char *name = path_join(folder, ".entrollm-XXXXXX");
  if (name == NULL) return -1;
  const int fd = mkstemp(name), code = errno;
  if (fd >= 0) {
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    (void)unlink(name);
  }
  free(name);
  errno = code;
  return fd;
}

static int open_nameless(const char *folder) {
  int fd = -1;
#ifdef O_TMPFILE
  do {
    fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  } while (fd < 0 && errno == EINTR);
#endif
  return fd >= 0 ? fd : open_hidden(folder);
}

ellm_status scratch_file_open(const char *path, scratch_file *file, ellm_error *err) {
  *file = (scratch_file){.fd = -1};
  char *folder = path_folder(path);
  file->label = folder != NULL ? path_append("a scratch file in ", folder) : NULL;
  ellm_status status = ELLM_OK;
  if (file->label == NULL) {
    status = ellm_fail_memory(err, strlen(path) + 1, path);
  } else {
    file->fd = open_nameless(folder);
    if (file->fd < 0) status = ellm_fail_errno(err, errno, "create", file->label);
  }
  free(folder);
  if (status != ELLM_OK) scratch_file_close(file);
  return status;
}

ellm_status scratch_file_write(const scratch_file *file, uint64_t offset, const void *data, size_t bytes,
                               ellm_error *err) {
  return file_put(file->fd, file->label, offset, data, bytes, err);
}

ellm_status scratch_file_read(const scratch_file *file, uint64_t offset, void *out, size_t bytes, ellm_error *err) {
  const file_reader reader = {.fd = file->fd, .size = UINT64_MAX, .path = file->label};
  return file_reader_read(&reader, offset, out, bytes, err);
}

void scratch_file_close(scratch_file *file) {
  if (file->label != NULL && file->fd >= 0) close(file->fd);
  free(file->label);
  *file = (scratch_file){.fd = -1};
}
