/* SPDX-License-Identifier: Apache-2.0 */
/* A file without a name (base/file.h). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

ellm_status scratch_file_open(const char *path, scratch_file *file, ellm_error *err) {
  *file = (scratch_file){.fd = -1, .path = strdup(path)};
  if (file->path == NULL) return ellm_fail_memory(err, strlen(path) + 1, path);
  unlink(path); /* what a run left behind that was killed between the next two steps */
  do {
    file->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  } while (file->fd < 0 && errno == EINTR);
  if (file->fd >= 0 && unlink(path) == 0) return ELLM_OK;
  ellm_status status = ellm_fail_errno(err, errno, file->fd < 0 ? "create" : "remove", path);
  scratch_file_close(file);
  return status;
}

ellm_status scratch_file_write(const scratch_file *file, uint64_t offset, const void *data, size_t bytes,
                               ellm_error *err) {
  return file_put(file->fd, file->path, offset, data, bytes, err);
}

ellm_status scratch_file_read(const scratch_file *file, uint64_t offset, void *out, size_t bytes, ellm_error *err) {
  const file_reader reader = {.fd = file->fd, .size = UINT64_MAX, .path = file->path};
  return file_reader_read(&reader, offset, out, bytes, err);
}

void scratch_file_close(scratch_file *file) {
  if (file->path != NULL && file->fd >= 0) close(file->fd);
  free(file->path);
  *file = (scratch_file){.fd = -1};
}
