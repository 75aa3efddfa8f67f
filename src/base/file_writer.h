/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that appears under its name only when it is whole: written to
 * PATH.partial beside it, then fsync, rename, fsync of the directory. Leaving
 * without commit removes the partial file (unless keep_partial). While it is
 * open, another writer of the same PATH is refused (ELLM_ERR_IO).
 */
#ifndef ELLM_BASE_FILE_WRITER_H
#define ELLM_BASE_FILE_WRITER_H

#include "base/status.h"

typedef struct file_writer file_writer;
typedef struct file_writer_options {
  bool overwrite;     /* else an existing PATH is ELLM_ERR_EXISTS */
  bool keep_partial;  /* abort leaves PATH.partial */
  bool resume;        /* open an existing PATH.partial instead of emptying it */
  bool unfinished;    /* PATH itself is for something unfinished and may end in ".partial" */
} file_writer_options;
/* Whether PATH may be written: what file_writer_open refuses before it touches anything. ELLM_ERR_EXISTS for an existing
 * PATH; ELLM_ERR_USAGE for a folder, an empty name, and one that ends in ".partial"; ELLM_ERR_IO for a device and the like. */
ellm_status file_writer_allowed(const char *path, const file_writer_options *options, ellm_error *err);
ellm_status file_writer_open(const char *path, const file_writer_options *options, file_writer **writer,
                             ellm_error *err);
ellm_status file_writer_append(file_writer *writer, const void *data, size_t bytes, ellm_error *err);
ellm_status file_writer_write_at(file_writer *writer, uint64_t offset, const void *data, size_t bytes, ellm_error *err);
ellm_status file_writer_read_at(file_writer *writer, uint64_t offset, void *data, size_t bytes, ellm_error *err);
ellm_status file_writer_truncate(file_writer *writer, uint64_t size, ellm_error *err); /* append continues at size */
ellm_status file_writer_sync(file_writer *writer, ellm_error *err);
uint64_t file_writer_size(const file_writer *writer);
const char *file_writer_partial(const file_writer *writer); /* PATH.partial; valid while the writer is open */
ellm_status file_writer_commit(file_writer *writer, ellm_error *err); /* frees the writer, also on error */
void file_writer_abort(file_writer *writer);                          /* frees it; NULL is fine */

#endif
