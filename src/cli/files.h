/* SPDX-License-Identifier: Apache-2.0 */
/* What the program asks of the file system, and of the clock. */
#ifndef ELLM_CLI_FILES_H
#define ELLM_CLI_FILES_H

#include <stdio.h>

#include "program/failure.h"

bool cli_file_exists(const char *path); /* a link that leads nowhere does, too */
bool cli_is_directory(const char *path);
/* malloc'ed "dir/name"; NULL: no memory. */
char *cli_path_join(const char *dir, const char *name);
const char *cli_temporary_folder(void); /* TMPDIR, else /tmp */
/* Create a directory (parents must exist); an existing one is fine. */
ellm_status cli_create_directory(const char *path, ellm_error *err);

/* A whole regular file, a NUL appended (not counted); *data is malloc'ed. Larger than `limit`: ELLM_ERR_INPUT. */
ellm_status cli_read_file(const char *path, size_t limit, char **data, size_t *bytes, ellm_error *err);

/* A result file: written to PATH.partial and renamed where `path` is or becomes a regular file, so that it appears when
 * it is whole; straight into devices and pipes; "-" is standard output. A file of the model that is read (a file or a
 * folder) is refused, ELLM_ERR_USAGE. */
typedef struct cli_output { FILE *stream; const char *path; char *partial; } cli_output;
ellm_status cli_output_open(cli_output *output, const char *path, const char *model, ellm_error *err);
ellm_status cli_output_write(cli_output *output, const void *data, size_t bytes, ellm_error *err);
ellm_status cli_output_close(cli_output *output, ellm_error *err);
void cli_output_abort(cli_output *output);

double cli_seconds(void); /* since some fixed moment, for durations */

#endif
