/* SPDX-License-Identifier: Apache-2.0 */
/* "model" of tokenizer.json of type Unigram: pairs of a piece and its score, in the order of ids. */
#include "text/unigram_json.h"

#include <string.h>

#include "json/json.h"

static ellm_status load_piece(json_reader *reader, const char *origin, scored_model *m, ellm_error *err) {
  const char *piece;
  size_t bytes;
  double score;
  if (!json_reader_take(reader, '[') || !json_reader_string(reader, 0, &piece, &bytes) ||
      !json_reader_take(reader, ',') || !json_reader_real(reader, &score) || !json_reader_take(reader, ']')) {
    if (reader->no_memory) return ellm_fail_memory(err, reader->unescaped[0].size, "vocabulary");
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: model.vocab: item %zu is not a pair of a piece and its score", origin,
                     m->pieces.count);
  }
  return scored_add(m, piece, bytes, score, PIECE_NORMAL, origin, err);
}

static ellm_status load_vocab(json_reader *reader, const char *origin, scored_model *m, ellm_error *err) {
  if (json_reader_take(reader, ']')) return ELLM_OK;
  do {
    ELLM_TRY(load_piece(reader, origin, m, err));
  } while (json_reader_take(reader, ','));
  return json_reader_take(reader, ']')
             ? ELLM_OK
             : ellm_fail(err, ELLM_ERR_INPUT, "%s: model.vocab: no comma after item %zu", origin, m->pieces.count - 1);
}

ellm_status tokenizer_json_unigram(const json_t *model, const json_range *vocab_text, const char *origin,
                                   scored_model *m, ellm_error *err) {
  uint32_t unk = VOCAB_NONE;
  json_reader reader = {.at = vocab_text->text, .end = vocab_text->text ? vocab_text->text + vocab_text->bytes : NULL};
  m->kind = SCORED_UNIGRAM;
  ELLM_TRY(json_get_u32(model, "unk_id", false, origin, &unk, err));
  ELLM_TRY(json_get_bool(model, "byte_fallback", false, origin, &m->byte_fallback, err));
  ELLM_TRY(scored_begin(m, vocab_text->bytes / 24, err));
  const bool is_array = vocab_text->text && json_reader_take(&reader, '[');
  ellm_status status = is_array ? load_vocab(&reader, origin, m, err) : ELLM_OK;
  if (status == ELLM_OK && !(is_array && json_reader_at_end(&reader)))
    status = ellm_fail(err, ELLM_ERR_INPUT, "%s: model.vocab is not an array", origin);
  json_reader_free(&reader);
  if (status != ELLM_OK) return status;
  m->unk = unk;
  return scored_finish(m, origin, err);
}
