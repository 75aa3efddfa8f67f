/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading "model" of tokenizer.json. Everything is checked here, once, so that
 * encoding needs no checks: ids below 2^24 and unique, every merge made of
 * pieces that exist and giving a piece that exists. Options that would change
 * the result and are not supported are refused by name.
 */
#include <stdlib.h>
#include <string.h>

#include "json/json.h"
#include "text/bpe.h"
#include "text/bpe_joins.h"
#include "text/utf8.h"

/* A field must be absent, null, or the empty string. */
static ellm_status refuse_affix(const json_t *model, const char *field, const char *origin, ellm_error *err) {
  const json_t *value = json_object_get(model, field);
  if (!value || json_is_null(value)) return ELLM_OK;
  if (json_is_string(value) && json_string_length(value) == 0) return ELLM_OK;
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: model.%s is set: not supported", origin, field);
}

static ellm_status load_piece(json_reader *reader, const char *origin, bpe_model *bpe, ellm_error *err) {
  const char *piece;
  size_t bytes;
  uint64_t id;
  if (!json_reader_string(reader, 0, &piece, &bytes) || !json_reader_take(reader, ':')) {
    if (reader->no_memory) return ellm_fail_memory(err, reader->unescaped[0].size, "vocabulary");
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: model.vocab: no piece and id after \"%.*s\"", origin, 60,
                     bpe->pieces.count > 0 ? vocab_string(&bpe->pieces, &bpe->pieces.pieces[bpe->pieces.count - 1])
                                           : "");
  }
  int shown = bytes > 100 ? 100 : (int)bytes;
  if (!json_reader_integer(reader, &id) || id >= VOCAB_ID_LIMIT) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: id of piece \"%.*s\" is not a number from 0 to %u", origin, shown, piece,
                     VOCAB_ID_LIMIT - 1);
  }
  ellm_status status = vocab_add(&bpe->pieces, piece, bytes, (uint32_t)id, err);
  if (status == ELLM_ERR_USAGE) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: piece \"%.*s\" appears twice", origin, shown, piece);
  }
  return status;
}

static ellm_status check_unique_ids(const vocab *pieces, const char *origin, ellm_error *err) {
  uint32_t limit = 0;
  for (size_t i = 0; i < pieces->count; ++i) {
    if (pieces->pieces[i].id >= limit) limit = pieces->pieces[i].id + 1;
  }
  uint8_t *seen = calloc(limit / 8 + 1, 1);
  if (!seen) return ellm_fail_memory(err, limit / 8 + 1, "vocabulary");
  ellm_status status = ELLM_OK;
  for (size_t i = 0; i < pieces->count && status == ELLM_OK; ++i) {
    uint32_t id = pieces->pieces[i].id;
    if (seen[id / 8] >> (id % 8) & 1) {
      status = ellm_fail(err, ELLM_ERR_INPUT, "%s: id %u of piece \"%s\" is given to two pieces", origin, id,
                         vocab_string(pieces, &pieces->pieces[i]));
    }
    seen[id / 8] |= (uint8_t)(1u << id % 8);
  }
  free(seen);
  return status;
}

static ellm_status load_vocab(const json_range *range, const char *origin, bpe_model *bpe, ellm_error *err) {
  json_reader reader = {.at = range->text, .end = range->text ? range->text + range->bytes : NULL};
  if (!range->text || !json_reader_take(&reader, '{')) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: model.vocab is not an object", origin);
  }
  ELLM_TRY(vocab_init(&bpe->pieces, range->bytes / 24, err));
  ellm_status status = ELLM_OK;
  bool end = json_reader_take(&reader, '}');
  while (status == ELLM_OK && !end) {
    status = load_piece(&reader, origin, bpe, err);
    if (status != ELLM_OK || json_reader_take(&reader, ',')) continue;
    end = json_reader_take(&reader, '}');
    if (!end) status = ellm_fail(err, ELLM_ERR_INPUT, "%s: model.vocab: no comma between two pieces", origin);
  }
  if (status == ELLM_OK && !json_reader_at_end(&reader)) {
    status = ellm_fail(err, ELLM_ERR_INPUT, "%s: model.vocab is not an object", origin);
  }
  json_reader_free(&reader);
  return status == ELLM_OK ? check_unique_ids(&bpe->pieces, origin, err) : status;
}

/* The parts of a merge. */
typedef struct merge_parts { const char *text[2]; size_t bytes[2]; } merge_parts;

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

/* Id of the symbol for the character text[0..bytes), or VOCAB_NONE. */
static uint32_t character_symbol(const bpe_model *bpe, const char *text, size_t bytes) {
  uint32_t cp;
  utf8_decode(text, &cp);
  return cp < 0x800 ? bpe->near_ids[cp] : vocab_find(&bpe->pieces, text, bytes);
}

/* Note which symbols the merge may bring together. */
static void note_join(bpe_model *bpe, const merge_parts *parts, const uint32_t id[2]) {
  if (parts->bytes[0] == 0 || parts->bytes[1] == 0) return; /* an empty piece never becomes a symbol */
  size_t start = parts->bytes[0] - 1;
  while (start > 0 && ((uint8_t)parts->text[0][start] & 0xC0) == 0x80) --start;
  uint32_t last = character_symbol(bpe, parts->text[0] + start, parts->bytes[0] - start);
  uint32_t first = character_symbol(bpe, parts->text[1], utf8_length(parts->text[1][0]));
  if (first != VOCAB_NONE && last != VOCAB_NONE) joins_set(bpe->joins, last, first);
  /* A piece that can also stand for something else than its own characters
   * breaks the reasoning about first and last characters. */
  for (size_t i = 0; i < 2; ++i) {
    if (id[i] == bpe->unk) bpe->cut = false;
    for (size_t b = 0; bpe->byte_fallback && parts->bytes[i] == 6 && parts->text[i][0] == '<' && b < 256; ++b) {
      if (id[i] == bpe->byte_ids[b]) bpe->cut = false;
    }
  }
}

static ellm_status unknown_piece(const char *origin, size_t rank, const char *piece, size_t bytes, ellm_error *err) {
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: merge %zu names \"%.*s\", which is not in the vocabulary", origin, rank,
                   bytes > 100 ? 100 : (int)bytes, piece);
}

static ellm_status add_merge(const merge_parts *parts, size_t rank, const char *origin, bpe_model *bpe,
                             ellm_buffer *joined, ellm_error *err) {
  uint32_t id[2];
  joined->size = 0;
  for (size_t i = 0; i < 2; ++i) {
    id[i] = vocab_find(&bpe->pieces, parts->text[i], parts->bytes[i]);
    if (id[i] == VOCAB_NONE) return unknown_piece(origin, rank, parts->text[i], parts->bytes[i], err);
    if (parts->bytes[i] > 0 && !ellm_buffer_append(joined, parts->text[i], parts->bytes[i])) {
      return ellm_fail_memory(err, parts->bytes[i], "merges");
    }
  }
  const char *whole = joined->size > 0 ? (const char *)joined->data : "";
  uint32_t merged = vocab_find(&bpe->pieces, whole, joined->size);
  if (merged == VOCAB_NONE) return unknown_piece(origin, rank, whole, joined->size, err);
  ELLM_TRY(merge_table_add(&bpe->merges, id[0], id[1], (uint32_t)rank, merged, err));
  note_join(bpe, parts, id);
  return ELLM_OK;
}

static ellm_status read_merges(json_reader *reader, const char *origin, bpe_model *bpe, ellm_buffer *joined,
                               ellm_error *err) {
  if (json_reader_take(reader, ']')) return ELLM_OK;
  json_reader first = *reader; /* all merges are written in the form of the first */
  bool listed = json_reader_take(&first, '[');
  size_t rank = 0;
  do {
    merge_parts parts;
    if (!(listed ? read_listed_parts(reader, &parts) : read_joined_parts(reader, &parts))) {
      if (reader->no_memory) return ellm_fail_memory(err, reader->unescaped[0].size, "merges");
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: model.merges: merge %zu is not %s", origin, rank,
                       listed ? "[\"a\", \"b\"]" : "\"a b\"");
    }
    /* the first line of merges.txt may have got in */
    if (!listed && parts.bytes[0] >= 8 && memcmp(parts.text[0], "#version", 8) == 0) continue;
    if (rank == UINT32_MAX - 1) return ellm_fail(err, ELLM_ERR_INPUT, "%s: too many merges", origin);
    ELLM_TRY(add_merge(&parts, rank++, origin, bpe, joined, err));
  } while (json_reader_take(reader, ','));
  return json_reader_take(reader, ']')
             ? ELLM_OK
             : ellm_fail(err, ELLM_ERR_INPUT, "%s: model.merges: no comma after merge %zu", origin, rank);
}

static ellm_status load_merges(const json_range *range, const char *origin, bpe_model *bpe, ellm_error *err) {
  json_reader reader = {.at = range->text, .end = range->text ? range->text + range->bytes : NULL};
  if (!range->text || !json_reader_take(&reader, '[')) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: model.merges is not an array", origin);
  }
  ELLM_TRY(merge_table_init(&bpe->merges, range->bytes / 24, err));
  bpe->joins = calloc(((size_t)1 << JOINS_BITS) / 64, sizeof *bpe->joins);
  if (!bpe->joins) return ellm_fail_memory(err, ((size_t)1 << JOINS_BITS) / 8, "merges");
  bpe->cut = true;
  ellm_buffer joined = {0};
  ellm_status status = read_merges(&reader, origin, bpe, &joined, err);
  if (status == ELLM_OK && !json_reader_at_end(&reader)) {
    status = ellm_fail(err, ELLM_ERR_INPUT, "%s: model.merges is not an array", origin);
  }
  ellm_buffer_free(&joined);
  json_reader_free(&reader);
  return status;
}

static void load_symbols(bpe_model *bpe) {
  for (uint32_t cp = 0; cp < 0x800; ++cp) {
    char encoded[4];
    size_t length = utf8_encode(cp, encoded);
    bpe->near_ids[cp] = vocab_find(&bpe->pieces, encoded, length);
  }
  for (unsigned b = 0; b < 256; ++b) {
    static const char digits[] = "0123456789ABCDEF";
    char piece[6] = {'<', '0', 'x', digits[b >> 4], digits[b & 15], '>'};
    bpe->byte_ids[b] = vocab_find(&bpe->pieces, piece, sizeof piece);
  }
}

ellm_status bpe_load(const json_t *model, const json_range *vocab_text, const json_range *merges_text,
                     const char *origin, bpe_model *bpe, ellm_error *err) {
  memset(bpe, 0, sizeof *bpe);
  bpe->unk = VOCAB_NONE;
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
  ELLM_TRY(load_vocab(vocab_text, origin, bpe, err));
  const char *unk = NULL;
  ELLM_TRY(json_get_string(model, "unk_token", false, origin, &unk, err));
  if (unk) {
    bpe->unk = vocab_find(&bpe->pieces, unk, strlen(unk));
    bpe->unk_missing = bpe->unk == VOCAB_NONE; /* an error only when it is needed, as in the library */
  }
  load_symbols(bpe);
  return load_merges(merges_text, origin, bpe, err);
}

void bpe_free(bpe_model *bpe) {
  vocab_free(&bpe->pieces);
  merge_table_free(&bpe->merges);
  free(bpe->joins);
  memset(bpe, 0, sizeof *bpe);
}
