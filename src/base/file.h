/* SPDX-License-Identifier: Apache-2.0 */
/* Files: mapping, reading, paths and folders. Writing: file_writer.h, scratch_file.h. */
#ifndef ELLM_BASE_FILE_H
#define ELLM_BASE_FILE_H

#include <time.h>

#include "base/status.h"

/* A read-only mapping of a whole regular file (an empty one maps to data NULL, size 0). */
typedef struct file_map { const uint8_t *data; uint64_t size; char *path; bool copied; } file_map;
ellm_status file_map_open(const char *path, file_map *map, ellm_error *err);
void file_map_close(file_map *map);
/* The same over a copy in memory of its own, in huge pages where the system gives them. `progress` (may be NULL) hears
 * how far reading is, stage "load". */
ellm_status file_map_load(const char *path, ellm_progress_fn progress, void *user, file_map *map, ellm_error *err);
/* bytes at `data`, inside the mapping, are not wanted for now: their pages need not stay in this process's memory. They
 * are read again if they are needed after all; a copy stays. */
void file_map_drop(const file_map *map, const uint8_t *data, size_t bytes);
/* Reads all pages and keeps them in memory (mlock); ELLM_ERR_IO where the limit of locked memory is too low. Then, or
 * where `progress` (stage "lock", may be NULL) stops it, none stay locked. */
ellm_status file_map_lock(const file_map *map, ellm_progress_fn progress, void *user, ellm_error *err);

/* Reading by position, safe from several threads: EINTR and short reads are
 * handled, a read past the end is ELLM_ERR_INPUT. */
typedef struct file_reader {
  int fd;
  uint64_t size;
  struct timespec changed; /* the last change before it was opened */
  char *path;
} file_reader;
ellm_status file_reader_open(const char *path, file_reader *reader, ellm_error *err);
ellm_status file_reader_read(const file_reader *reader, uint64_t offset, void *out, size_t bytes, ellm_error *err);
/* ELLM_ERR_INPUT if the file was written to since it was opened, as far as its time of change and size tell. */
ellm_status file_reader_unchanged(const file_reader *reader, ellm_error *err);
void file_reader_close(file_reader *reader);

/* All of the bytes to a position of an open file; `path` is for messages. */
ellm_status file_put(int fd, const char *path, uint64_t offset, const void *data, size_t bytes, ellm_error *err);

/* A whole small file, NUL appended (not counted); larger than `limit` is
 * ELLM_ERR_INPUT. *data is malloc'ed. A missing file: ELLM_ERR_IO. */
ellm_status file_read_all(const char *path, size_t limit, uint8_t **data, size_t *bytes, ellm_error *err);

/* Whether there is something under the name, be it a link to nothing. Where the system cannot tell, true: what is done
 * with the file then says why, and nothing is written over. */
bool file_exists(const char *path);
bool file_same(const char *a, const char *b); /* both there, and one file under two names */
bool file_is_directory(const char *path);
/* The same where a failure must not look like "no": something that is missing is no directory, and no error. */
ellm_status file_look(const char *path, bool *is_directory, ellm_error *err);
ellm_status file_there(const char *path, bool *there, ellm_error *err); /* as file_exists */
/* malloc'ed "dir/name"; NULL when out of memory. */
char *path_join(const char *dir, const char *name);
/* malloc'ed: the folder that `path` is in, "." for a name alone; NULL when out of memory. */
char *path_folder(const char *path);
/* malloc'ed path with `ending` after it; NULL when out of memory. */
char *path_append(const char *path, const char *ending);
/* Names that end so are for what is unfinished; nothing whole is written under one. */
#define PARTIAL_ENDING ".partial"
bool path_is_partial(const char *path);

/* Create a directory (parents must exist); an existing one is fine. */
ellm_status directory_create(const char *path, ellm_error *err);
/* A directory, to be synced and closed, so that the names in it survive a loss of power. *fd is -1, without an error,
 * for one that may not be read; syncing that does nothing, as on file systems that cannot sync directories. */
ellm_status directory_open(const char *path, int *fd, ellm_error *err);
ellm_status directory_sync(int fd, const char *path, ellm_error *err);
/* Lock a directory against other runs until *fd is closed; ELLM_ERR_IO where another run holds the lock. *fd is -1
 * on errors and where directories cannot be opened or locked, which is no error. */
ellm_status directory_lock(const char *path, int *fd, ellm_error *err);

#endif
