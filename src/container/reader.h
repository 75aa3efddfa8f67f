/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a .ellm file. What takes a const ellm_file may be called by several threads. */
#ifndef ELLM_CONTAINER_READER_H
#define ELLM_CONTAINER_READER_H

#include "coder/decode_scalar.h"
#include "coder/patches.h"
#include "container/tensor.h"

/* ellm_file of the public header; ellm_file_open, _close, _tensor, ... live here. */
const container_tensor *container_tensor_at(const ellm_file *file, size_t index);
const container_tensor *container_find(const ellm_file *file, const char *name); /* NULL if absent */
const char *container_path(const ellm_file *file);
/* Of this file, and of its source. */
void container_identity(const ellm_file *file, uint8_t self[16]);
void container_source(const ellm_file *file, uint8_t source[16]);
/* What part of which model it is; NULL: a whole one. */
const container_part *container_part_of(const ellm_file *file);
/* ELLM_ERR_INPUT, saying what part of what it is, where the file is not a whole one. */
ellm_status container_need_whole(const ellm_file *file, ellm_error *err);
/* Scales of columns by the number of their record, and their name; NULL if there are none. */
const uint16_t *container_columns(const ellm_file *file, uint32_t record, const char **name);
/* Metadata by number; NULL after the last. */
const char *container_metadata_name(const ellm_file *file, size_t index);
const char *container_asset_name(const ellm_file *file, size_t index);

/* Bytes of a kept tensor; the section's checksum is verified on first use. */
ellm_status container_kept(const ellm_file *file, const container_tensor *tensor, const uint8_t **data,
                           ellm_error *err);

/* A block: its coded bytes, CODER_SLACK readable ones after them, its patches (n is 0 where there are none), and, of an
 * exact tensor, its rests. */
typedef struct container_block {
  const uint8_t *data;
  size_t bytes;
  coder_patches patches;
  const uint8_t *rests;
} container_block;
/* Blocks are numbered as those of the whole. Is this one in the file? Of a whole model all are. */
bool container_has_block(const container_tensor *tensor, uint64_t index);
/* How many are, and the number of the i-th of them. */
uint64_t container_stored_blocks(const container_tensor *tensor);
uint64_t container_stored_block(const container_tensor *tensor, uint64_t i);
/* One block: checksum and patches are verified on first use (thread-safe), then it
 * is decoded by `decode` to tile-ordered codes, patches not yet added. ELLM_ERR_INPUT
 * names file, tensor and block when it is damaged. `patches` may be NULL. */
ellm_status container_decode_block(const ellm_file *file, const container_tensor *tensor, uint64_t index,
                                   coder_decode_fn decode, coder_scratch *scratch, uint8_t *codes,
                                   coder_patches *patches, ellm_error *err);
/* The two halves of it, for kernels that decode and multiply at once: the bytes of
 * a block, checked on first use; and the error of a block that a kernel refused. */
ellm_status container_checked_block(const ellm_file *file, const container_tensor *tensor, uint64_t index,
                                    container_block *block, ellm_error *err);
ellm_status container_undecodable(const ellm_file *file, const container_tensor *tensor, uint64_t block,
                                  ellm_error *err);
/* The blocks of a coded tensor are not wanted for now: file_map_drop. */
void container_drop_blocks(const ellm_file *file, const container_tensor *tensor);
/* Raw access for verify: block bytes, patches and rests included, and stored checksum. */
ellm_status container_block_at(const ellm_file *file, const container_tensor *tensor, uint64_t block,
                               const uint8_t **data, size_t *bytes, uint32_t *checksum, ellm_error *err);
/* Those bytes as a block; false if the patches break a rule or the rests are not there. */
bool container_block_from(const container_tensor *tensor, uint64_t index, const uint8_t *data, size_t bytes,
                          container_block *block);

/* ellm_file_open over bytes in memory, which must outlive the file; `name` takes
 * the place of the path in errors. For tests and fuzzing. */
ellm_status container_open_memory(const void *data, size_t bytes, const char *name, ellm_file **file, ellm_error *err);
/* Open for verification: a damaged section does not stop the opening, but is
 * reported through `problem` (one line); its tensor or asset is then unusable.
 * Errors of header and directory are returned as ever. Kept tensors and the
 * sections of unknown optional records are checked as well. */
typedef void (*container_problem_fn)(void *user, const char *text);
ellm_status container_open_lenient(const char *path, container_problem_fn problem, void *user, ellm_file **file,
                                   ellm_error *err);
bool container_tensor_usable(const container_tensor *tensor);
uint64_t container_file_bytes(const ellm_file *file);
/* ellm_file_open over a copy in memory: file_map_load. */
ellm_status container_open_loaded(const char *path, ellm_progress_fn progress, void *user, ellm_file **file,
                                  ellm_error *err);
/* Keeps the whole file in memory: file_map_lock. */
ellm_status container_lock(const ellm_file *file, ellm_progress_fn progress, void *user, ellm_error *err);
/* The public description of a tensor; strings as those of `tensor`. */
void container_tensor_describe(const container_tensor *tensor, ellm_tensor_info *info);
/* Value of a metadata record, NUL-terminated, or NULL. */
const char *container_metadata(const ellm_file *file, const char *name);

#endif
