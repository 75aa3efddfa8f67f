/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of tokenizers share; included after cmocka.h. */
#ifndef ELLM_TESTS_TEXT_TESTING_H
#define ELLM_TESTS_TEXT_TESTING_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "entrollm.h"
#include "text/sentencepiece.h"

/* The tokenizer of a file; a failure ends the test. */
static inline ellm_tokenizer *tokenizer_at(const char *path) {
  uint8_t *json = NULL;
  size_t bytes = 0;
  ellm_error err = {0};
  ellm_tokenizer *tokenizer = NULL;
  if (file_read_all(path, (size_t)1 << 28, &json, &bytes, &err) != ELLM_OK) fail_msg("%s", err.message);
  if (ellm_tokenizer_create(json, bytes, path, &tokenizer, &err) != ELLM_OK) fail_msg("%s", err.message);
  free(json);
  assert_non_null(tokenizer);
  return tokenizer;
}

/* The tokenizer of a folder: tokenizer.json, else tokenizer.model and what stands beside it. */
static inline ellm_tokenizer *tokenizer_of_folder(const char *folder) {
  char json[1100], model[1100], options[1100];
  snprintf(json, sizeof json, "%s/tokenizer.json", folder);
  snprintf(model, sizeof model, "%s/tokenizer.model", folder);
  snprintf(options, sizeof options, "%s/tokenizer_config.json", folder);
  if (access(json, R_OK) == 0) return tokenizer_at(json);
  uint8_t *data = NULL, *config = NULL;
  size_t bytes = 0, config_bytes = 0;
  ellm_error err = {0};
  ellm_tokenizer *tokenizer = NULL;
  if (file_read_all(model, (size_t)1 << 28, &data, &bytes, &err) != ELLM_OK) fail_msg("%s", err.message);
  if (access(options, R_OK) == 0 && file_read_all(options, (size_t)1 << 20, &config, &config_bytes, &err) != ELLM_OK)
    fail_msg("%s", err.message);
  if (sentencepiece_tokenizer(data, bytes, model, config, config_bytes, options, &tokenizer, &err) != ELLM_OK)
    fail_msg("%s", err.message);
  free(data);
  free(config);
  return tokenizer;
}

/* The same by its path below the source tree. */
static inline ellm_tokenizer *tokenizer_of_file(const char *name) {
  char path[1024];
  assert_true(snprintf(path, sizeof path, "%s/%s", ENTROLLM_SOURCE_DIR, name) < (int)sizeof path);
  return tokenizer_at(path);
}

/* JSON written with ' for ": a copy with the right quotes, for the caller to free. */
static inline char *json_of(const char *text) {
  char *json = malloc(strlen(text) + 1);
  assert_non_null(json);
  strcpy(json, text);
  for (char *at = json; *at; ++at) {
    if (*at == '\'') *at = '"';
  }
  return json;
}

/* A tokenizer from JSON text, which lies in a heap block of its size: reading past it is seen by ASan. */
static inline ellm_status tokenizer_of_bytes(const char *json, size_t bytes, ellm_tokenizer **tokenizer,
                                             ellm_error *err) {
  char *exact = malloc(bytes > 0 ? bytes : 1);
  assert_non_null(exact);
  memcpy(exact, json, bytes);
  ellm_status status = ellm_tokenizer_create(exact, bytes, "t.json", tokenizer, err);
  free(exact);
  assert_true((status == ELLM_OK) == (*tokenizer != NULL));
  return status;
}

#endif
