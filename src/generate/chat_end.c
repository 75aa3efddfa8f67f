/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The token that ends an answer. Configurations often name the end of a text
 * only, because they come from the base model; the template knows better: a
 * conversation with an answer in it is rendered, and the special token that
 * follows the answer, with nothing but white space between, ends answers.
 *
 * Models with channels ("<|channel|>") write several parts in one answer, each
 * ended by a token of its own, so there only the configurations count.
 */
#include "generate/chat_end.h"

#include <stdlib.h>
#include <string.h>

static const char question[] = "What is the colour of the sky?", answer[] = "The sky is blue 0271828.",
                  again[] = "And of the grass?";

static json_t *example(void) {
  return json_pack("[{s:s, s:s}, {s:s, s:s}, {s:s, s:s}]", "role", "user", "content", question, "role", "assistant",
                   "content", answer, "role", "user", "content", again);
}

static bool is_known(const ellm_chat *chat, uint32_t id) {
  for (size_t i = 0; i < chat->n_end_ids; i++)
    if (chat->end_ids[i] == id) return true;
  return false;
}

/* The special token after the answer; false: there is none. */
static ellm_status token_after(const ellm_chat *chat, const char *text, bool *found, uint32_t *id, ellm_error *err) {
  const char *at = strstr(text, answer);
  uint32_t *ids = NULL;
  size_t n = 0;
  *found = false;
  if (!at) return ELLM_OK;
  at += strlen(answer);
  at += strspn(at, " \t\r\n");
  ELLM_TRY(ellm_tokenizer_encode(chat->tokenizer, at, strlen(at), ELLM_ENCODE_NO_POST, &ids, &n, err));
  *found = n > 0 && ellm_tokenizer_is_special(chat->tokenizer, ids[0]);
  if (*found) *id = ids[0];
  free(ids);
  return ELLM_OK;
}

ellm_status chat_find_end(ellm_chat *chat, ellm_error *err) {
  char *text = NULL;
  size_t bytes;
  uint32_t id;
  bool found = false;
  if (ellm_tokenizer_find(chat->tokenizer, "<|channel|>", &id)) return ELLM_OK;
  const time_t seconds = 0;
  struct tm then;
  chat_rendering r = {.chat = chat, .root = example(), .now = gmtime_r(&seconds, &then)};
  if (!r.root) return ellm_fail_memory(err, 64, "a conversation");
  ellm_status status = chat_render(&r, &text, &bytes, err);
  if (status == ELLM_OK) status = token_after(chat, text, &found, &id, err);
  else if (status == ELLM_ERR_INPUT) status = ELLM_OK; /* a template that refuses the example says nothing about ends */
  if (status == ELLM_OK && found && !is_known(chat, id)) chat->end_ids[chat->n_end_ids++] = id;
  free(text);
  json_decref(r.root);
  return status;
}
