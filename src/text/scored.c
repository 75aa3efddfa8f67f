/* SPDX-License-Identifier: Apache-2.0 */
/* Builds models whose pieces have scores; see scored.h. Everything that encoding relies on is checked here, once, so
 * that the loops over texts need no checks: pieces are UTF-8 and distinct, scores are finite, byte pieces are
 * complete. */
#include "text/scored.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "text/decode.h"
#include "text/utf8.h"

static const char mark[] = "\xE2\x96\x81"; /* U+2581, which stands for a space */
enum { MARK_BYTES = 3 };

ellm_status scored_begin(scored_model *m, size_t expected, ellm_error *err) {
  if (expected > VOCAB_ID_LIMIT) expected = VOCAB_ID_LIMIT;
  m->capacity = expected > 16 ? expected : 16;
  m->scores = malloc(m->capacity * sizeof *m->scores);
  m->types = malloc(m->capacity * sizeof *m->types);
  m->unk = VOCAB_NONE;
  if (m->scores == NULL || m->types == NULL) return ellm_fail_memory(err, m->capacity * sizeof *m->scores, "pieces");
  return vocab_init(&m->pieces, expected, err);
}

static ellm_status grow(scored_model *m, ellm_error *err) {
  const size_t capacity = 2 * m->capacity;
  double *scores = realloc(m->scores, capacity * sizeof *scores);
  if (scores != NULL) m->scores = scores;
  uint8_t *types = realloc(m->types, capacity * sizeof *types);
  if (types != NULL) m->types = types;
  if (scores == NULL || types == NULL) return ellm_fail_memory(err, capacity * sizeof *scores, "pieces");
  m->capacity = capacity;
  return ELLM_OK;
}

ellm_status scored_add(scored_model *m, const char *piece, size_t bytes, double score, piece_type type,
                       const char *origin, ellm_error *err) {
  const size_t id = m->pieces.count;
  const int shown = bytes > 100 ? 100 : (int)bytes;
  if (id == VOCAB_ID_LIMIT)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: more than %u pieces", origin, VOCAB_ID_LIMIT);
  if ((bytes == 0 && m->sentencepiece) || bytes > SCORED_MAX_PIECE)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: piece %zu has %zu bytes, 1 to %d are expected", origin, id, bytes,
                     SCORED_MAX_PIECE);
  if (!utf8_is_valid(piece, bytes))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: piece %zu is not UTF-8", origin, id);
  if (!isfinite(score))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: piece %zu \"%.*s\" has score %g", origin, id, shown, piece, score);
  if (type < PIECE_NORMAL || type > PIECE_BYTE)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: piece %zu \"%.*s\" has type %d, 1 to 6 are known", origin, id, shown,
                     piece, (int)type);
  if (id == m->capacity) ELLM_TRY(grow(m, err));
  const ellm_status status = vocab_add(&m->pieces, piece, bytes, (uint32_t)id, err);
  if (status == ELLM_ERR_USAGE)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: piece %zu \"%.*s\" appears twice", origin, id, shown, piece);
  m->scores[id] = score;
  m->types[id] = (uint8_t)type;
  return status;
}

/* ---- what is derived ---- */

static const char *text_of(const scored_model *m, size_t id, size_t *bytes) {
  *bytes = m->pieces.pieces[id].length;
  return vocab_string(&m->pieces, &m->pieces.pieces[id]);
}

/* Can text become it by what the model does? */
static bool is_text(const scored_model *m, size_t id) {
  return m->types[id] == PIECE_NORMAL || m->types[id] == PIECE_USER_DEFINED || m->types[id] == PIECE_UNUSED;
}

static ellm_status find_bytes(scored_model *m, const char *origin, ellm_error *err) {
  for (unsigned b = 0; b < 256; b++) {
    static const char digits[] = "0123456789ABCDEF";
    const char piece[6] = {'<', '0', 'x', digits[b >> 4], digits[b & 15], '>'};
    const uint32_t id = vocab_find(&m->pieces, piece, sizeof piece);
    m->byte_ids[b] = id != VOCAB_NONE && (!m->sentencepiece || m->types[id] == PIECE_BYTE) ? id : VOCAB_NONE;
    if (m->sentencepiece && m->byte_fallback && m->byte_ids[b] == VOCAB_NONE)
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: there is no byte piece %.6s, though bytes are to be used", origin,
                       piece);
  }
  for (size_t id = 0; id < m->pieces.count; id++) {
    size_t bytes;
    const char *piece = text_of(m, id, &bytes);
    if (m->types[id] == PIECE_BYTE && decode_byte_piece(piece, bytes) < 0)
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: byte piece %zu is \"%.100s\", <0x00> to <0xFF> are known", origin, id,
                       piece);
  }
  return ELLM_OK;
}

/* Where no piece is NORMAL, each program starts from its own largest number. */
static void find_least(scored_model *m) {
  m->least = m->sentencepiece ? FLT_MAX : INFINITY;
  for (size_t id = 0; id < m->pieces.count; id++) {
    if (m->types[id] == PIECE_NORMAL && m->scores[id] < m->least) m->least = m->scores[id];
  }
}

static ellm_status find_user_defined(scored_model *m, ellm_error *err) {
  for (size_t id = 0; id < m->pieces.count; id++) {
    size_t bytes;
    const char *piece = text_of(m, id, &bytes);
    if (m->types[id] == PIECE_UNUSED) m->has_unused = true;
    if (m->types[id] != PIECE_USER_DEFINED) continue;
    if (m->user_defined == NULL) {
      m->user_defined = calloc(1, sizeof *m->user_defined);
      if (m->user_defined == NULL) return ellm_fail_memory(err, sizeof *m->user_defined, "user-defined pieces");
      ELLM_TRY(prefix_tree_init(m->user_defined, 64, err));
    }
    ELLM_TRY(prefix_tree_add(m->user_defined, piece, bytes, (uint32_t)id, err));
  }
  return ELLM_OK;
}

bool scored_is_mark(const char *text, size_t bytes) {
  return bytes >= MARK_BYTES && memcmp(text, mark, MARK_BYTES) == 0;
}

/* Is there a U+2581 after another character? If no piece has one, no join can cross such a place, and a text can be cut
 * there (`cut`): its words are then encoded one by one. */
static bool has_inner_mark(const char *piece, size_t bytes) {
  bool other = false;
  for (size_t at = 0; at < bytes;) {
    const bool marked = scored_is_mark(piece + at, bytes - at);
    if (marked && other) return true;
    other = !marked;
    at += utf8_length(piece[at]);
  }
  return false;
}

/* Floats as unsigned numbers in reversed order: the higher the score, the lower the rank, so that scored_bpe.c can keep
 * rank << 32 | position in a heap of integers. The bits of positive floats rise with the value, those of negative
 * ones fall with it; hence the two cases. No finite score gives UINT32_MAX, which stands for "is not joined". */
static uint32_t rank_of(float score) {
  const uint32_t bits = float_bits(score + 0.0f); /* -0 is 0 */
  return bits >> 31 ? bits : ~(bits | UINT32_C(1) << 31);
}

static ellm_status finish_bpe(scored_model *m, ellm_error *err) {
  m->cut = true;
  m->ranks = malloc((m->pieces.count + 1) * sizeof *m->ranks);
  if (m->ranks == NULL) return ellm_fail_memory(err, m->pieces.count * sizeof *m->ranks, "pieces");
  for (size_t id = 0; id < m->pieces.count; id++) {
    size_t bytes;
    const char *piece = text_of(m, id, &bytes);
    m->ranks[id] = is_text(m, id) ? rank_of((float)m->scores[id]) : UINT32_MAX;
    if (is_text(m, id) && has_inner_mark(piece, bytes)) m->cut = false;
  }
  return ELLM_OK;
}

static ellm_status finish_unigram(scored_model *m, ellm_error *err) {
  ELLM_TRY(prefix_tree_init(&m->texts, 2 * m->pieces.count, err));
  for (size_t id = 0; id < m->pieces.count; id++) {
    size_t bytes;
    const char *piece = text_of(m, id, &bytes);
    if (!is_text(m, id) || m->types[id] == PIECE_UNUSED || bytes == 0) continue;
    ELLM_TRY(prefix_tree_add(&m->texts, piece, bytes, (uint32_t)id, err));
  }
  return ELLM_OK;
}

ellm_status scored_finish(scored_model *m, const char *origin, ellm_error *err) {
  if (m->unk != VOCAB_NONE && m->unk >= m->pieces.count)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: the id of the unknown piece is %u, there are %zu pieces", origin, m->unk,
                     m->pieces.count);
  ELLM_TRY(find_bytes(m, origin, err));
  ELLM_TRY(find_user_defined(m, err));
  find_least(m);
  return m->kind == SCORED_BPE ? finish_bpe(m, err) : finish_unigram(m, err);
}

void scored_free(scored_model *m) {
  vocab_free(&m->pieces);
  free(m->scores);
  free(m->types);
  free(m->ranks);
  if (m->user_defined != NULL) prefix_tree_free(m->user_defined);
  free(m->user_defined);
  prefix_tree_free(&m->texts);
  memset(m, 0, sizeof *m);
}

/* ---- encoding ---- */

void scored_scratch_free(scored_scratch *scratch) {
  free(scratch->memory);
  free(scratch->splits);
  memset(scratch, 0, sizeof *scratch);
}

bool scored_scratch_reserve(scored_scratch *scratch, size_t bytes) {
  if (bytes <= scratch->bytes) return true;
  free(scratch->memory);
  scratch->bytes = 0;
  scratch->memory = malloc(bytes);
  if (scratch->memory == NULL) return false;
  scratch->bytes = bytes;
  return true;
}

ellm_status scored_append(scored_scratch *scratch, uint32_t id, id_list *ids, ellm_error *err) {
  scratch->after_unknown = false;
  return id_list_append(ids, &id, 1) ? ELLM_OK : ellm_fail_memory(err, sizeof id, "ids");
}

ellm_status scored_append_unknown(const scored_model *m, scored_scratch *scratch, const char *text, size_t bytes,
                                  id_list *ids, ellm_error *err) {
  bool all = m->byte_fallback;
  for (size_t i = 0; all && i < bytes; i++) all = m->byte_ids[(uint8_t)text[i]] != VOCAB_NONE;
  for (size_t i = 0; all && i < bytes; i++)
    ELLM_TRY(scored_append(scratch, m->byte_ids[(uint8_t)text[i]], ids, err));
  if (all || scratch->after_unknown) return ELLM_OK;
  if (m->unk == VOCAB_NONE) {
    uint32_t cp;
    utf8_decode(text, &cp);
    return ellm_fail(err, ELLM_ERR_INPUT, "tokenizer: no piece for U+%04X, and none for what is unknown", (unsigned)cp);
  }
  ELLM_TRY(scored_append(scratch, m->unk, ids, err));
  scratch->after_unknown = true;
  return ELLM_OK;
}
