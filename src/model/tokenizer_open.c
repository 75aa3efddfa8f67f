/* SPDX-License-Identifier: Apache-2.0 */
/* The tokenizer of a model that is not opened: no weights are looked for. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "source/source.h"

ellm_status ellm_tokenizer_open(const char *path, ellm_tokenizer **tokenizer, ellm_error *err) {
  const source_options options = {.small_files_only = true};
  tensor_source *from;
  size_t bytes = 0;
  *tokenizer = NULL;
  ELLM_TRY(source_open(path, &options, &from, err));
  const void *json = source_asset(from, "tokenizer.json", &bytes);
  char *origin = path_join(source_path(from), "tokenizer.json");
  ellm_status status;
  if (origin == NULL) status = ellm_fail_memory(err, strlen(path), "a path");
  else if (json == NULL) status = ellm_fail(err, ELLM_ERR_INPUT, "%s: there is no tokenizer.json", source_path(from));
  else status = ellm_tokenizer_create(json, bytes, origin, tokenizer, err);
  free(origin);
  source_close(from);
  return status;
}
