/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A GGUF file, or a set of them, as a source: tensors under the names and with the rows that a checkpoint folder of the
 * same model has, and config.json, tokenizer.json and tokenizer_config.json made from the metadata. Elements of
 * quantized types are F32.
 *
 * Of an architecture that gguf_arch.c lists, with a tokenizer that gguf_tokenizer.h knows or none; what else there is is
 * refused by name. Each matrix of experts that are in one tensor is a tensor of its own.
 */
#ifndef ELLM_SOURCE_GGUF_SOURCE_H
#define ELLM_SOURCE_GGUF_SOURCE_H

#include "source/kind.h"

/* Does the file at `path` begin as a GGUF file does? ELLM_ERR_IO where it cannot be read. */
ellm_status gguf_source_is(const char *path, bool *is, ellm_error *err);

/* Into *s, which is zero but for its lock. */
ellm_status gguf_source_open(const char *path, tensor_source *s, ellm_error *err);

#endif
