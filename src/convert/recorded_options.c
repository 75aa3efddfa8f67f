/* SPDX-License-Identifier: Apache-2.0 */
/* See recorded_options.h. */
#include "convert/recorded_options.h"

#include <stdio.h>
#include <string.h>

#include "json/json.h"

/* Words by the numbers of their enumerations. */
typedef struct words { const char *const *list; size_t n; } words;
#define WORDS(...)                                                                      \
  {                                                                                     \
    (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *) \
  }
static const words schemes = WORDS("mixed", "symmetric", "asymmetric"), codes = WORDS("huffman", "none", "fields"),
                   targets = WORDS("none", "bytes", "bits", "divergence"), efforts = WORDS("auto", "quick", "full"),
                   calibrations = WORDS("auto", "self", "file", "none"), prefers = WORDS("balanced", "size"),
                   machines = WORDS("speed, avx2", "speed, avx512", "speed, neon"); /* of ELLM_PREFER_SPEED */

static const char *preference(const ellm_compress_options *o) {
  return o->prefer == ELLM_PREFER_SPEED ? machines.list[o->machine] : prefers.list[o->prefer];
}

void recorded_options_write(const ellm_compress_options *o, char *out, size_t bytes) {
  if (o->lossless) {
    snprintf(out, bytes, "{\"lossless\":true}");
    return;
  }
  if (o->target == ELLM_TARGET_NONE) {
    snprintf(out, bytes, "{\"bits\":%d,\"scheme\":\"%s\",\"prefer\":\"%s\",\"code\":\"%s\"}", o->bits,
             schemes.list[o->scheme], preference(o), codes.list[o->code]);
    return;
  }
  int used = snprintf(out, bytes,
                      "{\"target\":\"%s\",\"value\":%.17g,\"effort\":\"%s\",\"calibrate\":\"%s\",\"prefer\":\"%s\"",
                      targets.list[o->target], o->target_value, efforts.list[o->effort],
                      calibrations.list[o->calibrate], preference(o));
  if (o->calibration_sequences > 0)
    used += snprintf(out + used, bytes - (size_t)used, ",\"sequences\":%zu", o->calibration_sequences);
  if (o->calibration_length > 0)
    used += snprintf(out + used, bytes - (size_t)used, ",\"length\":%zu", o->calibration_length);
  snprintf(out + used, bytes - (size_t)used, "}");
}

/* The number of a word; `otherwise` where it is missing or not in the list. */
static int number_of(const char *word, const words *w, int otherwise) {
  for (size_t i = 0; word != NULL && i < w->n; i++)
    if (strcmp(word, w->list[i]) == 0) return (int)i;
  return otherwise;
}

static ellm_status read_word(const char *path, const json_t *json, const char *field, const words *w, int *number,
                             ellm_error *err) {
  const char *word = NULL;
  ELLM_TRY(json_get_string(json, field, false, path, &word, err));
  *number = number_of(word, w, *number);
  return ELLM_OK;
}

ellm_status recorded_options_read(const char *path, const json_t *json, ellm_compress_options *out, ellm_error *err) {
  uint32_t bits = 8, sequences = 0, length = 0;
  int scheme = out->scheme, code = out->code, target = out->target, effort = out->effort;
  int calibrate = out->calibrate, prefer = out->prefer, machine = -1;
  ELLM_TRY(json_get_u32(json, "bits", false, path, &bits, err));
  ELLM_TRY(json_get_u32(json, "sequences", false, path, &sequences, err));
  ELLM_TRY(json_get_u32(json, "length", false, path, &length, err));
  ELLM_TRY(json_get_double(json, "value", false, path, &out->target_value, err));
  ELLM_TRY(json_get_bool(json, "lossless", false, path, &out->lossless, err));
  ELLM_TRY(read_word(path, json, "scheme", &schemes, &scheme, err));
  ELLM_TRY(read_word(path, json, "code", &codes, &code, err));
  ELLM_TRY(read_word(path, json, "target", &targets, &target, err));
  ELLM_TRY(read_word(path, json, "effort", &efforts, &effort, err));
  ELLM_TRY(read_word(path, json, "calibrate", &calibrations, &calibrate, err));
  ELLM_TRY(read_word(path, json, "prefer", &prefers, &prefer, err));
  ELLM_TRY(read_word(path, json, "prefer", &machines, &machine, err));
  out->bits = (int)bits;
  out->calibration_sequences = sequences;
  out->calibration_length = length;
  out->scheme = (ellm_scheme)scheme;
  out->code = (ellm_code)code;
  out->target = (ellm_target)target;
  out->effort = (ellm_effort)effort;
  out->calibrate = (ellm_calibrate)calibrate;
  out->prefer = machine >= 0 ? ELLM_PREFER_SPEED : (ellm_prefer)prefer;
  if (machine >= 0) out->machine = (ellm_machine)machine;
  return ELLM_OK;
}
