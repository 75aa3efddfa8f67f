/* SPDX-License-Identifier: Apache-2.0 */
/* "model" of tokenizer.json; options that would change the result and are not supported are refused by name. */
#include "text/bpe_json.h"

#include <string.h>

#include "json/json.h"
#include "text/bpe_build.h"

/* A field must be absent, null, or the empty string. */
static ellm_status refuse_affix(const json_t *model, const char *field, const char *origin, ellm_error *err) {
  const json_t *value = json_object_get(model, field);
  if (!value || json_is_null(value)) return ELLM_OK;
  if (json_is_string(value) && json_string_length(value) == 0) return ELLM_OK;
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: model.%s is set: not supported", origin, field);
}

/* A piece is added when the next one has been read: by then the memory that its hash leads to has come. */
typedef struct read_piece { const char *text; size_t bytes; uint32_t id; bool there; } read_piece;

static ellm_status add_piece(bpe_builder *b, read_piece *piece, ellm_error *err) {
  if (!piece->there) return ELLM_OK;
  piece->there = false;
  return bpe_build_piece(b, piece->text, piece->bytes, piece->id, err);
}

/* `last` is the piece before; `which`, 0 and 1 in turns, holds strings with escapes. */
static ellm_status load_piece(json_reader *reader, bpe_builder *b, read_piece *last, int which, ellm_error *err) {
  const vocab *pieces = &b->bpe->pieces;
  read_piece piece = {.there = true};
  uint64_t id;
  if (!json_reader_string(reader, which, &piece.text, &piece.bytes) || !json_reader_take(reader, ':')) {
    if (reader->no_memory) return ellm_fail_memory(err, reader->unescaped[which].size, "vocabulary");
    ELLM_TRY(add_piece(b, last, err));
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: model.vocab: no piece and id after \"%.*s\"", b->origin, 60,
                     pieces->count > 0 ? vocab_string(pieces, &pieces->pieces[pieces->count - 1]) : "");
  }
  if (!json_reader_integer(reader, &id) || id > UINT32_MAX) id = UINT32_MAX; /* which is no id */
  piece.id = (uint32_t)id;
  vocab_expect(pieces, piece.text, piece.bytes);
  ELLM_TRY(add_piece(b, last, err));
  *last = piece;
  return ELLM_OK;
}

static ellm_status load_vocab(const json_range *range, bpe_builder *b, ellm_error *err) {
  json_reader reader = {.at = range->text, .end = range->text ? range->text + range->bytes : NULL};
  if (!range->text || !json_reader_take(&reader, '{')) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: model.vocab is not an object", b->origin);
  }
  ellm_status status = ELLM_OK;
  read_piece last = {.there = false};
  int which = 0;
  bool end = json_reader_take(&reader, '}');
  while (status == ELLM_OK && !end) {
    status = load_piece(&reader, b, &last, which, err);
    which ^= 1;
    if (status != ELLM_OK || json_reader_take(&reader, ',')) continue;
    end = json_reader_take(&reader, '}');
    status = add_piece(b, &last, err);
    if (status == ELLM_OK && !end)
      status = ellm_fail(err, ELLM_ERR_INPUT, "%s: model.vocab: no comma between two pieces", b->origin);
  }
  if (status == ELLM_OK && !json_reader_at_end(&reader)) {
    status = ellm_fail(err, ELLM_ERR_INPUT, "%s: model.vocab is not an object", b->origin);
  }
  json_reader_free(&reader);
  return status;
}

/* "a b" */
static bool read_joined_parts(json_reader *reader, merge_parts *parts) {
  const char *text;
  size_t bytes;
  if (!json_reader_string(reader, 0, &text, &bytes)) return false;
  const char *space = memchr(text, ' ', bytes);
  if (!space || memchr(space + 1, ' ', bytes - (size_t)(space + 1 - text))) return false;
  parts->text[0] = text;
  parts->bytes[0] = (size_t)(space - text);
  parts->text[1] = space + 1;
  parts->bytes[1] = bytes - parts->bytes[0] - 1;
  return true;
}

/* ["a", "b"] */
static bool read_listed_parts(json_reader *reader, merge_parts *parts) {
  return json_reader_take(reader, '[') && json_reader_string(reader, 0, &parts->text[0], &parts->bytes[0]) &&
         json_reader_take(reader, ',') && json_reader_string(reader, 1, &parts->text[1], &parts->bytes[1]) &&
         json_reader_take(reader, ']');
}

/* Merges that have been read and wait until the memory that their pieces' hashes lead to has come. */
typedef struct merge_queue { merge_parts items[32]; size_t n; } merge_queue;

static ellm_status build_queued(bpe_builder *b, merge_queue *queue, ellm_error *err) {
  const size_t n = queue->n;
  queue->n = 0;
  return bpe_build_merge(b, queue->items, n, err);
}

static ellm_status queue_merge(const json_reader *reader, bpe_builder *b, merge_queue *queue, const merge_parts *parts,
                               ellm_error *err) {
  bool stays = true; /* does the text lie in the input, not in a buffer that the next string overwrites? */
  for (int k = 0; k < 2; k++) {
    stays = stays && parts->text[k] >= reader->start && parts->text[k] < reader->end;
    vocab_expect(&b->bpe->pieces, parts->text[k], parts->bytes[k]);
  }
  queue->items[queue->n++] = *parts;
  const bool full = queue->n == sizeof queue->items / sizeof *queue->items;
  return full || !stays ? build_queued(b, queue, err) : ELLM_OK;
}

static ellm_status read_merges(json_reader *reader, bpe_builder *b, ellm_error *err) {
  merge_queue queue = {.n = 0};
  if (json_reader_take(reader, ']')) return ELLM_OK;
  json_reader first = *reader; /* all merges are written in the form of the first */
  bool listed = json_reader_take(&first, '[');
  do {
    merge_parts parts;
    if (!(listed ? read_listed_parts(reader, &parts) : read_joined_parts(reader, &parts))) {
      if (reader->no_memory) return ellm_fail_memory(err, reader->unescaped[0].size, "merges");
      ELLM_TRY(build_queued(b, &queue, err));
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: model.merges: merge %u is not %s", b->origin, b->rank,
                       listed ? "[\"a\", \"b\"]" : "\"a b\"");
    }
    /* the first line of merges.txt may have got in */
    if (!listed && parts.bytes[0] >= 8 && memcmp(parts.text[0], "#version", 8) == 0) continue;
    ELLM_TRY(queue_merge(reader, b, &queue, &parts, err));
  } while (json_reader_take(reader, ','));
  ELLM_TRY(build_queued(b, &queue, err));
  return json_reader_take(reader, ']')
             ? ELLM_OK
             : ellm_fail(err, ELLM_ERR_INPUT, "%s: model.merges: no comma after merge %u", b->origin, b->rank);
}

static ellm_status load_merges(const json_range *range, bpe_builder *b, ellm_error *err) {
  json_reader reader = {.start = range->text, .at = range->text, .end = range->text ? range->text + range->bytes : NULL};
  ellm_status status = ELLM_OK;
  const bool is_array = range->text && json_reader_take(&reader, '[');
  if (is_array) status = read_merges(&reader, b, err);
  if (status == ELLM_OK && !(is_array && json_reader_at_end(&reader))) {
    status = ellm_fail(err, ELLM_ERR_INPUT, "%s: model.merges is not an array", b->origin);
  }
  json_reader_free(&reader);
  return status;
}

ellm_status tokenizer_json_model(const json_t *model, const json_range *vocab_text,
                                 const json_range *merges_text, const char *origin, bpe_model *bpe, ellm_error *err) {
  const json_t *dropout = json_object_get(model, "dropout");
  if (dropout && !json_is_null(dropout) && !(json_is_number(dropout) && json_number_value(dropout) == 0)) {
    char text[80];
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: model.dropout is %s: not supported", origin, json_brief(dropout, text));
  }
  ELLM_TRY(refuse_affix(model, "continuing_subword_prefix", origin, err));
  ELLM_TRY(refuse_affix(model, "end_of_word_suffix", origin, err));
  ELLM_TRY(json_get_bool(model, "fuse_unk", false, origin, &bpe->fuse_unk, err));
  ELLM_TRY(json_get_bool(model, "byte_fallback", false, origin, &bpe->byte_fallback, err));
  ELLM_TRY(json_get_bool(model, "ignore_merges", false, origin, &bpe->ignore_merges, err));
  const char *unk = NULL;
  ELLM_TRY(json_get_string(model, "unk_token", false, origin, &unk, err));
  bpe_builder b;
  ellm_status status = bpe_build_begin(&b, bpe, origin, vocab_text->bytes / 24, err);
  if (status == ELLM_OK) status = load_vocab(vocab_text, &b, err);
  if (status == ELLM_OK) status = bpe_build_merges(&b, unk, merges_text->bytes / 24, err);
  if (status == ELLM_OK) status = load_merges(merges_text, &b, err);
  bpe_build_end(&b);
  return status;
}
