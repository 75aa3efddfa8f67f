/* SPDX-License-Identifier: Apache-2.0 */
/* Errors as values, as the library has them: a status and one line that names the repository and the file. */
#ifndef ELLM_HUB_FAILURE_H
#define ELLM_HUB_FAILURE_H

#include <stddef.h>

#include "entrollm.h"

#if defined(__GNUC__)
#define HUB_PRINTF(format_index, first) __attribute__((format(printf, format_index, first)))
#else
#define HUB_PRINTF(format_index, first)
#endif

/* Store a status and one line in *err (may be NULL). Control characters become '?': servers send anything. */
void hub_set_error(ellm_error *err, ellm_status status, const char *format, ...) HUB_PRINTF(3, 4);
/* ELLM_ERR_IO with "cannot WHAT FILE: strerror(code)". */
void hub_set_error_errno(ellm_error *err, int code, const char *what, const char *file);

/* The same, with the status as their value (for a compiler that looks where values come from: never ELLM_OK). */
#define hub_failure(err, status, ...) (hub_set_error((err), (status), __VA_ARGS__), hub_status_itself(status))
static inline ellm_status hub_status_itself(ellm_status status) { return status; }
static inline ellm_status hub_failure_errno(ellm_error *err, int code, const char *what, const char *file) {
  hub_set_error_errno(err, code, what, file);
  return ELLM_ERR_IO;
}
static inline ellm_status hub_failure_memory(ellm_error *err, const char *what) {
  hub_set_error(err, ELLM_ERR_IO, "out of memory (for %s)", what);
  return ELLM_ERR_IO;
}

#define HUB_TRY(call)                               \
  do {                                              \
    ellm_status try_status_ = (call);               \
    if (try_status_ != ELLM_OK) return try_status_; \
  } while (0)

#endif
