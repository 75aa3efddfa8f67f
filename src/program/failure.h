/* SPDX-License-Identifier: Apache-2.0 */
/* Errors as values, as the library has them, for what the program itself finds wrong: in files, in what users type, in
 * what servers and clients send. */
#ifndef ELLM_PROGRAM_FAILURE_H
#define ELLM_PROGRAM_FAILURE_H

#include "program/printf.h"
#include "entrollm.h"

/* Store a status and one printable line in *err (may be NULL): what is no UTF-8, control characters, line separators
 * and marks that reorder text become '?'. */
void prog_set_error(ellm_error *err, ellm_status status, const char *format, ...) PROG_PRINTF(3, 4);
/* ELLM_ERR_IO with "cannot WHAT FILE: strerror(code)". */
void prog_set_error_errno(ellm_error *err, int code, const char *what, const char *file);

/* The same, with the status as their value (for a compiler that looks where values come from: never ELLM_OK). */
#define prog_failure(err, status, ...) (prog_set_error((err), (status), __VA_ARGS__), prog_status_itself(status))
static inline ellm_status prog_status_itself(ellm_status status) { return status; }
static inline ellm_status prog_failure_errno(ellm_error *err, int code, const char *what, const char *file) {
  prog_set_error_errno(err, code, what, file);
  return ELLM_ERR_IO;
}
static inline ellm_status prog_failure_memory(ellm_error *err, size_t bytes, const char *what) { /* 0: not known */
  if (bytes > 0) prog_set_error(err, ELLM_ERR_IO, "out of memory (%zu bytes for %s)", bytes, what);
  else prog_set_error(err, ELLM_ERR_IO, "out of memory (for %s)", what);
  return ELLM_ERR_IO;
}

#define PROG_TRY(call)                               \
  do {                                              \
    ellm_status try_status_ = (call);               \
    if (try_status_ != ELLM_OK) return try_status_; \
  } while (0)

#endif
