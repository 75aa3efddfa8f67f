/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/output.h"
#include "cli/team.h"

static const char partial_ending[] = ".partial";

bool cli_file_exists(const char *path) {
  struct stat info;
  return lstat(path, &info) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

bool cli_is_directory(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* Both there, and one file under two names. */
static bool same_file(const char *a, const char *b) {
  struct stat x, y;
  return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

char *cli_path_join(const char *dir, const char *name) {
  const size_t a = strlen(dir), b = strlen(name);
  const bool slash = a > 0 && dir[a - 1] != '/';
  char *path = malloc(a + slash + b + 1);
  if (path != NULL) sprintf(path, "%s%s%s", dir, slash ? "/" : "", name);
  return path;
}

const char *cli_temporary_folder(void) {
  const char *folder = getenv("TMPDIR");
  return folder && *folder ? folder : "/tmp";
}

ellm_status cli_create_directory(const char *path, ellm_error *err) {
  if (mkdir(path, 0777) == 0) return ELLM_OK;
  const int code = errno;
  if (code == EEXIST && cli_is_directory(path)) return ELLM_OK;
  return prog_failure_errno(err, code, "create the directory", path);
}

double cli_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ------------------------------------------------------------------- reading */

static ellm_status read_open_file(int fd, const char *path, size_t limit, char **data, size_t *bytes, ellm_error *err) {
  struct stat info;
  if (fstat(fd, &info) != 0) return prog_failure_errno(err, errno, "stat", path);
  if (S_ISDIR(info.st_mode)) return prog_failure(err, ELLM_ERR_INPUT, "%s: is a directory, a file is expected", path);
  if (!S_ISREG(info.st_mode)) return prog_failure(err, ELLM_ERR_IO, "%s: is not a regular file", path);
  if ((uint64_t)info.st_size > limit)
    return prog_failure(err, ELLM_ERR_INPUT, "%s: has %llu bytes, at most %zu are allowed", path,
                       (unsigned long long)info.st_size, limit);
  const size_t size = (size_t)info.st_size;
  char *buffer = malloc(size + 1);
  if (buffer == NULL) return prog_failure_memory(err, size + 1, path);
  size_t got = 0;
  int code = 0;
  while (got < size) {
    const ssize_t n = read(fd, buffer + got, size - got < 1u << 30 ? size - got : 1u << 30);
    if (n == 0 || (n < 0 && errno != EINTR)) {
      code = n < 0 ? errno : 0;
      break;
    }
    if (n > 0) got += (size_t)n;
  }
  if (got < size) {
    free(buffer);
    return code ? prog_failure_errno(err, code, "read", path)
                : prog_failure(err, ELLM_ERR_INPUT, "%s: became shorter while it was read", path);
  }
  buffer[size] = '\0';
  *data = buffer;
  *bytes = size;
  return ELLM_OK;
}

ellm_status cli_read_file(const char *path, size_t limit, char **data, size_t *bytes, ellm_error *err) {
  *data = NULL;
  *bytes = 0;
  int fd; /* O_NONBLOCK: a FIFO is refused, not waited for */
  do {
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return prog_failure_errno(err, errno, "open", path);
  const ellm_status status = read_open_file(fd, path, limit, data, bytes, err);
  close(fd);
  return status;
}

/* -------------------------------------------------------------- result files */

/* Whether path is the model, or a file that is in its folder already. */
static bool belongs_to(const char *path, const char *model) {
  if (!cli_is_directory(model)) return same_file(path, model);
  const char *slash = strrchr(path, '/');
  size_t bytes = slash ? (size_t)(slash - path) + 1 : 0; /* with the slash: "/" stays "/" */
  char folder[4096];
  if (bytes >= sizeof folder) return false;
  snprintf(folder, sizeof folder, "%.*s", (int)bytes, path);
  return cli_file_exists(path) && same_file(bytes ? folder : ".", model);
}

/* PATH.partial, locked against other runs before its content changes. */
static ellm_status open_partial(cli_output *output, ellm_error *err) {
  struct stat opened, named;
  for (;;) {
    const int fd = open(output->partial, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    if (fd < 0 && errno == EINTR) continue;
    if (fd < 0) return prog_failure_errno(err, errno, "create", output->partial);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) { /* else there are no locks here */
      close(fd);
      return prog_failure(err, ELLM_ERR_IO, "%s: is being written by another run", output->partial);
    }
    /* the run that held the lock may have renamed or removed it meanwhile */
    const bool there = fstat(fd, &opened) == 0 && lstat(output->partial, &named) == 0 &&
                       named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
    if (!there) {
      close(fd);
      continue;
    }
    const bool regular = S_ISREG(opened.st_mode);
    const int code = regular && ftruncate(fd, 0) != 0 ? errno : 0;
    if (regular && code == 0 && (output->stream = fdopen(fd, "wb")) != NULL) return ELLM_OK;
    const int failed = code ? code : errno;
    close(fd);
    return regular ? prog_failure_errno(err, failed, "write", output->partial)
                   : prog_failure(err, ELLM_ERR_IO, "%s: is not a regular file", output->partial);
  }
}

ellm_status cli_output_open(cli_output *output, const char *path, const char *model, ellm_error *err) {
  const size_t length = strlen(path), ending = sizeof partial_ending - 1;
  struct stat facts;
  *output = (cli_output){.path = path};
  if (strcmp(path, "-") == 0) {
    output->stream = stdout;
    return ELLM_OK;
  }
  if (!cli_team_writes()) { /* another process does */
    output->stream = fopen("/dev/null", "wb");
    return output->stream ? ELLM_OK : prog_failure_errno(err, errno, "write", "/dev/null");
  }
  if (length == 0) return prog_failure(err, ELLM_ERR_USAGE, "the name of the file to write is empty");
  if (stat(path, &facts) == 0 && S_ISDIR(facts.st_mode))
    return prog_failure(err, ELLM_ERR_USAGE, "%s: is a directory", path);
  if (stat(path, &facts) == 0 && !S_ISREG(facts.st_mode)) {
    output->stream = fopen(path, "wb");
    return output->stream ? ELLM_OK : prog_failure_errno(err, errno, "write", path);
  }
  if (belongs_to(path, model))
    return prog_failure(err, ELLM_ERR_USAGE, "%s: belongs to the model that is being read, and would be replaced",
                        path);
  if (length >= ending && strcmp(path + length - ending, partial_ending) == 0)
    return prog_failure(err, ELLM_ERR_USAGE, "%s: names that end in %s are reserved for unfinished files", path,
                        partial_ending);
  output->partial = malloc(length + sizeof partial_ending);
  if (output->partial == NULL) return prog_failure_memory(err, length + sizeof partial_ending, "a path");
  sprintf(output->partial, "%s%s", path, partial_ending);
  const ellm_status status = open_partial(output, err);
  if (status != ELLM_OK) {
    free(output->partial);
    output->partial = NULL;
  }
  return status;
}

ellm_status cli_output_write(cli_output *output, const void *data, size_t bytes, ellm_error *err) {
  if (output->stream == stdout) cli_write(data, bytes);
  else if (fwrite(data, 1, bytes, output->stream) != bytes) return prog_failure_errno(err, errno, "write", output->path);
  return ELLM_OK;
}

/* The folder of a file, whose new name shall survive a loss of power; -1 where it may not be read. */
static int open_folder(const char *path, int *code) {
  const char *slash = strrchr(path, '/');
  char *folder = slash == NULL ? strdup(".") : strndup(path, slash == path ? 1 : (size_t)(slash - path));
  int fd = -1;
  do {
    if (folder != NULL) fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  } while (folder != NULL && fd < 0 && errno == EINTR);
  *code = folder == NULL ? ENOMEM : fd >= 0 || errno == EACCES ? 0 : errno;
  free(folder);
  return fd;
}

/* Some file systems cannot sync a folder: then there is nothing to do. */
static int sync_folder(int fd) {
  int result;
  do {
    result = fsync(fd);
  } while (result != 0 && errno == EINTR);
  return result == 0 || errno == EINVAL || errno == ENOTSUP ? 0 : errno;
}

/* To the disk before it gets its name: a crash leaves the old file or the whole new one. */
ellm_status cli_output_close(cli_output *output, ellm_error *err) {
  int code = 0, folder = -1;
  if (output->stream == NULL || output->stream == stdout) return ELLM_OK;
  if (fflush(output->stream) != 0 || (output->partial != NULL && fsync(fileno(output->stream)) != 0)) code = errno;
  /* renamed while the lock is held: another run must not empty the file before it has its name */
  if (code == 0 && output->partial != NULL) folder = open_folder(output->path, &code);
  if (code == 0 && output->partial != NULL && rename(output->partial, output->path) != 0) code = errno;
  if (code != 0) {
    if (folder >= 0) close(folder);
    cli_output_abort(output);
    return prog_failure_errno(err, code, "write", output->path);
  }
  if (fclose(output->stream) != 0 && output->partial == NULL) code = errno;
  if (folder >= 0) {
    code = sync_folder(folder);
    close(folder);
  }
  free(output->partial);
  output->partial = NULL;
  output->stream = NULL;
  return code == 0 ? ELLM_OK : prog_failure_errno(err, code, "write", output->path);
}

void cli_output_abort(cli_output *output) {
  if (output->partial != NULL) unlink(output->partial);
  if (output->stream != NULL && output->stream != stdout) fclose(output->stream);
  free(output->partial);
  output->partial = NULL;
  output->stream = NULL;
}
