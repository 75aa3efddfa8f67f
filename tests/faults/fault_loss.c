/* SPDX-License-Identifier: Apache-2.0 */
/* See fault_loss.h. All calls here are the real ones. One lock; files are small, so they are kept whole. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "fault_loss.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "faults.h"

const char *const loss_kind_names[LOSS_KINDS] = {"loss", "loss-zero", "loss-mix", "loss-names"};

enum { MAX_FILES = 512, MAX_CHANGES = 4096, PATH_ROOM = 1024, SECTOR = 512 };

typedef struct kept_file {
  int fd;
  dev_t device;
  ino_t number;
  char *bytes; /* that are promised */
  size_t size;
} kept_file;

typedef enum change_kind { CREATED, RENAMED, UNLINKED, FOLDER } change_kind;
typedef struct change {
  change_kind kind;
  bool lasts; /* its folder was synced */
  char path[PATH_ROOM], to[PATH_ROOM], kept[PATH_ROOM]; /* kept: a further name of what was replaced; empty: nothing was */
  dev_t device; /* the folder of `path` (of `to`) */
  ino_t number;
} change;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static kept_file files[MAX_FILES];
static change changes[MAX_CHANGES];
static size_t n_files, n_changes;
/* of the thread between before_... and what follows */
static _Thread_local bool will_create;
static _Thread_local char *will_empty;
static _Thread_local size_t will_empty_size;

int __real_open64(const char *path, int flags, ...);
int __real_rename(const char *from, const char *to);
int __real_unlink(const char *path);
int __real_rmdir(const char *path);
int __real_ftruncate64(int fd, off_t size);
ssize_t __real_pread64(int fd, void *data, size_t bytes, off_t at);
ssize_t __real_pwrite64(int fd, const void *data, size_t bytes, off_t at);
int __real_fstat64(int fd, struct stat *info);
int __real_stat64(const char *path, struct stat *info);
int __real_lstat64(const char *path, struct stat *info);
void *__real_malloc(size_t bytes);

static void must(bool good, const char *what) {
  if (good) return;
  fprintf(stderr, "entrollm-faults: %s: %s\n", what, strerror(errno));
  _exit(99);
}

static char *read_bytes(int fd, size_t *size) {
  struct stat info;
  must(__real_fstat64(fd, &info) == 0, "stat");
  char *bytes = __real_malloc((size_t)info.st_size + 1);
  must(bytes != NULL, "memory");
  *size = 0;
  for (ssize_t got; *size < (size_t)info.st_size; *size += (size_t)got)
    must((got = __real_pread64(fd, bytes + *size, (size_t)info.st_size - *size, (off_t)*size)) > 0, "read");
  return bytes;
}

void loss_before_open(const char *path, int flags) {
  struct stat info;
  if (!fault_keeps()) return;
  const bool there = __real_lstat64(path, &info) == 0;
  will_create = (flags & O_CREAT) != 0 && !there;
  if ((flags & O_TRUNC) != 0 && there && S_ISREG(info.st_mode)) {
    const int fd = __real_open64(path, O_RDONLY | O_CLOEXEC);
    must(fd >= 0, path);
    will_empty = read_bytes(fd, &will_empty_size);
    close(fd);
  }
}

/* The folder that path lies in, and a new entry; the caller fills the rest. */
static change *add_change(change_kind kind, const char *path, const char *of) {
  static char folder[PATH_ROOM];
  struct stat info;
  must(n_changes < MAX_CHANGES && strlen(path) < PATH_ROOM && strlen(of) < PATH_ROOM, "too many changes of names");
  change *c = &changes[n_changes++];
  *c = (change){.kind = kind};
  strcpy(c->path, path);
  const char *slash = strrchr(of, '/');
  snprintf(folder, sizeof folder, "%.*s", slash == NULL ? 1 : (int)(slash - of) + 1, slash == NULL ? "." : of);
  if (__real_stat64(folder, &info) == 0) {
    c->device = info.st_dev;
    c->number = info.st_ino;
  }
  return c;
}

static kept_file *find_file(const struct stat *info) {
  for (size_t i = 0; i < n_files; i++)
    if (files[i].device == info->st_dev && files[i].number == info->st_ino) return &files[i];
  return NULL;
}

void loss_opened(int fd, const char *path, int flags) {
  struct stat info;
  if (!fault_keeps()) return;
  if (fd < 0 || __real_fstat64(fd, &info) != 0 || !S_ISREG(info.st_mode) || info.st_nlink == 0 ||
      (flags & O_ACCMODE) == O_RDONLY)
    return;
  pthread_mutex_lock(&lock);
  if (will_create) add_change(CREATED, path, path);
  if (find_file(&info) == NULL) {
    must(n_files < MAX_FILES, "too many files");
    kept_file *f = &files[n_files++];
    *f = (kept_file){.device = info.st_dev, .number = info.st_ino};
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd); /* one of its own, so that no lock is shared with the program's */
    must((f->fd = __real_open64(name, O_RDWR | O_CLOEXEC)) >= 0, path);
    if (will_empty != NULL) {
      f->bytes = will_empty;
      f->size = will_empty_size;
    } else {
      f->bytes = read_bytes(f->fd, &f->size);
    }
  }
  will_empty = NULL;
  will_create = false;
  pthread_mutex_unlock(&lock);
}

void loss_synced(int fd) {
  struct stat info;
  if (!fault_keeps() || __real_fstat64(fd, &info) != 0) return;
  pthread_mutex_lock(&lock);
  kept_file *f = find_file(&info);
  if (f != NULL) {
    free(f->bytes);
    f->bytes = read_bytes(f->fd, &f->size);
  }
  if (S_ISDIR(info.st_mode))
    for (size_t i = 0; i < n_changes; i++)
      if (changes[i].device == info.st_dev && changes[i].number == info.st_ino) changes[i].lasts = true;
  pthread_mutex_unlock(&lock);
}

/* A further name for what will lose its own. */
static void keep(change *c, const char *path) {
  const char *folder = getenv("ENTROLLM_FAULT_KEEP");
  struct stat info;
  must(folder != NULL, "ENTROLLM_FAULT_KEEP");
  if (__real_lstat64(path, &info) != 0 || !S_ISREG(info.st_mode)) return;
  snprintf(c->kept, sizeof c->kept, "%s/%d-%zu", folder, (int)getpid(), n_changes);
  must(link(path, c->kept) == 0, c->kept);
}

void loss_before_rename(const char *from, const char *to) {
  if (!fault_keeps()) return;
  pthread_mutex_lock(&lock);
  change *c = add_change(RENAMED, from, to);
  strcpy(c->to, to);
  keep(c, to);
  pthread_mutex_unlock(&lock);
}

void loss_before_unlink(const char *path) {
  struct stat info;
  if (!fault_keeps()) return;
  pthread_mutex_lock(&lock);
  change *c = add_change(UNLINKED, path, path);
  if (__real_lstat64(path, &info) == 0) keep(c, path);
  pthread_mutex_unlock(&lock);
}

void loss_renamed(bool done) {
  if (!fault_keeps()) return;
  pthread_mutex_lock(&lock);
  if (!done) n_changes--;
  pthread_mutex_unlock(&lock);
}

void loss_made_folder(const char *path) {
  if (!fault_keeps()) return;
  pthread_mutex_lock(&lock);
  add_change(FOLDER, path, path);
  pthread_mutex_unlock(&lock);
}

static void put_back_bytes(kept_file *f, loss_kind kind, unsigned *seed) {
  size_t size = 0;
  char *now = read_bytes(f->fd, &size);
  if (kind == LOSS_ZERO || kind == LOSS_MIX)
    for (size_t at = 0; at < size; at += SECTOR) {
      const size_t end = at + SECTOR < size ? at + SECTOR : size;
      *seed = *seed * 1103515245u + 12345u;
      if (kind == LOSS_MIX && (*seed >> 16) % 2 == 0) continue; /* the new ones came to the disk */
      for (size_t i = at; i < end; i++)
        if (kind == LOSS_ZERO && (i >= f->size || now[i] != f->bytes[i])) now[i] = 0;
        else if (kind == LOSS_MIX) now[i] = i < f->size ? f->bytes[i] : 0;
    }
  const bool synced = kind == LOSS_DROP || kind == LOSS_NAMES;
  if (synced) size = f->size;
  must(__real_ftruncate64(f->fd, 0) == 0 &&
       __real_pwrite64(f->fd, synced ? f->bytes : now, size, 0) == (ssize_t)size, "put back");
  free(now); /* a leak would be reported as one of the program */
}

static void put_back_name(const change *c) {
  if (c->lasts) return;
  if (c->kind == CREATED) (void)__real_unlink(c->path);
  if (c->kind == FOLDER) (void)__real_rmdir(c->path);
  if (c->kind == RENAMED) (void)__real_rename(c->to, c->path);
  if ((c->kind == RENAMED || c->kind == UNLINKED) && c->kept[0] != '\0')
    must(link(c->kept, c->kind == RENAMED ? c->to : c->path) == 0 || errno == EEXIST, c->kept);
}

void loss_happens(loss_kind kind, unsigned seed) {
  pthread_mutex_lock(&lock);
  for (size_t i = 0; i < n_files; i++) put_back_bytes(&files[i], kind, &seed);
  for (size_t i = n_changes; kind == LOSS_NAMES && i-- > 0;) put_back_name(&changes[i]);
  pthread_mutex_unlock(&lock);
}
