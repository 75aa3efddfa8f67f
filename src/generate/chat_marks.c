/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a message says must not act as a token of the template. The text of a
 * conversation is always the plain rendering; what has to be found out is which
 * special tokens in it come from the conversation. Those get marks, which the
 * tokenizer does not look across (text/marked.h).
 *
 * Marks are characters that occur nowhere else. They are put into the strings of
 * the conversation before a second rendering, which then shows where they went.
 * A template may look at the text that it is given (is "</think>" in it? does it
 * begin with "<tool_response>"?), and a mark in the wrong place would change the
 * answer. So a rendering with marks only counts where it is the plain one once
 * the marks are taken out; where it is not, marks are put elsewhere:
 *
 *   INSIDE   behind the first character of each special token: it is none then.
 *            The template sees no special token of a message at all.
 *   AROUND   one mark before and another behind each: in, split, replace see it.
 *            Special tokens between two marks are the conversation's.
 *   WITHIN   the same without those at the ends of a string: startswith, endswith
 *            see it, too. Special tokens beside one mark are the conversation's.
 *            A string that is nothing but a special token is marked inside.
 *
 * Where the template looks at more than that (at lengths, say), the strings that
 * hold special tokens, whole or without white space at their ends, are looked
 * for in the plain text. One that occurs there as often as in the conversation
 * can only have come from it; what else there is cannot be proved and counts as
 * the template's.
 *
 * Roles that are names get no marks, as templates compare them.
 */
#include "generate/chat_marks.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "text/encode.h"
#include "text/marked.h"

typedef enum mark_place { MARK_INSIDE, MARK_AROUND, MARK_WITHIN, N_MARK_PLACES } mark_place;

typedef struct marking {
  const ellm_tokenizer *tokenizer;
  text_marker inside, before, behind;
  mark_place place;
  size_t marked; /* strings that hold special tokens */
  ellm_error *err;
} marking;

/* ------------------------------------------------------------------- copies */

/* Is it a name, as roles are? A name must stay what it is even where it is a special token; anything else that stands
 * for a role is text like the rest. */
static bool is_role(const char *key, const json_t *field) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
  const char *name = json_string_value(field);
  return name && strcmp(key, "role") == 0 && strspn(name, letters) == json_string_length(field);
}

static bool put_marker(ellm_buffer *out, const text_marker *marker) {
  return ellm_buffer_append(out, marker->bytes, TEXT_MARKER_BYTES);
}

static ellm_status mark_around(const marking *m, const char *text, size_t bytes, ellm_buffer *out) {
  const bool ends = m->place == MARK_AROUND;
  if (!ends && text_special_bytes(m->tokenizer, text, bytes) == bytes)
    return text_mark_special(m->tokenizer, &m->inside, text, bytes, out, m->err);
  for (size_t at = 0, n; at < bytes; at += n) {
    const size_t special = text_special_bytes(m->tokenizer, text + at, bytes - at);
    n = special > 0 ? special : 1;
    if ((special > 0 && (ends || at > 0) && !put_marker(out, &m->before)) || !ellm_buffer_append(out, text + at, n) ||
        (special > 0 && (ends || at + n < bytes) && !put_marker(out, &m->behind)))
      return ellm_fail_memory(m->err, bytes, "a message");
  }
  return ELLM_OK;
}

/* A string with marks. text_mark_special decides whether it needs any: it also knows what normalization may make. */
static json_t *marked_string(marking *m, const char *text, size_t bytes) {
  ellm_buffer out = {0};
  json_t *copy = NULL;
  ellm_status status = text_mark_special(m->tokenizer, &m->inside, text, bytes, &out, m->err);
  if (status == ELLM_OK && out.size > bytes) {
    m->marked++;
    if (m->place != MARK_INSIDE) {
      out.size = 0;
      status = mark_around(m, text, bytes, &out);
    }
  }
  if (status == ELLM_OK) {
    copy = json_stringn(out.size > 0 ? (const char *)out.data : "", out.size);
    if (!copy) ellm_fail_memory(m->err, out.size, "a message");
  }
  ellm_buffer_free(&out);
  return copy;
}

/* A copy in which all strings but roles are marked; NULL after an error. */
static json_t *marked_copy(marking *m, const json_t *value, int depth) {
  if (json_is_string(value)) return marked_string(m, json_string_value(value), json_string_length(value));
  if (!json_is_array(value) && !json_is_object(value)) return json_deep_copy(value);
  json_t *copy = json_is_array(value) ? json_array() : json_object();
  bool good = copy != NULL && depth < CHAT_TEMPLATE_MAX_NESTING;
  if (!copy) ellm_fail_memory(m->err, 64, "a message");
  else if (!good) ellm_fail(m->err, ELLM_ERR_INPUT, "the messages are nested too deep");
  for (size_t i = 0; good && i < json_array_size(value); i++) {
    json_t *item = marked_copy(m, json_array_get(value, i), depth + 1);
    good = item && json_array_append_new(copy, item) == 0;
  }
  const char *key;
  json_t *field;
  json_object_foreach((json_t *)value, key, field) {
    json_t *item = !good                 ? NULL
                   : is_role(key, field) ? json_deep_copy(field)
                                         : marked_copy(m, field, depth + 1);
    good = item && json_object_set_new(copy, key, item) == 0;
    if (!good) break;
  }
  if (good) return copy;
  json_decref(copy);
  return NULL;
}

/* The conversation with its messages, tools and documents marked; other fields are the caller's own words. */
static json_t *marked_root(marking *m, const json_t *root) {
  static const char *const names[] = {"messages", "tools", "documents"};
  m->marked = 0;
  if (json_is_array(root)) return marked_copy(m, root, 0);
  json_t *copy = json_copy((json_t *)root);
  for (size_t i = 0; copy && i < sizeof names / sizeof *names; i++) {
    const json_t *own = json_object_get(root, names[i]);
    if (!own) continue;
    json_t *marked = marked_copy(m, own, 0);
    if (!marked || json_object_set_new(copy, names[i], marked) != 0) {
      json_decref(copy);
      return NULL;
    }
  }
  if (!copy) ellm_fail_memory(m->err, 64, "a conversation");
  return copy;
}

/* --------------------------------------------------------- marked renderings */

static bool is_marker(const text_marker *marker, const char *at, const char *end) {
  return end - at >= TEXT_MARKER_BYTES && memcmp(at, marker->bytes, TEXT_MARKER_BYTES) == 0;
}

/* Is `marked` the plain text once the marks are taken out? */
static bool same_but_for_marks(const marking *m, const char *marked, size_t bytes, const char *plain, size_t n) {
  const char *at = marked, *end = marked + bytes;
  size_t i = 0;
  while (at < end) {
    if (is_marker(&m->inside, at, end) || is_marker(&m->before, at, end) || is_marker(&m->behind, at, end)) {
      at += TEXT_MARKER_BYTES;
    } else if (i == n || *at++ != plain[i++]) {
      return false;
    }
  }
  return i == n;
}

/* From a rendering with marks around special tokens to one with marks inside of them. */
static ellm_status settle_marks(const marking *m, const char *text, size_t bytes, ellm_buffer *out) {
  const char *at = text, *end = text + bytes;
  bool opened = false; /* the mark that is before a token has just come */
  while (at < end) {
    const bool before = is_marker(&m->before, at, end), behind = is_marker(&m->behind, at, end);
    if (before || behind) {
      opened = before;
      at += TEXT_MARKER_BYTES;
      continue;
    }
    const size_t special = text_special_bytes(m->tokenizer, at, (size_t)(end - at)), n = special > 0 ? special : 1;
    const bool closed = special > 0 && is_marker(&m->behind, at + n, end);
    const bool own = m->place == MARK_AROUND ? opened && closed : opened || closed;
    if (special > 0 && own) ELLM_TRY(text_mark_special(m->tokenizer, &m->inside, at, n, out, m->err));
    else if (!ellm_buffer_append(out, at, n)) return ellm_fail_memory(m->err, bytes, "a conversation");
    opened = false;
    at += n;
  }
  return ELLM_OK;
}

/* Render with marks at m->place. *found: the text is the plain one; *out is it, with marks inside special tokens. */
static ellm_status try_place(marking *m, const chat_rendering *r, const char *plain, size_t n, bool *found,
                             ellm_buffer *out) {
  chat_rendering marked = *r;
  char *text = NULL;
  size_t bytes = 0;
  ellm_status status = ELLM_OK;
  *found = false;
  marked.root = marked_root(m, r->root);
  if (!marked.root)
    return m->err->status != ELLM_OK ? m->err->status : ellm_fail_memory(m->err, 64, "a conversation");
  if (m->marked == 0) {
    *found = true;
    if (n > 0 && !ellm_buffer_append(out, plain, n)) status = ellm_fail_memory(m->err, n, "a conversation");
  } else {
    status = chat_render(&marked, &text, &bytes, m->err);
    *found = status == ELLM_OK && same_but_for_marks(m, text, bytes, plain, n);
    if (status == ELLM_ERR_INPUT) status = ELLM_OK; /* it has looked at the text */
    else if (*found && m->place != MARK_INSIDE) status = settle_marks(m, text, bytes, out);
    else if (*found && !ellm_buffer_append(out, text, bytes)) status = ellm_fail_memory(m->err, bytes, "a conversation");
  }
  free(text);
  json_decref(marked.root);
  return status;
}

/* ------------------------------------------------------- strings in the text */

enum { MAX_STRINGS = 256 }; /* that are looked for: each is a search through the whole text */
typedef struct string { const char *text; size_t bytes, count; } string;
typedef struct range { size_t from, to; } range;
typedef struct string_search {
  marking *m;
  string strings[MAX_STRINGS];
  size_t n_strings;
  range *ranges; /* of the plain text, those that are the conversation's */
  size_t n_ranges, capacity;
} string_search;

static bool add_string(string_search *s, const char *text, size_t bytes) {
  for (size_t i = 0; i < s->n_strings; i++)
    if (s->strings[i].bytes == bytes && memcmp(s->strings[i].text, text, bytes) == 0) {
      s->strings[i].count++;
      return true;
    }
  if (s->n_strings == MAX_STRINGS) return false;
  s->strings[s->n_strings++] = (string){text, bytes, 1};
  return true;
}

/* Strings that hold special tokens, those of roles not among them. */
static void collect(string_search *s, const json_t *value) {
  const char *key;
  json_t *field;
  if (json_is_string(value)) {
    const char *text = json_string_value(value);
    const size_t bytes = json_string_length(value);
    size_t at = 0;
    while (at < bytes && text_special_bytes(s->m->tokenizer, text + at, bytes - at) == 0) at++;
    if (at < bytes) add_string(s, text, bytes);
  }
  for (size_t i = 0; i < json_array_size(value); i++) collect(s, json_array_get(value, i));
  json_object_foreach((json_t *)value, key, field) if (!is_role(key, field)) collect(s, field);
}

static const char *find(const char *text, size_t bytes, const char *part, size_t n) {
  for (const char *at = text; (size_t)(text + bytes - at) >= n; at++) {
    at = memchr(at, part[0], (size_t)(text + bytes - at) - n + 1);
    if (!at) return NULL;
    if (memcmp(at, part, n) == 0) return at;
  }
  return NULL;
}

/* Note where the part occurs, if that is as often as in the conversation. *count: how often it is. */
static ellm_status place(string_search *s, const char *part, size_t n, size_t wanted, const char *plain, size_t bytes,
                         size_t *count) {
  const size_t before = s->n_ranges;
  *count = 0;
  for (const char *at = plain; n > 0 && (at = find(at, bytes - (size_t)(at - plain), part, n)) != NULL; at += n) {
    if (s->n_ranges == s->capacity) {
      const size_t larger = s->capacity ? 2 * s->capacity : 64;
      range *grown = realloc(s->ranges, larger * sizeof *grown);
      if (!grown) return ellm_fail_memory(s->m->err, larger * sizeof *grown, "a conversation");
      s->ranges = grown;
      s->capacity = larger;
    }
    s->ranges[s->n_ranges++] = (range){(size_t)(at - plain), (size_t)(at - plain) + n};
    if (++*count > wanted) break;
  }
  if (*count != wanted) s->n_ranges = before;
  return ELLM_OK;
}

static int by_place(const void *a, const void *b) {
  const range *x = a, *y = b;
  if (x->from != y->from) return x->from < y->from ? -1 : 1;
  return x->to > y->to ? -1 : x->to < y->to;
}

static ellm_status search(string_search *s, const char *plain, size_t n, ellm_buffer *out) {
  static const char spaces[] = " \t\r\n";
  for (size_t i = 0; i < s->n_strings; i++) {
    const string *own = &s->strings[i];
    size_t count, from = 0, to = own->bytes;
    ELLM_TRY(place(s, own->text, own->bytes, own->count, plain, n, &count));
    if (count > 0) continue;
    while (from < to && own->text[from] && strchr(spaces, own->text[from])) from++;
    while (to > from && own->text[to - 1] && strchr(spaces, own->text[to - 1])) to--;
    ELLM_TRY(place(s, own->text + from, to - from, own->count, plain, n, &count));
  }
  if (s->n_ranges > 0) qsort(s->ranges, s->n_ranges, sizeof *s->ranges, by_place);
  size_t at = 0;
  bool good = true;
  for (size_t i = 0; good && i < s->n_ranges; i++) {
    const range *own = &s->ranges[i];
    if (own->from < at) continue;
    good = own->from == at || ellm_buffer_append(out, plain + at, own->from - at);
    if (good)
      ELLM_TRY(text_mark_special(s->m->tokenizer, &s->m->inside, plain + own->from, own->to - own->from, out, s->m->err));
    at = own->to;
  }
  good = good && (at == n || ellm_buffer_append(out, plain + at, n - at));
  return good ? ELLM_OK : ellm_fail_memory(s->m->err, n, "a conversation");
}

static ellm_status search_strings(marking *m, const json_t *root, const char *plain, size_t n, ellm_buffer *out) {
  static const char *const names[] = {"messages", "tools", "documents"};
  string_search *s = calloc(1, sizeof *s);
  if (!s) return ellm_fail_memory(m->err, sizeof *s, "a conversation");
  s->m = m;
  if (json_is_array(root)) collect(s, root);
  for (size_t i = 0; json_is_object(root) && i < sizeof names / sizeof *names; i++)
    collect(s, json_object_get(root, names[i]));
  const ellm_status status = search(s, plain, n, out);
  free(s->ranges);
  free(s);
  return status;
}

/* --------------------------------------------------------------------- ids */

/* Three characters that occur neither in the conversation nor in its text. */
static ellm_status choose_markers(marking *m, const json_t *root, const char *plain, size_t n) {
  text_marker markers[3];
  char *all = json_dumps(root, JSON_COMPACT | JSON_ENCODE_ANY);
  ellm_buffer both = {0};
  ellm_status status = ELLM_OK;
  if (!all || !ellm_buffer_append(&both, all, strlen(all)) || (n > 0 && !ellm_buffer_append(&both, plain, n)))
    status = ellm_fail_memory(m->err, n, "a conversation");
  else if (!text_marker_choose((const char *)both.data, both.size, markers, 3))
    status = ellm_fail(m->err, ELLM_ERR_INPUT, "the messages hold all characters of the private use plane 15");
  if (status == ELLM_OK) {
    m->inside = markers[0];
    m->before = markers[1];
    m->behind = markers[2];
  }
  ellm_buffer_free(&both);
  free(all);
  return status;
}

ellm_status chat_encode_marked(const chat_rendering *r, uint32_t **ids, size_t *n_ids, ellm_error *err) {
  ellm_error own = {0};
  marking m = {.tokenizer = r->chat->tokenizer, .err = &own};
  ellm_buffer text = {0};
  char *plain;
  size_t n;
  bool found = false;
  ELLM_TRY(chat_render(r, &plain, &n, err));
  ellm_status status = choose_markers(&m, r->root, plain, n);
  for (int place_ = 0; status == ELLM_OK && !found && place_ < N_MARK_PLACES; place_++) {
    m.place = (mark_place)place_;
    status = try_place(&m, r, plain, n, &found, &text);
  }
  if (status == ELLM_OK && !found) status = search_strings(&m, r->root, plain, n, &text);
  if (status == ELLM_OK)
    status = text_encode_marked(m.tokenizer, &m.inside, text.size > 0 ? (const char *)text.data : "", text.size, ids,
                                n_ids, m.err);
  if (status != ELLM_OK && err) *err = own;
  ellm_buffer_free(&text);
  free(plain);
  return status;
}
