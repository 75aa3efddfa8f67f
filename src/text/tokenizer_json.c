/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokenizer.json, as the `tokenizers` library writes it, as an origin of a
 * tokenizer: the fields of the document become its parts. The readers of the
 * components are beside what runs them (normalize.c, pretokenize_load.c,
 * post_process.c, decode.c), those of models in bpe_json.c and unigram_json.c.
 */
#include <stdio.h>
#include <string.h>

#include "json/json.h"
#include "text/bpe_json.h"
#include "text/component.h"
#include "text/json_cut.h"
#include "text/pretokenize_load.h"
#include "text/tokenizer_build.h"
#include "text/tokenizer_parts.h"
#include "text/unigram_json.h"

static ellm_status load_model(const json_t *root, const json_range large[2], const char *origin, tokenizer_parts *parts,
                              ellm_error *err) {
  const json_t *model = json_object_get(root, "model");
  if (!json_is_object(model)) return json_wrong(model, "model", origin, "an object", err);
  const json_t *type = json_object_get(model, "type");
  const char *name = json_string_value(type);
  if (name && strcmp(name, "Unigram") == 0)
    return tokenizer_json_unigram(model, &large[0], origin, &parts->scored, err);
  if (type && (!name || strcmp(name, "BPE") != 0)) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: model of type \"%s\" is not supported, BPE and Unigram are", origin,
                     name ? name : "?");
  }
  return tokenizer_json_model(model, &large[0], &large[1], origin, &parts->model, err);
}

static ellm_status load_token(const json_t *object, size_t index, const char *origin, added_tokens *added,
                              ellm_error *err) {
  char part[40];
  component_place place = {origin, part};
  added_token token = {0};
  const char *content;
  snprintf(part, sizeof part, "added_tokens[%zu]", index);
  if (!json_is_object(object)) return json_wrong(object, part, origin, "an object", err);
  ELLM_TRY(component_string(object, "content", &place, &content, &token.content_bytes, err));
  const json_t *given = json_object_get(object, "id");
  if (!json_is_integer(given) || json_integer_value(given) < 0 ||
      json_integer_value(given) >= (json_int_t)VOCAB_ID_LIMIT) {
    char text[80];
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: id of added token \"%s\" is %s, a number from 0 to %u is expected",
                     origin,
                     content, json_brief(given, text), VOCAB_ID_LIMIT - 1);
  }
  token.id = (uint32_t)json_integer_value(given);
  token.content = (char *)content; /* it is copied */
  ELLM_TRY(component_bool(object, "single_word", true, &place, &token.single_word, err));
  ELLM_TRY(component_bool(object, "lstrip", true, &place, &token.lstrip, err));
  ELLM_TRY(component_bool(object, "rstrip", true, &place, &token.rstrip, err));
  ELLM_TRY(component_bool(object, "normalized", true, &place, &token.normalized, err));
  ELLM_TRY(component_bool(object, "special", true, &place, &token.special, err));
  return added_tokens_append(added, &token, origin, err);
}

static ellm_status load_added_tokens(const json_t *array, const char *origin, added_tokens *added, ellm_error *err) {
  if (array && !json_is_null(array) && !json_is_array(array)) {
    return json_wrong(array, "added_tokens", origin, "an array", err);
  }
  for (size_t i = 0; i < json_array_size(array); ++i) {
    ELLM_TRY(load_token(json_array_get(array, i), i, origin, added, err));
  }
  return ELLM_OK;
}

static ellm_status load(const json_t *root, const json_range large[2], const char *origin, tokenizer_parts *parts,
                        ellm_error *err) {
  if (!json_is_object(root)) return ellm_fail(err, ELLM_ERR_INPUT, "%s: not a JSON object", origin);
  const char *version = NULL;
  ELLM_TRY(json_get_string(root, "version", false, origin, &version, err));
  if (version && strcmp(version, "1.0") != 0) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: version \"%s\" is not supported, only 1.0", origin, version);
  }
  ELLM_TRY(load_model(root, large, origin, parts, err));
  ELLM_TRY(normalizer_load(json_object_get(root, "normalizer"), origin, &parts->normalizer, err));
  ELLM_TRY(pretokenizer_load(json_object_get(root, "pre_tokenizer"), origin, &parts->pretokenizer, err));
  ELLM_TRY(post_processor_load(json_object_get(root, "post_processor"), origin, &parts->post, err));
  ELLM_TRY(decoder_load(json_object_get(root, "decoder"), origin, &parts->decoder, err));
  return load_added_tokens(json_object_get(root, "added_tokens"), origin, &parts->added, err);
}

ellm_status ellm_tokenizer_create(const void *json, size_t bytes, const char *origin, ellm_tokenizer **tokenizer,
                                  ellm_error *err) {
  json_range large[2]; /* vocab, merges */
  ellm_buffer rest = {0};
  json_t *root = NULL;
  tokenizer_parts parts = {0};
  ellm_status status = ELLM_OK;
  *tokenizer = NULL;
  if (!json_cut(json, bytes, &large[0], &large[1], &rest)) status = ellm_fail_memory(err, bytes, "tokenizer");
  if (status == ELLM_OK) {
    status = json_parse(rest.size > 0 ? (const void *)rest.data : "", rest.size, origin, &root, err);
  }
  if (status == ELLM_OK) status = load(root, large, origin, &parts, err);
  json_decref(root);
  ellm_buffer_free(&rest);
  if (status != ELLM_OK) {
    tokenizer_parts_free(&parts);
    return status;
  }
  return tokenizer_build(&parts, origin, tokenizer, err);
}
