/* SPDX-License-Identifier: Apache-2.0 */
/* See folder.h. */
#include "checkpoint/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/file_kind.h"
#include "checkpoint/name_list.h"
#include "json/json.h"

enum { MAX_CONFIG_BYTES = 1 << 20 };

/* ----------------------------------------------------------------- snapshots */

/* fstatat on a name within a folder, without a path in memory. What is missing is no error: *there is false. */
static ellm_status look_at(const char *folder, const char *name, int flags, struct stat *info, bool *there,
                           ellm_error *err) {
  int dir;
  *there = false;
  ELLM_TRY(directory_open(folder, &dir, err));
  if (dir < 0) return ellm_fail_errno(err, EACCES, "open", folder);
  *there = fstatat(dir, name, info, flags) == 0;
  const int code = errno;
  close(dir);
  if (*there || code == ENOENT || code == ENOTDIR) return ELLM_OK;
  char what[80];
  snprintf(what, sizeof what, "look at %.60s in", name);
  return ellm_fail_errno(err, code, what, folder);
}

static ellm_status is_folder(const char *folder, const char *name, bool *is, ellm_error *err) {
  struct stat info;
  ELLM_TRY(look_at(folder, name, 0, &info, is, err));
  *is = *is && S_ISDIR(info.st_mode);
  return ELLM_OK;
}

static ellm_status has_file(const char *folder, const char *name, bool *has, ellm_error *err) {
  struct stat info;
  return look_at(folder, name, AT_SYMLINK_NOFOLLOW, &info, has, err);
}

/* Call fn for every entry of the folder that does not begin with a dot. */
static ellm_status for_names(const char *folder, ellm_status (*fn)(void *user, const char *name, ellm_error *err),
                             void *user, ellm_error *err) {
  DIR *dir = opendir(folder);
  if (dir == NULL) return ellm_fail_errno(err, errno, "open", folder);
  ellm_status status = ELLM_OK;
  while (status == ELLM_OK) {
    errno = 0;
    const struct dirent *entry = readdir(dir);
    if (entry == NULL) {
      if (errno != 0) status = ellm_fail_errno(err, errno, "read", folder);
      break;
    }
    if (entry->d_name[0] != '.') status = fn(user, entry->d_name, err);
  }
  closedir(dir);
  return status;
}

typedef struct snapshot_search { const char *snapshots; name_list found; } snapshot_search;

static ellm_status add_snapshot(void *user, const char *name, ellm_error *err) {
  snapshot_search *search = user;
  bool is;
  ELLM_TRY(is_folder(search->snapshots, name, &is, err));
  return is ? name_list_add(&search->found, name, err) : ELLM_OK;
}

/* The only snapshot of a model in Hugging Face's cache. */
static ellm_status find_snapshot(const char *path, const char *snapshots, char **folder, ellm_error *err) {
  snapshot_search search = {.snapshots = snapshots};
  char text[280];
  ellm_status status = for_names(snapshots, add_snapshot, &search, err);
  if (status == ELLM_OK && search.found.n == 0)
    status = ellm_fail(err, ELLM_ERR_INPUT, "%s: a folder of Hugging Face's cache without a snapshot: nothing was "
                       "downloaded", path);
  if (status == ELLM_OK && search.found.n > 1)
    status = ellm_fail(err, ELLM_ERR_INPUT, "%s: a folder of Hugging Face's cache with %zu snapshots; name one of them: "
                       "%s/{%s}", path, search.found.n, snapshots, name_list_text(&search.found, text));
  if (status == ELLM_OK) {
    *folder = path_join(snapshots, search.found.names[0]);
    if (*folder == NULL) status = ellm_fail_memory(err, strlen(snapshots), "a path");
  }
  name_list_free(&search.found);
  return status;
}

/* A file where a folder belongs. */
static ellm_status explain_file(const char *path, ellm_error *err) {
  uint8_t first[FILE_KIND_BYTES];
  file_reader reader;
  if (file_reader_open(path, &reader, NULL) == ELLM_OK) {
    const size_t bytes = reader.size < sizeof first ? (size_t)reader.size : sizeof first;
    ellm_status status = file_reader_read(&reader, 0, first, bytes, NULL) == ELLM_OK
                             ? file_kind_check(first, bytes, path, err)
                             : ELLM_OK;
    file_reader_close(&reader);
    ELLM_TRY(status);
  }
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: not a checkpoint folder", path);
}

ellm_status folder_find(const char *path, char **folder, ellm_error *err) {
  *folder = NULL;
  struct stat info;
  if (stat(path, &info) != 0) return ellm_fail_errno(err, errno, "open", path);
  if (!S_ISDIR(info.st_mode)) return explain_file(path, err);
  bool cached, is_model = false;
  ELLM_TRY(is_folder(path, "snapshots", &cached, err));
  if (cached) ELLM_TRY(has_file(path, "config.json", &is_model, err));
  if (cached && !is_model) {
    char *snapshots = path_join(path, "snapshots");
    if (snapshots == NULL) return ellm_fail_memory(err, strlen(path), "a path");
    const ellm_status status = find_snapshot(path, snapshots, folder, err);
    free(snapshots);
    return status;
  }
  *folder = strdup(path);
  return *folder != NULL ? ELLM_OK : ellm_fail_memory(err, strlen(path), "a path");
}

/* ------------------------------------------------------------------- weights */

/* What is in a folder that has neither model.safetensors nor its index. */
typedef struct folder_contents {
  name_list adapters, consolidated, shards, others, gguf, foreign;
  unsigned long shard_total; /* N of "model-I-of-N.safetensors"; 0: none yet */
  bool mixed;                /* shards of several N */
} folder_contents;

static bool ends_with(const char *name, const char *end) {
  const size_t n = strlen(name), m = strlen(end);
  return n >= m && strcmp(name + n - m, end) == 0;
}

static bool begins_with(const char *name, const char *begin) { return strncmp(name, begin, strlen(begin)) == 0; }

/* "model-00001-of-00003.safetensors": N, and I in *index; 0: another name. */
static unsigned long shard_of(const char *name, unsigned long *index) {
  unsigned i = 0, n = 0;
  int used = 0;
  if (sscanf(name, "model-%5u-of-%5u.safetensors%n", &i, &n, &used) != 2 || used == 0) return 0;
  char again[64];
  snprintf(again, sizeof again, "model-%05u-of-%05u.safetensors", i, n);
  if (strcmp(again, name) != 0 || i == 0 || i > n) return 0;
  *index = i;
  return n;
}

/* Weights of other programs, by their names' ends. */
static bool is_foreign(const char *name) {
  static const char *const endings[] = {".bin", ".pt", ".pth", ".h5", ".msgpack", ".onnx", ".ckpt"};
  for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
    if (ends_with(name, endings[i])) return true;
  return false;
}

static ellm_status sort_out(void *user, const char *name, ellm_error *err) {
  folder_contents *c = user;
  unsigned long index;
  const unsigned long total = shard_of(name, &index);
  if (begins_with(name, "adapter_model") || strcmp(name, "adapter_config.json") == 0)
    return name_list_add(&c->adapters, name, err);
  if (total > 0) {
    if (c->shard_total != 0 && c->shard_total != total) c->mixed = true;
    c->shard_total = total;
    return name_list_add(&c->shards, name, err);
  }
  if (ends_with(name, ".safetensors"))
    return name_list_add(begins_with(name, "consolidated") ? &c->consolidated : &c->others, name, err);
  if (ends_with(name, ".gguf")) return name_list_add(&c->gguf, name, err);
  return is_foreign(name) ? name_list_add(&c->foreign, name, err) : ELLM_OK;
}

static void contents_free(folder_contents *c) {
  name_list *lists[] = {&c->adapters, &c->consolidated, &c->shards, &c->others, &c->gguf, &c->foreign};
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) name_list_free(lists[i]);
}

/* "an adapter of NAME", NAME from adapter_config.json where it can be read. */
static ellm_status explain_adapter(const char *folder, ellm_error *err) {
  char base[160] = "";
  char *path = path_join(folder, "adapter_config.json");
  uint8_t *text = NULL;
  size_t bytes;
  json_t *root = NULL;
  if (path != NULL && file_read_all(path, MAX_CONFIG_BYTES, &text, &bytes, NULL) == ELLM_OK &&
      json_parse(text, bytes, path, &root, NULL) == ELLM_OK) {
    const char *name = json_string_value(json_object_get(root, "base_model_name_or_path"));
    if (name != NULL) snprintf(base, sizeof base, " (%.140s)", name);
  }
  json_decref(root);
  free(text);
  free(path);
  return ellm_fail(err, ELLM_ERR_INPUT,
                   "%s: a LoRA adapter, not a whole model: merge it into its base model%s first (peft: "
                   "merge_and_unload, then save_pretrained)", folder, base);
}

static ellm_status explain_contents(const char *folder, const folder_contents *c, ellm_error *err) {
  char text[280];
  if (c->adapters.n > 0) return explain_adapter(folder, err);
  if (c->shards.n > 0)
    return ellm_fail(err, ELLM_ERR_INPUT,
                     "%s: %s is there, but no " CHECKPOINT_INDEX_NAME ", and not all shards: download what is missing",
                     folder, name_list_text(&c->shards, text));
  if (c->consolidated.n > 0)
    return ellm_fail(err, ELLM_ERR_INPUT,
                     "%s: %s is Mistral's own format; the Hugging Face files are needed: " CHECKPOINT_SINGLE_NAME
                     ", or its shards with " CHECKPOINT_INDEX_NAME, folder, name_list_text(&c->consolidated, text));
  if (c->others.n > 0)
    return ellm_fail(err, ELLM_ERR_INPUT,
                     "%s: neither " CHECKPOINT_SINGLE_NAME " nor " CHECKPOINT_INDEX_NAME " is there, but %s: where that "
                     "is the model, rename it to " CHECKPOINT_SINGLE_NAME, folder, name_list_text(&c->others, text));
  if (c->gguf.n > 0)
    return ellm_fail(err, ELLM_ERR_INPUT,
                     "%s: there are no safetensors, and %s is a GGUF file: name the file itself as the model", folder, name_list_text(&c->gguf, text));
  if (c->foreign.n > 0)
    return ellm_fail(err, ELLM_ERR_INPUT,
                     "%s: there are no safetensors; %s is not supported: load the model with Transformers and save "
                     "it with save_pretrained", folder, name_list_text(&c->foreign, text));
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: there are no weights: neither " CHECKPOINT_SINGLE_NAME " nor "
                   CHECKPOINT_INDEX_NAME, folder);
}

static ellm_status add_name(folder_weights *weights, const char *name, ellm_error *err) {
  char **grown = realloc(weights->names, (weights->n_names + 1) * sizeof *grown);
  if (grown != NULL) weights->names = grown;
  char *copy = grown != NULL ? strdup(name) : NULL;
  if (copy == NULL) return ellm_fail_memory(err, strlen(name) + sizeof *grown, "the name of a file");
  weights->names[weights->n_names++] = copy;
  return ELLM_OK;
}

static ellm_status add_shards(folder_weights *weights, unsigned long total, ellm_error *err) {
  for (unsigned long i = 1; i <= total; i++) {
    char name[64];
    snprintf(name, sizeof name, "model-%05lu-of-%05lu.safetensors", i, total);
    ELLM_TRY(add_name(weights, name, err));
  }
  return ELLM_OK;
}

ellm_status folder_find_weights(const char *folder, folder_weights *weights, ellm_error *err) {
  *weights = (folder_weights){0};
  bool single;
  ELLM_TRY(has_file(folder, CHECKPOINT_SINGLE_NAME, &single, err));
  if (single) return add_name(weights, CHECKPOINT_SINGLE_NAME, err);
  ELLM_TRY(has_file(folder, CHECKPOINT_INDEX_NAME, &weights->indexed, err));
  if (weights->indexed) return ELLM_OK;
  folder_contents contents = {0};
  ellm_status status = for_names(folder, sort_out, &contents, err);
  if (status == ELLM_OK) {
    const bool complete = contents.shard_total > 0 && !contents.mixed && contents.shards.n == contents.shard_total &&
                          contents.shard_total <= CHECKPOINT_MAX_SHARDS;
    status = complete ? add_shards(weights, contents.shard_total, err) : explain_contents(folder, &contents, err);
  }
  contents_free(&contents);
  return status;
}

void folder_weights_free(folder_weights *weights) {
  for (size_t i = 0; i < weights->n_names; i++) free(weights->names[i]);
  free(weights->names);
  *weights = (folder_weights){0};
}
