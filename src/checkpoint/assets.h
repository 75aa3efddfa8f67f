/* SPDX-License-Identifier: Apache-2.0 */
/* The small files of a checkpoint folder, read whole. */
#ifndef ELLM_CHECKPOINT_ASSETS_H
#define ELLM_CHECKPOINT_ASSETS_H

#include "base/status.h"

typedef struct checkpoint_asset_file {
  char *name;
  uint8_t *data; /* a NUL follows */
  size_t bytes;
} checkpoint_asset_file;

typedef struct checkpoint_assets {
  checkpoint_asset_file *files; /* by name */
  size_t n_files;
  char *left_out; /* the first by name of those that would be assets but for size or name; NULL if there are none */
  size_t n_left_out;
} checkpoint_assets;

/* Which files: see checkpoint.h. One larger than 64 MiB is an error if a model
 * needs it (config.json, tokenizer.json, ...) and left out otherwise, as one with
 * a name that is not printable ASCII is; more than 256 MiB together are an error. */
ellm_status checkpoint_assets_read(const char *dir, checkpoint_assets *assets, ellm_error *err);
void checkpoint_assets_free(checkpoint_assets *assets);

#endif
