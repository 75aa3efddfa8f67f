/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of requests to the server: JSON, fields, conversations through the template, tokens. The first byte chooses the
 * endpoint; the rest, once it is read as a request, is looked through for calls of tools, too. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "serve/call_stream.h"
#include "serve/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static char model_path[4096] = ENTROLLM_SOURCE_DIR "/models/stories-4m";

/* Where the program was copied to another machine the model lies beside it. Called by libFuzzer alone. */
int LLVMFuzzerInitialize(int *argc, char ***argv) {
  char beside[sizeof model_path];
  const char *program = *argc > 0 ? (*argv)[0] : "", *slash = strrchr(program, '/');
  const int n = snprintf(beside, sizeof beside, "%.*s/stories-4m", slash ? (int)(slash - program) : 1,
                         slash ? program : ".");
  if (n > 0 && (size_t)n < sizeof beside && access(beside, R_OK) == 0) memcpy(model_path, beside, sizeof beside);
  return 0;
}

static server *make_server(void) {
  static serve_options options = {.context = 128, .parallel = 1};
  server *s = calloc(1, sizeof *s);
  ellm_error err;
  if (!s || ellm_model_open(model_path, NULL, &s->model, &err) != ELLM_OK ||
      ellm_model_tokenizer(s->model, &s->tokenizer, &err) != ELLM_OK ||
      ellm_chat_open(s->model, NULL, &s->chat, &err) != ELLM_OK)
    abort();
  pthread_mutex_init(&s->lock, NULL);
  s->options = &options;
  ellm_model_get_info(s->model, &s->info);
  ellm_model_sampling(s->model, &s->sampling);
  return s;
}

/* What a stream tells of calls. */
typedef struct heard { size_t content, calls; } heard;

static void hear_content(void *user, const char *text, size_t bytes) {
  heard *h = user;
  (void)text;
  if (h->calls > 0) abort(); /* nothing follows a call */
  h->content += bytes;
}

static void hear_call(void *user, size_t index, const char *id, const char *name) {
  heard *h = user;
  if (index != h->calls++ || !*id || !*name) abort();
}

static void hear_arguments(void *user, size_t index, const char *piece, size_t bytes) {
  heard *h = user;
  if (index + 1 != h->calls || !piece || bytes == 0) abort();
}

/* Calls in a text, whole and in pieces: whatever is no call is told as text, once. */
static void look_for_calls(const char *text, size_t size, size_t piece) {
  char *names[] = {(char[]){"f"}, (char[]){"weather"}};
  heard h = {0};
  const call_events events = {hear_content, hear_call, hear_arguments, &h};
  size_t content;
  prog_buffer calls = {0};
  call_stream s;
  calls_find(text, size, names, 2, 1, &calls, &content);
  if (content > size) abort();
  call_stream_init(&s, names, 2, 1, &events);
  for (size_t i = 0; i < size; i += piece) call_stream_add(&s, text + i, size - i < piece ? size - i : piece);
  if (!call_stream_end(&s) || (h.calls == 0 && h.content != size) || h.content > size) abort();
  call_stream_free(&s);
  prog_buffer_free(&calls);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static server *s;
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
  look_for_calls(copy, size - 1, 1 + data[0] / 3);
  prog_buffer out = {0};
  problem_json(&p, &out);
  json_t *told = json_loadb(out.data, out.bytes, 0, NULL); /* whatever was sent, errors are JSON */
  if (!told) abort();
  json_decref(told);
  prog_buffer_free(&out);
  free(copy);
  return 0;
}
