/* SPDX-License-Identifier: Apache-2.0 */
/* Reading files: mapping, by position, whole. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/progress.h"

enum { PIECE = 1 << 26 }; /* bytes that are read or locked between two words of progress */

/* Opens a regular file for reading and gives its size and time of change. O_NONBLOCK: a FIFO is refused, not waited
 * for; it changes nothing for regular files. */
static ellm_status open_regular(const char *path, int *fd, uint64_t *size, struct timespec *changed, ellm_error *err) {
  int opened;
  do {
    opened = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  } while (opened < 0 && errno == EINTR);
  if (opened < 0) return ellm_fail_errno(err, errno, "open", path);
  struct stat info;
  if (fstat(opened, &info) != 0) {
    const int code = errno;
    close(opened);
    return ellm_fail_errno(err, code, "stat", path);
  }
  if (!S_ISREG(info.st_mode)) {
    close(opened);
    return ellm_fail(err, S_ISDIR(info.st_mode) ? ELLM_ERR_INPUT : ELLM_ERR_IO, "%s: %s", path,
                     S_ISDIR(info.st_mode) ? "is a directory, a file is expected" : "is not a regular file");
  }
  *fd = opened;
  *size = (uint64_t)info.st_size;
  *changed = info.st_mtim;
  return ELLM_OK;
}

ellm_status file_map_open(const char *path, file_map *map, ellm_error *err) {
  *map = (file_map){0};
  int fd;
  uint64_t size;
  struct timespec changed;
  ELLM_TRY(open_regular(path, &fd, &size, &changed, err));
  if (size > SIZE_MAX) {
    close(fd);
    return ellm_fail(err, ELLM_ERR_IO, "%s: too large to map", path);
  }
  void *data = NULL;
  if (size > 0) {
    data = mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED) {
      const int code = errno;
      close(fd);
      return ellm_fail_errno(err, code, "map", path);
    }
  }
  close(fd); /* the mapping keeps the file */
#ifdef MADV_HUGEPAGE
  if (data != NULL) (void)madvise(data, (size_t)size, MADV_HUGEPAGE); /* where the file system has them */
#endif
  map->path = strdup(path);
  if (map->path == NULL) {
    if (data != NULL) munmap(data, (size_t)size);
    return ellm_fail_memory(err, strlen(path) + 1, "a path");
  }
  map->data = data;
  map->size = size;
  return ELLM_OK;
}

/* A copy in anonymous memory: there the kernel can give huge pages, which most file systems cannot, and a decoder that
 * jumps between thousands of blocks misses the TLB less. Once filled, it is read-only, as the mapping of a file is. */
static ellm_status copy_to_memory(const file_reader *reader, ellm_progress_fn progress, void *user, void **data,
                                  ellm_error *err) {
  const size_t size = (size_t)reader->size;
  void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return ellm_fail_memory(err, size, reader->path);
#ifdef MADV_HUGEPAGE
  (void)madvise(memory, size, MADV_HUGEPAGE);
#endif
  progress_meter meter;
  progress_start(&meter, progress, user, size);
  ellm_status status = ELLM_OK;
  for (size_t at = 0, n; at < size && status == ELLM_OK; at += n) {
    n = size - at < PIECE ? size - at : PIECE;
    status = progress_report(&meter, "load", "", at, err);
    if (status == ELLM_OK) status = file_reader_read(reader, at, (uint8_t *)memory + at, n, err);
  }
  if (status == ELLM_OK) status = progress_finish(&meter, "load", err);
  if (status == ELLM_OK && mprotect(memory, size, PROT_READ) == 0) {
    *data = memory;
    return ELLM_OK;
  }
  const int code = errno;
  munmap(memory, size);
  return status != ELLM_OK ? status : ellm_fail_errno(err, code, "protect the memory of", reader->path);
}

ellm_status file_map_load(const char *path, ellm_progress_fn progress, void *user, file_map *map, ellm_error *err) {
  *map = (file_map){0};
  file_reader reader;
  void *data = NULL;
  ELLM_TRY(file_reader_open(path, &reader, err));
  ellm_status status = ELLM_OK;
  if (reader.size > SIZE_MAX) status = ellm_fail(err, ELLM_ERR_IO, "%s: too large for memory", path);
  else if (reader.size > 0) status = copy_to_memory(&reader, progress, user, &data, err);
  if (status == ELLM_OK) *map = (file_map){.data = data, .size = reader.size, .path = strdup(path), .copied = true};
  file_reader_close(&reader);
  if (status == ELLM_OK && map->path == NULL) {
    file_map_close(map);
    return ellm_fail_memory(err, strlen(path) + 1, "a path");
  }
  return status;
}

void file_map_drop(const file_map *map, const uint8_t *data, size_t bytes) {
#ifdef MADV_DONTNEED
  const long page = sysconf(_SC_PAGESIZE);
  if (map->copied || map->data == NULL || page <= 0) return; /* memory of our own would be zeroed */
  const size_t size = (size_t)page, first = (size_t)(data - map->data);
  const size_t from = (first + size - 1) / size * size, to = (first + bytes) / size * size; /* whole pages only */
  if (from < to) (void)madvise((void *)(map->data + from), to - from, MADV_DONTNEED);
#else
  (void)map;
  (void)data;
  (void)bytes;
#endif
}

ellm_status file_map_lock(const file_map *map, ellm_progress_fn progress, void *user, ellm_error *err) {
  const size_t size = (size_t)map->size;
  progress_meter meter;
  progress_start(&meter, progress, user, size);
  ellm_status status = ELLM_OK;
  if (map->data == NULL) return ELLM_OK;
  for (size_t at = 0, n; at < size && status == ELLM_OK; at += n) {
    n = size - at < PIECE ? size - at : PIECE;
    status = progress_report(&meter, "lock", "", at, err);
    if (status == ELLM_OK && mlock(map->data + at, n) != 0)
      status = ellm_fail(err, ELLM_ERR_IO, "cannot lock the %llu bytes of %s in memory: %s (see ulimit -l)",
                         (unsigned long long)size, map->path, strerror(errno));
  }
  if (status == ELLM_OK) status = progress_finish(&meter, "lock", err);
  if (status != ELLM_OK) (void)munlock(map->data, size);
  return status;
}

void file_map_close(file_map *map) {
  if (map->data != NULL) munmap((void *)map->data, (size_t)map->size);
  free(map->path);
  *map = (file_map){0};
}

ellm_status file_reader_open(const char *path, file_reader *reader, ellm_error *err) {
  *reader = (file_reader){.fd = -1};
  ELLM_TRY(open_regular(path, &reader->fd, &reader->size, &reader->changed, err));
  reader->path = strdup(path);
  if (reader->path == NULL) {
    file_reader_close(reader);
    return ellm_fail_memory(err, strlen(path) + 1, "a path");
  }
  return ELLM_OK;
}

ellm_status file_reader_read(const file_reader *reader, uint64_t offset, void *out, size_t bytes, ellm_error *err) {
  if (offset > reader->size || bytes > reader->size - offset) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: %zu bytes at offset %llu are beyond its end at %llu", reader->path,
                     bytes, (unsigned long long)offset, (unsigned long long)reader->size);
  }
  uint8_t *to = out;
  while (bytes > 0) { /* in pieces: one call moves less than 2 GiB (Linux cuts it short, macOS refuses it) */
    const size_t piece = bytes < (1u << 30) ? bytes : 1u << 30;
    const ssize_t got = pread(reader->fd, to, piece, (off_t)offset);
    if (got < 0) {
      if (errno == EINTR) continue;
      return ellm_fail_errno(err, errno, "read", reader->path);
    }
    if (got == 0) {
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: became shorter while it was read (at offset %llu)", reader->path,
                       (unsigned long long)offset);
    }
    to += got;
    offset += (uint64_t)got;
    bytes -= (size_t)got;
  }
  return ELLM_OK;
}

ellm_status file_put(int fd, const char *path, uint64_t offset, const void *data, size_t bytes, ellm_error *err) {
  const uint8_t *from = data;
  while (bytes > 0) {
    const size_t piece = bytes < (1u << 30) ? bytes : 1u << 30;
    const ssize_t put = pwrite(fd, from, piece, (off_t)offset);
    if (put < 0) {
      if (errno == EINTR) continue;
      return ellm_fail_errno(err, errno, "write", path);
    }
    from += put;
    offset += (uint64_t)put;
    bytes -= (size_t)put;
  }
  return ELLM_OK;
}

ellm_status file_reader_unchanged(const file_reader *reader, ellm_error *err) {
  struct stat info;
  if (fstat(reader->fd, &info) != 0) return ellm_fail_errno(err, errno, "stat", reader->path);
  if ((uint64_t)info.st_size == reader->size && info.st_mtim.tv_sec == reader->changed.tv_sec &&
      info.st_mtim.tv_nsec == reader->changed.tv_nsec)
    return ELLM_OK;
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: was changed while it was read", reader->path);
}

void file_reader_close(file_reader *reader) {
  if (reader->fd >= 0) close(reader->fd);
  free(reader->path);
  *reader = (file_reader){.fd = -1};
}

ellm_status file_read_all(const char *path, size_t limit, uint8_t **data, size_t *bytes, ellm_error *err) {
  *data = NULL;
  *bytes = 0;
  file_reader reader;
  ELLM_TRY(file_reader_open(path, &reader, err));
  ellm_status status;
  uint8_t *buffer = NULL;
  if (reader.size > limit) {
    status = ellm_fail(err, ELLM_ERR_INPUT, "%s: has %llu bytes, at most %zu are allowed", path,
                       (unsigned long long)reader.size, limit);
  } else if ((buffer = malloc((size_t)reader.size + 1)) == NULL) {
    status = ellm_fail_memory(err, (size_t)reader.size + 1, path);
  } else {
    status = file_reader_read(&reader, 0, buffer, (size_t)reader.size, err);
  }
  if (status == ELLM_OK) {
    buffer[reader.size] = 0;
    *data = buffer;
    *bytes = (size_t)reader.size;
  } else {
    free(buffer);
  }
  file_reader_close(&reader);
  return status;
}

bool file_exists(const char *path) {
  struct stat info;
  return lstat(path, &info) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

bool file_same(const char *a, const char *b) {
  struct stat x, y;
  return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

bool file_is_directory(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

ellm_status file_look(const char *path, bool *is_directory, ellm_error *err) {
  struct stat info;
  *is_directory = false;
  if (stat(path, &info) == 0) *is_directory = S_ISDIR(info.st_mode);
  else if (errno != ENOENT && errno != ENOTDIR) return ellm_fail_errno(err, errno, "look at", path);
  return ELLM_OK;
}

char *path_join(const char *dir, const char *name) {
  const size_t a = strlen(dir), b = strlen(name);
  const bool slash = a > 0 && dir[a - 1] != '/';
  char *path = malloc(a + slash + b + 1);
  if (path == NULL) return NULL;
  memcpy(path, dir, a);
  if (slash) path[a] = '/';
  memcpy(path + a + slash, name, b + 1);
  return path;
}

char *path_folder(const char *path) {
  const char *slash = strrchr(path, '/');
  if (slash == NULL) return strdup(".");
  return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

char *path_append(const char *path, const char *ending) {
  const size_t a = strlen(path), b = strlen(ending);
  char *longer = malloc(a + b + 1);
  if (longer == NULL) return NULL;
  memcpy(longer, path, a);
  memcpy(longer + a, ending, b + 1);
  return longer;
}

bool path_is_partial(const char *path) {
  const size_t bytes = strlen(path), end = sizeof PARTIAL_ENDING - 1;
  return bytes >= end && strcmp(path + bytes - end, PARTIAL_ENDING) == 0;
}

ellm_status directory_create(const char *path, ellm_error *err) {
  if (mkdir(path, 0777) == 0) return ELLM_OK;
  const int code = errno;
  if (code == EEXIST && file_is_directory(path)) return ELLM_OK;
  return ellm_fail_errno(err, code, "create the directory", path);
}

ellm_status file_there(const char *path, bool *there, ellm_error *err) {
  struct stat info;
  *there = lstat(path, &info) == 0;
  return *there || errno == ENOENT || errno == ENOTDIR ? ELLM_OK : ellm_fail_errno(err, errno, "look at", path);
}

static int open_directory(const char *path) {
  int fd;
  do {
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

ellm_status directory_open(const char *path, int *fd, ellm_error *err) {
  *fd = open_directory(path); /* a folder may allow writing but not reading: then names cannot be synced */
  return *fd >= 0 || errno == EACCES ? ELLM_OK : ellm_fail_errno(err, errno, "open", path);
}

ellm_status directory_sync(int fd, const char *path, ellm_error *err) {
  int result;
  if (fd < 0) return ELLM_OK;
  do {
    result = fsync(fd);
  } while (result != 0 && errno == EINTR);
  return result == 0 || errno == EINVAL || errno == ENOTSUP ? ELLM_OK : ellm_fail_errno(err, errno, "sync", path);
}

ellm_status directory_lock(const char *path, int *fd, ellm_error *err) {
  *fd = open_directory(path);
  if (*fd < 0 || flock(*fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return ELLM_OK;
  close(*fd);
  *fd = -1;
  return ellm_fail(err, ELLM_ERR_IO, "%s: is being written by another run", path);
}
