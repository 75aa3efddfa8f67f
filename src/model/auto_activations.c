/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which activations a quantized file runs with where nobody chooses. Compressing to a size measures what one digit adds to
 * the divergence of the file, and the file says it; where it is little, prompts may as well be faster.
 */
#include <math.h>
#include <string.h>

#include "entrollm.h"
#include "json/json.h"

/* The most that one digit may add to a file's own divergence: a twentieth of it. */
static const double most_added = 0.05;

/* A number that can be a mean divergence: finite and not negative; -1: there is none. */
static double divergence(const json_t *quality, const char *field) {
  const json_t *value = json_object_get(quality, field);
  const double number = json_is_number(value) ? json_number_value(value) : -1;
  return isfinite(number) && number >= 0 ? number : -1;
}

ellm_activations ellm_quality_activations(const char *quality, double *added, double *own) {
  json_t *object = NULL;
  ellm_error err;
  double from_i16 = -1, from_source = -1;
  if (quality != NULL && json_parse(quality, strlen(quality), "entrollm.quality", &object, &err) == ELLM_OK) {
    from_i16 = divergence(object, "divergence_i8_from_i16");
    from_source = divergence(object, "divergence_i16");
    json_decref(object);
  }
  if (added != NULL) *added = from_i16;
  if (own != NULL) *own = from_source;
  return from_i16 >= 0 && from_source >= 0 && from_i16 <= most_added * from_source ? ELLM_ACTIVATIONS_I8
                                                                                    : ELLM_ACTIVATIONS_I16;
}
