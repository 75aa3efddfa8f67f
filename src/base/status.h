/* SPDX-License-Identifier: Apache-2.0 */
/* Errors as values. */
#ifndef ELLM_BASE_STATUS_H
#define ELLM_BASE_STATUS_H

#include "entrollm.h"

#if defined(__GNUC__)
#define ELLM_PRINTF(format_index, first) __attribute__((format(printf, format_index, first)))
#else
#define ELLM_PRINTF(format_index, first)
#endif

/* Store status and one formatted line in *err (err may be NULL). Control characters in the text become '?', invalid
 * UTF-8 too. */
void ellm_error_set(ellm_error *err, ellm_status status, const char *format, ...) ELLM_PRINTF(3, 4);
/* ELLM_ERR_IO with "cannot WHAT FILE: strerror(code)". */
void ellm_error_set_errno(ellm_error *err, int code, const char *what, const char *file);
/* ELLM_ERR_IO, "out of memory (N bytes for WHAT)". */
void ellm_error_set_memory(ellm_error *err, size_t bytes, const char *what);

/*
 * The same, with the status as their value. They are not calls: so that the compiler sees at every use that the value is
 * the status given, never ELLM_OK, and does not take what a failed function leaves unset for used.
 */
#define ellm_fail(err, status, ...) (ellm_error_set((err), (status), __VA_ARGS__), ellm_status_itself(status))
static inline ellm_status ellm_status_itself(ellm_status status) { return status; }

static inline ellm_status ellm_fail_errno(ellm_error *err, int code, const char *what, const char *file) {
  ellm_error_set_errno(err, code, what, file);
  return ELLM_ERR_IO;
}

static inline ellm_status ellm_fail_memory(ellm_error *err, size_t bytes, const char *what) {
  ellm_error_set_memory(err, bytes, what);
  return ELLM_ERR_IO;
}

#define ELLM_TRY(call)                                \
  do {                                                \
    ellm_status try_status_ = (call);                 \
    if (try_status_ != ELLM_OK) return try_status_;   \
  } while (0)

#endif
