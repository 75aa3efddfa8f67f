/* SPDX-License-Identifier: Apache-2.0 */
/* See sentencepiece_config.h. */
#include "text/sentencepiece_config.h"

#include <stdlib.h>
#include <string.h>

#include "json/lenient.h"

ellm_status sentencepiece_config_read(const void *text, size_t bytes, const char *origin, sentencepiece_config *config,
                                      ellm_error *err) {
  *config = (sentencepiece_config){.origin = origin};
  if (text == NULL) return ELLM_OK;
  ELLM_TRY(json_parse_lenient(text, bytes, origin, &config->root, err));
  return json_is_object(config->root) ? ELLM_OK : ellm_fail(err, ELLM_ERR_INPUT, "%s: not a JSON object", origin);
}

void sentencepiece_config_free(sentencepiece_config *config) {
  json_decref(config->root);
  config->root = NULL;
}

static ellm_status add_token(const sentencepiece_config *config, const char *key, const json_t *object,
                             tokenizer_parts *parts, ellm_error *err) {
  const component_place place = {config->origin, "added_tokens_decoder"};
  char *end;
  const char *content;
  added_token token = {0};
  const unsigned long id = strtoul(key, &end, 10);
  if (key[0] < '0' || key[0] > '9' || *end != '\0' || id >= VOCAB_ID_LIMIT || !json_is_object(object)) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: added_tokens_decoder: \"%.40s\" is not an id with a token",
                     config->origin,
                     key);
  }
  token.id = (uint32_t)id;
  ELLM_TRY(component_string(object, "content", &place, &content, &token.content_bytes, err));
  token.content = (char *)content; /* it is copied */
  ELLM_TRY(component_bool(object, "single_word", false, &place, &token.single_word, err));
  ELLM_TRY(component_bool(object, "lstrip", false, &place, &token.lstrip, err));
  ELLM_TRY(component_bool(object, "rstrip", false, &place, &token.rstrip, err));
  ELLM_TRY(component_bool(object, "special", false, &place, &token.special, err));
  /* pieces that are not special are found by the model */
  const scored_model *m = &parts->scored;
  if (!token.special && id < m->pieces.count && vocab_find(&m->pieces, content, token.content_bytes) == id)
    return ELLM_OK;
  return added_tokens_append(&parts->added, &token, config->origin, err);
}

static bool find_token(const tokenizer_parts *parts, const char *content, size_t bytes, uint32_t *id) {
  *id = vocab_find(&parts->scored.pieces, content, bytes);
  for (size_t i = 0; *id == VOCAB_NONE && i < parts->added.count; i++) {
    const added_token *token = &parts->added.items[i];
    if (token->content_bytes == bytes && memcmp(token->content, content, bytes) == 0) *id = token->id;
  }
  return *id != VOCAB_NONE;
}

/* The token of a field, a string or an object with its content; else `content`, which is the model's own. */
static ellm_status token_of(const sentencepiece_config *config, const char *field, const char **content, size_t *bytes,
                            ellm_error *err) {
  const json_t *value = json_object_get(config->root, field);
  if (json_is_object(value)) value = json_object_get(value, "content");
  if (value == NULL || json_is_null(value)) return ELLM_OK;
  if (!json_is_string(value)) return json_wrong(value, field, config->origin, "a token", err);
  *content = json_string_value(value);
  *bytes = json_string_length(value);
  return ELLM_OK;
}

/* Append the token of `field` to a list where `add_field` says so. Where that is not given, `adds` says it, and a token
 * that does not exist is not missed. */
static ellm_status add_end(const sentencepiece_config *config, const char *add_field, bool adds, const char *field,
                           const char *content, size_t bytes, const tokenizer_parts *parts, id_list *list,
                           ellm_error *err) {
  uint32_t id;
  const json_t *given = json_object_get(config->root, add_field);
  ELLM_TRY(json_get_bool(config->root, add_field, false, config->origin, &adds, err));
  if (!adds) return ELLM_OK;
  ELLM_TRY(token_of(config, field, &content, &bytes, err));
  if (find_token(parts, content, bytes, &id))
    return id_list_append(list, &id, 1) ? ELLM_OK : ellm_fail_memory(err, sizeof id, "ids");
  if (given == NULL || json_is_null(given)) return ELLM_OK;
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s is true, but %s %.*s is not a piece", config->origin, add_field, field,
                   bytes > 100 ? 100 : (int)bytes, content);
}

ellm_status sentencepiece_config_apply(const sentencepiece_config *config, const char *bos, size_t bos_bytes,
                                       const char *eos, size_t eos_bytes, tokenizer_parts *parts, ellm_error *err) {
  const json_t *tokens = json_object_get(config->root, "added_tokens_decoder");
  const char *key;
  json_t *token;
  if (tokens != NULL && !json_is_null(tokens) && !json_is_object(tokens))
    return json_wrong(tokens, "added_tokens_decoder", config->origin, "an object", err);
  json_object_foreach((json_t *)tokens, key, token) ELLM_TRY(add_token(config, key, token, parts, err));
  ELLM_TRY(add_end(config, "add_bos_token", parts->scored.kind == SCORED_BPE, "bos_token", bos, bos_bytes, parts,
                   &parts->post.before, err));
  return add_end(config, "add_eos_token", false, "eos_token", eos, eos_bytes, parts, &parts->post.after, err);
}
