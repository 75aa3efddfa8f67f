/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of requests to the server: JSON, fields, conversations through the template, tokens. The first byte chooses
 * the
 * endpoint; the rest, once it is read as a request, is looked through for calls of tools, too. */
#include <stdlib.h>
#include <string.h>

#include "serve/calls.h"
#include "serve/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static server *make_server(void) {
  static serve_options options = {.context = 128, .parallel = 1};
  server *s = calloc(1, sizeof *s);
  ellm_error err;
  if (!s || ellm_model_open(ENTROLLM_SOURCE_DIR "/models/stories-4m", NULL, &s->model, &err) != ELLM_OK ||
      ellm_model_tokenizer(s->model, &s->tokenizer, &err) != ELLM_OK ||
      ellm_chat_open(s->model, NULL, &s->chat, &err) != ELLM_OK)
    abort();
  pthread_mutex_init(&s->lock, NULL);
  s->options = &options;
  ellm_model_get_info(s->model, &s->info);
  ellm_model_sampling(s->model, &s->sampling);
  return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static server *s;
  char *names[] = {(char[]){"f"}, (char[]){"weather"}};
  json_t *body;
  problem p = {0};
  char *rendered;
  size_t bytes;
  if (!s) s = make_server();
  if (size < 1 || size > 65536) return 0;
  char *copy = malloc(size); /* so that reading beyond its end is seen; a text has its NUL */
  if (!copy) return 0;
  memcpy(copy, data + 1, size - 1);
  copy[size - 1] = '\0';
  if (fields_parse(copy, size - 1, &body, &p)) {
    if (data[0] % 3 == 2) {
      if (request_chat_text(s, body, &rendered, &bytes, &p)) free(rendered);
    } else {
      request_free(request_read(s, data[0] % 3 == 0, body, &p));
    }
    json_decref(body);
  }
  prog_buffer calls = {0};
  calls_find(copy, size - 1, names, 2, 1, true, &calls, &bytes);
  if (bytes > size - 1) abort();
  prog_buffer_free(&calls);
  prog_buffer out = {0};
  problem_json(&p, &out);
  json_t *told = json_loadb(out.data, out.bytes, 0, NULL); /* whatever was sent, errors are JSON */
  if (!told) abort();
  json_decref(told);
  prog_buffer_free(&out);
  free(copy);
  return 0;
}
