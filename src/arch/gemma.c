/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gemma 2 and the text of Gemma 3: norms before and behind both parts, which multiply by 1 + weight; an embedding times
 * sqrt(hidden_size); a GELU network; windows in most layers. Gemma 2 caps scores and logits; Gemma 3 norms queries and
 * keys instead, and layers with a window rotate with a base of their own. Checkpoints of Gemma 3 that see as well have
 * the fields of the text in text_config.
 */
#include <math.h>
#include <stdlib.h>

#include "arch/config_fields.h"
#include "arch/usual.h"

/* A soft cap: above 0, or null: none. */
static ellm_status cap(const config_reader *in, const char *field, double missing, float *out, ellm_error *err) {
  double value = missing;
  if (config_is_null(in, field)) value = 0;
  ELLM_TRY(json_get_double(in->root, field, false, in->origin, &value, err));
  const bool given = !config_is_missing(in, field) && !config_is_null(in, field);
  if (given && !(value > 0 && value <= 1e6))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s is %g, a number above 0 and at most 1e+06 is expected", in->origin,
                     field, value);
  *out = (float)value;
  return ELLM_OK;
}

/* layer_types decides where it is given, else every `pattern`-th layer sees everything. */
static ellm_status windows(const config_reader *in, uint32_t pattern, model_config *config, bool *sliding,
                           ellm_error *err) {
  bool given = false;
  uint32_t window = 0;
  ELLM_TRY(config_window(in, CONFIG_USUAL_WINDOW, &window, err));
  ELLM_TRY(config_layer_types(in, config->n_layers, &given, sliding, err));
  for (uint32_t i = 0; i < config->n_layers; i++) {
    if (!given) sliding[i] = (i + 1) % pattern != 0;
    if (!sliding[i]) continue;
    if (window == 0)
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: layer %u has a window, but sliding_window is null", in->origin,
                       (unsigned)i);
    config->layers[i].window = window;
    if (config->n_ropes > 1) config->layers[i].rope = ROPE_OF_WINDOWS;
  }
  return ELLM_OK;
}

static ellm_status gemma_facts(const config_reader *in, uint32_t pattern, model_config *config, ellm_error *err) {
  bool both_ways = false;
  double scalar = 256;
  ELLM_TRY(config_attention_bias(in, config, err));
  ELLM_TRY(config_bool(in, "use_bidirectional_attention", &both_ways, err));
  if (both_ways)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: use_bidirectional_attention true is not supported", in->origin);
  ELLM_TRY(json_get_double(in->root, "query_pre_attn_scalar", false, in->origin, &scalar, err));
  if (!(scalar > 0 && scalar <= 1e6))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: query_pre_attn_scalar is %g, a number above 0 and at most 1e+06 is "
                                          "expected",
                     in->origin, scalar);
  config->norm_offset = 1;
  config->embedding_scale = (float)sqrt((double)config->hidden_size);
  for (uint32_t i = 0; i < config->n_layers; i++) config->layers[i].score_scale = (float)(1 / sqrt(scalar));
  bool *sliding = calloc(config->n_layers, sizeof *sliding);
  if (sliding == NULL) return ellm_fail_memory(err, config->n_layers * sizeof *sliding, in->origin);
  const ellm_status status = windows(in, pattern, config, sliding, err);
  free(sliding);
  return status;
}

static ellm_status gemma2_facts(const config_reader *in, model_config *config, ellm_error *err) {
  float score_cap = 0;
  ELLM_TRY(cap(in, "attn_logit_softcapping", 50, &score_cap, err));
  ELLM_TRY(cap(in, "final_logit_softcapping", 30, &config->logits_soft_cap, err));
  ELLM_TRY(gemma_facts(in, 2, config, err));
  for (uint32_t i = 0; i < config->n_layers; i++) config->layers[i].score_soft_cap = score_cap;
  return ELLM_OK;
}

static ellm_status gemma3_facts(const config_reader *in, model_config *config, ellm_error *err) {
  uint32_t pattern = 6;
  float score_cap = 0;
  ELLM_TRY(config_size(in, "sliding_window_pattern", false, CONFIG_MAX_LAYERS, &pattern, err));
  ELLM_TRY(cap(in, "attn_logit_softcapping", 0, &score_cap, err));
  if (score_cap != 0) /* Transformers reads it and caps nothing */
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: attn_logit_softcapping %g is not supported for %s", in->origin,
                     (double)score_cap, in->arch->name);
  ELLM_TRY(cap(in, "final_logit_softcapping", 0, &config->logits_soft_cap, err));
  ELLM_TRY(gemma_facts(in, pattern, config, err));
  for (uint32_t i = 0; i < config->n_layers; i++) config->layers[i].qk_norm = true;
  return ELLM_OK;
}

static const arch_fields gemma_fields = {
    ARCH_USUAL_SIZES,
    .activation = "hidden_activation",
};

static const arch_tensors gemma_tensors = {
    ARCH_USUAL_WHOLE,
    .attention_norm = "input_layernorm",
    .attention_post_norm = "post_attention_layernorm",
    .mlp_norm = "pre_feedforward_layernorm",
    .mlp_post_norm = "post_feedforward_layernorm",
    ARCH_USUAL_QKV,
    ARCH_USUAL_QK_NORMS,
    ARCH_USUAL_OUTPUT,
    ARCH_USUAL_MLP,
};

/* The classes have defaults for all sizes, and published configurations rely on them. */
#define GEMMA_DEFAULTS(vocabulary, positions)                                                          \
  {.vocab_size = (vocabulary), .hidden_size = 2304, .intermediate_size = 9216, .n_layers = 26,         \
   .n_heads = 8, .n_kv_heads = 4, .head_dim = 256, .max_position_embeddings = (positions),             \
   .rms_norm_eps = 1e-6, .eos_token_id = 1, .tie_word_embeddings = true, .activation = ARCH_GELU_TANH}

static const arch_class gemma2 = {
    .name = "Gemma2ForCausalLM",
    .model_type = "gemma2",
    .fields = &gemma_fields,
    .tensors = &gemma_tensors,
    .defaults = GEMMA_DEFAULTS(256000, 8192),
    .facts = gemma2_facts,
};

static const arch_class gemma3 = {
    .name = "Gemma3ForCausalLM",
    .model_type = "gemma3_text",
    .fields = &gemma_fields,
    .tensors = &gemma_tensors,
    .defaults = GEMMA_DEFAULTS(262208, 131072),
    .rope = {.theta = 1e6, .window_theta = 1e4, .window_theta_field = "rope_local_base_freq"},
    .facts = gemma3_facts,
};

/* Sees pictures as well; the part that does is left alone. */
static const arch_class gemma3_with_vision = {
    .name = "Gemma3ForConditionalGeneration",
    .model_type = "gemma3",
    .nested = "text_config",
    .nested_model_type = "gemma3_text",
    .fields = &gemma_fields,
    .tensors = &gemma_tensors,
    .defaults = GEMMA_DEFAULTS(262208, 131072),
    .rope = {.theta = 1e6, .window_theta = 1e4, .window_theta_field = "rope_local_base_freq"},
    .facts = gemma3_facts,
};

const arch_class *const arch_family_gemma[] = {&gemma2, &gemma3, &gemma3_with_vision, NULL};
