/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pre-tokenizers at work; see pretokenize.h. A step looks at each piece by
 * itself, cuts it into segments that match or do not, and a behaviour decides
 * what pieces the segments form.
 */
#include "text/pretokenize.h"

#include <string.h>

#include "text/byte_level.h"
#include "text/unicode.h"
#include "text/utf8.h"

/* Forms pieces from the segments of one piece. */
typedef struct cutter {
  piece_list *out;
  const text_piece *whole;
  split_behavior behavior;
  bool previous_match, open; /* [start, end) is not written yet while open */
  size_t start, end;
} cutter;

static bool cut_piece(const cutter *c, size_t start, size_t end) {
  size_t origin_end = c->whole->start + c->whole->origin;
  size_t origin = origin_end > start ? origin_end - start : 0;
  return piece_list_append(c->out, start, end, origin > end - start ? end - start : origin);
}

static bool cut_flush(cutter *c) {
  bool ok = !c->open || cut_piece(c, c->start, c->end);
  c->open = false;
  return ok;
}

/* Segments come in order and without gaps; they may be empty. */
static bool cut_segment(cutter *c, size_t start, size_t end, bool match) {
  bool previous = c->previous_match, joins = false;
  c->previous_match = match;
  switch (c->behavior) {
    case SPLIT_REMOVED: return match || cut_piece(c, start, end);
    case SPLIT_ISOLATED: return cut_piece(c, start, end);
    case SPLIT_CONTIGUOUS: joins = match == previous; break;
    case SPLIT_MERGED_WITH_PREVIOUS: joins = match && !previous; break;
    case SPLIT_MERGED_WITH_NEXT: joins = !match && previous; break;
  }
  if (c->open && joins) {
    c->end = end;
    return true;
  }
  bool ok = cut_flush(c);
  c->open = true;
  c->start = start;
  c->end = end;
  return ok;
}

/* ------------------------------------------------------------ splitting steps */

static ellm_status split_by_pattern(const pretokenize_step *step, split_behavior behavior, regex_scratch *scratch,
                                    split_state *state, ellm_error *err) {
  const char *text = (const char *)state->text.data;
  bool ok = true;
  for (size_t i = 0; i < state->pieces.count && ok; ++i) {
    const text_piece *p = &state->pieces.items[i];
    cutter c = {.out = &state->spare_pieces, .whole = p, .behavior = behavior};
    regex_position position = {0};
    size_t done = p->start;
    for (;;) {
      bool found;
      size_t start, end;
      ELLM_TRY(
          regex_next(step->pattern, scratch, text + p->start, p->end - p->start, &position, &found, &start, &end, err));
      if (!found || !ok) break;
      start += p->start;
      end += p->start;
      if (start != done) ok = cut_segment(&c, done, start, step->invert);
      ok = ok && cut_segment(&c, start, end, !step->invert);
      done = end;
    }
    if (ok && done != p->end) ok = cut_segment(&c, done, p->end, step->invert);
    ok = ok && cut_flush(&c);
  }
  split_state_swap_pieces(state);
  return ok ? ELLM_OK : ellm_fail_memory(err, state->text.size, "pieces");
}

/* Every character for which `is_match` holds is a match by itself. */
static bool split_by_character(bool (*is_match)(uint32_t), split_behavior behavior, split_state *state) {
  const char *text = (const char *)state->text.data;
  for (size_t i = 0; i < state->pieces.count; ++i) {
    const text_piece *p = &state->pieces.items[i];
    cutter c = {.out = &state->spare_pieces, .whole = p, .behavior = behavior};
    size_t done = p->start;
    for (size_t at = p->start; at < p->end;) {
      uint32_t cp;
      size_t next = at + utf8_decode(text + at, &cp);
      if (is_match(cp)) {
        if (done < at && !cut_segment(&c, done, at, false)) return false;
        if (!cut_segment(&c, at, next, true)) return false;
        done = next;
      }
      at = next;
    }
    if (done < p->end && !cut_segment(&c, done, p->end, false)) return false;
    if (!cut_flush(&c)) return false;
  }
  split_state_swap_pieces(state);
  return true;
}

/* Runs of word characters and runs of others, white space dropped. */
static bool split_whitespace(split_state *state) {
  enum { SPACE, WORD, OTHER };
  const char *text = (const char *)state->text.data;
  for (size_t i = 0; i < state->pieces.count; ++i) {
    const text_piece *p = &state->pieces.items[i];
    cutter c = {.out = &state->spare_pieces, .whole = p, .behavior = SPLIT_ISOLATED};
    size_t start = p->start;
    int kind = SPACE;
    for (size_t at = p->start; at < p->end;) {
      uint32_t cp;
      size_t next = at + utf8_decode(text + at, &cp);
      int now = unicode_is_word(cp) ? WORD : unicode_is_space(cp) ? SPACE : OTHER;
      if (now != kind) {
        if (kind != SPACE && !cut_piece(&c, start, at)) return false;
        kind = now;
        start = at;
      }
      at = next;
    }
    if (kind != SPACE && !cut_piece(&c, start, p->end)) return false;
  }
  split_state_swap_pieces(state);
  return true;
}

/* ------------------------------------------------------------ rewriting steps */

/* Append to spare_text; the new piece is added to spare_pieces by the caller. */
static bool put(split_state *state, const char *text, size_t bytes) {
  return bytes == 0 || ellm_buffer_append(&state->spare_text, text, bytes);
}

static bool prefix_spaces(split_state *state) {
  for (size_t i = 0; i < state->pieces.count; ++i) {
    const text_piece *p = &state->pieces.items[i];
    const char *text = (const char *)state->text.data + p->start;
    size_t start = state->spare_text.size, origin = p->origin;
    if (text[0] != ' ') {
      if (!put(state, " ", 1)) return false;
      if (origin > 0) ++origin;
    }
    if (!put(state, text, p->end - p->start)) return false;
    if (!piece_list_append(&state->spare_pieces, start, state->spare_text.size, origin)) return false;
  }
  split_state_swap_text(state);
  split_state_swap_pieces(state);
  return true;
}

static bool bytes_to_characters(split_state *state) {
  size_t room;
  if (!ellm_mul_size(state->text.size, 2, &room) || !ellm_buffer_reserve(&state->spare_text, room)) return false;
  for (size_t i = 0; i < state->pieces.count; ++i) {
    text_piece *p = &state->pieces.items[i];
    const char *text = (const char *)state->text.data + p->start;
    size_t start = state->spare_text.size, bytes = p->end - p->start;
    if (!byte_level_append(&state->spare_text, text, p->origin)) return false;
    size_t origin = state->spare_text.size - start;
    if (!byte_level_append(&state->spare_text, text + p->origin, bytes - p->origin)) return false;
    *p = (text_piece){start, state->spare_text.size, origin};
  }
  split_state_swap_text(state);
  return true;
}

/* Spaces become the replacement, which is also put before the piece if the scheme says so. */
static bool mark_spaces(const pretokenize_step *step, split_state *state) {
  const char *mark = step->replacement;
  size_t mark_bytes = step->replacement_bytes;
  for (size_t i = 0; i < state->pieces.count; ++i) {
    const text_piece *p = &state->pieces.items[i];
    const char *text = (const char *)state->text.data;
    size_t start = state->spare_text.size, origin_end = p->start + p->origin, origin = 0;
    bool marked =
        text[p->start] == ' ' || (p->end - p->start >= mark_bytes && memcmp(text + p->start, mark, mark_bytes) == 0);
    bool wanted = step->scheme == PREPEND_ALWAYS || (step->scheme == PREPEND_FIRST && p->origin > 0);
    if (!marked && wanted && !put(state, mark, mark_bytes)) return false;
    for (size_t at = p->start; at < p->end;) {
      const char *space = memchr(text + at, ' ', p->end - at);
      size_t end = space ? (size_t)(space - text) : p->end;
      if (at < origin_end) { /* at most one character, as a rule */
        size_t within = end < origin_end ? end : origin_end;
        origin = state->spare_text.size - start + (within - at);
      }
      if (!put(state, text + at, end - at)) return false;
      if (space) {
        if (!put(state, mark, mark_bytes)) return false;
        if (end < origin_end) origin = state->spare_text.size - start;
        ++end;
      }
      at = end;
    }
    if (!piece_list_append(&state->spare_pieces, start, state->spare_text.size, origin)) return false;
  }
  split_state_swap_text(state);
  split_state_swap_pieces(state);
  return true;
}

/* Cut before each mark. */
static bool split_at_marks(const pretokenize_step *step, split_state *state) {
  const char *text = (const char *)state->text.data;
  for (size_t i = 0; i < state->pieces.count; ++i) {
    const text_piece *p = &state->pieces.items[i];
    cutter c = {.out = &state->spare_pieces, .whole = p, .behavior = SPLIT_MERGED_WITH_NEXT};
    size_t done = p->start;
    for (size_t at = p->start; at < p->end; at += utf8_length(text[at])) {
      if (p->end - at < step->replacement_bytes || memcmp(text + at, step->replacement, step->replacement_bytes) != 0) {
        continue;
      }
      if (done < at && !cut_segment(&c, done, at, false)) return false;
      if (!cut_segment(&c, at, at + step->replacement_bytes, true)) return false;
      done = at + step->replacement_bytes;
    }
    if (done < p->end && !cut_segment(&c, done, p->end, false)) return false;
    if (!cut_flush(&c)) return false;
  }
  split_state_swap_pieces(state);
  return true;
}

/* ---------------------------------------------------------------------- steps */

ellm_status pretokenize(const pretokenizer *p, regex_scratch *scratch, split_state *state, ellm_error *err) {
  state->spare_pieces.count = 0;
  state->spare_text.size = 0;
  size_t bytes = state->text.size, limit = text_growth_limit(bytes);
  for (size_t i = 0; i < p->count; ++i) {
    const pretokenize_step *step = &p->steps[i];
    bool ok = true;
    switch (step->kind) {
      case PRETOKENIZE_BYTE_LEVEL:
        ok = !step->add_prefix_space || prefix_spaces(state);
        if (ok && step->pattern) ELLM_TRY(split_by_pattern(step, SPLIT_ISOLATED, scratch, state, err));
        ok = ok && bytes_to_characters(state);
        break;
      case PRETOKENIZE_METASPACE: ok = mark_spaces(step, state) && (!step->split || split_at_marks(step, state)); break;
      case PRETOKENIZE_DIGITS: ok = split_by_character(unicode_is_numeric, step->behavior, state); break;
      case PRETOKENIZE_SPLIT: ELLM_TRY(split_by_pattern(step, step->behavior, scratch, state, err)); break;
      case PRETOKENIZE_PUNCTUATION: ok = split_by_character(unicode_is_punctuation, step->behavior, state); break;
      case PRETOKENIZE_WHITESPACE: ok = split_whitespace(state); break;
      case PRETOKENIZE_WHITESPACE_SPLIT: ok = split_by_character(unicode_is_space, SPLIT_REMOVED, state); break;
    }
    if (!ok) return ellm_fail_memory(err, state->text.size, "pre-tokenizing");
    if (state->text.size > limit) return text_growth_refused("pre-tokenizer", bytes, err);
  }
  return ELLM_OK;
}
