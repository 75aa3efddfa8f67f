/* SPDX-License-Identifier: Apache-2.0 */
#include "text/scored_encode.h"

#include "text/scored_bpe.h"
#include "text/unigram.h"
#include "text/utf8.h"

ellm_status scored_encode(const scored_model *m, scored_scratch *scratch, const char *text, size_t bytes, id_list *ids,
                          ellm_error *err) {
  if (bytes == 0) return ELLM_OK;
  if (bytes >= UINT32_MAX / 4)
    return ellm_fail(err, ELLM_ERR_INPUT, "a text of %zu bytes is too long to encode at once", bytes);
  scratch->after_unknown = false;
  if (m->kind == SCORED_UNIGRAM) return unigram_encode(m, scratch, text, bytes, ids, err);
  for (size_t start = 0, at = 0; at < bytes;) {
    const bool was_mark = scored_is_mark(text + at, bytes - at);
    at += utf8_length(text[at]);
    if (at < bytes && !(m->cut && !was_mark && scored_is_mark(text + at, bytes - at))) continue;
    ELLM_TRY(scored_bpe_encode(m, scratch, text + start, at - start, ids, err));
    start = at;
  }
  return ELLM_OK;
}
