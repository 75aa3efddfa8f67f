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

/* Store status and one formatted line in *err (err may be NULL) and return the
 * status. Control characters in the text become '?', invalid UTF-8 too. */
ellm_status ellm_fail(ellm_error *err, ellm_status status, const char *format, ...) ELLM_PRINTF(3, 4);

/* ELLM_ERR_IO with "cannot WHAT FILE: strerror(code)". */
ellm_status ellm_fail_errno(ellm_error *err, int code, const char *what, const char *file);

/* ELLM_ERR_IO, "out of memory (N bytes for WHAT)". */
ellm_status ellm_fail_memory(ellm_error *err, size_t bytes, const char *what);

#define ELLM_TRY(call)                                \
  do {                                                \
    ellm_status try_status_ = (call);                 \
    if (try_status_ != ELLM_OK) return try_status_;   \
  } while (0)

#endif
