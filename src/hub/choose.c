/* SPDX-License-Identifier: Apache-2.0 */
/* See choose.h. */
#include "hub/choose.h"

#include <fnmatch.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { MAX_INDEX_BYTES = 64 << 20, SET_TAIL = 15 /* bytes of "-00001-of-00003" */ };

static bool ends_with(const char *text, const char *end) {
  const size_t n = strlen(text), m = strlen(end);
  return n >= m && strcmp(text + n - m, end) == 0;
}

static bool is_single(const char *path) { return ends_with(path, ".gguf") || ends_with(path, ".ellm"); }

bool hub_is_weights(const char *path) { return is_single(path) || ends_with(path, ".safetensors"); }

/* Beside the weights: what running and compressing read. */
static bool is_small(const char *path) {
  static const char *const names[] = {
      "config.json",        "generation_config.json",  "quantize_config.json",    "tokenizer.json",
      "tokenizer.model",    "tokenizer_config.json",   "tokenizer.model.v3",      "spiece.model",
      "added_tokens.json",  "special_tokens_map.json", "sentencepiece.bpe.model", "vocab.json",
      "vocab.txt",          "merges.txt",              "tekken.json",             "README.md",
      "chat_template.json", "chat_template.jinja"};
  static const char *const beginnings[] = {"licence", "license", "copying", "notice", "attribution", "use_policy"};
  static const char templates[] = "additional_chat_templates/";
  if (strncmp(path, templates, sizeof templates - 1) == 0)
    return ends_with(path, ".jinja") && strchr(path + sizeof templates - 1, '/') == NULL;
  if (strchr(path, '/') != NULL) return false;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(path, names[i]) == 0) return true;
  for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++)
    if (strncasecmp(path, beginnings[i], strlen(beginnings[i])) == 0) return true;
  return false;
}

/* "BASE-00001-of-00003.gguf" and the like: bytes of BASE, number and count; false: no part of a set. */
static bool part_of_set(const char *path, size_t *base, unsigned *number, unsigned *count) {
  const char *dot = strrchr(path, '.');
  int used = 0;
  char again[32];
  if (dot == NULL || dot - path < SET_TAIL) return false;
  const char *tail = dot - SET_TAIL;
  if (sscanf(tail, "-%5u-of-%5u%n", number, count, &used) != 2 || used != SET_TAIL) return false;
  snprintf(again, sizeof again, "-%05u-of-%05u", *number, *count);
  if (strncmp(again, tail, SET_TAIL) != 0 || *number == 0 || *number > *count) return false;
  *base = (size_t)(tail - path);
  return true;
}

/* ------------------------------------------------------------ models in one file */

/* A GGUF set stands for one model: its first part. Parts of vision models are none. */
static bool is_model(const char *path) {
  size_t base;
  unsigned number, count;
  const char *slash = strrchr(path, '/');
  if (!is_single(path) || strncasecmp(slash != NULL ? slash + 1 : path, "mmproj", 6) == 0) return false;
  return !part_of_set(path, &base, &number, &count) || number == 1;
}

/* Another part of the set of `path`, if it is there, and its path. */
static hub_file *set_part(const hub_list *list, const char *path, size_t base, unsigned number, unsigned count,
                          char *part, size_t room) {
  snprintf(part, room, "%.*s-%05u-of-%05u%s", (int)base, path, number, count, path + base + SET_TAIL);
  return hub_list_find(list, part);
}

/* All parts of the set that a chosen file belongs to, if it does. ELLM_ERR_INPUT where one is missing. */
static ellm_status complete_set(const hub_name *name, hub_list *list, const char *path, ellm_error *err) {
  size_t base;
  unsigned number, count;
  if (!part_of_set(path, &base, &number, &count)) return ELLM_OK;
  for (unsigned i = 1; i <= count; i++) {
    char part[1100];
    hub_file *file = set_part(list, path, base, i, count, part, sizeof part);
    if (file == NULL)
      return prog_failure(err, ELLM_ERR_INPUT, "%s: %s is part of a set, and %s is not there", name->repository, path,
                          part);
    file->chosen = true;
  }
  return ELLM_OK;
}

static ellm_status complete_sets(const hub_name *name, hub_list *list, const char *ending, ellm_error *err) {
  for (size_t i = 0; i < list->n; i++) {
    const hub_file *file = &list->files[i];
    if (file->chosen && ends_with(file->path, ending)) PROG_TRY(complete_set(name, list, file->path, err));
  }
  return ELLM_OK;
}

/* Bytes of a model, of a set those of all parts that are there; 0 where the list has no sizes. */
static uint64_t model_bytes(const hub_list *list, const hub_file *first) {
  size_t base;
  unsigned number, count;
  uint64_t bytes = first->bytes;
  if (!part_of_set(first->path, &base, &number, &count)) return bytes;
  for (unsigned i = 2; i <= count; i++) {
    char part[1100];
    const hub_file *file = set_part(list, first->path, base, i, count, part, sizeof part);
    if (file == NULL) break;
    bytes += file->bytes;
  }
  return bytes;
}

/* Mark the models in one file, of the chosen files or of all, and count them. */
static size_t mark_models(hub_list *list, bool chosen, hub_choice *choice) {
  size_t n = 0;
  for (size_t i = 0; i < list->n; i++) {
    hub_file *file = &list->files[i];
    file->candidate = is_model(file->path) && (!chosen || file->chosen);
    if (!file->candidate) continue;
    file->model_bytes = model_bytes(list, file);
    if (++n == 1) snprintf(choice->main, sizeof choice->main, "%s", file->path);
  }
  return n;
}

static ellm_status refuse_several(const hub_name *name, size_t n, hub_choice *choice, ellm_error *err) {
  choice->several = true;
  choice->main[0] = '\0';
  return prog_failure(err, ELLM_ERR_USAGE, "%s: there are %zu models in it: choose one by its file's name",
                      name->repository, n);
}

/* -------------------------------------------------------------------- default */

static ellm_status choose_one_file(const hub_name *name, hub_list *list, hub_choice *choice, ellm_error *err) {
  const size_t n = mark_models(list, false, choice);
  if (n == 0)
    return prog_failure(err, ELLM_ERR_INPUT, "%s: there is no model in it: no safetensors, no GGUF and no .ellm file",
                        name->repository);
  if (n > 1) return refuse_several(name, n, choice, err);
  hub_list_find(list, choice->main)->chosen = true;
  return complete_sets(name, list, ".gguf", err);
}

/* Weights in the order in which a folder of them is read: one file, an index, a whole set of shards. */
static bool choose_safetensors(hub_list *list, hub_choice *choice) {
  hub_file *single = hub_list_find(list, "model.safetensors"), *index = hub_list_find(list, HUB_INDEX);
  bool any = false;
  if (single != NULL) return single->chosen = true;
  if (index != NULL) return choice->index = index->chosen = true;
  for (size_t i = 0; i < list->n; i++) {
    size_t base;
    unsigned number, count;
    const char *path = list->files[i].path;
    if (!ends_with(path, ".safetensors") || !part_of_set(path, &base, &number, &count) || base != 5 ||
        strncmp(path, "model", 5) != 0)
      continue;
    any = list->files[i].chosen = true;
  }
  return any;
}

static ellm_status choose_default(const hub_name *name, hub_list *list, hub_choice *choice, ellm_error *err) {
  if (!choose_safetensors(list, choice)) PROG_TRY(choose_one_file(name, list, choice, err));
  if (!choice->index) PROG_TRY(complete_sets(name, list, ".safetensors", err));
  if (choice->main[0] != '\0') return ELLM_OK; /* a GGUF file needs nothing beside it */
  for (size_t i = 0; i < list->n; i++)
    if (is_small(list->files[i].path)) list->files[i].chosen = true;
  return ELLM_OK;
}

/* ------------------------------------------------------------------- patterns */

static ellm_status choose_matching(const hub_name *name, const char *pattern, hub_list *list, ellm_error *err) {
  size_t n = 0;
  for (size_t i = 0; i < list->n; i++) {
    hub_file *file = &list->files[i];
    if (strcmp(file->path, pattern) != 0 && fnmatch(pattern, file->path, 0) != 0) continue;
    file->chosen = true;
    n++;
  }
  return n > 0 ? ELLM_OK
               : prog_failure(err, ELLM_ERR_USAGE, "%s: no file of it is called '%s'", name->repository, pattern);
}

ellm_status hub_choose(const hub_name *name, const char *const *patterns, size_t n_patterns, bool one, hub_list *list,
                       hub_choice *choice, ellm_error *err) {
  *choice = (hub_choice){0};
  for (size_t i = 0; i < list->n; i++) list->files[i].chosen = list->files[i].candidate = false;
  if (n_patterns == 0) return choose_default(name, list, choice, err);
  ellm_status status = ELLM_OK;
  for (size_t i = 0; i < n_patterns && status == ELLM_OK; i++) status = choose_matching(name, patterns[i], list, err);
  if (status != ELLM_OK) {
    choice->several = mark_models(list, false, choice) > 0;
    choice->main[0] = '\0';
    return status;
  }
  PROG_TRY(complete_sets(name, list, ".gguf", err));
  const size_t n = mark_models(list, true, choice);
  if (n > 1 && one) return refuse_several(name, n, choice, err);
  if (n != 1) choice->main[0] = '\0';
  return ELLM_OK;
}

/* --------------------------------------------------------------------- shards */

static json_t *read_index(const char *path) {
  struct stat info;
  if (stat(path, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size > MAX_INDEX_BYTES) return NULL;
  return json_load_file(path, 0, NULL);
}

ellm_status hub_choose_shards(const hub_name *name, const char *index_path, hub_list *list, ellm_error *err) {
  json_t *root = read_index(index_path);
  const json_t *map = json_object_get(root, "weight_map");
  const char *tensor;
  json_t *shard;
  ellm_status status = ELLM_OK;
  if (json_object_size(map) == 0)
    status = prog_failure(err, ELLM_ERR_INPUT, "%s: " HUB_INDEX " names no file of weights", name->repository);
  json_object_foreach((json_t *)map, tensor, shard) {
    const char *path = json_string_value(shard);
    hub_file *file = path != NULL ? hub_list_find(list, path) : NULL;
    if (file == NULL) {
      status = prog_failure(err, ELLM_ERR_INPUT, "%s: " HUB_INDEX " names '%.200s', which is not there",
                            name->repository, path != NULL ? path : "");
      break;
    }
    file->chosen = true;
  }
  json_decref(root);
  return status;
}
