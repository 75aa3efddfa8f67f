/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/requantize.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "container/container.h"
#include "convert/recorded_options.h"
#include "json/json.h"

/* Names as patterns that match nothing else. */
typedef struct globs { char **items; size_t n; } globs;

static void globs_free(globs *g) {
  for (size_t i = 0; i < g->n; i++) free(g->items[i]);
  free(g->items);
  *g = (globs){0};
}

static ellm_status add_name(globs *g, const char *name, ellm_error *err) {
  const size_t bytes = strlen(name);
  char **grown = realloc(g->items, (g->n + 1) * sizeof *grown);
  char *escaped = malloc(2 * bytes + 1);
  if (grown != NULL) g->items = grown;
  if (grown == NULL || escaped == NULL) {
    free(escaped);
    return ellm_fail_memory(err, bytes, "a name");
  }
  char *to = escaped;
  for (const char *from = name; *from != '\0'; from++) {
    if (strchr("*?[]\\", *from) != NULL) *to++ = '\\';
    *to++ = *from;
  }
  *to = '\0';
  g->items[g->n++] = escaped;
  return ELLM_OK;
}

/* Matrices that were stored as they are, and all small files. */
static ellm_status find_names(const ellm_file *file, globs *kept, globs *assets, ellm_error *err) {
  for (size_t i = 0; i < ellm_file_tensor_count(file); i++) {
    const container_tensor *t = container_tensor_at(file, i);
    if (t->storage == CONTAINER_KEPT && t->n_dims == 2) ELLM_TRY(add_name(kept, t->name, err));
  }
  for (size_t i = 0; i < ellm_file_asset_count(file); i++)
    ELLM_TRY(add_name(assets, container_asset_name(file, i), err));
  return ELLM_OK;
}

/* Byte by byte; *first is the first place that differs. */
static ellm_status compare(const char *a_path, const char *b_path, bool *same, uint64_t *first, ellm_error *err) {
  file_map a, b;
  ELLM_TRY(file_map_open(a_path, &a, err));
  const ellm_status status = file_map_open(b_path, &b, err);
  if (status == ELLM_OK) {
    const uint64_t n = a.size < b.size ? a.size : b.size;
    uint64_t i = 0;
    while (i < n && a.data[i] == b.data[i]) i++;
    *same = i == n && a.size == b.size;
    *first = i;
    file_map_close(&b);
  }
  file_map_close(&a);
  return status;
}

/* A name beside the file that nobody has. */
static ellm_status make_path(const char *path, char **out, ellm_error *err) {
  *out = path_append(path, ".again-XXXXXX");
  if (*out == NULL) return ellm_fail_memory(err, strlen(path), "a path");
  const int fd = mkstemp(*out);
  if (fd >= 0) {
    close(fd);
    return ELLM_OK;
  }
  free(*out);
  *out = NULL;
  return ellm_fail(err, ELLM_ERR_IO, "%s: no file can be made beside it, for the second one", path);
}

ellm_status requantize(const ellm_file *file, const ellm_verify_options *options, bool *same, uint64_t *first,
                       ellm_error *err) {
  const char *path = container_path(file), *text = ellm_file_metadata(file, "entrollm.options");
  if (text == NULL) return ellm_fail(err, ELLM_ERR_INPUT, "%s: it does not record the options that it was made with",
                                     path);
  ellm_compress_options how;
  globs kept = {0}, assets = {0};
  json_t *json = NULL;
  char *again = NULL;
  ellm_compress_options_init(&how);
  ELLM_TRY(json_parse(text, strlen(text), path, &json, err));
  ellm_status status = recorded_options_read(path, json, &how, err);
  json_decref(json);
  if (status == ELLM_OK && how.calibrate == ELLM_CALIBRATE_FILE && options->calibrate_file == NULL)
    status = ellm_fail(err, ELLM_ERR_USAGE, "%s: it was calibrated on a text, which is needed", path);
  if (status == ELLM_OK) status = find_names(file, &kept, &assets, err);
  if (status == ELLM_OK) status = make_path(path, &again, err);
  if (status == ELLM_OK) {
    how.calibrate_file = how.calibrate == ELLM_CALIBRATE_FILE ? options->calibrate_file : NULL;
    how.keep = (const char *const *)kept.items;
    how.n_keep = kept.n;
    how.include = (const char *const *)assets.items;
    how.n_include = assets.n;
    how.no_assets = true;
    how.overwrite = true;
    how.threads = options->threads;
    how.progress = options->progress;
    how.progress_user = options->progress_user;
    status = ellm_compress(options->against, again, &how, NULL, err);
    if (status == ELLM_OK) status = compare(path, again, same, first, err);
    unlink(again);
  }
  free(again);
  globs_free(&kept);
  globs_free(&assets);
  return status;
}
