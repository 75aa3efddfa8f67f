/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Hugging Face checkpoint folder: one model.safetensors, the shards named
 * by model.safetensors.index.json or, without an index, all of
 * model-I-of-N.safetensors, and the JSON files beside them. Opening
 * validates every header completely before anything of its size is allocated.
 * Other *.safetensors of the folder (consolidated duplicates) are ignored.
 */
#ifndef ELLM_CHECKPOINT_CHECKPOINT_H
#define ELLM_CHECKPOINT_CHECKPOINT_H

#include <time.h>

#include "base/status.h"
#include "checkpoint/assets.h"
#include "checkpoint/safetensors.h"

typedef struct checkpoint checkpoint;

typedef struct checkpoint_options {
  asset_selection assets;
  bool small_files_only; /* no weights are looked for: any folder will do, and there are no tensors */
} checkpoint_options;
/* `dir` may also be a folder of Hugging Face's cache with one snapshot (checkpoint/folder.h). A folder without weights
 * is ELLM_ERR_INPUT naming the cause: what is there instead, and what to do. */
ellm_status checkpoint_open(const char *dir, const checkpoint_options *options, checkpoint **ckpt, ellm_error *err);
void checkpoint_close(checkpoint *ckpt);
const char *checkpoint_path(const checkpoint *ckpt); /* of the snapshot, where there is one */

/* Tensors in the order in which they are in the files: shard by shard (by name
 * of shard), ascending offset. */
size_t checkpoint_tensor_count(const checkpoint *ckpt);
const checkpoint_tensor *checkpoint_tensor_at(const checkpoint *ckpt, size_t index);
const checkpoint_tensor *checkpoint_find(const checkpoint *ckpt, const char *name); /* NULL if absent */
const char *checkpoint_shard_path(const checkpoint *ckpt, uint32_t shard);
size_t checkpoint_shard_count(const checkpoint *ckpt);
/* Size and time of change of a shard's file as it was opened. */
void checkpoint_shard_state(const checkpoint *ckpt, uint32_t shard, uint64_t *bytes, struct timespec *changed);
/* ELLM_ERR_INPUT, naming the file, if one was written to since the checkpoint was opened. */
ellm_status checkpoint_unchanged(const checkpoint *ckpt, ellm_error *err);

/* Read bytes [offset, offset + bytes) of a tensor's data by pread; several
 * threads may read at once. */
ellm_status checkpoint_read(const checkpoint *ckpt, const checkpoint_tensor *tensor, uint64_t offset, void *out,
                            size_t bytes, ellm_error *err);
/* Pointer to a tensor's data in a mapping of its shard, made on first use (not
 * thread-safe); lives as long as the checkpoint. Alignment is the file's: load
 * with base/bytes.h or memcpy. */
ellm_status checkpoint_map(checkpoint *ckpt, const checkpoint_tensor *tensor, const uint8_t **data, ellm_error *err);

/* The small files that were selected (checkpoint/assets.h), read at opening, sorted by name. */
size_t checkpoint_asset_count(const checkpoint *ckpt);
const char *checkpoint_asset_name(const checkpoint *ckpt, size_t index);
/* Other files of the folder: how many, their bytes together, and the first of their names into `text`. */
size_t checkpoint_left_out(const checkpoint *ckpt, uint64_t *bytes, char text[280]);
/* NULL if absent; a NUL follows the bytes. */
const uint8_t *checkpoint_asset(const checkpoint *ckpt, const char *name, size_t *bytes);
/* Bytes of the "metadata" of the safetensors header ("__metadata__"), as a JSON
 * object text, "{}" if there is none (first shard's). */
const char *checkpoint_metadata(const checkpoint *ckpt);

#endif
