/* SPDX-License-Identifier: Apache-2.0 */
/* How a file was made, as its metadata says ("entrollm.options"): written when it is compressed, read to make it again. */
#ifndef ELLM_CONVERT_RECORDED_OPTIONS_H
#define ELLM_CONVERT_RECORDED_OPTIONS_H

#include <jansson.h>

#include "base/status.h"

/* A JSON object, into out[bytes]; 256 bytes are enough. */
void recorded_options_write(const ellm_compress_options *options, char *out, size_t bytes);
/* What it says into *out; the rest of *out stays. ELLM_ERR_INPUT names `path` and the field whose value has a wrong
 * type. */
ellm_status recorded_options_read(const char *path, const json_t *json, ellm_compress_options *out, ellm_error *err);

#endif
