/* SPDX-License-Identifier: Apache-2.0 */
/* From ids to text, and what a tokenizer tells of itself. */
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "text/utf8.h"

/* ------------------------------------------------------------------ decoding */

const char *tokenizer_decoded_piece(const ellm_tokenizer *t, uint32_t id, bool skip_special, size_t *bytes) {
  uint32_t entry = id < t->id_limit ? t->by_id[id] : 0;
  if (entry == 0) return NULL;
  if (entry & ID_IS_ADDED) {
    const added_token *token = &t->parts.added.items[entry & ~ID_IS_ADDED];
    /* The library decodes a normalized token from its normalized form, and
     * whether it is special is asked of the string then: that of another token
     * or of none. */
    if (skip_special) {
      uint32_t index = vocab_find(&t->added_by_content, token->pattern, token->pattern_bytes);
      if (index != VOCAB_NONE && t->parts.added.items[index].special) return NULL;
    }
    *bytes = token->pattern_bytes;
    return token->pattern;
  }
  const vocab *pieces = tokenizer_pieces(&t->parts);
  const vocab_piece *piece = &pieces->pieces[entry - 1];
  *bytes = piece->length;
  return vocab_string(pieces, piece);
}

static ellm_status decode_ids(const ellm_tokenizer *t, const uint32_t *ids, size_t n_ids, bool skip_special,
                              regex_scratch *scratch, string_list *list, ellm_error *err) {
  for (size_t i = 0; i < n_ids; ++i) {
    size_t bytes;
    const char *piece = tokenizer_decoded_piece(t, ids[i], skip_special, &bytes);
    if (!piece) continue;
    bool ok = t->parts.decoder.present || list->count == 0 || ellm_buffer_append(&list->text, " ", 1);
    ok = ok && (bytes == 0 || ellm_buffer_append(&list->text, piece, bytes)) && string_list_end(list);
    if (!ok) return ellm_fail_memory(err, list->text.size, "decoding");
  }
  ELLM_TRY(decode_strings(&t->parts.decoder, scratch, list, err));
  return ellm_buffer_append(&list->text, "", 1) ? ELLM_OK : ellm_fail_memory(err, list->text.size, "decoding");
}

ellm_status ellm_tokenizer_decode(const ellm_tokenizer *tokenizer, const uint32_t *ids, size_t n_ids, bool skip_special,
                                  char **text, size_t *bytes, ellm_error *err) {
  string_list list = {0};
  regex_scratch scratch = {0};
  *text = NULL;
  *bytes = 0;
  ellm_status status = decode_ids(tokenizer, ids, n_ids, skip_special, &scratch, &list, err);
  if (status == ELLM_OK) {
    *text = (char *)list.text.data;
    *bytes = list.text.size - 1;
    list.text = (ellm_buffer){0};
  }
  string_list_free(&list);
  regex_scratch_free(&scratch);
  return status;
}

/* ------------------------------------------------------------------- questions */

size_t ellm_tokenizer_vocab_size(const ellm_tokenizer *tokenizer) { return tokenizer->id_limit; }

const char *ellm_tokenizer_piece(const ellm_tokenizer *tokenizer, uint32_t id) {
  uint32_t entry = id < tokenizer->id_limit ? tokenizer->by_id[id] : 0;
  if (entry == 0) return NULL;
  if (entry & ID_IS_ADDED) return tokenizer->parts.added.items[entry & ~ID_IS_ADDED].content;
  const vocab *pieces = tokenizer_pieces(&tokenizer->parts);
  return vocab_string(pieces, &pieces->pieces[entry - 1]);
}

bool ellm_tokenizer_find(const ellm_tokenizer *tokenizer, const char *piece, uint32_t *id) {
  size_t bytes = strlen(piece);
  uint32_t index = vocab_find(&tokenizer->added_by_content, piece, bytes);
  const tokenizer_parts *parts = &tokenizer->parts;
  uint32_t found = index != VOCAB_NONE ? parts->added.items[index].id
                                       : vocab_find(tokenizer_pieces(parts), piece, bytes);
  if (found == VOCAB_NONE) return false;
  *id = found;
  return true;
}

bool ellm_tokenizer_is_special(const ellm_tokenizer *tokenizer, uint32_t id) {
  uint32_t entry = id < tokenizer->id_limit ? tokenizer->by_id[id] : 0;
  return (entry & ID_IS_ADDED) && tokenizer->parts.added.items[entry & ~ID_IS_ADDED].special;
}
