/* SPDX-License-Identifier: Apache-2.0 */
/* See cache.h. */
#include "hub/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MAX_DEPTH = 8, MAX_ENTRIES = 200000, MAX_TREE_BYTES = 64 << 20 };

/* -------------------------------------------------------------------- paths */

static PROG_PRINTF(1, 2) char *format_path(const char *format, ...) {
  va_list arguments, again;
  va_start(arguments, format);
  va_copy(again, arguments);
  const int bytes = vsnprintf(NULL, 0, format, arguments);
  char *path = bytes >= 0 ? malloc((size_t)bytes + 1) : NULL;
  if (path != NULL) vsnprintf(path, (size_t)bytes + 1, format, again);
  va_end(again);
  va_end(arguments);
  return path;
}

/* All folders above the last slash. An existing one may be a link: the cache is the user's. */
static ellm_status make_parents(char *path, ellm_error *err) {
  for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
    struct stat info;
    *slash = '\0';
    const int code = mkdir(path, 0777) == 0 ? 0 : errno;
    const bool there = code == 0 || (stat(path, &info) == 0 && S_ISDIR(info.st_mode));
    if (!there) return prog_failure_errno(err, code == EEXIST ? ENOTDIR : code, "create the folder", path);
    *slash = '/';
  }
  return ELLM_OK;
}

ellm_status hub_cache_open(hub_cache *cache, const char *root, const char *repository, ellm_error *err) {
  const char *slash = strchr(repository, '/');
  const int owner = (int)(slash - repository);
  *cache = (hub_cache){0};
  cache->root = strdup(root);
  cache->folder = format_path("%s/models--%.*s--%s", root, owner, repository, slash + 1);
  cache->locks = format_path("%s/.locks/models--%.*s--%s", root, owner, repository, slash + 1);
  if (root[0] == '\0') return prog_failure(err, ELLM_ERR_USAGE, "the name of the cache's folder is empty");
  return cache->root != NULL && cache->folder != NULL && cache->locks != NULL ? ELLM_OK
                                                                              : prog_failure_memory(err, 0, "a path");
}

void hub_cache_close(hub_cache *cache) {
  free(cache->root);
  free(cache->folder);
  free(cache->locks);
  *cache = (hub_cache){0};
}

char *hub_cache_blob(const hub_cache *cache, const char *hash, const char *ending) {
  return format_path("%s/blobs/%s%s", cache->folder, hash, ending);
}

char *hub_cache_snapshot(const hub_cache *cache, const char *commit, const char *path) {
  return format_path("%s/snapshots/%s%s%s", cache->folder, commit, path[0] != '\0' ? "/" : "", path);
}

/* Backups leave out folders with such a file. */
static void tag(const hub_cache *cache) {
  static const char text[] = "Signature: 8a477f597d28d172789f06886806bc55\n"
                             "# A cache of models; see https://bford.info/cachedir/\n";
  char *path = format_path("%s/CACHEDIR.TAG", cache->root);
  const int fd = path != NULL ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666) : -1;
  free(path);
  if (fd < 0) return;
  const ssize_t written = write(fd, text, sizeof text - 1);
  (void)written;
  close(fd);
}

ellm_status hub_cache_prepare(const hub_cache *cache, ellm_error *err) {
  const char *const folders[] = {cache->folder, cache->locks}, *const below[] = {"/blobs/", "/"};
  for (size_t i = 0; i < 2; i++) {
    char *path = format_path("%s%s", folders[i], below[i]);
    if (path == NULL) return prog_failure_memory(err, 0, "a path");
    const ellm_status status = make_parents(path, err);
    free(path);
    PROG_TRY(status);
  }
  tag(cache);
  return ELLM_OK;
}

void hub_sync_folder(const char *path) {
  const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  fsync(fd); /* not every file system can; the content itself is there by then */
  close(fd);
}

/* --------------------------------------------------------------------- refs */

bool hub_cache_commit(const hub_cache *cache, const char *revision, char commit[HUB_COMMIT_DIGITS + 1]) {
  if (hub_is_commit(revision)) {
    strcpy(commit, revision);
    return true;
  }
  char *path = format_path("%s/refs/%s", cache->folder, revision);
  const int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
  free(path);
  if (fd < 0) return false;
  const ssize_t bytes = read(fd, commit, HUB_COMMIT_DIGITS);
  close(fd);
  commit[bytes > 0 ? bytes : 0] = '\0';
  return hub_is_commit(commit);
}

/* Written beside the folder of refs, whose every file is one to others who read it. */
static ellm_status write_ref(const char *path, const char *partial, const char *commit, ellm_error *err) {
  const int fd = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (fd < 0) return prog_failure_errno(err, errno, "create", partial);
  int code = 0;
  if (write(fd, commit, HUB_COMMIT_DIGITS) != HUB_COMMIT_DIGITS || fsync(fd) != 0) code = errno != 0 ? errno : EIO;
  close(fd);
  if (code == 0 && rename(partial, path) != 0) code = errno;
  if (code == 0) return ELLM_OK;
  unlink(partial);
  return prog_failure_errno(err, code, "write", path);
}

ellm_status hub_cache_set_commit(const hub_cache *cache, const char *revision, const char *commit, ellm_error *err) {
  char known[HUB_COMMIT_DIGITS + 1];
  if (hub_cache_commit(cache, revision, known) && strcmp(known, commit) == 0) return ELLM_OK;
  char *path = format_path("%s/refs/%s", cache->folder, revision);
  char *partial = format_path("%s/.ref.%ld.partial", cache->folder, (long)getpid());
  errno = 0;
  ellm_status status =
      path != NULL && partial != NULL ? make_parents(path, err) : prog_failure_memory(err, 0, "a path");
  if (status == ELLM_OK) status = write_ref(path, partial, commit, err);
  free(path);
  free(partial);
  return status;
}

/* ---------------------------------------------------------------- snapshots */

/* A link that is right already stays; another one is replaced at once. */
static ellm_status set_link(const char *path, const char *target, ellm_error *err) {
  char now[600];
  const ssize_t bytes = readlink(path, now, sizeof now - 1);
  if (bytes > 0 && (size_t)bytes == strlen(target) && memcmp(now, target, (size_t)bytes) == 0) return ELLM_OK;
  char *partial = format_path("%s.%ld.partial", path, (long)getpid());
  if (partial == NULL) return prog_failure_memory(err, 0, "a path");
  unlink(partial);
  int code = symlink(target, partial) == 0 ? 0 : errno;
  if (code == 0 && rename(partial, path) != 0) code = errno;
  if (code != 0) unlink(partial);
  free(partial);
  return code == 0 ? ELLM_OK : prog_failure_errno(err, code, "link", path);
}

ellm_status hub_cache_link(const hub_cache *cache, const char *commit, const char *path, const char *hash,
                           ellm_error *err) {
  char target[600] = "../../"; /* a path of 1,000 bytes has at most 500 folders; more than MAX_DEPTH are refused */
  int depth = 0;
  for (const char *c = path; *c != '\0'; c++)
    if (*c == '/' && ++depth < MAX_DEPTH) strcat(target, "../");
  if (depth >= MAX_DEPTH)
    return prog_failure(err, ELLM_ERR_INPUT, "%s: is nested in more than %d folders", path, MAX_DEPTH - 1);
  strcat(target, "blobs/");
  strcat(target, hash);
  char *link = hub_cache_snapshot(cache, commit, path);
  if (link == NULL) return prog_failure_memory(err, 0, "a path");
  ellm_status status = make_parents(link, err);
  if (status == ELLM_OK) status = set_link(link, target, err);
  free(link);
  return status;
}

/* What is below `folder`, whose path within the snapshot is `prefix` ("" or with a slash at its end). */
static ellm_status list_folder(const char *folder, const char *prefix, int depth, hub_list *list, ellm_error *err) {
  DIR *dir = opendir(folder);
  if (dir == NULL) return errno == ENOENT ? ELLM_OK : prog_failure_errno(err, errno, "open", folder);
  ellm_status status = ELLM_OK;
  const struct dirent *entry;
  while (status == ELLM_OK && (entry = readdir(dir)) != NULL) {
    struct stat info;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    if (fstatat(dirfd(dir), entry->d_name, &info, 0) != 0) continue; /* a link that leads nowhere is not a file */
    char *path = format_path("%s%s", prefix, entry->d_name), *full = format_path("%s/%s", folder, entry->d_name);
    char *below = format_path("%s%s/", prefix, entry->d_name);
    if (path == NULL || full == NULL || below == NULL) status = prog_failure_memory(err, 0, "a path");
    else if (S_ISDIR(info.st_mode) && depth < MAX_DEPTH) status = list_folder(full, below, depth + 1, list, err);
    else if (S_ISREG(info.st_mode) && list->n < MAX_ENTRIES && hub_is_path(path)) {
      hub_file *file = hub_list_add(list, path);
      if (file == NULL) status = prog_failure_memory(err, 0, "a list of files");
      else file->bytes = (uint64_t)info.st_size;
    }
    free(path);
    free(full);
    free(below);
  }
  closedir(dir);
  return status;
}

ellm_status hub_cache_list(const hub_cache *cache, const char *commit, hub_list *list, ellm_error *err) {
  char *folder = hub_cache_snapshot(cache, commit, "");
  if (folder == NULL) return prog_failure_memory(err, 0, "a path");
  const ellm_status status = list_folder(folder, "", 0, list, err);
  free(folder);
  hub_list_sort(list);
  return status;
}

ellm_status hub_cache_tree(const hub_cache *cache, const char *commit, hub_list *list, ellm_error *err) {
  struct stat info;
  char *path = format_path("%s/trees/%s.json", cache->folder, commit);
  if (path == NULL) return prog_failure_memory(err, 0, "a path");
  const bool there = stat(path, &info) == 0 && S_ISREG(info.st_mode) && info.st_size <= MAX_TREE_BYTES;
  json_t *root = there ? json_load_file(path, 0, NULL) : NULL, *entry;
  free(path);
  ellm_status status = ELLM_OK;
  const char *name;
  if (json_integer_value(json_object_get(root, "format_version")) == 1)
    json_object_foreach(json_object_get(root, "files"), name, entry)
      if (status == ELLM_OK && hub_is_path(name) && hub_list_add(list, name) == NULL)
        status = prog_failure_memory(err, 0, "a list of files");
  json_decref(root);
  hub_list_sort(list);
  return status;
}

/* -------------------------------------------------------------------- locks */

/* Is the open file still what its name leads to? Who held the lock removes the file. */
static bool still_named(int fd, const char *path) {
  struct stat opened, named;
  return fstat(fd, &opened) == 0 && stat(path, &named) == 0 && opened.st_dev == named.st_dev &&
         opened.st_ino == named.st_ino;
}

static ellm_status wait_for_lock(const char *path, bool (*tick)(void *), void (*waits)(void *), void *user, int *lock,
                                 ellm_error *err) {
  const struct timespec step = {.tv_nsec = 50000000};
  for (bool told = false;;) {
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0664);
    if (fd < 0) return prog_failure_errno(err, errno, "create", path);
    const int code = flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
    if (code == 0 && still_named(fd, path)) {
      *lock = fd;
      return ELLM_OK;
    }
    close(fd);
    if (code == 0 || code == EINTR) continue;
    if (code != EWOULDBLOCK) return ELLM_OK; /* no locks here: the hash finds what two writers spoil */
    if (!told) waits(user);
    told = true;
    if (!tick(user)) return prog_failure(err, ELLM_INTERRUPTED, "interrupted");
    nanosleep(&step, NULL);
  }
}

ellm_status hub_cache_lock(const hub_cache *cache, const char *hash, bool (*tick)(void *), void (*waits)(void *),
                           void *user, int *lock, ellm_error *err) {
  *lock = -1;
  char *path = format_path("%s/%s.lock", cache->locks, hash);
  if (path == NULL) return prog_failure_memory(err, 0, "a path");
  const ellm_status status = wait_for_lock(path, tick, waits, user, lock, err);
  free(path);
  return status;
}

void hub_cache_unlock(const hub_cache *cache, const char *hash, int lock) {
  if (lock < 0) return;
  char *path = format_path("%s/%s.lock", cache->locks, hash);
  if (path != NULL) unlink(path); /* while it is held: nobody's but ours */
  free(path);
  close(lock);
}
