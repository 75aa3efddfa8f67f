/* SPDX-License-Identifier: Apache-2.0 */
/* See assets.h. */
#include "checkpoint/assets.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/file_kind.h"

enum { MAX_ASSETS = 4096 };
static const size_t max_asset_bytes = (size_t)64 << 20, max_total_bytes = (size_t)256 << 20;

/* ------------------------------------------------------------ what is known */

static bool ends_with(const char *name, const char *end) {
  const size_t n = strlen(name), m = strlen(end);
  return n >= m && strcmp(name + n - m, end) == 0;
}

/* Weights in any format, their indexes and our own files are never assets. */
static bool is_weight_file(const char *name) {
  static const char *const endings[] = {".safetensors", ".safetensors.index.json", ".bin",       ".bin.index.json",
                                        ".pt",          ".pth",                    ".gguf",      ".onnx",
                                        ".onnx_data",   ".h5",                     ".msgpack",   ".ckpt",
                                        ".ellm",        ".partial"};
  for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
    if (ends_with(name, endings[i])) return true;
  return false;
}

bool asset_is_needed(const char *name) {
  static const char *const names[] = {"config.json",          "generation_config.json",  "quantize_config.json",
                                      "tokenizer.json",       "tokenizer_config.json",   "special_tokens_map.json",
                                      "added_tokens.json",    "chat_template.jinja",     "chat_template.json",
                                      "tokenizer.model",      "tokenizer.model.v3",      "spiece.model",
                                      "sentencepiece.bpe.model", "vocab.json",           "vocab.txt",
                                      "merges.txt",           "tekken.json"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(name, names[i]) == 0) return true;
  return strncmp(name, ASSET_TEMPLATES_FOLDER "/", sizeof ASSET_TEMPLATES_FOLDER) == 0;
}

/* Licence, use policy and model card, in the spellings that folders have. */
static bool is_document(const char *name) {
  static const char *const beginnings[] = {"licence", "license", "copying", "notice", "attribution", "use_policy"};
  static const char *const cards[] = {"readme", "readme.md", "readme.txt", "readme.rst", "model_card.md"};
  for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++)
    if (strncasecmp(name, beginnings[i], strlen(beginnings[i])) == 0) return true;
  for (size_t i = 0; i < sizeof cards / sizeof *cards; i++)
    if (strcasecmp(name, cards[i]) == 0) return true;
  return false;
}

static bool is_asked_for(const asset_selection *selection, const char *name) {
  for (size_t i = 0; i < selection->n_include; i++) {
    const char *wanted = selection->include[i];
    if (selection->literal ? strcmp(wanted, name) == 0 : fnmatch(wanted, name, 0) == 0) return true;
  }
  return false;
}

/* Names that every file system and terminal can take. */
static bool is_printable(const char *name) {
  for (const char *c = name; *c != '\0'; c++)
    if (*c < 0x20 || *c > 0x7e) return false;
  return true;
}

/* ------------------------------------------------------------------ reading */

typedef struct asset_reader {
  const char *dir;
  const asset_selection *selection;
  checkpoint_assets *assets;
  size_t total;
} asset_reader;

static ellm_status read_file(asset_reader *r, const char *name, const char *path, ellm_error *err) {
  checkpoint_assets *assets = r->assets;
  if (assets->n_files == MAX_ASSETS)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: more than %d files to store", r->dir, MAX_ASSETS);
  asset_file *grown = realloc(assets->files, (assets->n_files + 1) * sizeof *grown);
  if (grown == NULL) return ellm_fail_memory(err, (assets->n_files + 1) * sizeof *grown, "the list of files");
  assets->files = grown;
  asset_file *file = &grown[assets->n_files];
  *file = (asset_file){.name = strdup(name)};
  if (file->name == NULL) return ellm_fail_memory(err, strlen(name) + 1, "the name of a file");
  assets->n_files++;
  ELLM_TRY(file_read_all(path, max_asset_bytes, &file->data, &file->bytes, err));
  if (asset_is_needed(name)) ELLM_TRY(file_kind_check(file->data, file->bytes, path, err));
  r->total += file->bytes;
  if (r->total <= max_total_bytes) return ELLM_OK;
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: the files to be stored beside the weights are more than %zu MiB", r->dir,
                   max_total_bytes >> 20);
}

static ellm_status add_file(asset_reader *r, const char *name, ellm_error *err) {
  struct stat info;
  char *path = path_join(r->dir, name);
  if (path == NULL) return ellm_fail_memory(err, strlen(name), "a path");
  ellm_status status = ELLM_OK;
  const int code = stat(path, &info) == 0 ? 0 : errno;
  if (code != 0 && code != ENOENT) { /* a link to nothing is no file of the model; what cannot be looked at may be one */
    status = ellm_fail_errno(err, code, "look at", path);
  } else if (code == 0 && S_ISREG(info.st_mode)) {
    const bool asked = is_asked_for(r->selection, name);
    bool wanted = asked || asset_is_needed(name) || (is_document(name) && !r->selection->needed_only);
    if (!is_printable(name)) wanted = false;
    if (is_document(name) && !asked && info.st_size > (off_t)max_asset_bytes) wanted = false;
    if (wanted) {
      status = read_file(r, name, path, err);
    } else {
      status = name_list_add(&r->assets->left_out, name, err);
      r->assets->left_out_bytes += (uint64_t)info.st_size;
    }
  }
  free(path);
  return status;
}

/* The templates that have a folder of their own. */
static ellm_status add_template(asset_reader *r, const char *file, ellm_error *err) {
  char name[sizeof ASSET_TEMPLATES_FOLDER + 256];
  if (file[0] == '.' || !ends_with(file, ".jinja") || strlen(file) > 200) return ELLM_OK;
  snprintf(name, sizeof name, ASSET_TEMPLATES_FOLDER "/%s", file);
  return add_file(r, name, err);
}

static ellm_status add_entry(asset_reader *r, const char *name, ellm_error *err) {
  return name[0] == '.' || is_weight_file(name) ? ELLM_OK : add_file(r, name, err);
}

static ellm_status for_entries(asset_reader *r, const char *dir, bool may_lack,
                               ellm_status (*add)(asset_reader *, const char *, ellm_error *), ellm_error *err) {
  DIR *folder = opendir(dir);
  if (folder == NULL && may_lack && (errno == ENOENT || errno == ENOTDIR)) return ELLM_OK;
  if (folder == NULL) return ellm_fail_errno(err, errno, "open", dir);
  ellm_status status = ELLM_OK;
  while (status == ELLM_OK) {
    errno = 0;
    const struct dirent *entry = readdir(folder);
    if (entry == NULL) {
      if (errno != 0) status = ellm_fail_errno(err, errno, "read", dir);
      break;
    }
    status = add(r, entry->d_name, err);
  }
  closedir(folder);
  return status;
}

static int name_order(const void *a, const void *b) {
  return strcmp(((const asset_file *)a)->name, ((const asset_file *)b)->name);
}

ellm_status checkpoint_assets_read(const char *dir, const asset_selection *selection, checkpoint_assets *assets,
                                   ellm_error *err) {
  const asset_selection known = {0};
  asset_reader r = {.dir = dir, .selection = selection != NULL ? selection : &known, .assets = assets};
  ELLM_TRY(for_entries(&r, dir, false, add_entry, err));
  char *templates = path_join(dir, ASSET_TEMPLATES_FOLDER);
  if (templates == NULL) return ellm_fail_memory(err, strlen(dir), "a path");
  const ellm_status status = for_entries(&r, templates, true, add_template, err);
  free(templates);
  if (assets->n_files > 0) qsort(assets->files, assets->n_files, sizeof *assets->files, name_order);
  return status;
}

void checkpoint_assets_free(checkpoint_assets *assets) {
  for (size_t i = 0; i < assets->n_files; i++) {
    free(assets->files[i].name);
    free(assets->files[i].data);
  }
  free(assets->files);
  name_list_free(&assets->left_out);
  *assets = (checkpoint_assets){0};
}
