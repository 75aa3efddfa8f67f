/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rotary embedding options as Transformers reads them (modeling_rope_utils):
 * up to version 4 rope_theta is at the top and rope_scaling holds what is
 * unusual; from version 5 on rope_parameters holds both. Where both are there,
 * rope_scaling wins. What we cannot compute is refused, never ignored: a wrong
 * rotation gives a model that merely looks worse.
 */
#include "arch/rope_config.h"

#include <stdio.h>
#include <string.h>


static const double max_theta = 1e15, max_factor = 1e6;

/* Where one field of the rotary embedding is looked for. */
typedef struct rope_source {
  const json_t *options; /* rope_scaling or rope_parameters; NULL if neither is there */
  char origin[256];      /* "FILE: rope_scaling", for errors */
} rope_source;

/* The object `field` of `object`, whose name in errors is `origin`; no options where it is missing, null or empty. */
static ellm_status find_object(const json_t *object, const char *origin, const char *field, rope_source *source,
                               ellm_error *err) {
  const json_t *value = json_object_get(object, field);
  *source = (rope_source){0};
  snprintf(source->origin, sizeof source->origin, "%s", origin);
  if (value == NULL || json_is_null(value)) return ELLM_OK;
  if (!json_is_object(value)) return json_wrong(value, field, origin, "an object", err);
  if (json_object_size(value) == 0) return ELLM_OK;
  source->options = value;
  snprintf(source->origin, sizeof source->origin, "%s: %s", origin, field);
  return ELLM_OK;
}

static ellm_status find_options(const config_reader *in, rope_source *source, ellm_error *err) {
  ELLM_TRY(find_object(in->root, in->origin, "rope_scaling", source, err));
  return source->options != NULL ? ELLM_OK : find_object(in->root, in->origin, "rope_parameters", source, err);
}

/* A number of (low, high]; `required` means that it must be there. */
static ellm_status get_number(const json_t *object, const char *field, bool required, const char *origin, double low,
                              double high, double *out, ellm_error *err) {
  double value = high;
  ELLM_TRY(json_get_double(object, field, required, origin, &value, err));
  if (!(value > low && value <= high)) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s is %g, a number above %g and at most %g is expected", origin, field,
                     value, low, high);
  }
  const json_t *given = json_object_get(object, field);
  if (given != NULL && !json_is_null(given)) *out = value;
  return ELLM_OK;
}

/* Dynamic frequencies are the default ones up to max_position_embeddings, and change with the length beyond it. */
static ellm_status parse_type(const rope_source *source, const arch_rope_rules *rules, rope_type *type, bool *dynamic,
                              ellm_error *err) {
  const char *name = NULL;
  ELLM_TRY(json_get_string(source->options, "type", false, source->origin, &name, err));
  ELLM_TRY(json_get_string(source->options, "rope_type", false, source->origin, &name, err)); /* the newer name wins */
  static const struct {
    const char *name;
    rope_type type;
  } types[] = {
      {"default", ROPE_DEFAULT}, {"linear", ROPE_LINEAR},     {"llama3", ROPE_LLAMA3},
      {"yarn", ROPE_YARN},       {"longrope", ROPE_LONGROPE}, {"su", ROPE_LONGROPE},
      {"dynamic", ROPE_DEFAULT},
  };
  if (name == NULL) name = "default";
  *dynamic = strcmp(name, "dynamic") == 0;
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    if (strcmp(name, types[i].name) != 0) continue;
    *type = types[i].type;
    /* the first Phi-3 checkpoints call their long factors yarn */
    if (rules->only_longrope && *type == ROPE_YARN) *type = ROPE_LONGROPE;
    if (rules->only_longrope && ((*type != ROPE_DEFAULT && *type != ROPE_LONGROPE) || *dynamic)) break;
    return ELLM_OK;
  }
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: rope_type %s is not supported", source->origin, name);
}

static ellm_status parse_factor_list(const rope_source *source, const char *field, uint32_t n, float *out,
                                     ellm_error *err) {
  const json_t *list = json_object_get(source->options, field);
  if (!json_is_array(list)) return json_wrong(list, field, source->origin, "a list", err);
  if (json_array_size(list) != n) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s has %zu numbers, half of the rotating dimensions are %u",
                     source->origin, field, json_array_size(list), (unsigned)n);
  }
  for (uint32_t i = 0; i < n; i++) {
    const json_t *value = json_array_get(list, i);
    const double number = json_is_number(value) ? json_number_value(value) : 0.0;
    if (!(number >= 1e-6 && number <= max_factor)) {
      char text[80];
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s[%u] is %s, a number from 1e-6 to %g is expected", source->origin,
                       field, (unsigned)i, json_brief(value, text), max_factor);
    }
    out[i] = (float)number;
  }
  return ELLM_OK;
}

/* What the pretraining used: beside the other fields (Phi-3) or among the options, else max_position_embeddings. */
static ellm_status parse_original(const config_reader *in, const rope_source *source, const model_config *config,
                                  uint32_t *original, ellm_error *err) {
  static const char field[] = "original_max_position_embeddings";
  const uint32_t missing = in->arch->rope.original_positions;
  *original = missing > 0 ? missing : config->max_position_embeddings;
  ELLM_TRY(json_get_u32(source->options, field, false, source->origin, original, err));
  ELLM_TRY(json_get_u32(in->root, field, false, in->origin, original, err));
  if (*original == 0 || *original > CONFIG_MAX_POSITIONS) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s is %u, 1 to %d is expected", source->origin, field,
                     (unsigned)*original,
                     CONFIG_MAX_POSITIONS);
  }
  return ELLM_OK;
}

static ellm_status parse_llama3(const rope_source *source, rope_config *rope, ellm_error *err) {
  ELLM_TRY(get_number(source->options, "low_freq_factor", true, source->origin, 0.0, max_factor, &rope->low_freq_factor,
                      err));
  ELLM_TRY(get_number(source->options, "high_freq_factor", true, source->origin, 0.0, max_factor,
                      &rope->high_freq_factor, err));
  if (rope->high_freq_factor <= rope->low_freq_factor) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: high_freq_factor %g is not above low_freq_factor %g", source->origin,
                     rope->high_freq_factor, rope->low_freq_factor);
  }
  return ELLM_OK;
}

/* A number where Transformers takes 0 as not given. */
static ellm_status get_or_default(const rope_source *source, const char *field, double *out, ellm_error *err) {
  double value = 0.0;
  ELLM_TRY(json_get_double(source->options, field, false, source->origin, &value, err));
  if (value < 0.0 || value > max_factor) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s is %g, 0 to %g is expected", source->origin, field, value,
                     max_factor);
  }
  if (value != 0.0) *out = value;
  return ELLM_OK;
}

static ellm_status parse_yarn(const rope_source *source, rope_config *rope, ellm_error *err) {
  ELLM_TRY(get_or_default(source, "beta_fast", &rope->beta_fast, err));
  ELLM_TRY(get_or_default(source, "beta_slow", &rope->beta_slow, err));
  if (rope->beta_fast < rope->beta_slow) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: beta_fast %g is below beta_slow %g", source->origin, rope->beta_fast,
                     rope->beta_slow);
  }
  ELLM_TRY(get_or_default(source, "mscale", &rope->mscale, err));
  ELLM_TRY(get_or_default(source, "mscale_all_dim", &rope->mscale_all_dim, err));
  return json_get_bool(source->options, "truncate", false, source->origin, &rope->truncate, err);
}

static ellm_status parse_longrope(const rope_source *source, uint32_t half, const model_config *config,
                                  rope_config *rope, ellm_error *err) {
  rope->n_factors = half;
  ELLM_TRY(parse_factor_list(source, "short_factor", half, rope->short_factor, err));
  ELLM_TRY(parse_factor_list(source, "long_factor", half, rope->long_factor, err));
  rope->factor = (double)config->max_position_embeddings / rope->original_max_position_embeddings;
  return get_number(source->options, "factor", false, source->origin, 0.0, max_factor, &rope->factor, err);
}

static ellm_status parse_partial(const config_reader *in, const rope_source *source, const model_config *config,
                                 rope_config *rope, ellm_error *err) {
  static const char field[] = "partial_rotary_factor";
  rope->partial_rotary_factor = 1.0;
  ELLM_TRY(get_number(in->root, field, false, in->origin, 0.0, 1.0, &rope->partial_rotary_factor, err));
  if (source->options != NULL)
    ELLM_TRY(get_number(source->options, field, false, source->origin, 0.0, 1.0, &rope->partial_rotary_factor, err));
  if (rope->partial_rotary_factor != 1.0 && !in->arch->rope.partial) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s %g is not supported for %s", in->origin, field,
                     rope->partial_rotary_factor, in->arch->name);
  }
  const uint32_t rotary = (uint32_t)(config->head_dim * rope->partial_rotary_factor);
  if (rotary == 0 || rotary % 2 != 0) {
    return ellm_fail(err, ELLM_ERR_INPUT,
                     "%s: %u of %u dimensions of a head rotate (%s %g), an even number above 0 is expected", in->origin,
                     (unsigned)rotary, (unsigned)config->head_dim, field, rope->partial_rotary_factor);
  }
  return ELLM_OK;
}

static ellm_status refuse_types_of_layers(const rope_source *source, ellm_error *err) {
  const json_t *nested = json_object_get(source->options, "full_attention");
  if (nested == NULL) nested = json_object_get(source->options, "sliding_attention");
  if (nested == NULL) return ELLM_OK;
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: options by type of layer are not supported", source->origin);
}

/* One way of rotating: what `source` says; rope_theta is looked for there, then in the field theta_field, else it is
 * missing_theta. */
static ellm_status parse_rope(const config_reader *in, const rope_source *source, const char *theta_field,
                              double missing_theta, model_config *config, rope_config *rope, ellm_error *err) {
  *rope = (rope_config){.theta = missing_theta,
                        .factor = 1.0,
                        .beta_fast = 32.0,
                        .beta_slow = 1.0,
                        .attention_factor = -1.0,
                        .truncate = true};
  ELLM_TRY(get_number(in->root, theta_field, false, in->origin, 0.0, max_theta, &rope->theta, err));
  if (source->options != NULL)
    ELLM_TRY(get_number(source->options, "rope_theta", false, source->origin, 0.0, max_theta, &rope->theta, err));
  if (rope->theta <= 1.0)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: rope_theta is %g, a number above 1 is expected", source->origin,
                     rope->theta);
  ELLM_TRY(parse_partial(in, source, config, rope, err));
  if (source->options == NULL) return ELLM_OK;
  ELLM_TRY(refuse_types_of_layers(source, err));
  bool dynamic = false;
  ELLM_TRY(parse_type(source, &in->arch->rope, &rope->type, &dynamic, err));
  if (dynamic) config->max_context_reason = "rope_type dynamic is not supported beyond that";
  if (rope->type == ROPE_DEFAULT) return ELLM_OK;
  if (rope->type != ROPE_LONGROPE)
    ELLM_TRY(get_number(source->options, "factor", true, source->origin, 0.0, max_factor, &rope->factor, err));
  if (rope->type == ROPE_LINEAR) return ELLM_OK;
  ELLM_TRY(parse_original(in, source, config, &rope->original_max_position_embeddings, err));
  if (rope->type == ROPE_LLAMA3) return parse_llama3(source, rope, err);
  ELLM_TRY(get_number(source->options, "attention_factor", false, source->origin, 0.0, max_factor,
                      &rope->attention_factor, err));
  if (rope->type == ROPE_YARN) return parse_yarn(source, rope, err);
  return parse_longrope(source, (uint32_t)(config->head_dim * rope->partial_rotary_factor) / 2, config, rope, err);
}

/* Layers with a window rotate otherwise. The older style has rope_scaling for the others alone, and a field for the
 * base of these; the newer one has rope_parameters by type of layer. */
static ellm_status parse_two_ropes(const config_reader *in, double theta, model_config *config, ellm_error *err) {
  const arch_rope_rules *rules = &in->arch->rope;
  rope_source parameters, all, windows;
  ELLM_TRY(find_object(in->root, in->origin, "rope_parameters", &parameters, err));
  ELLM_TRY(find_object(parameters.options, parameters.origin, "full_attention", &all, err));
  ELLM_TRY(find_object(parameters.options, parameters.origin, "sliding_attention", &windows, err));
  if (parameters.options != NULL && all.options == NULL && windows.options == NULL)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: options by type of layer are expected", parameters.origin);
  if (all.options == NULL) ELLM_TRY(find_object(in->root, in->origin, "rope_scaling", &all, err));
  config->n_ropes = 2;
  ELLM_TRY(parse_rope(in, &all, "rope_theta", theta, config, &config->ropes[0], err));
  return parse_rope(in, &windows, rules->window_theta_field, rules->window_theta, config,
                    &config->ropes[ROPE_OF_WINDOWS], err);
}

ellm_status rope_config_parse(const config_reader *in, model_config *config, ellm_error *err) {
  const double theta = in->arch->rope.theta > 0 ? in->arch->rope.theta : 10000.0;
  rope_source source;
  if (in->arch->rope.window_theta > 0) return parse_two_ropes(in, theta, config, err);
  ELLM_TRY(find_options(in, &source, err));
  config->n_ropes = 1;
  return parse_rope(in, &source, "rope_theta", theta, config, &config->ropes[0], err);
}
