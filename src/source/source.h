/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A source: named tensors with a configuration and the small files beside them, wherever they lie. Behind it stand
 * checkpoint folders, .ellm files and GGUF files; what asks for tensors does not know which. A new format is one more
 * kind (source/kind.h).
 *
 * A tensor is either a run of elements, row after row, little-endian, or quantized and coded in blocks, which only a
 * .ellm file has: then source_file() and `coded` lead to them. Elements are what source_read gives, of the type that
 * the tensor's description says; whether they lie so on the disk or are computed on the way is the source's affair.
 */
#ifndef ELLM_SOURCE_SOURCE_H
#define ELLM_SOURCE_SOURCE_H

#include "base/memory.h"
#include "source/tensor.h"

/* Open a .ellm file, a checkpoint folder or a GGUF file, told apart by content. `options` NULL: none. ELLM_ERR_INPUT
 * names the cause where it is neither. */
ellm_status source_open(const char *path, const source_options *options, tensor_source **out, ellm_error *err);
void source_close(tensor_source *s); /* NULL is fine */

/* A source of any kind, those of other folders too (kind.h): `open` fills an empty one with kind, path and tensors. What it
 * has filled by then is closed when it fails. */
typedef ellm_status (*source_opener)(tensor_source *s, void *user, ellm_error *err);
ellm_status source_create(source_opener open, void *user, tensor_source **out, ellm_error *err);

const char *source_path(const tensor_source *s); /* of the folder that is read, which a cache's snapshot may be */
/* Was it made by compress, and is no source to compress again? */
bool source_compressed(const tensor_source *s);
/* The .ellm file behind it, for decoding what is coded; NULL: there is none, and no tensor is coded. */
ellm_file *source_file(const tensor_source *s);

/* Tensors in the order in which they are in the files. Safe from several threads, as all that takes a const source. */
size_t source_count(const tensor_source *s);
const source_tensor *source_at(const tensor_source *s, size_t index);
const source_tensor *source_find(const tensor_source *s, const char *name); /* NULL if absent */
size_t source_index(const tensor_source *s, const source_tensor *tensor);   /* source_at(s, index) is the tensor */
/* The path of the file that a tensor is in, for errors. */
const char *source_origin(const tensor_source *s, const source_tensor *tensor);

/* Elements of a tensor that is not coded: bytes [offset, offset + bytes) of them, whole elements. */
ellm_status source_read(const tensor_source *s, const source_tensor *tensor, uint64_t offset, void *out, size_t bytes,
                        ellm_error *err);
/* All of them, any alignment (load with base/bytes.h); they live as long as the source. Mapped where they are in a file
 * as they are; else made once, in memory. One thread at a time. */
ellm_status source_map(tensor_source *s, const source_tensor *tensor, const uint8_t **data, ellm_error *err);

/* Checksums: a tensor is checked in parts, the blocks of a coded one. 0 parts: the source has no checksums. Safe from
 * several threads. ELLM_ERR_INPUT names file, tensor and part. */
uint64_t source_parts(const tensor_source *s, const source_tensor *tensor);
ellm_status source_check_part(const tensor_source *s, const source_tensor *tensor, uint64_t part, ellm_error *err);
/* Bytes of a tensor as it is stored. */
uint64_t source_stored_bytes(const source_tensor *tensor);
/* Keeps what is mapped in memory, where that is promised: of a .ellm file (container_lock). */
ellm_status source_lock(const tensor_source *s, ellm_progress_fn progress, void *user, ellm_error *err);

/* The small files: "config.json", "tokenizer.json", ... sorted by name. NULL if absent. */
size_t source_asset_count(const tensor_source *s);
const char *source_asset_name(const tensor_source *s, size_t index);
const void *source_asset(const tensor_source *s, const char *name, size_t *bytes);

/* A JSON object that tells about the whole, "{}" where there is none: __metadata__ of safetensors. */
const char *source_metadata(const tensor_source *s);
/* Files beside them that are no assets: how many, their bytes together, and the first of their names into `text`. */
size_t source_left_out(const tensor_source *s, uint64_t *bytes, char text[280]);

/* What its weights were quantized to before they came here, "Q4_1" or "FP8": the type with the most elements. NULL:
 * none were, or it is a .ellm file. Static. */
const char *source_quantized(const tensor_source *s);

/* Is `path` one of the files that tensors are read from? */
bool source_reads_file(const tensor_source *s, const char *path);
/* What changes when a file that tensors are read from does (sizes, times, places) is appended; false: no memory. */
bool source_state(const tensor_source *s, ellm_buffer *out);
/* ELLM_ERR_INPUT, naming the file, if one was written to since it was opened, as far as size and time tell. */
ellm_status source_unchanged(const tensor_source *s, ellm_error *err);

#endif
