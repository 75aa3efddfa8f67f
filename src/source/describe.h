/* SPDX-License-Identifier: Apache-2.0 */
/* What a source is as a whole, for people and tools. */
#ifndef ELLM_SOURCE_DESCRIBE_H
#define ELLM_SOURCE_DESCRIBE_H

#include "source/source.h"

/* A JSON object, malloc'ed; docs/GGUF.md lists its fields. What a configuration does not say, or says wrongly, is left
 * out: describing refuses nothing. */
ellm_status source_describe(const tensor_source *s, char **json, ellm_error *err);

#endif
