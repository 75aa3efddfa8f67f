/* SPDX-License-Identifier: Apache-2.0 */
/* How descriptions of sources list the types of tensors. */
#ifndef ELLM_SOURCE_TYPE_JSON_H
#define ELLM_SOURCE_TYPE_JSON_H

#include <jansson.h>
#include <stdint.h>

/* So many tensors of a type; NULL: no memory. */
static inline json_t *source_type_json(const char *type, uint64_t tensors, uint64_t elements, uint64_t bytes) {
  return json_pack("{s:s, s:I, s:I, s:I, s:f}", "type", type, "tensors", (json_int_t)tensors, "elements",
                   (json_int_t)elements, "bytes", (json_int_t)bytes, "bits_per_weight",
                   elements > 0 ? 8.0 * (double)bytes / (double)elements : 0.0);
}

#endif
