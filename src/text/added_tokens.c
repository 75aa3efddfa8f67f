/* SPDX-License-Identifier: Apache-2.0 */
/* Added tokens; see added_tokens.h. */
#include "text/added_tokens.h"

#include <stdlib.h>
#include <string.h>

#include "text/unicode.h"
#include "text/utf8.h"

/* ------------------------------------------------------------------ building */

static char *copy_bytes(const char *text, size_t bytes) {
  char *copy = malloc(bytes + 1);
  if (copy) {
    memcpy(copy, text, bytes);
    copy[bytes] = '\0';
  }
  return copy;
}

static ellm_status normalize_pattern(const normalizer *n, const char *origin, added_token *token, ellm_error *err) {
  ellm_buffer text = {0}, spare = {0};
  regex_scratch scratch = {0};
  size_t zero = 0;
  ellm_status status = ELLM_OK;
  if (!ellm_buffer_append(&text, token->content, token->content_bytes)) {
    status = ellm_fail_memory(err, token->content_bytes, "added token");
  }
  if (status == ELLM_OK) status = normalize(n, &scratch, &text, &spare, &zero, err);
  if (status == ELLM_OK && text.size == 0) {
    status = ellm_fail(err, ELLM_ERR_INPUT, "%s: added token \"%s\" is normalized to nothing", origin, token->content);
  }
  if (status == ELLM_OK && text.size > ADDED_TOKEN_MAX_BYTES) {
    status = ellm_fail(err, ELLM_ERR_INPUT, "%s: added token \"%.100s\" is normalized to more than %d bytes", origin,
                       token->content, ADDED_TOKEN_MAX_BYTES);
  }
  if (status == ELLM_OK && (text.size != token->content_bytes || memcmp(text.data, token->content, text.size) != 0)) {
    token->pattern = copy_bytes((const char *)text.data, text.size);
    token->pattern_bytes = text.size;
    if (!token->pattern) {
      token->pattern = token->content;
      status = ellm_fail_memory(err, text.size, "added token");
    }
  }
  ellm_buffer_free(&text);
  ellm_buffer_free(&spare);
  regex_scratch_free(&scratch);
  return status;
}

ellm_status added_tokens_append(added_tokens *added, const added_token *token, const char *origin, ellm_error *err) {
  if (token->content_bytes > ADDED_TOKEN_MAX_BYTES) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: added token %.100s... is longer than %d bytes", origin, token->content,
                     ADDED_TOKEN_MAX_BYTES);
  }
  if (added->count == added->capacity) {
    const size_t capacity = added->capacity > 0 ? 2 * added->capacity : 16;
    added_token *items = realloc(added->items, capacity * sizeof *items);
    if (!items) return ellm_fail_memory(err, capacity * sizeof *items, "added tokens");
    added->items = items;
    added->capacity = capacity;
  }
  char *content = copy_bytes(token->content, token->content_bytes);
  if (!content) return ellm_fail_memory(err, token->content_bytes, "added token");
  added_token *copy = &added->items[added->count++];
  *copy = *token;
  copy->content = copy->pattern = content;
  copy->pattern_bytes = copy->content_bytes;
  return ELLM_OK;
}

typedef struct sort_entry { const char *pattern; size_t bytes; uint32_t index; } sort_entry;

static int compare_entries(const void *a, const void *b) {
  const sort_entry *x = a, *y = b;
  size_t shared = x->bytes < y->bytes ? x->bytes : y->bytes;
  int order = memcmp(x->pattern, y->pattern, shared);
  if (order != 0) return order;
  return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

static ellm_status build_matcher(const added_tokens *added, bool normalized, const char *origin, token_matcher *matcher,
                                 ellm_error *err) {
  sort_entry *entries = malloc((added->count + 1) * sizeof *entries);
  matcher->order = malloc((added->count + 1) * sizeof *matcher->order);
  if (!entries || !matcher->order) {
    free(entries);
    return ellm_fail_memory(err, added->count * sizeof *entries, "added tokens");
  }
  for (size_t i = 0; i < added->count; ++i) {
    const added_token *token = &added->items[i];
    if (token->normalized == normalized) {
      entries[matcher->count++] = (sort_entry){token->pattern, token->pattern_bytes, (uint32_t)i};
    }
  }
  qsort(entries, matcher->count, sizeof *entries, compare_entries);
  ellm_status status = ELLM_OK;
  for (size_t i = 0; i < matcher->count && status == ELLM_OK; ++i) {
    matcher->order[i] = entries[i].index;
    ++matcher->first[(uint8_t)entries[i].pattern[0] + 1];
    if (i > 0 && compare_entries(&entries[i - 1], &entries[i]) == 0) {
      status =
          ellm_fail(err, ELLM_ERR_INPUT, "%s: two added tokens are looked for as \"%s\"", origin, entries[i].pattern);
    }
  }
  for (size_t b = 1; b < 257; ++b) matcher->first[b] += matcher->first[b - 1];
  free(entries);
  return status;
}

static void free_token(added_token *token) {
  if (token->pattern != token->content) free(token->pattern);
  free(token->content);
  memset(token, 0, sizeof *token);
}

/* By content; equal ones in the order in which they are listed. */
static int compare_contents(const void *a, const void *b) {
  const added_token *x = *(const added_token *const *)a, *y = *(const added_token *const *)b;
  if (x->content_bytes != y->content_bytes) return x->content_bytes < y->content_bytes ? -1 : 1;
  const int order = memcmp(x->content, y->content, x->content_bytes);
  return order != 0 ? order : x < y ? -1 : x > y;
}
static int compare_ids(const void *a, const void *b) {
  const added_token *x = *(const added_token *const *)a, *y = *(const added_token *const *)b;
  return x->id < y->id ? -1 : x->id > y->id;
}

/* A token that is listed again keeps place and id of its first listing and has the properties of its last; it is
 * special if any of them is. So does the library. */
static void keep_last(added_token *first, added_token *again) {
  const added_token last = *again;
  const uint32_t id = first->id;
  const bool special = first->special || last.special;
  memset(again, 0, sizeof *again);
  free_token(first);
  *first = last;
  first->id = id;
  first->special = special;
}

/* Without empty tokens, which the library ignores, and with one of those with equal content. */
static ellm_status merge_listings(added_tokens *added, ellm_error *err) {
  added_token **sorted = malloc((added->count + 1) * sizeof *sorted);
  if (!sorted) return ellm_fail_memory(err, added->count * sizeof *sorted, "added tokens");
  for (size_t i = 0; i < added->count; ++i) sorted[i] = &added->items[i];
  qsort(sorted, added->count, sizeof *sorted, compare_contents);
  for (size_t i = 1; i < added->count; ++i) {
    added_token *first = sorted[i - 1], *again = sorted[i];
    if (first->content_bytes != again->content_bytes ||
        memcmp(first->content, again->content, first->content_bytes) != 0) {
      continue;
    }
    keep_last(first, again);
    sorted[i] = first; /* and continues with the next of them */
  }
  free(sorted);
  size_t kept = 0;
  for (size_t i = 0; i < added->count; ++i) {
    if (added->items[i].content_bytes == 0) free_token(&added->items[i]);
    else added->items[kept++] = added->items[i];
  }
  added->count = kept;
  return ELLM_OK;
}

static ellm_status refuse_equal_ids(const added_tokens *added, const char *origin, ellm_error *err) {
  const added_token **sorted = malloc((added->count + 1) * sizeof *sorted);
  if (!sorted) return ellm_fail_memory(err, added->count * sizeof *sorted, "added tokens");
  ellm_status status = ELLM_OK;
  for (size_t i = 0; i < added->count; ++i) sorted[i] = &added->items[i];
  qsort(sorted, added->count, sizeof *sorted, compare_ids);
  for (size_t i = 1; i < added->count && status == ELLM_OK; ++i) {
    if (sorted[i - 1]->id == sorted[i]->id) {
      status = ellm_fail(err, ELLM_ERR_INPUT, "%s: id %u is given to two added tokens", origin, sorted[i]->id);
    }
  }
  free(sorted);
  return status;
}

ellm_status added_tokens_build(added_tokens *added, const vocab *pieces, const normalizer *n, const char *origin,
                               ellm_error *err) {
  uint32_t next = (uint32_t)pieces->count; /* where the library continues counting */
  ELLM_TRY(merge_listings(added, err));
  for (size_t i = 0; i < added->count; ++i) {
    added_token *token = &added->items[i];
    uint32_t id = vocab_find(pieces, token->content, token->content_bytes);
    if (id == VOCAB_NONE) id = next++;
    if (token->id != id) {
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: added token \"%s\" has id %u, but by the vocabulary it would be %u",
                       origin, token->content, token->id, id);
    }
    if (token->normalized) ELLM_TRY(normalize_pattern(n, origin, token, err));
  }
  ELLM_TRY(refuse_equal_ids(added, origin, err));
  ELLM_TRY(build_matcher(added, false, origin, &added->raw, err));
  return build_matcher(added, true, origin, &added->normalized, err);
}

void added_tokens_free(added_tokens *added) {
  for (size_t i = 0; i < added->count; ++i) free_token(&added->items[i]);
  free(added->items);
  free(added->raw.order);
  free(added->normalized.order);
  memset(added, 0, sizeof *added);
}

/* ------------------------------------------------------------------ matching */

/* The longest token that text[0..bytes) begins with, or NULL. */
static const added_token *longest_at(const added_tokens *added, const token_matcher *matcher, const char *text,
                                     size_t bytes) {
  size_t low = matcher->first[(uint8_t)text[0]], high = matcher->first[(uint8_t)text[0] + 1];
  const added_token *best = NULL;
  for (size_t depth = 1; low < high; ++depth) {
    /* All of [low, high) begin with text[0..depth). */
    const added_token *token = &added->items[matcher->order[low]];
    if (token->pattern_bytes == depth) {
      best = token;
      if (++low == high) break;
    }
    if (depth == bytes) break;
    uint8_t wanted = (uint8_t)text[depth];
    uint8_t first = (uint8_t)added->items[matcher->order[low]].pattern[depth];
    uint8_t last = (uint8_t)added->items[matcher->order[high - 1]].pattern[depth];
    if (first == wanted && last == wanted) continue; /* and so have all between them */
    size_t from = low, to = high;
    while (from < to) {
      size_t middle = from + (to - from) / 2;
      if ((uint8_t)added->items[matcher->order[middle]].pattern[depth] < wanted) from = middle + 1;
      else to = middle;
    }
    low = from;
    to = high;
    while (from < to) {
      size_t middle = from + (to - from) / 2;
      if ((uint8_t)added->items[matcher->order[middle]].pattern[depth] <= wanted) from = middle + 1;
      else to = middle;
    }
    high = from;
  }
  return best;
}

/* Start of the character that ends at `end` > 0. */
static size_t previous_character(const char *text, size_t end, uint32_t *cp) {
  size_t start = end - 1;
  while (start > 0 && ((uint8_t)text[start] & 0xC0) == 0x80) --start;
  utf8_decode(text + start, cp);
  return start;
}

static bool is_single_word(const char *text, size_t bytes, size_t start, size_t end) {
  uint32_t cp;
  if (start > 0) {
    previous_character(text, start, &cp);
    if (unicode_is_word(cp)) return false;
  }
  if (end == bytes) return true;
  utf8_decode(text + end, &cp);
  return !unicode_is_word(cp);
}

/* End of the white space at `at`. Each run is looked at once, also when many
 * tokens are in it. */
static size_t skip_spaces(const char *text, size_t bytes, size_t at, added_cursor *cursor) {
  if (at >= cursor->space_start && at < cursor->space_end) return cursor->space_end;
  size_t end = at;
  while (end < bytes) {
    uint32_t cp;
    size_t length = utf8_decode(text + end, &cp);
    if (!unicode_is_space(cp)) break;
    end += length;
  }
  cursor->space_start = at;
  cursor->space_end = end;
  return end;
}

bool added_next(const added_tokens *added, const token_matcher *matcher, bool special_as_text, const char *text,
                size_t bytes, added_cursor *cursor, added_segment *segment) {
  if (cursor->queued.token) {
    *segment = cursor->queued;
    cursor->queued.token = NULL;
    return true;
  }
  while (matcher->count > 0 && cursor->search < bytes) {
    size_t start = cursor->search;
    const added_token *token = longest_at(added, matcher, text + start, bytes - start);
    if (!token) {
      ++cursor->search;
      continue;
    }
    size_t end = cursor->search = start + token->pattern_bytes;
    if (special_as_text && token->special) continue;
    if (token->single_word && !is_single_word(text, bytes, start, end)) continue;
    uint32_t cp;
    while (token->lstrip && start > cursor->done) {
      size_t before = previous_character(text, start, &cp);
      if (!unicode_is_space(cp)) break;
      start = before;
    }
    if (token->rstrip) end = skip_spaces(text, bytes, end, cursor);
    /* White space that the token before has taken is not taken again; a token
     * of which nothing is left then does not count. */
    size_t done = cursor->done;
    if (token->lstrip && start < done) start = done;
    if (start >= end) continue;
    cursor->done = end;
    *segment = (added_segment){token, start, end};
    if (done < start) { /* the text before it comes first */
      cursor->queued = *segment;
      *segment = (added_segment){NULL, done, start};
    }
    return true;
  }
  if (cursor->done < bytes) {
    *segment = (added_segment){NULL, cursor->done, bytes};
    cursor->done = bytes;
    return true;
  }
  return false;
}
