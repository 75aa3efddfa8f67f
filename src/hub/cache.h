/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache on disk, laid out as huggingface_hub lays it out, so that both programs use one:
 *
 *   CACHE/models--OWNER--NAME/refs/REVISION               the commit, 40 digits, that a branch or a tag stood for
 *                            /blobs/HASH                  content, called by its hash
 *                            /blobs/HASH.incomplete       the beginning of it
 *                            /snapshots/COMMIT/PATH       links to ../../blobs/HASH
 *                            /trees/COMMIT.json            huggingface_hub's list of all files; read, not written
 *        .locks/models--OWNER--NAME/HASH.lock             held (flock) while that blob is written
 *
 * Whatever a name consists of has been checked (names.h) when it comes here. Files appear whole, by renaming.
 */
#ifndef ELLM_HUB_CACHE_H
#define ELLM_HUB_CACHE_H

#include "hub/list.h"

typedef struct hub_cache {
  char *root, *folder, *locks; /* CACHE, CACHE/models--OWNER--NAME, CACHE/.locks/models--OWNER--NAME */
} hub_cache;

/* Nothing is made on disk. Close what was opened, failed or not. */
ellm_status hub_cache_open(hub_cache *cache, const char *root, const char *repository, ellm_error *err);
void hub_cache_close(hub_cache *cache);
/* Make the folders. */
ellm_status hub_cache_prepare(const hub_cache *cache, ellm_error *err);

/* malloc'ed paths; NULL: no memory. */
char *hub_cache_blob(const hub_cache *cache, const char *hash, const char *ending);
char *hub_cache_snapshot(const hub_cache *cache, const char *commit, const char *path); /* path "": the folder */

/* The commit that a revision stood for when it was last looked at; a commit is one itself. False: not known. */
bool hub_cache_commit(const hub_cache *cache, const char *revision, char commit[HUB_COMMIT_DIGITS + 1]);
ellm_status hub_cache_set_commit(const hub_cache *cache, const char *revision, const char *commit, ellm_error *err);

/* Let a path of a snapshot lead to its blob. */
ellm_status hub_cache_link(const hub_cache *cache, const char *commit, const char *path, const char *hash,
                           ellm_error *err);

/* The files of a snapshot that are there, with their sizes; sorted. None where there is no such folder. */
ellm_status hub_cache_list(const hub_cache *cache, const char *commit, hub_list *list, ellm_error *err);

/* All files of a commit, where huggingface_hub has left a list of them (trees/COMMIT.json): without it nobody knows
 * what an interrupted download of that program is missing. Names only; sorted; empty where there is no list. */
ellm_status hub_cache_tree(const hub_cache *cache, const char *commit, hub_list *list, ellm_error *err);

/* Wait for the lock of a blob; *lock is a file number, or -1 where the file system has no locks. `tick` as in
 * hub_http; `waits` is called once when the lock is another's. */
ellm_status hub_cache_lock(const hub_cache *cache, const char *hash, bool (*tick)(void *), void (*waits)(void *),
                           void *user, int *lock, ellm_error *err);
void hub_cache_unlock(const hub_cache *cache, const char *hash, int lock);

/* What was renamed or created in a folder is on the disk. */
void hub_sync_folder(const char *path);

#endif
