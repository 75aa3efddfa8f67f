/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: a GGUF file. What is accepted must hold what the headers promise: every string and array lies in the
 * file, every tensor, too, and all elements of those that can be dequantized are computed. Configuration and tokenizer
 * are made of it as they are for a model; they are there or refused.
 */
#include <stdlib.h>
#include <string.h>

#include "gguf/dequantize.h"
#include "gguf/gguf.h"
#include "source/gguf_config.h"
#include "source/gguf_tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void within(const uint8_t *data, size_t size, const void *at, uint64_t bytes) {
  const uint8_t *begin = at;
  if (begin < data || begin > data + size || bytes > (uint64_t)(data + size - begin)) abort();
}

static void check_strings(const uint8_t *data, size_t size, const gguf_value *value) {
  gguf_string *strings = malloc((size_t)value->n * sizeof *strings + 1);
  if (strings == NULL) return;
  gguf_array_strings(value, strings);
  for (uint64_t i = 0; i < value->n; i++) within(data, size, strings[i].data, strings[i].bytes);
  free(strings);
}

/* Each accessor gives a value or an error, never nothing. */
static void check_value(const uint8_t *data, size_t size, const gguf_metadata *m, const gguf_value *value) {
  char key[256];
  ellm_error err;
  int64_t integer;
  double number;
  bool boolean;
  gguf_string string;
  const gguf_value *array;
  within(data, size, value->key.data, value->key.bytes);
  within(data, size, value->data, value->bytes);
  if (value->type == GGUF_VALUE_ARRAY && value->element == GGUF_VALUE_STRING) check_strings(data, size, value);
  if (value->type == GGUF_VALUE_ARRAY && value->element < GGUF_VALUE_STRING && value->n > 0) {
    if (value->element != GGUF_VALUE_F32 && value->element != GGUF_VALUE_BOOL) gguf_array_integer(value, value->n - 1);
    if (value->element != GGUF_VALUE_BOOL) gguf_array_number(value, value->n - 1);
  }
  if (value->key.bytes >= sizeof key) return;
  memcpy(key, value->key.data, value->key.bytes);
  key[value->key.bytes] = '\0';
  if (gguf_find(m, key) != value) abort();
  const ellm_status statuses[] = {gguf_get_integer(m, key, -5, 1000, &integer, &err),
                                  gguf_get_number(m, key, &number, &err),
                                  gguf_get_bool(m, key, &boolean, &err), gguf_get_string(m, key, &string, &err),
                                  gguf_get_array(m, key, GGUF_VALUE_STRING, &array, &err)};
  for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
    if (statuses[i] != ELLM_OK && statuses[i] != ELLM_ERR_INPUT) abort();
}

static void check_tensor(const uint8_t *data, size_t size, const gguf_file *file, const gguf_tensor *t) {
  ellm_error err = {0};
  if (t->name[0] == '\0' || gguf_tensor_find(file, t->name) != t) abort();
  within(data, size, t->data, t->bytes);
  const size_t n = (size_t)t->n_elements; /* at most 14 a byte of the input */
  float *out = malloc(n * sizeof *out);
  if (out == NULL) return;
  const ellm_status status = gguf_tensor_floats(t, 0, n, out, &err);
  if ((status == ELLM_OK) != gguf_can_dequantize(t->type)) abort();
  if (status == ELLM_OK && gguf_tensor_floats(t, n / 3, n - n / 3, out, &err) != ELLM_OK) abort();
  free(out);
}

static void check_model(const gguf_file *file) {
  const gguf_metadata *m = gguf_metadata_of(file);
  ellm_error err = {0};
  gguf_shape shape;
  char *config = NULL;
  ellm_buffer json[2] = {0};
  const ellm_status statuses[] = {gguf_config(file, &shape, &config, &err), gguf_tokenizer(m, &json[0], &err),
                                  gguf_tokenizer_config(m, &json[1], &err)};
  for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
    if (statuses[i] != ELLM_OK && (statuses[i] != ELLM_ERR_INPUT || err.message[0] == '\0')) abort();
  if ((statuses[0] == ELLM_OK) != (config != NULL)) abort();
  const bool is_json = strcmp(gguf_tokenizer_name(m), "tokenizer.json") == 0; /* else of SentencePiece */
  for (size_t i = is_json ? 0 : 1; i < 2; i++)
    if (statuses[i + 1] == ELLM_OK && (json[i].data[0] != '{' || json[i].data[json[i].size - 1] != '}')) abort();
  for (size_t i = 0; i < 2; i++) ellm_buffer_free(&json[i]);
  free(config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  gguf_file *file;
  ellm_error err = {0};
  const ellm_status status = gguf_open_memory(data, size, "fuzz", &file, &err);
  if (status != ELLM_OK) {
    if (status != ELLM_ERR_INPUT || err.message[0] == '\0' || file != NULL) abort();
    return 0;
  }
  const gguf_metadata *m = gguf_metadata_of(file);
  for (size_t i = 0; i < m->n; i++) check_value(data, size, m, &m->values[i]);
  for (size_t i = 0; i < gguf_tensor_count(file); i++) check_tensor(data, size, file, gguf_tensor_at(file, i));
  check_model(file);
  gguf_close(file);
  return 0;
}
