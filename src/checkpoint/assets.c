/* SPDX-License-Identifier: Apache-2.0 */
/* Which files of a folder belong to the model but hold no weights. */
#define _POSIX_C_SOURCE 200809L
#include "checkpoint/assets.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/file_kind.h"

enum { MAX_ASSETS = 4096 };
static const size_t max_asset_bytes = (size_t)64 << 20, max_total_bytes = (size_t)256 << 20;

static bool ends_with(const char *name, const char *end) {
  const size_t n = strlen(name), m = strlen(end);
  return n >= m && strcmp(name + n - m, end) == 0;
}

/* Weights in any format, their indexes and our own files are not assets. */
static bool is_weight_file(const char *name) {
  static const char *const endings[] = {".safetensors", ".safetensors.index.json",
                                        ".bin",         ".bin.index.json",
                                        ".pt",          ".pth",
                                        ".gguf",        ".onnx",
                                        ".onnx_data",   ".h5",
                                        ".msgpack",     ".ellm",
                                        ".partial"};
  for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
    if (ends_with(name, endings[i])) return true;
  }
  return false;
}

/* Files that a model is incomplete without: too large is an error, not a reason to leave them out. */
static bool is_needed(const char *name) {
  static const char *const names[] = {"config.json",           "generation_config.json",  "tokenizer.json",
                                      "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
                                      "chat_template.jinja",   "chat_template.json",      "tokenizer.model"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (strcmp(name, names[i]) == 0) return true;
  }
  return false;
}

/* Names that every file system and terminal can take. */
static bool is_printable(const char *name) {
  for (const char *c = name; *c != '\0'; c++) {
    if (*c < 0x20 || *c > 0x7e) return false;
  }
  return true;
}

static ellm_status leave_out(const char *name, checkpoint_assets *assets, ellm_error *err) {
  assets->n_left_out++;
  if (assets->left_out != NULL && strcmp(assets->left_out, name) <= 0) return ELLM_OK;
  free(assets->left_out);
  assets->left_out = strdup(name);
  return assets->left_out != NULL ? ELLM_OK : ellm_fail_memory(err, strlen(name) + 1, "the name of a file");
}

static ellm_status add_file(const char *dir, const char *name, checkpoint_assets *assets, ellm_error *err) {
  char *path = path_join(dir, name);
  if (path == NULL) return ellm_fail_memory(err, strlen(name), "a path");
  struct stat info;
  ellm_status status = ELLM_OK;
  const bool there = stat(path, &info) == 0 && S_ISREG(info.st_mode);
  const bool wanted = is_printable(name) && (is_needed(name) || !there || info.st_size <= (off_t)max_asset_bytes);
  if (there && !wanted) {
    status = leave_out(name, assets, err);
  } else if (there) {
    checkpoint_asset_file file = {.name = strdup(name)};
    checkpoint_asset_file *grown = realloc(assets->files, (assets->n_files + 1) * sizeof *grown);
    if (grown != NULL) assets->files = grown;
    if (file.name == NULL || grown == NULL) {
      status = ellm_fail_memory(err, strlen(name) + sizeof *grown, "the list of files");
    } else {
      status = file_read_all(path, max_asset_bytes, &file.data, &file.bytes, err);
      if (status == ELLM_OK && is_needed(name)) status = file_kind_check(file.data, file.bytes, path, err);
    }
    if (status == ELLM_OK) {
      assets->files[assets->n_files++] = file;
    } else {
      free(file.name);
      free(file.data);
    }
  }
  free(path);
  return status;
}

static int name_order(const void *a, const void *b) {
  return strcmp(((const checkpoint_asset_file *)a)->name, ((const checkpoint_asset_file *)b)->name);
}

ellm_status checkpoint_assets_read(const char *dir, checkpoint_assets *assets, ellm_error *err) {
  DIR *folder = opendir(dir);
  if (folder == NULL) return ellm_fail_errno(err, errno, "open", dir);
  ellm_status status = ELLM_OK;
  size_t total = 0;
  while (status == ELLM_OK) {
    errno = 0;
    const struct dirent *entry = readdir(folder);
    if (entry == NULL) {
      if (errno != 0) status = ellm_fail_errno(err, errno, "read", dir);
      break;
    }
    const char *name = entry->d_name;
    if (name[0] == '.' || is_weight_file(name)) continue;
    if (assets->n_files == MAX_ASSETS) {
      status = ellm_fail(err, ELLM_ERR_INPUT, "%s: more than %d files", dir, MAX_ASSETS);
    } else {
      const size_t before = assets->n_files;
      status = add_file(dir, name, assets, err);
      if (assets->n_files > before) total += assets->files[before].bytes;
    }
    if (status == ELLM_OK && total > max_total_bytes) {
      status = ellm_fail(err, ELLM_ERR_INPUT,
                         "%s: the files beside the weights are more than %zu MiB; are they all the model's?", dir,
                         max_total_bytes >> 20);
    }
  }
  closedir(folder);
  if (assets->n_files > 0) qsort(assets->files, assets->n_files, sizeof *assets->files, name_order);
  return status;
}

void checkpoint_assets_free(checkpoint_assets *assets) {
  for (size_t i = 0; i < assets->n_files; i++) {
    free(assets->files[i].name);
    free(assets->files[i].data);
  }
  free(assets->files);
  free(assets->left_out);
  *assets = (checkpoint_assets){0};
}
