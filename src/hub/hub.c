/* SPDX-License-Identifier: Apache-2.0 */
/* See hub.h. The order of steps; each is in a file of its own. */
#include "hub/hub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "hub/cache.h"
#include "hub/choose.h"
#include "hub/download.h"
#include "hub/http.h"
#include "hub/listing.h"

typedef struct pull {
  const hub_options *options;
  const hub_name *name;
  hub_http http;
  hub_cache cache;
  hub_transfer transfer;
  hub_choice choice;
  hub_result *result;
} pull;

enum { DEFAULT_RETRIES = 5, DEFAULT_TIMEOUT = 30, MAX_PATTERNS = 64 };

void hub_options_init(hub_options *options) {
  *options = (hub_options){.retries = DEFAULT_RETRIES, .timeout = DEFAULT_TIMEOUT};
}

void hub_result_free(hub_result *result) {
  free(result->folder);
  free(result->path);
  hub_list_free(&result->files);
  *result = (hub_result){0};
}

/* ------------------------------------------------------------------ choosing */

static ellm_status choose(const hub_name *name, const char *const *patterns, size_t n_patterns, bool one,
                          hub_result *result, hub_choice *choice, ellm_error *err) {
  const char *all[MAX_PATTERNS];
  size_t n = 0;
  if (n_patterns >= MAX_PATTERNS) return prog_failure(err, ELLM_ERR_USAGE, "more than %d patterns", MAX_PATTERNS - 1);
  if (name->file[0] != '\0') all[n++] = name->file;
  for (size_t i = 0; i < n_patterns; i++) all[n++] = patterns[i];
  const ellm_status status = hub_choose(name, all, n, one, &result->files, choice, err);
  result->several = choice->several;
  return status;
}

/* Where the model is, and how large. */
static ellm_status finish(const hub_cache *cache, const hub_choice *choice, hub_result *result, ellm_error *err) {
  result->folder = hub_cache_snapshot(cache, result->commit, "");
  result->path = hub_cache_snapshot(cache, result->commit, choice->main);
  for (size_t i = 0; i < result->files.n; i++) {
    const hub_file *file = &result->files.files[i];
    if (file->chosen) result->bytes += file->bytes;
    if (file->fetched) result->fetched += file->bytes;
  }
  return result->folder != NULL && result->path != NULL ? ELLM_OK : prog_failure_memory(err, 0, "a path");
}

/* ------------------------------------------------------------------- pulling */

/* Bytes of the chosen files that are not there: small ones, weights; and how many of them must come. */
static ellm_status measure(pull *p, uint64_t totals[2], uint64_t *missing, ellm_error *err) {
  totals[0] = totals[1] = *missing = 0;
  for (size_t i = 0; i < p->result->files.n; i++) {
    hub_file *file = &p->result->files.files[i];
    uint64_t part;
    if (!file->chosen) continue;
    PROG_TRY(hub_ask_file(&p->http, p->name, p->result->commit, file, err));
    if (hub_blob_is_there(&p->cache, file, &part)) continue;
    totals[hub_is_weights(file->path)] += file->bytes;
    *missing += file->bytes - part;
    if ((totals[0] + totals[1]) >> 60)
      return prog_failure(err, ELLM_ERR_INPUT, "%s: the sizes that the hub gives make no sense", p->name->repository);
  }
  return ELLM_OK;
}

static ellm_status check_room(const pull *p, uint64_t missing, ellm_error *err) {
  struct statvfs facts;
  if (missing == 0 || statvfs(p->cache.folder, &facts) != 0 || facts.f_frsize == 0) return ELLM_OK;
  const double room = (double)facts.f_bavail * (double)facts.f_frsize;
  if ((double)missing <= room) return ELLM_OK;
  return prog_failure(err, ELLM_ERR_IO, "%s: %.1f MB are missing, and only %.1f MB are free where %s is",
                      p->name->repository, (double)missing / 1e6, room / 1e6, p->cache.root);
}

/* Each kind has a bar of its own: how fast small files come says nothing about large ones. */
static ellm_status download_kind(pull *p, bool weights, uint64_t total, ellm_error *err) {
  p->transfer.done = 0;
  p->transfer.total = total;
  for (size_t i = 0; i < p->result->files.n; i++) {
    hub_file *file = &p->result->files.files[i];
    if (file->chosen && hub_is_weights(file->path) == weights) PROG_TRY(hub_download(&p->transfer, file, err));
  }
  return ELLM_OK;
}

/* The index says which shards there are: it comes first. */
static ellm_status download_index(pull *p, ellm_error *err) {
  if (!p->choice.index) return ELLM_OK;
  hub_file *index = hub_list_find(&p->result->files, HUB_INDEX);
  PROG_TRY(hub_ask_file(&p->http, p->name, p->result->commit, index, err));
  PROG_TRY(hub_download(&p->transfer, index, err));
  char *path = hub_cache_snapshot(&p->cache, p->result->commit, HUB_INDEX);
  if (path == NULL) return prog_failure_memory(err, 0, "a path");
  const ellm_status status = hub_choose_shards(p->name, path, &p->result->files, err);
  free(path);
  return status;
}

static ellm_status run(pull *p, const char *const *patterns, size_t n_patterns, bool one, ellm_error *err) {
  hub_result *result = p->result;
  uint64_t totals[2], missing;
  PROG_TRY(hub_cache_open(&p->cache, p->options->cache, p->name->repository, err));
  PROG_TRY(hub_http_open(&p->http, p->options, err));
  p->http.tick = hub_transfer_tick;
  p->http.tick_user = &p->transfer;
  p->transfer = (hub_transfer){.http = &p->http, .cache = &p->cache, .name = p->name, .commit = result->commit};
  PROG_TRY(hub_ask_listing(&p->http, p->name, result->commit, &result->files, err));
  PROG_TRY(choose(p->name, patterns, n_patterns, one, result, &p->choice, err));
  PROG_TRY(hub_cache_prepare(&p->cache, err));
  PROG_TRY(download_index(p, err));
  PROG_TRY(measure(p, totals, &missing, err));
  PROG_TRY(check_room(p, missing, err));
  PROG_TRY(download_kind(p, false, totals[0], err));
  PROG_TRY(download_kind(p, true, totals[1], err)); /* last: a snapshot that has its weights has all else */
  PROG_TRY(hub_cache_set_commit(&p->cache, p->name->revision, result->commit, err));
  return finish(&p->cache, &p->choice, result, err);
}

ellm_status hub_pull(const hub_options *options, const hub_name *name, const char *const *patterns, size_t n_patterns,
                     bool one, hub_result *result, ellm_error *err) {
  pull p = {.options = options, .name = name, .result = result};
  *result = (hub_result){0};
  if (options->offline)
    return prog_failure(err, ELLM_ERR_IO, "%s: cannot be downloaded without the network", name->repository);
  const ellm_status status = run(&p, patterns, n_patterns, one, err);
  hub_http_close(&p.http);
  hub_cache_close(&p.cache);
  return status;
}

/* ------------------------------------------------------------------- finding */

/* Where all files of the repository are known: is what a model needs there? */
static ellm_status check_tree(const hub_cache *cache, const hub_name *name, const char *index_path,
                              const hub_result *result, ellm_error *err) {
  hub_list tree = {0};
  hub_choice choice;
  ellm_status status = hub_cache_tree(cache, result->commit, &tree, err);
  if (status == ELLM_OK && tree.n > 0) status = hub_choose(name, NULL, 0, false, &tree, &choice, err);
  if (status == ELLM_OK && tree.n > 0 && choice.index) status = hub_choose_shards(name, index_path, &tree, err);
  for (size_t i = 0; i < tree.n && status == ELLM_OK; i++)
    if (tree.files[i].chosen && hub_list_find(&result->files, tree.files[i].path) == NULL)
      status = prog_failure(err, ELLM_ERR_IO, "%s: the cache does not have its %s", name->repository,
                            tree.files[i].path);
  hub_list_free(&tree);
  return status;
}

/* A folder is a model if what reading it begins with is there. */
static ellm_status check_found(const hub_cache *cache, const hub_name *name, const hub_choice *choice,
                               bool by_default, hub_result *result, ellm_error *err) {
  if (choice->main[0] != '\0') return ELLM_OK;
  if (hub_list_find(&result->files, "config.json") == NULL)
    return prog_failure(err, ELLM_ERR_IO, "%s: the cache has no config.json of it", name->repository);
  char *path = hub_cache_snapshot(cache, result->commit, HUB_INDEX);
  if (path == NULL) return prog_failure_memory(err, 0, "a path");
  ellm_status status = choice->index ? hub_choose_shards(name, path, &result->files, err) : ELLM_OK;
  if (status == ELLM_OK && by_default) status = check_tree(cache, name, path, result, err);
  free(path);
  return status;
}

ellm_status hub_find(const hub_options *options, const hub_name *name, const char *const *patterns, size_t n_patterns,
                     bool one, hub_result *result, ellm_error *err) {
  hub_cache cache;
  hub_choice choice = {0};
  *result = (hub_result){0};
  ellm_status status = hub_cache_open(&cache, options->cache, name->repository, err);
  if (status == ELLM_OK && !hub_cache_commit(&cache, name->revision, result->commit))
    status = prog_failure(err, ELLM_ERR_IO, "%s: the cache (%s) does not have revision %s of it", name->repository,
                          options->cache, name->revision);
  if (status == ELLM_OK) status = hub_cache_list(&cache, result->commit, &result->files, err);
  if (status == ELLM_OK) status = choose(name, patterns, n_patterns, one, result, &choice, err);
  const bool by_default = n_patterns == 0 && name->file[0] == '\0';
  if (status == ELLM_OK) status = check_found(&cache, name, &choice, by_default, result, err);
  if (status == ELLM_OK) status = finish(&cache, &choice, result, err);
  hub_cache_close(&cache);
  return status;
}
