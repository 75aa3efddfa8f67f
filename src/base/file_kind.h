/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the first bytes of a file say it is, where it is not what was looked for: a download that went wrong, or a
 * format of another program. Asked before any error about a format's own rules, which would not lead to the cause.
 */
#ifndef ELLM_BASE_FILE_KIND_H
#define ELLM_BASE_FILE_KIND_H

#include "base/status.h"

enum { FILE_KIND_BYTES = 64 }; /* of a file's beginning, as many as there are */

/* What it is and what to do, to follow "FILE: "; NULL where the bytes begin nothing that is known. Static. */
const char *file_kind_advice(const void *first, size_t bytes);
/* The same as ELLM_ERR_INPUT naming `path`; ELLM_OK where nothing is known. */
ellm_status file_kind_check(const void *first, size_t bytes, const char *path, ellm_error *err);
/* Does it begin as a safetensors file does? (Where that is what was looked for, its own rules say what is wrong.) */
bool file_kind_is_safetensors(const void *first, size_t bytes);

#endif
