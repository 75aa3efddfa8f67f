/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unigram (see scored.h), by the algorithm of Viterbi. From left to right, it finds for each place the best sum of
 * scores over all ways to cut the text up to there, and notes the last piece of that way. Then it goes back from the
 * end along those last pieces. Of equal sums the first counts.
 *
 * Rounding decides ties, so sums must equal those of the two programs bit by bit: SentencePiece computes in float, with
 * 0 for user-defined pieces (0.2.3 does; 0.2.0 rounds differently and so decides ties differently), and `tokenizers`
 * computes in double.
 */
#include "text/unigram.h"

#include "text/utf8.h"

typedef struct place { /* between two bytes of the text */
  double best;    /* sum of scores of the pieces up to here */
  uint32_t start; /* of the last of them; NONE: nothing ends here */
  uint32_t id;    /* of the last of them */
} place;

#define NONE UINT32_MAX

/* Both programs give an unknown character the lowest score of the vocabulary, less this. */
static const double unknown_penalty = 10;

static bool is_better(const place *to, double sum) { return to->start == NONE || sum > to->best; }

static double score_of(const scored_model *m, uint32_t id) {
  return m->types[id] == PIECE_USER_DEFINED ? 0 : m->scores[id];
}

/* A character that is not a piece. */
static ellm_status try_unknown(const scored_model *m, const char *text, place *to, double before, size_t start,
                               ellm_error *err) {
  const double sum = m->sentencepiece ? (float)((float)m->least - (float)unknown_penalty) + (float)before
                                      : m->least - unknown_penalty + before;
  if (!is_better(to, sum)) return ELLM_OK;
  *to = (place){sum, (uint32_t)start, m->unk};
  if (m->unk != VOCAB_NONE) return ELLM_OK;
  uint32_t cp;
  utf8_decode(text + start, &cp);
  return ellm_fail(err, ELLM_ERR_INPUT, "tokenizer: no piece for U+%04X, and none for what is unknown", (unsigned)cp);
}

static ellm_status find_best(const scored_model *m, place *places, const char *text, size_t bytes, ellm_error *err) {
  for (size_t i = 0; i <= bytes; i++) places[i] = (place){0, NONE, 0};
  for (size_t start = 0, length; start < bytes; start += length) {
    const double before = places[start].best;
    uint32_t node = 0;
    bool single = false;
    length = utf8_length(text[start]);
    for (size_t at = start; at < bytes;) {
      node = prefix_tree_step(&m->texts, node, (uint8_t)text[at++]);
      if (node == VOCAB_NONE) break;
      const uint32_t id = m->texts.values[node];
      if (id == VOCAB_NONE) continue;
      double sum = score_of(m, id) + before;
      if (m->sentencepiece) sum = (float)sum;
      if (is_better(&places[at], sum)) places[at] = (place){sum, (uint32_t)start, id};
      if (at - start == length) single = true; /* the character is a piece of its own: it is never unknown */
    }
    if (!single) ELLM_TRY(try_unknown(m, text, &places[start + length], before, start, err));
  }
  return ELLM_OK;
}

/* The chain of pieces leads from the end of the text to its beginning; afterwards `start` of a place is the end of the
 * piece that begins there. */
static void turn_round(place *places, size_t bytes) {
  uint32_t behind = NONE;
  for (uint32_t end = (uint32_t)bytes; end > 0;) {
    const uint32_t start = places[end].start;
    places[end].start = behind;
    behind = end;
    end = start;
  }
  places[0].start = behind;
}

ellm_status unigram_encode(const scored_model *m, scored_scratch *scratch, const char *text, size_t bytes, id_list *ids,
                           ellm_error *err) {
  size_t all;
  if (!ellm_mul_size(bytes + 1, sizeof(place), &all) || !scored_scratch_reserve(scratch, all))
    return ellm_fail_memory(err, bytes * sizeof(place), "encoding");
  place *places = scratch->memory;
  ELLM_TRY(find_best(m, places, text, bytes, err));
  turn_round(places, bytes);
  for (size_t start = 0, end; start < bytes; start = end) {
    end = places[start].start;
    if (places[end].id != m->unk) {
      ELLM_TRY(scored_append(scratch, places[end].id, ids, err));
      continue;
    }
    while (end < bytes && places[places[end].start].id == m->unk) end = places[end].start;
    /* `tokenizers` looks at what is unknown once more, as one text */
    const uint32_t id = m->sentencepiece ? VOCAB_NONE : vocab_find(&m->pieces, text + start, end - start);
    if (id != VOCAB_NONE) ELLM_TRY(scored_append(scratch, id, ids, err));
    else ELLM_TRY(scored_append_unknown(m, scratch, text + start, end - start, ids, err));
  }
  return ELLM_OK;
}
