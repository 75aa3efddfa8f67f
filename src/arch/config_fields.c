/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/config_fields.h"

#include <stdlib.h>
#include <string.h>

ellm_status config_size(const config_reader *in, const char *field, bool required, uint32_t limit, uint32_t *out,
                        ellm_error *err) {
  ELLM_TRY(json_get_u32(in->root, field, required, in->origin, out, err));
  if (*out == 0 || *out > limit)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s is %u, 1 to %u is expected", in->origin, field, (unsigned)*out,
                     (unsigned)limit);
  return ELLM_OK;
}

ellm_status config_bool(const config_reader *in, const char *field, bool *out, ellm_error *err) {
  return json_get_bool(in->root, field, false, in->origin, out, err);
}

bool config_is_missing(const config_reader *in, const char *field) {
  return json_object_get(in->root, field) == NULL;
}

bool config_is_null(const config_reader *in, const char *field) {
  return json_is_null(json_object_get(in->root, field));
}

ellm_status config_attention_bias(const config_reader *in, model_config *config, ellm_error *err) {
  bool given = false;
  ELLM_TRY(config_bool(in, "attention_bias", &given, err));
  for (uint32_t i = 0; i < config->n_layers; i++) config->layers[i].qkv_bias = config->layers[i].output_bias = given;
  return ELLM_OK;
}

ellm_status config_mlp_bias(const config_reader *in, model_config *config, ellm_error *err) {
  bool given = false;
  ELLM_TRY(config_bool(in, "mlp_bias", &given, err));
  for (uint32_t i = 0; i < config->n_layers; i++) config->layers[i].mlp_bias = given;
  return ELLM_OK;
}

ellm_status config_no_attention_bias(const config_reader *in, ellm_error *err) {
  bool given = false;
  ELLM_TRY(config_bool(in, "attention_bias", &given, err));
  if (!given) return ELLM_OK;
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: attention_bias true is not supported for %s", in->origin, in->arch->name);
}

ellm_status config_experts(const config_reader *in, const char *const fields[2], uint32_t missing,
                           uint32_t missing_used, uint32_t *n, uint32_t *used, ellm_error *err) {
  const char *field = config_is_missing(in, fields[0]) && !config_is_missing(in, fields[1]) ? fields[1] : fields[0];
  *n = missing;
  *used = missing_used;
  ELLM_TRY(config_size(in, field, false, CONFIG_MAX_EXPERTS, n, err));
  ELLM_TRY(config_size(in, "num_experts_per_tok", false, CONFIG_MAX_EXPERTS, used, err));
  if (*used <= *n) return ELLM_OK;
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: num_experts_per_tok %u is more than the %u of %s", in->origin,
                   (unsigned)*used, (unsigned)*n, field);
}

/* -------------------------------------------------------------------- windows */

ellm_status config_window(const config_reader *in, uint32_t missing, uint32_t *window, ellm_error *err) {
  static const char field[] = "sliding_window";
  *window = config_is_missing(in, field) ? missing : 0;
  if (config_is_missing(in, field) || config_is_null(in, field)) return ELLM_OK;
  return config_size(in, field, true, CONFIG_MAX_POSITIONS, window, err);
}

ellm_status config_layer_types(const config_reader *in, uint32_t n_layers, bool *given, bool *sliding,
                               ellm_error *err) {
  const json_t *list = json_object_get(in->root, "layer_types");
  *given = list != NULL && !json_is_null(list);
  if (!*given) return ELLM_OK;
  if (!json_is_array(list) || json_array_size(list) != n_layers) {
    char text[80];
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: layer_types is %s, a list of %s = %u names is expected", in->origin,
                     json_brief(list, text), in->arch->fields->n_layers, (unsigned)n_layers);
  }
  for (uint32_t i = 0; i < n_layers; i++) {
    const json_t *value = json_array_get(list, i);
    const char *type = json_unreadable_number(value) == NULL ? json_string_value(value) : NULL;
    sliding[i] = type != NULL && strcmp(type, "sliding_attention") == 0;
    if (!sliding[i] && (type == NULL || strcmp(type, "full_attention") != 0))
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: layer_types[%u] %s is not supported", in->origin, (unsigned)i,
                       type != NULL ? type : "is not a name and");
  }
  return ELLM_OK;
}

static ellm_status check_same_window(const config_reader *in, uint32_t window, const model_config *config,
                                     bool *sliding, ellm_error *err) {
  bool given = false;
  ELLM_TRY(config_layer_types(in, config->n_layers, &given, sliding, err));
  for (uint32_t i = 0; given && i < config->n_layers; i++) {
    if (sliding[i] && window == 0)
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: layer_types[%u] is sliding_attention, but there is no sliding window",
                       in->origin, (unsigned)i);
    if (!sliding[i] && window != 0)
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: layer_types and sliding_window contradict each other for %s",
                       in->origin, in->arch->name);
  }
  return ELLM_OK;
}

ellm_status config_same_window(const config_reader *in, uint32_t window, model_config *config, ellm_error *err) {
  bool *sliding = calloc(config->n_layers, sizeof *sliding);
  if (sliding == NULL) return ellm_fail_memory(err, config->n_layers * sizeof *sliding, in->origin);
  const ellm_status status = check_same_window(in, window, config, sliding, err);
  free(sliding);
  for (uint32_t i = 0; i < config->n_layers; i++) config->layers[i].window = window;
  return status;
}
