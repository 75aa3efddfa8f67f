/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See quantization.h. Fields are read leniently, and what is not supported is only noted: a folder is refused when a
 * tensor is met that needs what is not supported, so that one whose weights are plain after all can be read.
 */
#include "source/quantization.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "json/lenient.h"

static void not_supported(quantization *q, const char *format, ...) ELLM_PRINTF(2, 3);

static void not_supported(quantization *q, const char *format, ...) {
  va_list args;
  if (q->unsupported[0] != '\0') return; /* the first counts */
  va_start(args, format);
  vsnprintf(q->unsupported, sizeof q->unsupported, format, args);
  va_end(args);
}

/* A string of the object, "" where it is missing or something else. */
static const char *text_of(const json_t *object, const char *field) {
  const char *text = json_string_value(json_object_get(object, field));
  return text != NULL ? text : "";
}

/* The integer under the first of two names; `otherwise` where there is none. */
static int64_t number_of(const json_t *object, const char *field, const char *other, int64_t otherwise) {
  const json_t *value = json_object_get(object, field);
  if (value == NULL) value = json_object_get(object, other);
  return json_is_integer(value) ? (int64_t)json_integer_value(value) : otherwise;
}

/* One more width of integers that weights may have. */
static void take_width(quantization *q, const char *method, int64_t bits, const char *supported) {
  char digit[2] = {(char)('0' + bits % 10), '\0'};
  if (bits < 1 || bits > QUANTIZATION_MAX_BITS || strstr(supported, digit) == NULL)
    not_supported(q, "%s with bits %lld is not supported, %s are", method, (long long)bits, supported);
  else q->widths[bits] = true;
}

/* "gptq" stores zeros less one, "gptq_v2" as they are; other forms (marlin) have another order of weights. */
static void read_gptq(quantization *q, const json_t *config) {
  const char *format = text_of(config, "checkpoint_format");
  q->zeros_less_one = strcmp(format, "gptq_v2") != 0;
  q->group_size = number_of(config, "group_size", "group_size", 0);
  take_width(q, "gptq", number_of(config, "bits", "w_bit", 0), "2, 3, 4, 8");
  if (format[0] != '\0' && strcmp(format, "gptq") != 0 && strcmp(format, "gptq_v2") != 0)
    not_supported(q, "gptq with checkpoint_format %.60s is not supported, gptq and gptq_v2 are", format);
  if (json_is_true(json_object_get(config, "is_marlin_format")))
    not_supported(q, "gptq with is_marlin_format is not supported");
}

static void read_awq(quantization *q, const json_t *config) {
  const char *version = text_of(config, "version");
  q->group_size = number_of(config, "group_size", "q_group_size", 0);
  take_width(q, "awq", number_of(config, "bits", "w_bit", 0), "4");
  if (version[0] != '\0' && strcasecmp(version, "gemm") != 0)
    not_supported(q, "awq of version %.60s is not supported, gemm is", version);
}

/* Formats whose tensors are read, as wholes or in groups. */
static void check_format(quantization *q, const char *format) {
  static const char *const known[] = {"pack-quantized", "int-quantized", "naive-quantized", "float-quantized",
                                      "mxfp4-pack-quantized", "dense", "mixed-precision", ""};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strcmp(format, known[i]) == 0) return;
  not_supported(q, "compressed-tensors of format %.60s is not supported", format);
}

/* Each group of layers may have a width and a format of its own. */
static void read_compressed_tensors(quantization *q, json_t *config) {
  const char *key;
  json_t *group;
  check_format(q, text_of(config, "format"));
  json_object_foreach(json_object_get(config, "config_groups"), key, group) {
    const json_t *weights = json_object_get(group, "weights");
    check_format(q, text_of(group, "format"));
    if (!json_is_object(weights) || strcmp(text_of(weights, "type"), "float") == 0) continue;
    take_width(q, "compressed-tensors", number_of(weights, "num_bits", "num_bits", 0), "2, 4, 8");
    const int64_t size = number_of(weights, "group_size", "group_size", 0);
    if (size != 0) q->group_size = size;
  }
  const char *sparsity = text_of(json_object_get(config, "sparsity_config"), "format");
  if (sparsity[0] != '\0' && strcmp(sparsity, "dense") != 0)
    not_supported(q, "compressed-tensors of sparsity format %.60s is not supported", sparsity);
}

static void read_config(quantization *q, json_t *config) {
  const char *method = text_of(config, "quant_method");
  q->method = QUANTIZATION_OTHER;
  if (strcmp(method, "gptq") == 0) {
    q->method = QUANTIZATION_GPTQ;
    read_gptq(q, config);
  } else if (strcmp(method, "awq") == 0) {
    q->method = QUANTIZATION_AWQ;
    read_awq(q, config);
  } else if (strcmp(method, "compressed-tensors") == 0) {
    q->method = QUANTIZATION_COMPRESSED_TENSORS;
    read_compressed_tensors(q, config);
  } else if (strcmp(method, "mxfp4") == 0) {
    q->method = QUANTIZATION_MXFP4;
  } else {
    not_supported(q, "quant_method %.60s is not supported", method[0] != '\0' ? method : "(none)");
  }
}

/* The root of a file of the folder; NULL: there is none, or it is no JSON, which opening the model tells. */
static json_t *parse(const checkpoint *ckpt, const char *name) {
  size_t bytes = 0;
  json_t *root = NULL;
  const uint8_t *text = checkpoint_asset(ckpt, name, &bytes);
  if (text == NULL || json_parse_lenient(text, bytes, name, &root, NULL) != ELLM_OK) return NULL;
  return root;
}

void quantization_of(const checkpoint *ckpt, quantization *q) {
  static const char *const fields[] = {"quantization_config", "compression_config"};
  *q = (quantization){.method = QUANTIZATION_NONE};
  json_t *root = parse(ckpt, "config.json"), *config = NULL;
  for (size_t i = 0; config == NULL && i < 2; i++) {
    config = json_object_get(root, fields[i]);
    if (!json_is_object(config)) config = json_object_get(json_object_get(root, "text_config"), fields[i]);
    if (!json_is_object(config)) config = NULL;
  }
  if (config != NULL) {
    read_config(q, config);
  } else {
    json_t *old = parse(ckpt, "quantize_config.json");
    if (json_is_object(old)) {
      q->method = QUANTIZATION_GPTQ;
      read_gptq(q, old);
    } else {
      not_supported(q, "there is no quantization_config");
    }
    json_decref(old);
  }
  json_decref(root);
}
