/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The identity of a source (docs/FORMAT.md): 16 bytes that stand for its configuration and for all elements of all
 * tensors, in whichever files and order they lie. A .ellm file has one of its own, which costs nothing; that of a
 * checkpoint takes one reading of all weights.
 */
#ifndef ELLM_SOURCE_IDENTITY_H
#define ELLM_SOURCE_IDENTITY_H

#include "source/source.h"

/* 32 hex digits and NUL: of a .ellm file that file's, of a checkpoint its source identity, remembered once it is known.
 * Safe from several threads. `threads` 0: all of the process's affinity. `progress` (may be NULL) is called with stage
 * "identify" and can stop it: ELLM_INTERRUPTED. */
ellm_status source_identity(tensor_source *s, int threads, ellm_progress_fn progress, void *user, char text[33],
                            ellm_error *err);

/* The source identity from the digests D(data) of all tensors, in the source's order: for those who read them anyway. */
ellm_status source_identity_of(const tensor_source *s, uint8_t (*digests)[16], uint8_t identity[16], ellm_error *err);

#endif
