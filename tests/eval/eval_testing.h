/* SPDX-License-Identifier: Apache-2.0 */
/* Golden values, and the models and texts they are of: the project's own, or of the larger set in ../shared, which
 * may be absent: a test that needs it skips. */
#ifndef EVAL_TESTING_H
#define EVAL_TESTING_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "json/json.h"
#include "golden.h"

/* `name` within the project or within ../shared, as golden files name their inputs; skips if it is in neither. */
static inline void input_path(const char *name, char *path, size_t size) {
  for (int set = 0; set < GOLDEN_SETS; set++) {
    snprintf(path, size, "%s/%s", golden_inputs[set], name);
    if (file_exists(path)) return;
  }
  print_message("%s is absent (../shared): skipped\n", path);
  skip();
}

static inline uint8_t *read_input(const char *name, size_t *bytes) {
  char path[400];
  uint8_t *data;
  ellm_error err;
  input_path(name, path, sizeof path);
  if (file_read_all(path, 1 << 26, &data, bytes, &err) != ELLM_OK) fail_msg("%s", err.message);
  return data;
}

static inline json_t *golden(const char *name) {
  char within[100], path[400];
  uint8_t *text;
  size_t bytes;
  json_t *root = NULL;
  ellm_error err;
  snprintf(within, sizeof within, "eval/%s.json", name);
  if (golden_find(within, path, sizeof path) < 0) {
    print_message("%s is not in the project, and ../shared is absent: skipped\n", within);
    skip();
  }
  if (file_read_all(path, 1 << 26, &text, &bytes, &err) != ELLM_OK) fail_msg("%s", err.message);
  if (json_parse(text, bytes, path, &root, &err) != ELLM_OK) fail_msg("%s", err.message);
  free(text);
  return root;
}

static inline json_t *at(const json_t *object, const char *key) {
  json_t *value = json_object_get(object, key);
  if (!value) fail_msg("the golden values lack %s", key);
  return value;
}
/* The text of `key`, or `otherwise` where the golden file does not name one. */
static inline const char *name_at(const json_t *object, const char *key, const char *otherwise) {
  const char *name = json_string_value(json_object_get(object, key));
  return name ? name : otherwise;
}
static inline double real_at(const json_t *object, const char *key) { return json_number_value(at(object, key)); }
static inline long long whole_at(const json_t *object, const char *key) {
  return json_integer_value(at(object, key));
}
static inline const char *text_at(const json_t *object, const char *key) { return json_string_value(at(object, key)); }

static inline void check_ok(ellm_status status, const ellm_error *err) {
  if (status != ELLM_OK) fail_msg("%s", err->message);
}

static inline void close_to(double got, double expected, double relative) {
  if (!(fabs(got - expected) <= relative * fabs(expected))) fail_msg("%.9g, expected %.9g", got, expected);
}

static const ellm_eval_options all = {.size = sizeof(ellm_eval_options)}; /* items */

/* `checkpoint`: a path as input_path takes it. */
static inline ellm_model *open_model(const char *checkpoint, int threads) {
  char path[400];
  ellm_model *model;
  ellm_model_options options;
  ellm_error err;
  input_path(checkpoint, path, sizeof path);
  ellm_model_options_init(&options);
  options.threads = threads;
  check_ok(ellm_model_open(path, &options, &model, &err), &err);
  return model;
}

/* The same checkpoint compressed to `bits` bits; the file is removed at once (it stays mapped). */
static inline ellm_model *open_compressed(const char *checkpoint, int bits, int threads, ellm_activations activations) {
  char path[400], out[80];
  ellm_model *model;
  ellm_compress_options how;
  ellm_model_options options;
  ellm_error err;
  input_path(checkpoint, path, sizeof path);
  snprintf(out, sizeof out, "/tmp/entrollm-test-eval-%ld.ellm", (long)getpid());
  ellm_compress_options_init(&how);
  how.bits = bits;
  how.overwrite = true;
  check_ok(ellm_compress(path, out, &how, NULL, &err), &err);
  ellm_model_options_init(&options);
  options.threads = threads;
  options.activations = activations;
  check_ok(ellm_model_open(out, &options, &model, &err), &err);
  unlink(out);
  return model;
}

#endif
