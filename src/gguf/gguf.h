/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GGUF files, versions 2 and 3, little-endian: metadata and tensors of one file, or of a set whose files are called
 * NAME-00001-of-0000N.gguf and so on. Files are mapped, never read whole. Opening checks all that the header says
 * before anything is allocated for it: counts, lengths, types, nesting, offsets, and that no tensor is outside its
 * file or on another; its time grows with the header, not with the weights.
 *
 *   header: "GGUF", version (U32), number of tensors, number of keys (U64); keys and values; descriptions of tensors;
 *   data, from the next multiple of the alignment on (general.alignment, else 32)
 *
 * A gguf_file is not changed after it was opened; all of it is safe from several threads.
 */
#ifndef ELLM_GGUF_GGUF_H
#define ELLM_GGUF_GGUF_H

#include "gguf/metadata.h"
#include "gguf/tensors.h"

typedef struct gguf_file gguf_file;

/* Does a file with these first bytes say that it is a GGUF file? */
bool gguf_begins(const void *first, size_t bytes);

/* Open a file, or the set that it is the first file of. ELLM_ERR_INPUT names the file and what is wrong; ELLM_ERR_IO
 * where it cannot be opened; a missing file of a set is ELLM_ERR_INPUT. */
ellm_status gguf_open(const char *path, gguf_file **out, ellm_error *err);
/* The same over bytes in memory, which must outlive it; `path`, copied, is for messages. A file of a set is refused. */
ellm_status gguf_open_memory(const uint8_t *data, size_t bytes, const char *path, gguf_file **out, ellm_error *err);
void gguf_close(gguf_file *file); /* NULL is fine */

/* Of the first file; those of others say nothing but their place in the set. */
const gguf_metadata *gguf_metadata_of(const gguf_file *file);

size_t gguf_file_count(const gguf_file *file); /* of the set; else 1 */
const char *gguf_file_path(const gguf_file *file, size_t index);

/* Tensors in the order of the files and of their descriptions. */
size_t gguf_tensor_count(const gguf_file *file);
const gguf_tensor *gguf_tensor_at(const gguf_file *file, size_t index);
const gguf_tensor *gguf_tensor_find(const gguf_file *file, const char *name); /* NULL if absent */

/* Elements [first, first + n) as float32 into out[n], row after row; rows are best, as whole blocks are computed at
 * once. ELLM_ERR_INPUT where the tensor does not have them, or its type is not dequantized (gguf_can_dequantize). NaN
 * and infinities are handed on. */
ellm_status gguf_tensor_floats(const gguf_tensor *tensor, uint64_t first, size_t n, float *out, ellm_error *err);

#endif
