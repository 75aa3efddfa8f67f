/* SPDX-License-Identifier: Apache-2.0 */
/* What describing a GGUF file has to say beside what a checkpoint's files say. */
#ifndef ELLM_SOURCE_GGUF_DESCRIBE_H
#define ELLM_SOURCE_GGUF_DESCRIBE_H

#include <jansson.h>

#include "gguf/gguf.h"

/* Format, name, tokenizer, and the types of the file's tensors into *out. False: no memory. */
bool gguf_describe(const gguf_file *file, json_t *out);

#endif
