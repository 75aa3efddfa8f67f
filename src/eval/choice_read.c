/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of multiple choice: JSON lines, and both forms of HellaSwag. */
#include "eval/choice_read.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "eval/lines.h"
#include "eval/wikitext.h"
#include "text/utf8.h"

/* ------------------------------------------------------------------ the set */

static void free_item(choice_item *item) {
  for (size_t i = 0; i < item->n; i++) {
    free(item->choices[i].query);
    free(item->choices[i].continuation);
  }
  free(item->choices);
}

void choice_set_free(ellm_choice_set *set) {
  for (size_t i = 0; i < set->count; i++) free_item(&set->items[i]);
  free(set->items);
  memset(set, 0, sizeof *set);
}

static size_t count_characters(const char *text) {
  size_t n = 0;
  for (; *text; text++) n += ((unsigned char)*text & 0xC0) != 0x80;
  return n ? n : 1; /* scores are divided by it */
}

static char *join(const char *a, const char *b) {
  size_t n = strlen(a), m = strlen(b);
  char *text = malloc(n + m + 1);
  if (!text) return NULL;
  memcpy(text, a, n);
  memcpy(text + n, b, m + 1);
  return text;
}

ellm_status choice_set_add(ellm_choice_set *set, const char *const *queries, const char *delimiter,
                           const char *const *choices, size_t n, size_t label, ellm_error *err) {
  if (set->count == set->capacity) {
    size_t more = set->capacity ? 2 * set->capacity : 64;
    choice_item *grown = realloc(set->items, more * sizeof *grown);
    if (!grown) return ellm_fail_memory(err, more * sizeof *grown, "items");
    set->items = grown;
    set->capacity = more;
  }
  choice_item item = {.choices = calloc(n, sizeof *item.choices), .n = n, .label = label};
  bool good = item.choices != NULL;
  for (size_t i = 0; good && i < n; i++) {
    item.choices[i] = (choice_text){join(queries[i], ""), join(delimiter, choices[i]), count_characters(choices[i])};
    good = item.choices[i].query && item.choices[i].continuation;
  }
  if (!good) {
    if (item.choices) free_item(&item);
    return ellm_fail_memory(err, n * sizeof *item.choices, "an item");
  }
  set->items[set->count++] = item;
  if (n > set->most) set->most = n;
  return ELLM_OK;
}

/* -------------------------------------------------------------- JSON lines */

typedef struct line { const char *origin; size_t number; const json_t *object; } line;

/* A text without NUL (jansson checks that it is UTF-8); not empty if `required`. */
static ellm_status get_text(const line *l, const json_t *value, const char *field, bool required, const char **text,
                            ellm_error *err) {
  *text = json_string_value(value);
  if (!*text || strlen(*text) != json_string_length(value) || (required && !**text))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: line %zu: \"%s\" is not a text%s", l->origin, l->number, field,
                     required ? " of at least one character" : "");
  return ELLM_OK;
}

static ellm_status get_label(const line *l, size_t n, size_t *label, ellm_error *err) {
  const json_t *value = json_object_get(l->object, "label");
  const char *text = json_string_value(value); /* some HellaSwag files have "3" */
  json_int_t number = json_is_integer(value) ? json_integer_value(value) : -1;
  if (text && text[0] >= '0' && text[0] <= '9' && !text[1]) number = text[0] - '0';
  if (number < 0 || (size_t)number >= n)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: line %zu: \"label\" is not an index below %zu", l->origin, l->number, n);
  *label = (size_t)number;
  return ELLM_OK;
}

/* An array of 2 .. CHOICE_MOST texts. */
static ellm_status get_choices(const line *l, const char *field, const char **choices, size_t *n, ellm_error *err) {
  const json_t *array = json_object_get(l->object, field);
  *n = json_array_size(array); /* 0 if it is none */
  if (*n < 2 || *n > CHOICE_MOST)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: line %zu: \"%s\" is not a list of 2 to %d texts", l->origin, l->number,
                     field, CHOICE_MOST);
  for (size_t i = 0; i < *n; i++) ELLM_TRY(get_text(l, json_array_get(array, i), field, true, &choices[i], err));
  return ELLM_OK;
}

static ellm_status add_line(const line *l, ellm_choice_set *set, ellm_error *err) {
  const char *queries[CHOICE_MOST], *choices[CHOICE_MOST], *delimiter = " ";
  const json_t *query = json_object_get(l->object, "query"), *between = json_object_get(l->object, "delimiter");
  size_t n, label;
  ELLM_TRY(get_choices(l, "choices", choices, &n, err));
  if (json_is_array(query) && json_array_size(query) != n)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: line %zu: \"query\" has %zu texts, \"choices\" %zu", l->origin,
                     l->number, json_array_size(query), n);
  for (size_t i = 0; i < n; i++)
    ELLM_TRY(get_text(l, json_is_array(query) ? json_array_get(query, i) : query, "query", false, &queries[i], err));
  if (between) ELLM_TRY(get_text(l, between, "delimiter", false, &delimiter, err));
  ELLM_TRY(get_label(l, n, &label, err));
  return choice_set_add(set, queries, delimiter, choices, n, label, err);
}

typedef ellm_status (*line_fn)(const line *l, ellm_choice_set *set, ellm_error *err);

static ellm_status read_lines(const char *text, size_t bytes, const char *origin, line_fn add, ellm_choice_set *set,
                              ellm_error *err) {
  json_lines lines = {.text = text, .bytes = bytes, .origin = origin};
  json_t *object;
  memset(set, 0, sizeof *set);
  ellm_status status = ELLM_OK;
  while (status == ELLM_OK && (status = json_lines_next(&lines, &object, err)) == ELLM_OK && object) {
    status = add(&(line){origin, lines.line, object}, set, err);
    json_decref(object);
  }
  if (status == ELLM_OK && set->count == 0) status = ellm_fail(err, ELLM_ERR_INPUT, "%s: there are no items", origin);
  if (status != ELLM_OK) choice_set_free(set);
  return status;
}

ellm_status choice_read_lines(const char *text, size_t bytes, const char *origin, ellm_choice_set *set,
                              ellm_error *err) {
  return read_lines(text, bytes, origin, add_line, set, err);
}

/* --------------------------------------------------------------- HellaSwag */

/* Strip; " [title]" to ". "; drop [...] on one line; then two spaces to one, from left to right. */
ellm_status hellaswag_preprocess(const char *text, size_t bytes, ellm_buffer *out, ellm_error *err) {
  static const char title[] = " [title]";
  const size_t title_bytes = sizeof title - 1;
  size_t start = 0, end = bytes;
  ellm_buffer titled = {0}, plain = {0};
  bool good = true;
  text_strip(text, &start, &end);
  for (size_t at = start; good && at < end;) {
    bool here = end - at >= title_bytes && memcmp(text + at, title, title_bytes) == 0;
    good = here ? ellm_buffer_append(&titled, ". ", 2) : ellm_buffer_append(&titled, text + at, 1);
    at += here ? title_bytes : 1;
  }
  for (size_t at = 0; good && at < titled.size; at++) {
    const uint8_t *from = titled.data + at, *close = NULL;
    if (*from == '[') {
      const uint8_t *line_end = memchr(from, '\n', titled.size - at);
      close = memchr(from, ']', line_end ? (size_t)(line_end - from) : titled.size - at);
    }
    if (close) at += (size_t)(close - from);
    else good = ellm_buffer_append(&plain, from, 1);
  }
  for (size_t at = 0; good && at < plain.size; at++) {
    good = ellm_buffer_append(out, plain.data + at, 1);
    if (plain.data[at] == ' ' && at + 1 < plain.size && plain.data[at + 1] == ' ') at++;
  }
  ellm_buffer_free(&titled);
  ellm_buffer_free(&plain);
  return good ? ELLM_OK : ellm_fail_memory(err, bytes, "a text");
}

/* The first character in title case, the others in lower case (simple case mapping). */
static bool append_capitalized(ellm_buffer *out, const char *text) {
  bool good = true, first = true;
  for (; good && *text; first = false) {
    uint32_t cp;
    char bytes[4];
    text += utf8_decode(text, &cp);
    cp = (uint32_t)(first ? utf8proc_totitle((utf8proc_int32_t)cp) : utf8proc_tolower((utf8proc_int32_t)cp));
    good = ellm_buffer_append(out, bytes, utf8_encode(cp, bytes));
  }
  return good;
}

/* preprocess(text) as a string in `out`, emptied before. */
static ellm_status clean(const char *text, size_t bytes, ellm_buffer *out, ellm_error *err) {
  out->size = 0;
  ELLM_TRY(hellaswag_preprocess(text, bytes, out, err));
  return ellm_buffer_append(out, "", 1) ? ELLM_OK : ellm_fail_memory(err, 1, "a text");
}

static ellm_status clean_item(const char *const fields[3], const char *const *endings, size_t n, size_t label,
                              ellm_buffer *raw, ellm_buffer *cleaned, ellm_choice_set *set, ellm_error *err) {
  const char *queries[CHOICE_MOST], *choices[CHOICE_MOST];
  raw->size = 0;
  if (!ellm_buffer_append(raw, fields[0], strlen(fields[0])) || !ellm_buffer_append(raw, ": ", 2) ||
      !ellm_buffer_append(raw, fields[1], strlen(fields[1])) || !ellm_buffer_append(raw, " ", 1) ||
      !append_capitalized(raw, fields[2]))
    return ellm_fail_memory(err, raw->size, "a text");
  ELLM_TRY(clean((const char *)raw->data, raw->size, &cleaned[n], err));
  for (size_t i = 0; i < n; i++) {
    ELLM_TRY(clean(endings[i], strlen(endings[i]), &cleaned[i], err));
    choices[i] = (const char *)cleaned[i].data;
    queries[i] = (const char *)cleaned[n].data;
  }
  return choice_set_add(set, queries, " ", choices, n, label, err);
}

static ellm_status add_hellaswag_line(const line *l, ellm_choice_set *set, ellm_error *err) {
  static const char *const names[3] = {"activity_label", "ctx_a", "ctx_b"};
  const char *fields[3], *endings[CHOICE_MOST];
  ellm_buffer raw = {0}, cleaned[CHOICE_MOST + 1] = {{0}};
  size_t n, label;
  for (size_t i = 0; i < 3; i++)
    ELLM_TRY(get_text(l, json_object_get(l->object, names[i]), names[i], false, &fields[i], err));
  ELLM_TRY(get_choices(l, "endings", endings, &n, err));
  ELLM_TRY(get_label(l, n, &label, err));
  ellm_status status = clean_item(fields, endings, n, label, &raw, cleaned, set, err);
  for (size_t i = 0; i <= n; i++) ellm_buffer_free(&cleaned[i]);
  ellm_buffer_free(&raw);
  return status;
}

/* The next line of a text as a string in `out`; false at its end or without memory. */
static bool next_line(const char *text, size_t bytes, size_t *at, ellm_buffer *out) {
  if (*at >= bytes) return false;
  const char *newline = memchr(text + *at, '\n', bytes - *at);
  size_t end = newline ? (size_t)(newline - text) : bytes, stop = end;
  if (stop > *at && text[stop - 1] == '\r') stop--;
  out->size = 0;
  bool good = utf8_append_replaced(out, text + *at, stop - *at) && ellm_buffer_append(out, "", 1);
  *at = end + 1;
  return good;
}

static ellm_status read_six_lines(const char *text, size_t bytes, const char *origin, ellm_choice_set *set,
                                  ellm_error *err) {
  enum { LINES = 6, ENDINGS = 4 };
  ellm_buffer lines[LINES] = {{0}};
  size_t at = 0, number = 0;
  ellm_status status = ELLM_OK;
  memset(set, 0, sizeof *set);
  while (status == ELLM_OK && next_line(text, bytes, &at, &lines[0])) {
    size_t n = 1;
    const char *parts[LINES];
    while (n < LINES && next_line(text, bytes, &at, &lines[n])) n++;
    for (size_t i = 0; i < n; i++) parts[i] = (const char *)lines[i].data;
    const char *label = n > 1 ? parts[1] : "";
    if (n < LINES && n == 1 && !*parts[0]) break; /* an empty last line */
    if (n < LINES || label[0] < '0' || label[0] > '3' || label[1] || strlen(parts[0]) + 1 != lines[0].size)
      status = ellm_fail(err, ELLM_ERR_INPUT,
                         "%s: line %zu: not an item of six lines: context, label 0 to 3, four endings", origin,
                         number + 1);
    const char *queries[ENDINGS] = {parts[0], parts[0], parts[0], parts[0]};
    if (status == ELLM_OK)
      status = choice_set_add(set, queries, " ", parts + 2, ENDINGS, (size_t)(label[0] - '0'), err);
    number += LINES;
  }
  for (size_t i = 0; i < LINES; i++) ellm_buffer_free(&lines[i]);
  if (status == ELLM_OK && set->count == 0) status = ellm_fail(err, ELLM_ERR_INPUT, "%s: there are no items", origin);
  if (status != ELLM_OK) choice_set_free(set);
  return status;
}

ellm_status choice_read_hellaswag(const char *text, size_t bytes, const char *origin, ellm_choice_set *set,
                                  ellm_error *err) {
  return bytes && text[0] == '{' ? read_lines(text, bytes, origin, add_hellaswag_line, set, err)
                                 : read_six_lines(text, bytes, origin, set, err);
}
