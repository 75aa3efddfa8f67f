/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: chat templates. Input: a template, then, after a NUL byte, the
 * variables as JSON (else a small conversation). Whatever it is, it is refused
 * with a reason or gives valid UTF-8, the same twice.
 */
#include <stdlib.h>
#include <string.h>

#include "template/run/render.h"
#include "text/utf8.h"
#include "want.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_STEPS = 200000 };

static const char conversation[] =
    "{\"messages\": [{\"role\": \"system\", \"content\": \" Be brief. \"}, {\"role\": \"user\", \"content\": "
    "\"H\\u00e9 <b>\\n\"},"
    " {\"role\": \"assistant\", \"content\": null, \"tool_calls\": [{\"id\": \"abcdefghi\", \"function\": {\"name\": "
    "\"f\","
    " \"arguments\": {\"a\": 1, \"b\": 2.5, \"c\": [true, null]}}}]}], \"tools\": null, \"bos_token\": \"<s>\","
    " \"eos_token\": \"</s>\", \"add_generation_prompt\": true}";

static void render(const chat_template *t, const json_t *variables) {
  const struct tm now = {.tm_year = 126, .tm_mday = 1};
  ellm_error err = {0}, again_err = {0};
  char *text, *again;
  size_t bytes, again_bytes;
  const ellm_status status = tpl_render(t, variables, &now, MAX_STEPS, &text, &bytes, &err);
  want(tpl_render(t, variables, &now, MAX_STEPS, &again, &again_bytes, &again_err) == status);
  if (status == ELLM_OK) {
    want(text[bytes] == '\0' && utf8_is_valid(text, bytes));
    want(again_bytes == bytes && memcmp(text, again, bytes) == 0);
  } else {
    want(text == NULL && err.message[0] != '\0' && strcmp(err.message, again_err.message) == 0);
  }
  free(text);
  free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const uint8_t *end = size > 0 ? memchr(data, 0, size) : NULL;
  const size_t source_bytes = end ? (size_t)(end - data) : size;
  chat_template *t;
  json_t *variables;
  ellm_error err = {0};
  const bool own = end && size - source_bytes > 1;
  if (json_parse(own ? (const void *)(end + 1) : conversation, own ? size - source_bytes - 1 : strlen(conversation),
                 "variables", &variables, &err) != ELLM_OK)
    return 0;
  if (chat_template_create((const char *)data, source_bytes, "fuzz", &t, &err) == ELLM_OK) {
    render(t, variables);
    chat_template_free(t);
  } else {
    want(err.message[0] != '\0');
  }
  json_decref(variables);
  return 0;
}
