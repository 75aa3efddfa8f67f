/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/generation_config.h"

#include "json/json.h"

static ellm_status add_eos(const json_t *value, const char *origin, generation_config *config, ellm_error *err) {
  if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > UINT32_MAX) {
    return json_wrong(value, "eos_token_id", origin, "a token id or a list of them", err);
  }
  if (config->n_eos == CONFIG_MAX_EOS)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: eos_token_id has more than %d ids", origin, CONFIG_MAX_EOS);
  config->eos_ids[config->n_eos++] = (uint32_t)json_integer_value(value);
  return ELLM_OK;
}

static ellm_status parse_eos(const json_t *root, const char *origin, generation_config *config, ellm_error *err) {
  const json_t *value = json_object_get(root, "eos_token_id");
  if (value == NULL || json_is_null(value)) return ELLM_OK;
  if (json_is_integer(value) && json_integer_value(value) == -1) return ELLM_OK; /* none */
  if (!json_is_array(value)) return add_eos(value, origin, config, err);
  for (size_t i = 0; i < json_array_size(value); i++) ELLM_TRY(add_eos(json_array_get(value, i), origin, config, err));
  return ELLM_OK;
}

/* A number of low..high, negative when not given. */
static ellm_status get_option(const json_t *root, const char *field, const char *origin, double low, double high,
                              double *out, ellm_error *err) {
  double value = low;
  ELLM_TRY(json_get_double(root, field, false, origin, &value, err));
  if (value < low || value > high) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s is %g, %g to %g is wanted", origin, field, value, low, high);
  }
  const json_t *given = json_object_get(root, field);
  *out = given != NULL && !json_is_null(given) ? value : -1.0;
  return ELLM_OK;
}

static ellm_status parse_generation(const json_t *root, const char *origin, generation_config *config,
                                    ellm_error *err) {
  if (!json_is_object(root)) return ellm_fail(err, ELLM_ERR_INPUT, "%s: not a JSON object", origin);
  ELLM_TRY(parse_eos(root, origin, config, err));
  const json_t *sample = json_object_get(root, "do_sample");
  if (sample != NULL && !json_is_null(sample)) {
    bool given = false;
    ELLM_TRY(json_get_bool(root, "do_sample", false, origin, &given, err));
    config->do_sample = given;
  }
  ELLM_TRY(get_option(root, "temperature", origin, 0.0, 1e6, &config->temperature, err));
  ELLM_TRY(get_option(root, "top_p", origin, 0.0, 1.0, &config->top_p, err));
  ELLM_TRY(get_option(root, "min_p", origin, 0.0, 1.0, &config->min_p, err));
  ELLM_TRY(get_option(root, "repetition_penalty", origin, 1e-6, 1e6, &config->repetition_penalty, err));
  const json_t *top_k = json_object_get(root, "top_k");
  if (top_k != NULL && !json_is_null(top_k)) {
    uint32_t k = 0;
    ELLM_TRY(json_get_u32(root, "top_k", false, origin, &k, err));
    if (k > INT32_MAX)
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: top_k is %u, at most %d is wanted", origin, (unsigned)k, INT32_MAX);
    config->top_k = (int)k;
  }
  return ELLM_OK;
}

ellm_status generation_config_parse(const config_text *generation, const config_text *model, generation_config *config,
                                    ellm_error *err) {
  *config = (generation_config){
      .do_sample = -1, .temperature = -1.0, .top_p = -1.0, .min_p = -1.0, .repetition_penalty = -1.0, .top_k = -1};
  json_t *root;
  if (generation->json != NULL) {
    ELLM_TRY(json_parse(generation->json, generation->bytes, generation->origin, &root, err));
    const ellm_status status = parse_generation(root, generation->origin, config, err);
    json_decref(root);
    ELLM_TRY(status);
  }
  if (config->n_eos > 0 || model->json == NULL) return ELLM_OK;
  ELLM_TRY(json_parse(model->json, model->bytes, model->origin, &root, err));
  const ellm_status status = parse_eos(root, model->origin, config, err);
  json_decref(root);
  return status;
}
