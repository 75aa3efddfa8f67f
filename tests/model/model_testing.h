/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of models share: paths, golden.json, logits. */
#ifndef TESTS_MODEL_TESTING_H
#define TESTS_MODEL_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "entrollm.h"
#include "golden.h"

#define STORIES_FOLDER ENTROLLM_SOURCE_DIR "/models/stories-4m"

#define ASSERT_OK(call)                                      \
  do {                                                       \
    ellm_error err_ = {0};                                   \
    ellm_status status_ = (call);                            \
    if (status_ != ELLM_OK) fail_msg("%s", err_.message);    \
  } while (0)
#define ERR (&err_)

/* The folder of a golden model, in `path`; false if no set has it. */
static inline bool golden_model(const char *name, char *path, size_t size) {
  char within[80];
  snprintf(within, sizeof within, "models/%s", name);
  return golden_find(within, path, size) >= 0;
}

static inline void assert_same_file(const char *a_path, const char *b_path) {
  uint8_t *a, *b;
  size_t a_bytes, b_bytes;
  ASSERT_OK(file_read_all(a_path, 1 << 24, &a, &a_bytes, ERR));
  ASSERT_OK(file_read_all(b_path, 1 << 24, &b, &b_bytes, ERR));
  assert_int_equal(a_bytes, b_bytes);
  assert_memory_equal(a, b, a_bytes);
  free(a);
  free(b);
}

static inline void skip_without(const char *path) {
  if (file_exists(path)) return;
  print_message("%s is not there: skipped\n", path);
  skip();
}

static inline json_t *load_json(const char *path) {
  json_error_t problem;
  json_t *root = json_load_file(path, 0, &problem);
  if (root == NULL) fail_msg("%s: %s", path, problem.text);
  return root;
}

/* A list of numbers, malloc'ed. */
static inline uint32_t *json_ids(const json_t *list, size_t *n) {
  *n = json_array_size(list);
  uint32_t *ids = malloc((*n + 1) * sizeof *ids);
  for (size_t i = 0; i < *n; i++) ids[i] = (uint32_t)json_integer_value(json_array_get(list, i));
  return ids;
}

static inline ellm_model *open_model(const char *path, int threads, ellm_activations activations) {
  ellm_model_options options;
  ellm_model *model = NULL;
  ellm_model_options_init(&options);
  options.threads = threads;
  options.activations = activations;
  ASSERT_OK(ellm_model_open(path, &options, &model, ERR));
  return model;
}

/* A sequence that holds ids[n]. */
static inline ellm_sequence *sequence_of(ellm_model *model, const uint32_t *ids, size_t n) {
  ellm_sequence *s = NULL;
  ASSERT_OK(ellm_sequence_create(model, &s, ERR));
  ASSERT_OK(ellm_evaluate(model, &(ellm_batch_item){s, ids, n, NULL, 0}, 1, ERR));
  return s;
}

/* ids[n] are added to a sequence; logits of the last n_logits. */
static inline ellm_status append(ellm_model *model, ellm_sequence *s, const uint32_t *ids, size_t n, float *logits,
                                 size_t n_logits, ellm_error *err) {
  return ellm_evaluate(model, &(ellm_batch_item){s, ids, n, logits, n_logits}, 1, err);
}

static inline void expect_error(ellm_status status, ellm_status expected, const ellm_error *err, const char *word) {
  if (status != expected) fail_msg("status %d instead of %d: \"%s\"", (int)status, (int)expected, err->message);
  if (strstr(err->message, word) == NULL) fail_msg("\"%s\" does not say \"%s\"", err->message, word);
}

/* Logits of all n ids, evaluated in pieces of `piece`; malloc'ed. */
static inline float *all_logits(ellm_model *model, const uint32_t *ids, size_t n, size_t piece) {
  ellm_model_info info;
  ellm_model_get_info(model, &info);
  float *logits = malloc(n * info.vocab_size * sizeof *logits);
  assert_non_null(logits);
  ASSERT_OK(ellm_model_reserve(model, (uint32_t)n, ERR));
  ellm_sequence *s = sequence_of(model, ids, 0);
  for (size_t at = 0; at < n; at += piece) {
    const size_t m = n - at < piece ? n - at : piece;
    ASSERT_OK(append(model, s, ids + at, m, logits + at * info.vocab_size, m, ERR));
  }
  ellm_sequence_free(s);
  return logits;
}

#endif
