/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The small files of a checkpoint folder, read whole: what a model is incomplete without (configuration, tokenizer, chat
 * templates), and what should travel with it (licence, model card). Nothing else is taken unless it is asked for by
 * name: a folder may hold what is not meant for others.
 */
#ifndef ELLM_CHECKPOINT_ASSETS_H
#define ELLM_CHECKPOINT_ASSETS_H

#include "base/status.h"
#include "checkpoint/name_list.h"

#define ASSET_TEMPLATES_FOLDER "additional_chat_templates"

typedef struct asset_selection {
  const char *const *include; /* globs over names of files in the folder: these, too */
  size_t n_include;
  bool literal;               /* `include` holds names as they are, not globs */
  bool needed_only;           /* no licence, no model card */
} asset_selection;

typedef struct asset_file {
  char *name;    /* in the folder; "additional_chat_templates/NAME.jinja" of those */
  uint8_t *data; /* a NUL follows */
  size_t bytes;
} asset_file;

typedef struct checkpoint_assets {
  asset_file *files;  /* by name */
  size_t n_files;
  name_list left_out; /* other files, but weights, their indexes and hidden ones; names that cannot be stored */
  uint64_t left_out_bytes;
} checkpoint_assets;

/* Is it one that a model is incomplete without? */
bool asset_is_needed(const char *name);

/* `selection` may be NULL: what is known. A file that is needed or asked for and larger than 64 MiB, and more than 256 MiB
 * together, is ELLM_ERR_INPUT. */
ellm_status checkpoint_assets_read(const char *dir, const asset_selection *selection, checkpoint_assets *assets,
                                   ellm_error *err);
void checkpoint_assets_free(checkpoint_assets *assets);

#endif
