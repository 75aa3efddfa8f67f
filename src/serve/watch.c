/* SPDX-License-Identifier: Apache-2.0 */
/* See watch.h. Descriptors of its own are kept, so that what is looked at is the file that is mapped. */
#include "serve/watch.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_FILES = 1024 };

typedef struct watched { int fd; struct stat facts; char name[256]; } watched;
struct watch { watched *files; size_t n; };

static void add(watch *w, int folder, const char *path, const char *name) {
  watched *grown = w->n < MOST_FILES ? realloc(w->files, (w->n + 1) * sizeof *grown) : NULL;
  if (!grown) return;
  w->files = grown;
  watched *f = &w->files[w->n];
  f->fd = openat(folder, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (f->fd < 0) return;
  if (fstat(f->fd, &f->facts) != 0 || !S_ISREG(f->facts.st_mode)) {
    close(f->fd);
    return;
  }
  snprintf(f->name, sizeof f->name, "%.250s", name);
  w->n++;
}

static bool holds_weights(const char *name) {
  const char *dot = strrchr(name, '.');
  return dot && strcmp(dot, ".safetensors") == 0;
}

watch *watch_open(const char *path) {
  watch *w = calloc(1, sizeof *w);
  DIR *folder = w ? opendir(path) : NULL;
  if (w && !folder) add(w, AT_FDCWD, path, path);
  for (const struct dirent *d; folder && (d = readdir(folder)) != NULL;)
    if (holds_weights(d->d_name)) add(w, dirfd(folder), d->d_name, d->d_name);
  if (folder) closedir(folder);
  return w;
}

void watch_close(watch *w) {
  if (!w) return;
  for (size_t i = 0; i < w->n; i++) close(w->files[i].fd);
  free(w->files);
  free(w);
}

ellm_status watch_look(const watch *w, ellm_error *err) {
  struct stat now;
  for (size_t i = 0; i < w->n; i++) {
    const watched *f = &w->files[i];
    if (fstat(f->fd, &now) != 0) continue;
    if (now.st_size == f->facts.st_size && now.st_mtim.tv_sec == f->facts.st_mtim.tv_sec &&
        now.st_mtim.tv_nsec == f->facts.st_mtim.tv_nsec)
      continue;
    snprintf(err->message, sizeof err->message, "%.250s was %s while it was in use", f->name,
             now.st_size < f->facts.st_size ? "cut" : "written to");
    return err->status = ELLM_ERR_INPUT;
  }
  return ELLM_OK;
}
