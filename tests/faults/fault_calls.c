/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls themselves: __wrap_NAME is what the program calls, __real_NAME the function of the system. With
 * _FILE_OFFSET_BITS=64 names end in 64 on some systems and not on others: both are led here. This file is compiled
 * without that macro and without FORTIFY.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <dirent.h>
#include <unistd.h>

#include "fault_loss.h"
#include "faults.h"

#define HERE __builtin_return_address(0)
#define WRAP(type, name, parameters) \
  type __real_##name parameters;     \
  type __wrap_##name parameters;     \
  type __wrap_##name parameters
#define FAILS(group, changes, name) (fault_next(group, changes, name, HERE) == FAULT_ERROR)
/* Of streams, and of what no signal interrupts: EINTR does not come. */
static bool steady_fails(fault_group group, bool changes, const char *name, void *caller) {
  const int before = errno;
  if (fault_next(group, changes, name, caller) != FAULT_ERROR) return false;
  if (errno != EINTR) return true;
  errno = before;
  return false;
}
#define STEADY_FAILS(group, changes, name) steady_fails(group, changes, name, HERE)

/* ------------------------------------------------------------------ memory */

WRAP(void *, malloc, (size_t bytes)) { return FAILS(FAULT_MEMORY, false, "malloc") ? NULL : __real_malloc(bytes); }
WRAP(void *, calloc, (size_t n, size_t bytes)) {
  return FAILS(FAULT_MEMORY, false, "calloc") ? NULL : __real_calloc(n, bytes);
}
WRAP(void *, realloc, (void *old, size_t bytes)) {
  return FAILS(FAULT_MEMORY, false, "realloc") ? NULL : __real_realloc(old, bytes);
}
WRAP(char *, strdup, (const char *text)) { return FAILS(FAULT_MEMORY, false, "strdup") ? NULL : __real_strdup(text); }
WRAP(char *, strndup, (const char *text, size_t bytes)) {
  return FAILS(FAULT_MEMORY, false, "strndup") ? NULL : __real_strndup(text, bytes);
}

/* ----------------------------------------------------------------- opening */

static bool writes(int flags) { return (flags & O_ACCMODE) != O_RDONLY; }

#define OPEN(name)                                                                     \
  int __real_##name(const char *path, int flags, ...);                                 \
  int __wrap_##name(const char *path, int flags, ...);                                 \
  int __wrap_##name(const char *path, int flags, ...) {                                \
    va_list rest;                                                                      \
    va_start(rest, flags);                                                             \
    const mode_t mode = va_arg(rest, mode_t);                                          \
    va_end(rest);                                                                      \
    if (FAILS(FAULT_OPEN, writes(flags), #name)) return -1;                            \
    loss_before_open(path, flags);                                                     \
    const int fd = __real_##name(path, flags, mode);                                   \
    const int code = errno;                                                            \
    loss_opened(fd, path, flags);                                                      \
    errno = code;                                                                      \
    return fd;                                                                         \
  }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                             \
  int __real_##name(int folder, const char *path, int flags, ...);                               \
  int __wrap_##name(int folder, const char *path, int flags, ...);                               \
  int __wrap_##name(int folder, const char *path, int flags, ...) {                              \
    va_list rest;                                                                                \
    va_start(rest, flags);                                                                       \
    const mode_t mode = va_arg(rest, mode_t);                                                    \
    va_end(rest);                                                                                \
    return FAILS(FAULT_OPEN, writes(flags), #name) ? -1 : __real_##name(folder, path, flags, mode); \
  }
OPENAT(openat)
OPENAT(openat64)

WRAP(FILE *, fdopen, (int fd, const char *mode)) {
  return STEADY_FAILS(FAULT_OPEN, false, "fdopen") ? NULL : __real_fdopen(fd, mode);
}

#define FOPEN(name)                                                                    \
  WRAP(FILE *, name, (const char *path, const char *mode)) {                           \
    const int flags = strchr(mode, 'w') != NULL ? O_RDWR | O_CREAT | O_TRUNC : O_RDONLY; \
    if (STEADY_FAILS(FAULT_OPEN, writes(flags), #name)) return NULL;                         \
    loss_before_open(path, flags);                                                     \
    FILE *stream = __real_##name(path, mode);                                          \
    if (stream != NULL) loss_opened(fileno(stream), path, flags);                      \
    return stream;                                                                     \
  }
FOPEN(fopen)
FOPEN(fopen64)

WRAP(DIR *, opendir, (const char *path)) { return STEADY_FAILS(FAULT_OPEN, false, "opendir") ? NULL : __real_opendir(path); }
WRAP(int, mkstemp, (char *path)) { return STEADY_FAILS(FAULT_OPEN, true, "mkstemp") ? -1 : __real_mkstemp(path); }
WRAP(int, mkstemp64, (char *path)) { return STEADY_FAILS(FAULT_OPEN, true, "mkstemp64") ? -1 : __real_mkstemp64(path); }
WRAP(char *, mkdtemp, (char *path)) { return STEADY_FAILS(FAULT_OPEN, true, "mkdtemp") ? NULL : __real_mkdtemp(path); }

/* ----------------------------------------------------------------- reading */

/* How many bytes to ask for; -1: the call fails. A short count is half, but not none, which would be the end. */
static ssize_t wanted(fault_kind kind, size_t bytes) {
  return kind == FAULT_ERROR ? -1 : kind == FAULT_SHORT && bytes > 1 ? (ssize_t)(bytes / 2) : (ssize_t)bytes;
}

WRAP(ssize_t, read, (int fd, void *data, size_t bytes)) {
  const ssize_t n = wanted(fault_next(FAULT_READ, false, "read", HERE), bytes);
  return n < 0 ? -1 : __real_read(fd, data, (size_t)n);
}
WRAP(ssize_t, __read_chk, (int fd, void *data, size_t bytes, size_t room)) {
  const ssize_t n = wanted(fault_next(FAULT_READ, false, "read", HERE), bytes);
  return n < 0 ? -1 : __real___read_chk(fd, data, (size_t)n, room);
}
#define PREAD(name)                                                                    \
  WRAP(ssize_t, name, (int fd, void *data, size_t bytes, off_t at)) {                  \
    const ssize_t n = wanted(fault_next(FAULT_READ, false, #name, HERE), bytes);       \
    return n < 0 ? -1 : __real_##name(fd, data, (size_t)n, at);                        \
  }
PREAD(pread)
PREAD(pread64)
#define PREAD_CHK(name)                                                                \
  WRAP(ssize_t, name, (int fd, void *data, size_t bytes, off_t at, size_t room)) {     \
    const ssize_t n = wanted(fault_next(FAULT_READ, false, #name, HERE), bytes);       \
    return n < 0 ? -1 : __real_##name(fd, data, (size_t)n, at, room);                  \
  }
PREAD_CHK(__pread_chk)
PREAD_CHK(__pread64_chk)

/* What ferror(stream) says: streams of the C library write and read by calls of its own, which nothing leads here. */
static void mark_error(FILE *stream) {
#ifdef __GLIBC__
  stream->_flags |= 0x20;
#else
  (void)stream;
#endif
}

WRAP(size_t, fread, (void *data, size_t size, size_t n, FILE *stream)) {
  if (!STEADY_FAILS(FAULT_READ, false, "fread")) return __real_fread(data, size, n, stream);
  mark_error(stream);
  return 0;
}
WRAP(size_t, __fread_chk, (void *data, size_t room, size_t size, size_t n, FILE *stream)) {
  if (!STEADY_FAILS(FAULT_READ, false, "fread")) return __real___fread_chk(data, room, size, n, stream);
  mark_error(stream);
  return 0;
}
#define READDIR(name) WRAP(struct dirent *, name, (DIR *folder)) { \
  return STEADY_FAILS(FAULT_READ, false, #name) ? NULL : __real_##name(folder); }
READDIR(readdir)
READDIR(readdir64)

/* ----------------------------------------------------------------- writing */

WRAP(ssize_t, write, (int fd, const void *data, size_t bytes)) {
  const ssize_t n = wanted(fault_next(FAULT_WRITE, true, "write", HERE), bytes);
  return n < 0 ? -1 : __real_write(fd, data, (size_t)n);
}
#define PWRITE(name)                                                                   \
  WRAP(ssize_t, name, (int fd, const void *data, size_t bytes, off_t at)) {            \
    const ssize_t n = wanted(fault_next(FAULT_WRITE, true, #name, HERE), bytes);       \
    return n < 0 ? -1 : __real_##name(fd, data, (size_t)n, at);                        \
  }
PWRITE(pwrite)
PWRITE(pwrite64)

WRAP(size_t, fwrite, (const void *data, size_t size, size_t n, FILE *stream)) {
  if (!STEADY_FAILS(FAULT_WRITE, true, "fwrite")) return __real_fwrite(data, size, n, stream);
  mark_error(stream);
  return 0;
}
WRAP(int, fflush, (FILE *stream)) {
  if (!STEADY_FAILS(FAULT_WRITE, true, "fflush")) return __real_fflush(stream);
  if (stream != NULL) mark_error(stream);
  return EOF;
}
WRAP(int, fclose, (FILE *stream)) {
  const bool fails = STEADY_FAILS(FAULT_WRITE, true, "fclose");
  const int code = errno, result = __real_fclose(stream);
  if (fails) errno = code;
  return fails ? EOF : result;
}
#define FTRUNCATE(name) WRAP(int, name, (int fd, off_t size)) { \
  return FAILS(FAULT_WRITE, true, #name) ? -1 : __real_##name(fd, size); }
FTRUNCATE(ftruncate)
FTRUNCATE(ftruncate64)

/* ------------------------------------------------------------ sync and names */

WRAP(int, fsync, (int fd)) {
  if (FAILS(FAULT_SYNC, true, "fsync")) return -1;
  const int result = __real_fsync(fd);
  if (result == 0) loss_synced(fd);
  return result;
}
WRAP(int, rename, (const char *from, const char *to)) {
  if (STEADY_FAILS(FAULT_NAME, true, "rename")) return -1;
  loss_before_rename(from, to);
  const int result = __real_rename(from, to), code = errno;
  loss_renamed(result == 0);
  errno = code;
  return result;
}
WRAP(int, unlink, (const char *path)) {
  if (STEADY_FAILS(FAULT_NAME, true, "unlink")) return -1;
  loss_before_unlink(path);
  const int result = __real_unlink(path), code = errno;
  loss_renamed(result == 0);
  errno = code;
  return result;
}
WRAP(int, unlinkat, (int folder, const char *path, int flags)) {
  return STEADY_FAILS(FAULT_NAME, true, "unlinkat") ? -1 : __real_unlinkat(folder, path, flags);
}
WRAP(int, mkdir, (const char *path, mode_t mode)) {
  if (STEADY_FAILS(FAULT_NAME, true, "mkdir")) return -1;
  const int result = __real_mkdir(path, mode), code = errno;
  if (result == 0) loss_made_folder(path);
  errno = code;
  return result;
}
WRAP(int, rmdir, (const char *path)) { return STEADY_FAILS(FAULT_NAME, true, "rmdir") ? -1 : __real_rmdir(path); }
WRAP(int, symlink, (const char *to, const char *path)) {
  return STEADY_FAILS(FAULT_NAME, true, "symlink") ? -1 : __real_symlink(to, path);
}

/* ------------------------------------------------------------------- facts */

#define STAT(name, parameter, argument) WRAP(int, name, (parameter, struct stat *info)) { \
  return FAILS(FAULT_STAT, false, #name) ? -1 : __real_##name(argument, info); }
STAT(stat, const char *path, path)
STAT(stat64, const char *path, path)
STAT(lstat, const char *path, path)
STAT(lstat64, const char *path, path)
STAT(fstat, int fd, fd)
STAT(fstat64, int fd, fd)
WRAP(int, access, (const char *path, int mode)) {
  return FAILS(FAULT_STAT, false, "access") ? -1 : __real_access(path, mode);
}
WRAP(char *, realpath, (const char *path, char *out)) {
  return FAILS(FAULT_STAT, false, "realpath") ? NULL : __real_realpath(path, out);
}
WRAP(int, flock, (int fd, int operation)) {
  return FAILS(FAULT_LOCK, false, "flock") ? -1 : __real_flock(fd, operation);
}

/* ----------------------------------------------------- maps, threads, the clock */

#define MMAP(name)                                                                                          \
  WRAP(void *, name, (void *at, size_t bytes, int protection, int flags, int fd, off_t offset)) {           \
    return FAILS(FAULT_MAP, false, #name) ? (void *)-1 : __real_##name(at, bytes, protection, flags, fd, offset); \
  }
MMAP(mmap)
MMAP(mmap64)
WRAP(int, mprotect, (void *at, size_t bytes, int protection)) {
  return FAILS(FAULT_MAP, false, "mprotect") ? -1 : __real_mprotect(at, bytes, protection);
}
WRAP(int, mlock, (const void *at, size_t bytes)) {
  return FAILS(FAULT_MAP, false, "mlock") ? -1 : __real_mlock(at, bytes);
}
WRAP(int, pthread_create, (pthread_t *thread, const pthread_attr_t *kind, void *(*run)(void *), void *argument)) {
  return FAILS(FAULT_THREAD, false, "pthread_create") ? errno : __real_pthread_create(thread, kind, run, argument);
}
WRAP(int, clock_gettime, (clockid_t clock, struct timespec *now)) {
  const int result = __real_clock_gettime(clock, now);
  if (fault_next(FAULT_CLOCK, false, "clock_gettime", HERE) == FAULT_LATE) now->tv_sec += 86400;
  return result;
}
