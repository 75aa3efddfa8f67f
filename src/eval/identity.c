/* SPDX-License-Identifier: Apache-2.0 */
/* What was evaluated on what: identities that do not depend on names and places of files. */
#include "eval/identity.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "container/hash.h"
#include "eval/run.h"

void eval_data_identity(const void *data, size_t bytes, char text[33]) {
  uint8_t hash[16];
  hash128(data, bytes, hash);
  hash_hex(hash, text);
}

ellm_status ellm_eval_fingerprint(ellm_model *model, char text[33], ellm_error *err) {
  enum { IDS = 8 };
  ellm_model_info info;
  ellm_sequence *sequence = NULL;
  uint32_t ids[IDS];
  ellm_model_get_info(model, &info);
  size_t n = info.max_context < IDS ? info.max_context : IDS, bytes;
  for (size_t i = 0; i < n; i++) ids[i] = (uint32_t)((uint64_t)info.vocab_size * (2 * i + 1) / (2 * IDS));
  if (!ellm_mul_size(n * sizeof(float), info.vocab_size, &bytes)) return ellm_fail_memory(err, SIZE_MAX, "logits");
  float *logits = malloc(bytes);
  ellm_status status = logits ? ellm_sequence_create(model, &sequence, err) : ellm_fail_memory(err, bytes, "logits");
  if (status == ELLM_OK) status = ellm_evaluate(model, &(ellm_batch_item){sequence, ids, n, logits, n}, 1, err);
  if (status == ELLM_OK) {
    for (size_t i = 0; i < n * info.vocab_size; i++) store_u32((uint8_t *)logits + 4 * i, float_bits(logits[i]));
    eval_data_identity(logits, bytes, text);
  }
  ellm_sequence_free(sequence);
  free(logits);
  return status;
}
