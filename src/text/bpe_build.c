/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building a model of byte pair encoding. Everything is checked here, once, so
 * that encoding needs no checks: ids below 2^24 and unique, every merge made of
 * pieces that exist and giving a piece that exists.
 */
#include "text/bpe_build.h"

#include <stdlib.h>
#include <string.h>

#include "text/bpe_joins.h"
#include "text/utf8.h"

/* -------------------------------------------------------------------- pieces */

ellm_status bpe_build_begin(bpe_builder *b, bpe_model *bpe, const char *origin, size_t expected, ellm_error *err) {
  *b = (bpe_builder){.bpe = bpe, .origin = origin};
  bpe->unk = VOCAB_NONE;
  return vocab_init(&bpe->pieces, expected, err);
}

ellm_status bpe_build_piece(bpe_builder *b, const char *piece, size_t bytes, uint32_t id, ellm_error *err) {
  const int shown = bytes > 100 ? 100 : (int)bytes;
  if (id >= VOCAB_ID_LIMIT) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: id of piece \"%.*s\" is not a number from 0 to %u", b->origin, shown,
                     piece, VOCAB_ID_LIMIT - 1);
  }
  const ellm_status status = vocab_add(&b->bpe->pieces, piece, bytes, id, err);
  if (status == ELLM_ERR_USAGE) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: piece \"%.*s\" appears twice", b->origin, shown, piece);
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

ellm_status bpe_build_merges(bpe_builder *b, const char *unk, size_t expected, ellm_error *err) {
  bpe_model *bpe = b->bpe;
  ELLM_TRY(check_unique_ids(&bpe->pieces, b->origin, err));
  if (unk) {
    bpe->unk = vocab_find(&bpe->pieces, unk, strlen(unk));
    bpe->unk_missing = bpe->unk == VOCAB_NONE; /* an error only when it is needed, as in the library */
  }
  load_symbols(bpe);
  ELLM_TRY(merge_table_init(&bpe->merges, expected, err));
  bpe->joins = calloc(((size_t)1 << JOINS_BITS) / 64, sizeof *bpe->joins);
  if (!bpe->joins) return ellm_fail_memory(err, ((size_t)1 << JOINS_BITS) / 8, "merges");
  bpe->cut = true;
  return ELLM_OK;
}

/* -------------------------------------------------------------------- merges */

/* Id of the symbol for the character text[0..bytes), or VOCAB_NONE. */
static uint32_t character_symbol(const bpe_model *bpe, const char *text, size_t bytes) {
  uint32_t cp;
  utf8_decode(text, &cp);
  return cp < 0x800 ? bpe->near_ids[cp] : vocab_find(&bpe->pieces, text, bytes);
}

/* Note which symbols the merge may bring together. */
static void note_join(bpe_model *bpe, const merge_parts *parts) {
  if (parts->bytes[0] == 0 || parts->bytes[1] == 0) return; /* an empty piece never becomes a symbol */
  size_t start = parts->bytes[0] - 1;
  while (start > 0 && ((uint8_t)parts->text[0][start] & 0xC0) == 0x80) --start;
  uint32_t last = character_symbol(bpe, parts->text[0] + start, parts->bytes[0] - start);
  uint32_t first = character_symbol(bpe, parts->text[1], utf8_length(parts->text[1][0]));
  if (first != VOCAB_NONE && last != VOCAB_NONE) joins_set(bpe->joins, last, first);
  /* A piece that can also stand for something else than its own characters
   * breaks the reasoning about first and last characters. */
  for (size_t i = 0; i < 2; ++i) {
    if (parts->id[i] == bpe->unk) bpe->cut = false;
    for (size_t b = 0; bpe->byte_fallback && parts->bytes[i] == 6 && parts->text[i][0] == '<' && b < 256; ++b) {
      if (parts->id[i] == bpe->byte_ids[b]) bpe->cut = false;
    }
  }
}

static ellm_status unknown_piece(const char *origin, size_t rank, const char *piece, size_t bytes, ellm_error *err) {
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: merge %zu names \"%.*s\", which is not in the vocabulary", origin, rank,
                   bytes > 100 ? 100 : (int)bytes, piece);
}

/* The piece that a merge gives. Mostly it is the one behind the last one, as trainers add both at once: looked at
 * first, that saves a third of the look-ups, which are most of the time of opening a large vocabulary. */
static uint32_t merged_piece(bpe_builder *b, const char *whole, size_t bytes) {
  const vocab *pieces = &b->bpe->pieces;
  if (b->next < pieces->count) {
    const vocab_piece *guess = &pieces->pieces[b->next];
    if (guess->length == bytes && memcmp(vocab_string(pieces, guess), whole, bytes) == 0) {
      b->next++;
      return guess->id;
    }
  }
  const uint32_t id = vocab_find(pieces, whole, bytes);
  b->next = (size_t)id + 1; /* ids are places mostly; VOCAB_NONE ends the building */
  return id;
}

/* The ids of a merge's parts; it is the one `ahead` after the next to be built. Fetches its place in the table. */
static ellm_status look_up(const bpe_builder *b, size_t ahead, merge_parts *parts, ellm_error *err) {
  for (size_t i = 0; i < 2; ++i) {
    parts->id[i] = vocab_find(&b->bpe->pieces, parts->text[i], parts->bytes[i]);
    if (parts->id[i] == VOCAB_NONE)
      return unknown_piece(b->origin, b->rank + ahead, parts->text[i], parts->bytes[i], err);
  }
  merge_table_expect(&b->bpe->merges, parts->id[0], parts->id[1]);
  return ELLM_OK;
}

static ellm_status build_merge(bpe_builder *b, const merge_parts *parts, ellm_error *err) {
  bpe_model *bpe = b->bpe;
  ellm_buffer *joined = &b->joined;
  const size_t rank = b->rank;
  if (rank == UINT32_MAX - 1) return ellm_fail(err, ELLM_ERR_INPUT, "%s: too many merges", b->origin);
  b->rank++;
  joined->size = 0;
  for (size_t i = 0; i < 2; ++i) {
    if (parts->bytes[i] > 0 && !ellm_buffer_append(joined, parts->text[i], parts->bytes[i])) {
      return ellm_fail_memory(err, parts->bytes[i], "merges");
    }
  }
  const char *whole = joined->size > 0 ? (const char *)joined->data : "";
  const uint32_t merged = merged_piece(b, whole, joined->size);
  if (merged == VOCAB_NONE) return unknown_piece(b->origin, rank, whole, joined->size, err);
  ELLM_TRY(merge_table_add(&bpe->merges, parts->id[0], parts->id[1], (uint32_t)rank, merged, err));
  note_join(bpe, parts);
  return ELLM_OK;
}

ellm_status bpe_build_merge(bpe_builder *b, merge_parts *merges, size_t n, ellm_error *err) {
  ellm_status status = ELLM_OK;
  size_t found = 0;
  for (size_t i = 0; i < n; i++)
    for (int k = 0; k < 2; k++) vocab_expect_string(&b->bpe->pieces, merges[i].text[k], merges[i].bytes[k]);
  while (found < n && status == ELLM_OK) {
    status = look_up(b, found, &merges[found], err);
    if (status == ELLM_OK) found++;
  }
  for (size_t i = 0; i < found; i++) ELLM_TRY(build_merge(b, &merges[i], err)); /* their errors come first */
  return status;
}

void bpe_build_end(bpe_builder *b) { ellm_buffer_free(&b->joined); }

void bpe_free(bpe_model *bpe) {
  vocab_free(&bpe->pieces);
  merge_table_free(&bpe->merges);
  free(bpe->joins);
  memset(bpe, 0, sizeof *bpe);
}
