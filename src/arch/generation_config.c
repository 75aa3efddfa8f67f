/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/generation_config.h"

#include <stdlib.h>
#include <string.h>

#include "json/lenient.h"

bool generation_config_add_eos(generation_config *config, uint32_t id) {
  for (size_t i = 0; i < config->n_eos; i++)
    if (config->eos_ids[i] == id) return true;
  if (config->n_eos == CONFIG_MAX_EOS) return false;
  config->eos_ids[config->n_eos++] = id;
  return true;
}

/* ------------------------------------------------------------- ids that end a turn */

static ellm_status add_eos(const json_t *value, const char *origin, generation_config *config, ellm_error *err) {
  if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > UINT32_MAX)
    return json_wrong(value, "eos_token_id", origin, "a token id or a list of them", err);
  if (generation_config_add_eos(config, (uint32_t)json_integer_value(value))) return ELLM_OK;
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: eos_token_id has more than %d ids", origin, CONFIG_MAX_EOS);
}

/* *given: is the field there? null and -1 say that there is none. */
static ellm_status parse_eos(const json_t *root, const char *origin, bool *given, generation_config *config,
                             ellm_error *err) {
  const json_t *value = json_object_get(root, "eos_token_id");
  *given = value != NULL;
  if (value == NULL || json_is_null(value)) return ELLM_OK;
  if (json_is_integer(value) && json_integer_value(value) == -1) return ELLM_OK;
  if (!json_is_array(value)) return add_eos(value, origin, config, err);
  for (size_t i = 0; i < json_array_size(value); i++) ELLM_TRY(add_eos(json_array_get(value, i), origin, config, err));
  return ELLM_OK;
}

/* config.json's; the class's where the field is missing. */
static ellm_status parse_model_eos(const config_text *model, int64_t class_eos_id, generation_config *config,
                                   ellm_error *err) {
  bool given = false;
  if (model->json != NULL) {
    json_t *root;
    ELLM_TRY(json_parse_lenient(model->json, model->bytes, model->origin, &root, err));
    const ellm_status status = parse_eos(root, model->origin, &given, config, err);
    json_decref(root);
    ELLM_TRY(status);
  }
  if (!given && class_eos_id >= 0) generation_config_add_eos(config, (uint32_t)class_eos_id);
  return ELLM_OK;
}

/* --------------------------------------------------------------------- sampling */

/* The file's objects and whoever hears about what is wrong in it. */
typedef struct sampling_reader { const json_t *root; const char *origin; const ellm_notes *notes; } sampling_reader;

static void not_used(const sampling_reader *in, const char *field, const char *wanted) {
  char text[80];
  ellm_note(in->notes, "%s: %s is %s, %s is expected: ignored", in->origin, field,
            json_brief(json_object_get(in->root, field), text), wanted);
}

/* A number of low..high, negative when not given. */
static double get_option(const sampling_reader *in, const char *field, double low, double high, const char *wanted) {
  const json_t *value = json_object_get(in->root, field);
  if (value == NULL || json_is_null(value)) return -1;
  const double number = json_is_number(value) ? json_number_value(value) : low - 1;
  if (number >= low && number <= high) return number;
  not_used(in, field, wanted);
  return -1;
}

static void parse_sampling(const sampling_reader *in, generation_config *config) {
  const json_t *sample = json_object_get(in->root, "do_sample"), *top_k = json_object_get(in->root, "top_k");
  if (json_is_boolean(sample)) config->do_sample = json_is_true(sample);
  else if (sample != NULL && !json_is_null(sample)) not_used(in, "do_sample", "true or false");
  config->temperature = get_option(in, "temperature", 0.0, 1e6, "a number of at least 0");
  config->top_p = get_option(in, "top_p", 0.0, 1.0, "a number from 0 to 1");
  config->min_p = get_option(in, "min_p", 0.0, 1.0, "a number from 0 to 1");
  config->repetition_penalty = get_option(in, "repetition_penalty", 1e-6, 1e6, "a number above 0");
  if (json_is_integer(top_k) && json_integer_value(top_k) >= 0 && json_integer_value(top_k) <= INT32_MAX)
    config->top_k = (int)json_integer_value(top_k);
  else if (top_k != NULL && !json_is_null(top_k)) not_used(in, "top_k", "an integer of at least 0");
}

static ellm_status parse_generation(const config_text *text, const ellm_notes *notes, generation_config *config,
                                    ellm_error *err) {
  json_t *root;
  bool given;
  ellm_error why;
  const ellm_status parsed = json_parse_lenient(text->json, text->bytes, text->origin, &root, &why);
  if (parsed == ELLM_ERR_INPUT) {
    ellm_note(notes, "%s: treated as missing", why.message);
    return ELLM_OK;
  }
  if (parsed != ELLM_OK) {
    if (err != NULL) *err = why;
    return parsed;
  }
  ellm_status status = ELLM_OK;
  if (json_is_object(root)) {
    const sampling_reader in = {root, text->origin, notes};
    parse_sampling(&in, config);
    status = parse_eos(root, text->origin, &given, config, err);
  } else {
    ellm_note(notes, "%s: not a JSON object: treated as missing", text->origin);
  }
  json_decref(root);
  return status;
}

ellm_status generation_config_parse(const config_text *generation, const config_text *model, int64_t class_eos_id,
                                    const ellm_notes *notes, generation_config *config, ellm_error *err) {
  *config = (generation_config){.do_sample = -1,
                                .temperature = -1.0,
                                .top_p = -1.0,
                                .min_p = -1.0,
                                .repetition_penalty = -1.0,
                                .top_k = GENERATION_DEFAULT_TOP_K};
  if (generation->json != NULL) ELLM_TRY(parse_generation(generation, notes, config, err));
  return config->n_eos > 0 ? ELLM_OK : parse_model_eos(model, class_eos_id, config, err);
}

/* ------------------------------------------------------------- tokenizer_config.json */

/* A token as Transformers writes it: its text, or an object (AddedToken) with `content`. NULL: neither. */
static const char *token_content(const json_t *token) {
  const json_t *content = json_is_object(token) ? json_object_get(token, "content") : token;
  if (!json_is_string(content) || json_unreadable_number(content) != NULL) return NULL;
  return strlen(json_string_value(content)) == json_string_length(content) ? json_string_value(content) : NULL;
}

/* The one id of added_tokens_decoder ({"ID": token, ...}) whose token is `content`; -1 for none and for several. */
static int64_t find_added(const json_t *decoder, const char *content) {
  int64_t found = -1;
  const char *key;
  json_t *token;
  if (!json_is_object(decoder)) return -1;
  json_object_foreach((json_t *)decoder, key, token) {
    const char *text = token_content(token);
    if (text == NULL || strcmp(text, content) != 0) continue;
    char *end;
    const unsigned long id = strtoul(key, &end, 10);
    if (key[0] < '0' || key[0] > '9' || *end != '\0' || id > UINT32_MAX || found >= 0) return -1;
    found = (int64_t)id;
  }
  return found;
}

ellm_status tokenizer_config_eos(const config_text *text, const ellm_notes *notes, char **content, int64_t *id,
                                 ellm_error *err) {
  *content = NULL;
  *id = -1;
  if (text->json == NULL) return ELLM_OK;
  json_t *root;
  ellm_error why;
  ellm_status status = json_parse_lenient(text->json, text->bytes, text->origin, &root, &why);
  if (status == ELLM_ERR_INPUT) {
    ellm_note(notes, "%s: its eos_token is not known", why.message);
    return ELLM_OK;
  }
  if (status != ELLM_OK) {
    if (err != NULL) *err = why;
    return status;
  }
  const json_t *token = json_object_get(root, "eos_token");
  const char *found = token_content(token);
  if (found != NULL) {
    *content = malloc(strlen(found) + 1);
    if (*content == NULL) status = ellm_fail_memory(err, strlen(found) + 1, text->origin);
    else *id = find_added(json_object_get(root, "added_tokens_decoder"), strcpy(*content, found));
  } else if (token != NULL && !json_is_null(token)) {
    char brief[80];
    ellm_note(notes, "%s: eos_token is %s, a token is expected: ignored", text->origin,
              json_brief(token, brief));
  }
  json_decref(root);
  return status;
}
