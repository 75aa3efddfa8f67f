/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/target.h"

#include <stdlib.h>
#include <string.h>

const option_choice cli_qualities[] = {{"tiny", 1}, {"small", 2}, {"standard", 3}, {"fine", 4}, {NULL, 0}};
const option_choice cli_efforts[] = {{"quick", ELLM_EFFORT_QUICK}, {"full", ELLM_EFFORT_FULL}, {NULL, 0}};
static const double quality_bits[] = {0, 2.75, 3.25, 4.25, 5.5};
enum { STANDARD = 3 };

double cli_parse_size(const char *text) {
  static const struct { const char *name; double bytes; } units[] = {
      {"", 1},      {"B", 1},         {"kB", 1e3},        {"KB", 1e3},           {"MB", 1e6},    {"GB", 1e9},
      {"TB", 1e12}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30},      {"K", 1 << 10}, {"M", 1 << 20},
      {"G", 1 << 30}};
  char *end;
  const double number = strtod(text, &end);
  if (end == text || !(number > 0 && number < 1e15)) return 0;
  while (*end == ' ') end++;
  for (size_t i = 0; i < sizeof units / sizeof *units; i++)
    if (strcmp(end, units[i].name) == 0) return number * units[i].bytes;
  return 0;
}

bool cli_target_given(const cli_target *t) { return t->size != NULL || t->bits > 0 || t->max_kl > 0 || t->quality > 0; }

static int apply_calibration(const cli_target *t, ellm_compress_options *options) {
  options->effort = (ellm_effort)t->effort;
  options->plan = t->plan;
  if (t->memory != NULL) {
    const double memory = cli_parse_size(t->memory);
    if (memory < 1e6)
      return cli_error(ELLM_ERR_USAGE, "compress: --memory '%s' is not a size of at least 1MB", t->memory);
    options->memory = (uint64_t)memory;
  }
  if (t->calibrate == NULL) return ELLM_OK;
  if (strcmp(t->calibrate, "self") == 0) {
    options->calibrate = ELLM_CALIBRATE_SELF;
  } else if (strcmp(t->calibrate, "none") == 0) {
    options->calibrate = ELLM_CALIBRATE_NONE;
  } else {
    options->calibrate = ELLM_CALIBRATE_FILE;
    options->calibrate_file = t->calibrate;
  }
  return ELLM_OK;
}

int cli_target_apply(const cli_target *t, const option_table *table, ellm_compress_options *options) {
  if ((t->size != NULL) + (t->bits > 0) + (t->max_kl > 0) + (t->quality > 0) > 1)
    return cli_error(ELLM_ERR_USAGE,
                     "compress: --target-size, --target-bpw, --max-kl and --quality cannot be used together");
  const bool paper = option_given(table, "bits") || option_given(table, "scheme") || option_given(table, "code");
  if (!cli_target_given(t) && (paper || options->lossless)) {
    if (t->calibrate == NULL && t->memory == NULL && t->effort == 0 && t->plan == NULL) return ELLM_OK;
    return cli_error(ELLM_ERR_USAGE, "compress: --effort, --calibrate, --memory and --plan have no effect with "
                                     "--bits, --scheme, "
                                     "--code or --lossless");
  }
  static const char *const others[] = {"bits", "scheme", "code"};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    if (option_given(table, others[i]))
      return cli_error(ELLM_ERR_USAGE, "compress: --%s belongs to the paper's method and cannot be used with a "
                                       "target size", others[i]);
  if (t->size != NULL) {
    options->target = ELLM_TARGET_BYTES;
    options->target_value = cli_parse_size(t->size);
    if (!(options->target_value > 0))
      return cli_error(ELLM_ERR_USAGE, "compress: --target-size '%s' is not a size (1.9GiB, 750MB, ...)", t->size);
  } else if (t->max_kl > 0) {
    options->target = ELLM_TARGET_DIVERGENCE;
    options->target_value = t->max_kl;
  } else {
    options->target = ELLM_TARGET_BITS;
    options->target_value = t->bits > 0 ? t->bits : quality_bits[t->quality > 0 ? t->quality : STANDARD];
  }
  return apply_calibration(t, options);
}

/* Divergence in words: what people who compare quantizations of one model call it. */
static const char *in_words(double divergence) {
  if (divergence < 0.005) return "hardly distinguishable from the original";
  if (divergence < 0.05) return "very near to the original";
  if (divergence < 0.15) return "near to the original, other words here and there";
  return divergence < 0.5 ? "clearly different from the original" : "far from the original";
}

void cli_print_quality(const char *json) {
  json_t *quality = json_loads(json, 0, NULL);
  const json_t *divergence = json_object_get(quality, "divergence_i16");
  const char *effort = json_string_value(json_object_get(quality, "effort"));
  const char *calibration = json_string_value(json_object_get(quality, "calibration"));
  const bool self = calibration != NULL && strcmp(calibration, "self") == 0;
  const bool none = calibration == NULL || strcmp(calibration, "none") == 0;
  printf("calibration              %s", none ? "none\n" : self ? "text that the model wrote" : "a given text");
  if (!none) printf(", effort %s\n", effort != NULL ? effort : "?");
  if (divergence != NULL) {
    const double i16 = json_number_value(divergence);
    printf("divergence from source   %.4f nats per token (i8 activations: %.4f): %s\n", i16,
           json_number_value(json_object_get(quality, "divergence_i8")), in_words(i16));
    double added, own;
    const bool i8 = ellm_quality_activations(json, &added, &own) == ELLM_ACTIVATIONS_I8;
    if (added < 0)
      printf("activations, default     i16: the file does not say what i8 adds\n");
    else
      printf("activations, default     %s, as i8 adds %.2g to it, %.1f %% (i8 up to 5 %%)\n", i8 ? "i8" : "i16", added,
             100 * added / (own > 0 ? own : 1));
    const json_t *predicted = json_object_get(quality, "predicted_divergence");
    const json_t *conversation = json_object_get(quality, "conversation_divergence_i16");
    if (predicted != NULL) printf("divergence, predicted    %.4f\n", json_number_value(predicted));
    printf("equal likeliest token    %.1f %% of %lld tokens that were not used to make the file\n",
           100 * json_number_value(json_object_get(quality, "equal_top_i16")),
           (long long)json_integer_value(json_object_get(quality, "tokens")));
    if (conversation != NULL)
      printf("in conversations         divergence %.4f, equal likeliest token %.1f %%\n",
             json_number_value(conversation),
             100 * json_number_value(json_object_get(quality, "conversation_equal_top_i16")));
  }
  json_decref(quality);
}

void cli_print_full_gain(const char *quality_json, double bits) {
  json_t *quality = json_loads(quality_json, 0, NULL);
  const char *effort = json_string_value(json_object_get(quality, "effort"));
  if (effort != NULL && strcmp(effort, "quick") == 0)
    /* Between the curves of both efforts, docs/QUANTIZATION.md, "Measured by the command": 0.25 bits at 2.5, 0.11 at
     * 3.35, 0.10 at 4.35. */
    printf("with --effort full       about %.2f bits per weight less at the same divergence (as on SmolLM2-135M)\n",
           bits < 3 ? 0.25 : 0.1);
  json_decref(quality);
}

void cli_print_plan(const char *json, bool tensors) {
  json_t *plan = json_loads(json, 0, NULL);
  const json_t *list = json_object_get(plan, "tensors"), *divergence = json_object_get(plan, "divergence");
  char size[24], memory[24];
  if (tensors) printf("%-56s %10s %8s %12s\n", "matrix", "step", "bits", "damage");
  for (size_t i = 0; tensors && i < json_array_size(list); i++) {
    const json_t *t = json_array_get(list, i);
    printf("%-56s %10.5f %8.3f %12.3g\n", json_string_value(json_object_get(t, "name")),
           json_number_value(json_object_get(t, "step")), json_number_value(json_object_get(t, "bits")),
           json_number_value(json_object_get(t, "damage")));
  }
  printf("expected size            %s, %.3f bits per weight\n",
         cli_size_text((uint64_t)json_number_value(json_object_get(plan, "file_bytes")), size),
         json_number_value(json_object_get(plan, "bits_per_weight")));
  if (json_is_number(divergence)) {
    const double nats = json_number_value(divergence);
    printf("expected divergence      %.4f nats per token: %s\n", nats, in_words(nats));
  }
  printf("memory when running      %s with 4096 positions or all\n",
         cli_size_text((uint64_t)json_integer_value(json_object_get(plan, "memory_bytes")), memory));
  json_decref(plan);
}
