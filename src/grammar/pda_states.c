/* SPDX-License-Identifier: Apache-2.0 */
/* See pda_states.h. */
#include "grammar/pda_states.h"

#include <stdlib.h>
#include <string.h>

#include "text/utf8.h"

#define NONE UINT32_MAX

static bool grow(void *items, size_t *room, size_t n, size_t more, size_t size) {
  void **list = items;
  if (n + more <= *room) return true;
  if (n + more > PDA_MOST_STATES) return false;
  size_t larger = *room > 0 ? 2 * *room : 256;
  while (larger < n + more) larger *= 2;
  void *grown = realloc(*list, larger * size);
  if (!grown) return false;
  *list = grown;
  *room = larger;
  return true;
}

uint32_t pda_add(pda *m, pda_state state) {
  if (!grow(&m->states, &m->states_room, m->n_states, 1, sizeof *m->states)) return NONE;
  m->states[m->n_states] = state;
  return (uint32_t)m->n_states++;
}

uint32_t pda_add_edges(pda *m, const pda_edge *edges, size_t n) {
  if (!grow(&m->edges, &m->edges_room, m->n_edges, n, sizeof *m->edges)) return NONE;
  if (n > 0) memcpy(m->edges + m->n_edges, edges, n * sizeof *edges);
  const uint32_t first = (uint32_t)m->n_edges;
  m->n_edges += n;
  return pda_add(m, (pda_state){.kind = PDA_EDGES, .first = first, .count = (uint32_t)n});
}

uint32_t pda_add_fork(pda *m, const uint32_t *targets, size_t n) {
  if (n == 1) return targets[0];
  if (!grow(&m->targets, &m->targets_room, m->n_targets, n, sizeof *m->targets)) return NONE;
  if (n > 0) memcpy(m->targets + m->n_targets, targets, n * sizeof *targets);
  const uint32_t first = (uint32_t)m->n_targets;
  m->n_targets += n;
  return pda_add(m, (pda_state){.kind = PDA_FORK, .first = first, .count = (uint32_t)n});
}

uint32_t pda_add_text(pda *m, const char *text, size_t bytes, uint32_t next) {
  for (size_t i = bytes; i-- > 0 && next != NONE;) {
    const pda_edge edge = {(uint8_t)text[i], (uint8_t)text[i], next};
    next = pda_add_edges(m, &edge, 1);
  }
  return next;
}

/* -------------------------------------------------------------------- classes */

/* A machine over bytes must read characters byte by byte. A range of code points is therefore cut into rows. The UTF-8
 * forms of a row have one length, and are all combinations of one range of values per byte. For example U+00E9 to
 * U+0400 becomes C3 A9..BF, then C4..CF 80..BF, then D0 80. */
typedef struct byte_rows { uint8_t first[4], last[4]; size_t length; } byte_rows;
typedef struct row_list { byte_rows *rows; size_t count, room; bool failed; } row_list;

static void add_row(row_list *list, uint32_t first, uint32_t last) {
  byte_rows row;
  char low[4], high[4];
  if (list->failed || !grow(&list->rows, &list->room, list->count, 1, sizeof *list->rows)) {
    list->failed = true;
    return;
  }
  row.length = utf8_encode(first, low);
  utf8_encode(last, high);
  for (size_t i = 0; i < row.length; i++) {
    row.first[i] = (uint8_t)low[i];
    row.last[i] = (uint8_t)high[i];
  }
  list->rows[list->count++] = row;
}

static void split_range(row_list *list, uint32_t first, uint32_t last) {
  static const uint32_t lengths[] = {0x7F, 0x7FF, 0xFFFF};
  for (size_t i = 0; i < 3; i++)
    if (first <= lengths[i] && last > lengths[i]) {
      split_range(list, first, lengths[i]);
      split_range(list, lengths[i] + 1, last);
      return;
    }
  for (unsigned bits = 6; first > 0x7F && bits < 24; bits += 6) { /* 6, 12, 18 low bits that a later byte holds */
    const uint32_t low = (UINT32_C(1) << bits) - 1;
    if ((first & ~low) == (last & ~low)) break;
    if ((first & low) != 0) {
      split_range(list, first, first | low);
      split_range(list, (first | low) + 1, last);
      return;
    }
    if ((last & low) != low) {
      split_range(list, first, (last & ~low) - 1);
      split_range(list, last & ~low, last);
      return;
    }
  }
  add_row(list, first, last);
}

/* An equal state among the newest of those made since `from`; equal ends of many classes then share their states. */
static uint32_t like_edges(const pda *m, size_t from, const pda_edge *edges, size_t n) {
  enum { LOOK_BACK = 32 };
  for (size_t i = m->n_states, looked = 0; i-- > from && looked < LOOK_BACK; looked++) {
    const pda_state *s = &m->states[i];
    if (s->kind != PDA_EDGES || s->count != n) continue;
    size_t same = 0;
    for (const pda_edge *e = m->edges + s->first; same < n; same++, e++)
      if (e->first != edges[same].first || e->last != edges[same].last || e->target != edges[same].target) break;
    if (same == n) return (uint32_t)i;
  }
  return NONE;
}

/* Rows [begin, end) have the same bytes before `depth`. At most 256 edges leave a state. */
static uint32_t class_state(pda *m, const byte_rows *rows, size_t begin, size_t end, size_t depth, size_t from,
                            uint32_t next) {
  pda_edge edges[256];
  size_t n = 0;
  for (size_t i = begin; i < end && depth < 4;) { /* rows are no longer than that */
    size_t same = i + 1;
    while (same < end && rows[same].first[depth] == rows[i].first[depth] &&
           rows[same].last[depth] == rows[i].last[depth] && rows[i].length > depth + 1)
      same++;
    const uint32_t target = rows[i].length == depth + 1 ? next : class_state(m, rows, i, same, depth + 1, from, next);
    if (target == NONE) return NONE;
    if (n > 0 && edges[n - 1].target == target && edges[n - 1].last + 1 == rows[i].first[depth])
      edges[n - 1].last = rows[i].last[depth];
    else edges[n++] = (pda_edge){rows[i].first[depth], rows[i].last[depth], target};
    i = same;
  }
  const uint32_t like = like_edges(m, from, edges, n);
  return like != NONE ? like : pda_add_edges(m, edges, n);
}

uint32_t pda_add_class(pda *m, const code_range *ranges, size_t n, uint32_t next) {
  row_list list = {0};
  for (size_t i = 0; i < n; i++) split_range(&list, ranges[i].first, ranges[i].last);
  const uint32_t made = list.failed ? NONE : class_state(m, list.rows, 0, list.count, 0, m->n_states, next);
  free(list.rows);
  return made;
}

/* ---------------------------------------------------------------------- texts */

static int by_bytes(const void *a, const void *b) {
  const pda_text *x = a, *y = b;
  const size_t common = x->bytes < y->bytes ? x->bytes : y->bytes;
  const int order = common > 0 ? memcmp(x->text, y->text, common) : 0;
  return order != 0 ? order : x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

/* texts[begin, end) have the same bytes before `depth`; what they have in common beyond is a plain run, so that the
 * recursion is as deep as they branch, and texts are limited in all. */
static uint32_t text_state(pda *m, const pda_text *texts, size_t begin, size_t end, size_t depth, uint32_t next) {
  size_t n = 0, i = begin, run = depth, bytes = 1;
  const pda_text *first = &texts[begin], *last = &texts[end - 1];
  while (run < first->bytes && run < last->bytes && first->text[run] == last->text[run]) run++;
  while (i < end && texts[i].bytes == run) i++;
  const bool ends = i > begin;
  if (i == end) return pda_add_text(m, first->text + depth, run - depth, next);
  for (size_t at = i + 1; at < end; at++) bytes += texts[at].text[run] != texts[at - 1].text[run];
  pda_edge *edges = malloc(bytes * sizeof *edges);
  uint32_t state = NONE;
  while (edges && i < end) {
    size_t same = i + 1;
    const uint8_t byte = (uint8_t)texts[i].text[run];
    while (same < end && (uint8_t)texts[same].text[run] == byte) same++;
    const uint32_t target = text_state(m, texts, i, same, run + 1, next);
    if (target == NONE) break;
    edges[n++] = (pda_edge){byte, byte, target};
    i = same;
  }
  if (edges && i == end) state = pda_add_edges(m, edges, n);
  free(edges);
  if (ends && state != NONE) state = pda_add_fork(m, (const uint32_t[]){state, next}, 2);
  return state == NONE ? NONE : pda_add_text(m, first->text + depth, run - depth, state);
}

uint32_t pda_add_texts(pda *m, pda_text *texts, size_t n, uint32_t next) {
  qsort(texts, n, sizeof *texts, by_bytes);
  return text_state(m, texts, 0, n, 0, next);
}
