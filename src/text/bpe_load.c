/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading "model" of tokenizer.json. Everything is checked here, once, so that
 * encoding needs no checks: ids below 2^24 and unique, every merge made of
 * pieces that exist and giving a piece that exists. Options that would change
 * the result and are not supported are refused by name.
 */
#include <stdlib.h>
#include <string.h>

#include "checkpoint/json.h"
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

static ellm_status load_vocab(const json_t *model, const char *origin, bpe_model *bpe, ellm_error *err) {
  json_t *object = json_object_get(model, "vocab");
  if (!json_is_object(object)) return ellm_fail(err, ELLM_ERR_INPUT, "%s: model.vocab is not an object", origin);
  ELLM_TRY(vocab_init(&bpe->pieces, json_object_size(object), err));
  const char *piece;
  json_t *value;
  uint32_t id_limit = 0;
  json_object_foreach(object, piece, value) {
    if (!json_is_integer(value)) return ellm_fail(err, ELLM_ERR_INPUT, "%s: id of piece \"%s\" is not an integer", origin, piece);
    json_int_t id = json_integer_value(value);
    if (id < 0 || id >= (json_int_t)VOCAB_ID_LIMIT) {
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: id %lld of piece \"%s\" is out of range", origin, (long long)id, piece);
    }
    ellm_status status = vocab_add(&bpe->pieces, piece, strlen(piece), (uint32_t)id, err);
    if (status == ELLM_ERR_USAGE) return ellm_fail(err, ELLM_ERR_INPUT, "%s: piece \"%s\" appears twice", origin, piece);
    ELLM_TRY(status);
    if ((uint32_t)id >= id_limit) id_limit = (uint32_t)id + 1;
  }
  uint8_t *seen = calloc(id_limit / 8 + 1, 1);
  if (!seen) return ellm_fail_memory(err, id_limit / 8 + 1, "vocabulary");
  for (size_t i = 0; i < bpe->pieces.count; ++i) {
    const vocab_piece *p = &bpe->pieces.pieces[i];
    if (seen[p->id / 8] >> (p->id % 8) & 1) {
      free(seen);
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: id %u of piece \"%s\" is given to two pieces", origin, p->id,
                       vocab_string(&bpe->pieces, p));
    }
    seen[p->id / 8] |= (uint8_t)(1u << p->id % 8);
  }
  free(seen);
  return ELLM_OK;
}

/* Two parts of a merge, written "a b" or ["a", "b"]. */
static bool merge_parts(const json_t *value, const char *part[2], size_t length[2]) {
  if (json_is_string(value)) {
    const char *text = json_string_value(value);
    size_t bytes = json_string_length(value);
    const char *space = memchr(text, ' ', bytes);
    if (!space || memchr(space + 1, ' ', bytes - (size_t)(space + 1 - text))) return false;
    part[0] = text;
    length[0] = (size_t)(space - text);
    part[1] = space + 1;
    length[1] = bytes - length[0] - 1;
    return true;
  }
  if (!json_is_array(value) || json_array_size(value) != 2) return false;
  for (size_t i = 0; i < 2; ++i) {
    const json_t *item = json_array_get(value, i);
    if (!json_is_string(item)) return false;
    part[i] = json_string_value(item);
    length[i] = json_string_length(item);
  }
  return true;
}

/* Symbol of the first and of the last character of a piece. */
static void end_symbols(const bpe_model *bpe, const char *piece, size_t bytes, uint32_t *first, uint32_t *last) {
  size_t start = bytes - 1;
  while (start > 0 && ((uint8_t)piece[start] & 0xC0) == 0x80) --start;
  *first = vocab_find(&bpe->pieces, piece, utf8_length(piece[0]));
  *last = vocab_find(&bpe->pieces, piece + start, bytes - start);
}

static ellm_status unknown_piece(const char *origin, size_t rank, const char *piece, size_t bytes, ellm_error *err) {
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: merge %zu names \"%.*s\", which is not in the vocabulary", origin, rank,
                   bytes > 100 ? 100 : (int)bytes, piece);
}

static ellm_status load_merge(const json_t *value, size_t rank, const char *origin, bpe_model *bpe, ellm_buffer *joined,
                              ellm_error *err) {
  const char *part[2];
  size_t length[2];
  uint32_t id[2];
  if (!merge_parts(value, part, length)) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: merge %zu is neither \"a b\" nor [\"a\", \"b\"]", origin, rank);
  }
  joined->size = 0;
  for (size_t i = 0; i < 2; ++i) {
    id[i] = vocab_find(&bpe->pieces, part[i], length[i]);
    if (id[i] == VOCAB_NONE) return unknown_piece(origin, rank, part[i], length[i], err);
    if (!ellm_buffer_append(joined, part[i], length[i])) return ellm_fail_memory(err, length[i], "merges");
  }
  const char *whole = joined->size > 0 ? (const char *)joined->data : "";
  uint32_t merged = vocab_find(&bpe->pieces, whole, joined->size);
  if (merged == VOCAB_NONE) return unknown_piece(origin, rank, whole, joined->size, err);
  merge_table_add(&bpe->merges, id[0], id[1], (uint32_t)rank, merged);
  if (length[0] == 0 || length[1] == 0) return ELLM_OK; /* an empty piece never becomes a symbol */
  uint32_t first, last, unused;
  end_symbols(bpe, part[0], length[0], &unused, &last);
  end_symbols(bpe, part[1], length[1], &first, &unused);
  if (first != VOCAB_NONE && last != VOCAB_NONE) joins_set(bpe->joins, last, first);
  /* A piece that can also stand for something else than its own characters
   * breaks the reasoning about first and last characters. */
  for (size_t i = 0; i < 2; ++i) {
    if (id[i] == bpe->unk) bpe->cut = false;
    for (size_t b = 0; bpe->byte_fallback && length[i] == 6 && b < 256; ++b) {
      if (id[i] == bpe->byte_ids[b]) bpe->cut = false;
    }
  }
  return ELLM_OK;
}

static ellm_status load_merges(const json_t *model, const char *origin, bpe_model *bpe, ellm_error *err) {
  json_t *array = json_object_get(model, "merges");
  if (!json_is_array(array)) return ellm_fail(err, ELLM_ERR_INPUT, "%s: model.merges is not an array", origin);
  ELLM_TRY(merge_table_init(&bpe->merges, json_array_size(array), err));
  bpe->joins = calloc(((size_t)1 << JOINS_BITS) / 64, sizeof *bpe->joins);
  if (!bpe->joins) return ellm_fail_memory(err, ((size_t)1 << JOINS_BITS) / 8, "merges");
  bpe->cut = true;
  ellm_buffer joined = {0};
  ellm_status status = ELLM_OK;
  size_t rank = 0;
  bool pairs = json_array_size(array) > 0 && json_is_array(json_array_get(array, 0));
  for (size_t i = 0; i < json_array_size(array) && status == ELLM_OK; ++i) {
    const json_t *value = json_array_get(array, i);
    if (json_is_array(value) != pairs) {
      status = ellm_fail(err, ELLM_ERR_INPUT, "%s: merge %zu is written in another form than the first", origin, i);
    } else if (!pairs && json_is_string(value) && strncmp(json_string_value(value), "#version", 8) == 0) {
      continue; /* header line of merges.txt, not a merge */
    } else {
      status = load_merge(value, rank++, origin, bpe, &joined, err);
    }
  }
  ellm_buffer_free(&joined);
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

ellm_status bpe_load(const json_t *model, const char *origin, bpe_model *bpe, ellm_error *err) {
  memset(bpe, 0, sizeof *bpe);
  bpe->unk = VOCAB_NONE;
  const json_t *dropout = json_object_get(model, "dropout");
  if (dropout && !json_is_null(dropout) && !(json_is_number(dropout) && json_number_value(dropout) == 0)) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: model.dropout is set: not supported", origin);
  }
  ELLM_TRY(refuse_affix(model, "continuing_subword_prefix", origin, err));
  ELLM_TRY(refuse_affix(model, "end_of_word_suffix", origin, err));
  ELLM_TRY(json_get_bool(model, "fuse_unk", false, origin, &bpe->fuse_unk, err));
  ELLM_TRY(json_get_bool(model, "byte_fallback", false, origin, &bpe->byte_fallback, err));
  ELLM_TRY(json_get_bool(model, "ignore_merges", false, origin, &bpe->ignore_merges, err));
  ELLM_TRY(load_vocab(model, origin, bpe, err));
  const char *unk = NULL;
  ELLM_TRY(json_get_string(model, "unk_token", false, origin, &unk, err));
  if (unk) {
    bpe->unk = vocab_find(&bpe->pieces, unk, strlen(unk));
    bpe->unk_missing = bpe->unk == VOCAB_NONE; /* an error only when it is needed, as in the library */
  }
  load_symbols(bpe);
  return load_merges(model, origin, bpe, err);
}

void bpe_free(bpe_model *bpe) {
  vocab_free(&bpe->pieces);
  merge_table_free(&bpe->merges);
  free(bpe->joins);
  memset(bpe, 0, sizeof *bpe);
}
