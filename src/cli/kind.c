/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/kind.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

ellm_status cli_is_source(const char *path, bool *is, ellm_error *err) {
  char first[4] = "";
  struct stat facts;
  *is = false;
  if (stat(path, &facts) != 0) return prog_failure_errno(err, errno, "open", path);
  if (S_ISDIR(facts.st_mode)) *is = true;
  if (!S_ISREG(facts.st_mode)) return ELLM_OK; /* opening a FIFO would wait */
  FILE *file = fopen(path, "rb");
  if (!file) return prog_failure_errno(err, errno, "open", path);
  *is = fread(first, 1, sizeof first, file) == sizeof first && memcmp(first, "GGUF", sizeof first) == 0;
  const int code = ferror(file) ? errno : 0;
  fclose(file);
  return code ? prog_failure_errno(err, code, "read", path) : ELLM_OK;
}
