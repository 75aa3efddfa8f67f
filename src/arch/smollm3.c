/* SPDX-License-Identifier: Apache-2.0 */
/* SmolLM3: Llama whose queries and keys are not rotated in some layers, mostly every fourth. */
#include <stdlib.h>

#include "arch/config_fields.h"
#include "arch/usual.h"

/* no_rope_layers says 1 for layers that rotate. */
static ellm_status rotations(const config_reader *in, model_config *config, ellm_error *err) {
  static const char field[] = "no_rope_layers";
  uint32_t interval = 4;
  ELLM_TRY(config_size(in, "no_rope_layer_interval", false, CONFIG_MAX_LAYERS, &interval, err));
  const json_t *list = json_object_get(in->root, field);
  const bool given = !config_is_missing(in, field) && !config_is_null(in, field);
  if (given && (!json_is_array(list) || json_array_size(list) < config->n_layers)) {
    char text[80];
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s is %s, a list of %u numbers is expected", in->origin, field,
                     json_brief(list, text), (unsigned)config->n_layers);
  }
  for (uint32_t i = 0; i < config->n_layers; i++) {
    const json_t *value = json_array_get(list, i);
    if (given && (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > 1)) {
      char text[80];
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s[%u] is %s, 0 or 1 is expected", in->origin, field, (unsigned)i,
                       json_brief(value, text));
    }
    const bool rotates = given ? json_integer_value(value) == 1 : (i + 1) % interval != 0;
    if (!rotates) config->layers[i].rope = ARCH_NO_ROPE;
  }
  return ELLM_OK;
}

/* Only layers that layer_types names, or else those that do not rotate, have a window. */
static ellm_status windows(const config_reader *in, model_config *config, bool *sliding, ellm_error *err) {
  bool used = false, by_type = false;
  uint32_t window = 0;
  ELLM_TRY(config_bool(in, "use_sliding_window", &used, err));
  if (used) ELLM_TRY(config_window(in, 0, &window, err));
  ELLM_TRY(config_layer_types(in, config->n_layers, &by_type, sliding, err));
  for (uint32_t i = 0; i < config->n_layers; i++) {
    if (by_type && sliding[i] && window == 0)
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: layer_types[%u] is sliding_attention, but there is no sliding window",
                       in->origin, (unsigned)i);
    if (by_type ? sliding[i] : config->layers[i].rope == ARCH_NO_ROPE) config->layers[i].window = window;
  }
  return ELLM_OK;
}

static ellm_status smollm3_facts(const config_reader *in, model_config *config, ellm_error *err) {
  ELLM_TRY(config_attention_bias(in, config, err));
  ELLM_TRY(config_mlp_bias(in, config, err));
  ELLM_TRY(rotations(in, config, err));
  bool *sliding = calloc(config->n_layers, sizeof *sliding);
  if (sliding == NULL) return ellm_fail_memory(err, config->n_layers * sizeof *sliding, in->origin);
  const ellm_status status = windows(in, config, sliding, err);
  free(sliding);
  return status;
}

static const arch_class smollm3 = {
    .name = "SmolLM3ForCausalLM",
    .model_type = "smollm3",
    .fields = &arch_usual_fields,
    .tensors = &arch_usual_tensors,
    .defaults = {.n_kv_heads = 4,
                 .max_position_embeddings = 32768,
                 .rms_norm_eps = 1e-6,
                 .eos_token_id = 128001,
                 .tie_word_embeddings = true},
    .rope = {.theta = 2e6},
    .facts = smollm3_facts,
};

const arch_class *const arch_family_smollm3[] = {&smollm3, NULL};
