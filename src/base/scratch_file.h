/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file without a name, for what memory should not hold, in the folder of `path`; its space is free again when it is
 * closed, also by a crash. Reading and writing by position, safe from several threads at different places.
 */
#ifndef ELLM_BASE_SCRATCH_FILE_H
#define ELLM_BASE_SCRATCH_FILE_H

#include "base/status.h"

typedef struct scratch_file { int fd; char *label; } scratch_file; /* label: for messages */
ellm_status scratch_file_open(const char *path, scratch_file *file, ellm_error *err);
ellm_status scratch_file_write(const scratch_file *file, uint64_t offset, const void *data, size_t bytes,
                               ellm_error *err);
ellm_status scratch_file_read(const scratch_file *file, uint64_t offset, void *out, size_t bytes, ellm_error *err);
void scratch_file_close(scratch_file *file); /* also one that is all zero */

#endif
