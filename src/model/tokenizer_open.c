/* SPDX-License-Identifier: Apache-2.0 */
/* See tokenizer_open.h; and the tokenizer of a model that is not opened: no weights are looked for. */
#include "model/tokenizer_open.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "text/sentencepiece.h"

bool source_has_tokenizer(const tensor_source *from) {
  return source_asset(from, "tokenizer.json", NULL) != NULL || source_asset(from, "tokenizer.model", NULL) != NULL;
}

static ellm_status make(const tensor_source *from, const char *name, const char *origin, ellm_tokenizer **tokenizer,
                        ellm_error *err) {
  size_t bytes, config_bytes = 0;
  const void *data = source_asset(from, name, &bytes);
  if (strcmp(name, "tokenizer.json") == 0) return ellm_tokenizer_create(data, bytes, origin, tokenizer, err);
  const void *config = source_asset(from, "tokenizer_config.json", &config_bytes);
  char *config_origin = path_join(source_path(from), "tokenizer_config.json");
  if (config_origin == NULL) return ellm_fail_memory(err, strlen(origin), "a path");
  const ellm_status status =
      sentencepiece_tokenizer(data, bytes, origin, config, config_bytes, config_origin, tokenizer, err);
  free(config_origin);
  return status;
}

ellm_status source_tokenizer(const tensor_source *from, ellm_tokenizer **tokenizer, ellm_error *err) {
  const char *path = source_path(from);
  *tokenizer = NULL;
  if (!source_has_tokenizer(from))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: there is no tokenizer.json and no tokenizer.model", path);
  const char *name = source_asset(from, "tokenizer.json", NULL) != NULL ? "tokenizer.json" : "tokenizer.model";
  char *origin = path_join(path, name);
  if (origin == NULL) return ellm_fail_memory(err, strlen(path), "a path");
  const ellm_status status = make(from, name, origin, tokenizer, err);
  free(origin);
  return status;
}

ellm_status ellm_tokenizer_open(const char *path, ellm_tokenizer **tokenizer, ellm_error *err) {
  const source_options options = {.small_files_only = true, .parts = true};
  tensor_source *from;
  *tokenizer = NULL;
  ELLM_TRY(source_open(path, &options, &from, err));
  const ellm_status status = source_tokenizer(from, tokenizer, err);
  source_close(from);
  return status;
}
