/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structs that callers fill begin with their size, so that they can grow at the end: a program that was built before has
 * a smaller one, and what that lacks has its default. The library works with a copy of its own size.
 */
#ifndef ELLM_BASE_SIZED_H
#define ELLM_BASE_SIZED_H

#include "base/status.h"

/*
 * Copy the caller's struct into *own, which holds the defaults; both begin with `size_t size`. `given` may be NULL: the
 * defaults. ELLM_ERR_USAGE, with `name` (the struct's), if its size was not set, or is that of a newer library: it may
 * ask for what this one does not know.
 */
ellm_status ellm_sized_copy(void *own, size_t own_size, const void *given, const char *name, ellm_error *err);

/* What an _init_sized does: *given gets what *own, with the defaults, has, but no more than its size says, which *own has as
 * the caller gave it. What a newer caller has more is zero; ellm_sized_copy refuses it later. */
void ellm_sized_init(void *given, const void *own, size_t own_size);

/* Declares `own`, a copy of *given: ELLM_SIZED(ellm_model_options, own, options, err). Returns the status on failure. */
#define ELLM_SIZED(type, own, given, err) \
  type own;                               \
  type##_init(&own);                      \
  ELLM_TRY(ellm_sized_copy(&own, sizeof own, (given), #type, (err)))

#endif
