/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of pieces; see pieces.h. */
#include "text/pieces.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

bool piece_list_append(piece_list *list, size_t start, size_t end, size_t origin) {
  if (start == end) return true;
  if (list->count == list->capacity) {
    size_t capacity = list->capacity < 32 ? 32 : list->capacity, bytes;
    if (!ellm_mul_size(capacity, 2, &capacity) || !ellm_mul_size(capacity, sizeof *list->items, &bytes)) return false;
    text_piece *items = realloc(list->items, bytes);
    if (!items) return false;
    list->items = items;
    list->capacity = capacity;
  }
  list->items[list->count++] = (text_piece){start, end, origin};
  return true;
}

size_t text_growth_limit(size_t bytes) { return bytes > (SIZE_MAX - 1024) / 64 ? SIZE_MAX : 64 * bytes + 1024; }

ellm_status text_growth_refused(const char *part, size_t bytes, ellm_error *err) {
  return ellm_fail(err, ELLM_ERR_INPUT, "tokenizer: the %s makes more than %zu bytes of a text of %zu", part,
                   text_growth_limit(bytes), bytes);
}

void split_state_free(split_state *state) {
  ellm_buffer_free(&state->text);
  ellm_buffer_free(&state->spare_text);
  free(state->pieces.items);
  free(state->spare_pieces.items);
  memset(state, 0, sizeof *state);
}

void split_state_swap_pieces(split_state *state) {
  piece_list pieces = state->pieces;
  state->pieces = state->spare_pieces;
  state->spare_pieces = pieces;
  state->spare_pieces.count = 0;
}

void split_state_swap_text(split_state *state) {
  ellm_buffer text = state->text;
  state->text = state->spare_text;
  state->spare_text = text;
  state->spare_text.size = 0;
}
