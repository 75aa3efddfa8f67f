/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: a `tokenizer.model`. The first byte says how many bytes behind it are a text (up to 63), bits 6 and 7
 * which tokenizer_config.json stands beside it; the rest is the file. Where it is accepted, the text is encoded in
 * every way, and what comes out is decoded, whole.
 */
#include <stdlib.h>
#include <string.h>

#include "text/sentencepiece.h"
#include "text/utf8.h"
#include "want.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const ellm_tokenizer *t, const char *text, size_t bytes) {
  for (unsigned flags = 0; flags < 4; flags++) {
    uint32_t *ids;
    size_t n, decoded_bytes;
    char *decoded;
    ellm_error err = {0};
    ellm_status status = ellm_tokenizer_encode(t, text, bytes, flags, &ids, &n, &err);
    want(status == ELLM_OK || (status == ELLM_ERR_INPUT && ids == NULL && err.message[0] != '\0'));
    if (status != ELLM_OK) continue;
    for (size_t i = 0; i < n; i++)
      want(ids[i] < ellm_tokenizer_vocab_size(t) && ellm_tokenizer_piece(t, ids[i]) != NULL);
    status = ellm_tokenizer_decode(t, ids, n, (flags & 1) != 0, &decoded, &decoded_bytes, &err);
    want(status == ELLM_OK || (status == ELLM_ERR_INPUT && decoded == NULL));
    if (status == ELLM_OK) want(utf8_is_valid(decoded, decoded_bytes) && decoded[decoded_bytes] == '\0');
    free(decoded);
    free(ids);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char *const configs[] = {
      NULL, "{}", "{\"add_bos_token\":true,\"add_eos_token\":true}",
      "{\"added_tokens_decoder\":{\"4\":{\"content\":\"<x>\",\"special\":true,\"lstrip\":true}},\"add_bos_token\":false}"};
  const size_t wanted = size > 0 ? data[0] & 63 : 0, head = size > 0 ? 1 : 0;
  const size_t text_bytes = wanted < size - head ? wanted : size - head, bytes = size - head - text_bytes;
  const char *config = configs[size > 0 ? data[0] >> 6 : 0];
  void *text = copy_of(data + head, text_bytes), *model = copy_of(data + head + text_bytes, bytes);
  if (text != NULL && model != NULL) {
    ellm_tokenizer *t;
    ellm_error err = {0};
    const ellm_status status = sentencepiece_tokenizer(model, bytes, "fuzz", config, config ? strlen(config) : 0,
                                                       "fuzz config", &t, &err);
    want(status == ELLM_OK || (status == ELLM_ERR_INPUT && t == NULL && err.message[0] != '\0'));
    if (status == ELLM_OK) use(t, text, text_bytes);
    ellm_tokenizer_free(t);
  }
  free(text);
  free(model);
  return 0;
}
