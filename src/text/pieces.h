/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text under way through normalizer and pre-tokenizers: a buffer and the
 * ranges (pieces) it is split into, ascending, never empty, in valid UTF-8.
 *
 * `origin` counts the leading bytes of a piece that stem from the very first
 * character of the input; Metaspace with prepend_scheme "first" asks whether a
 * piece begins there.
 */
#ifndef ELLM_TEXT_PIECES_H
#define ELLM_TEXT_PIECES_H

#include "base/memory.h"
#include "base/status.h"

typedef struct text_piece { size_t start, end, origin; } text_piece;

typedef struct piece_list { text_piece *items; size_t count, capacity; } piece_list;

/* False: no memory. Empty ranges are left out. */
bool piece_list_append(piece_list *list, size_t start, size_t end, size_t origin);

/* How long the steps of a tokenizer may make a text of so many bytes (Unicode
 * forms reach 18 times); a file could name steps that double it 64 times. */
size_t text_growth_limit(size_t bytes);
/* ELLM_ERR_INPUT that says which part went beyond the limit. */
ellm_status text_growth_refused(const char *part, size_t bytes, ellm_error *err);

/* State of one call: zero-initialize, free with split_state_free. Steps read
 * text and pieces and leave their results there, using the spare ones. */
typedef struct split_state {
  ellm_buffer text, spare_text;
  piece_list pieces, spare_pieces;
} split_state;
void split_state_free(split_state *state);
void split_state_swap_pieces(split_state *state); /* pieces <-> spare_pieces, the new spare emptied */
void split_state_swap_text(split_state *state);

#endif
