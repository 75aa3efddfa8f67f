/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See call_stream.h. One byte after the other goes through these states:
 *
 *   TEXT      content; what may become a mark, and spaces, are held back
 *   OPEN      between a mark (or a first brace) and an object, or between objects
 *   OBJECT    in an object of which the name is not known; held back as a whole, as it may be no call
 *   MEMBERS   the name has been told: between the members of the object
 *   VALUE     in the value of a member that is a list or an object; SCALAR: in another one
 *   OUTSIDE   calls were found, and what is between marks is dropped
 *
 * An object that begins with its name is told member by member; any other one when
 * it is whole. Both follow what calls.c takes for a call.
 */
#include "serve/call_stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT, OPEN, OBJECT, MEMBERS, VALUE, SCALAR, OUTSIDE };
enum { HEAD_BYTES = 512 }; /* of an object that may be told member by member: its name must be in them */

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

void call_stream_init(call_stream *s, char *const *names, size_t n_names, unsigned long long seed,
                      const call_events *events) {
  *s = (call_stream){.names = names, .n_names = n_names, .seed = seed, .events = events};
}

void call_stream_free(call_stream *s) {
  prog_buffer_free(&s->held);
  prog_buffer_free(&s->out);
  prog_buffer_free(&s->piece);
}

/* ----------------------------------------------------------------- telling */

static void flush_content(call_stream *s) {
  if (s->out.bytes > 0) s->events->content(s->events->user, s->out.data, s->out.bytes);
  s->out.bytes = 0;
}

static void flush_arguments(call_stream *s) {
  if (s->piece.bytes > 0) s->events->arguments(s->events->user, s->n - 1, s->piece.data, s->piece.bytes);
  s->piece.bytes = 0;
}

static void begin_call(call_stream *s, const char *name) {
  char id[CALLS_ID_BYTES];
  flush_content(s);
  flush_arguments(s);
  calls_id(id, s->seed, s->n);
  s->events->call(s->events->user, s->n++, id, name);
  s->told = false;
}

static void tell_arguments(call_stream *s, const char *text, size_t bytes) {
  prog_append(&s->piece, text, bytes);
  flush_arguments(s);
  s->told = true;
}

/* What is held is content after all; of what follows calls it is nothing. */
static void no_call(call_stream *s) {
  if (s->n == 0) {
    prog_append(&s->out, s->held.data, s->held.bytes);
    s->begun = true;
  }
  s->held.bytes = 0;
  s->state = s->n > 0 ? OUTSIDE : TEXT;
}

/* -------------------------------------------------------------------- marks */

/* Does a mark begin with text[bytes]? *whole: it is one. */
static bool begins_mark(const char *text, size_t bytes, bool *whole) {
  for (size_t i = 0; calls_marks[i].open; i++) {
    const size_t n = strlen(calls_marks[i].open);
    if (bytes > n || memcmp(text, calls_marks[i].open, bytes) != 0) continue;
    *whole = bytes == n;
    return true;
  }
  return false;
}

static void begin_object(call_stream *s) {
  s->state = OBJECT;
  s->object_at = s->held.bytes - 1;
  s->scan = (json_scan){.depth = 1};
  s->slow = false;
}

/* A first brace or bracket, if that is what is held: the whole text may be a call. */
static bool bare_call(call_stream *s, const char *rest, size_t n) {
  if (s->begun || s->n > 0 || s->state != TEXT) return false;
  if (rest[0] != '{' && rest[0] != '[') return false;
  if (n > 2) return false; /* the beginning of a mark, and then something else */
  s->state = OPEN;
  if (rest[n - 1] == '{') begin_object(s);
  else if (!is_space(rest[n - 1]) && rest[n - 1] != '[') no_call(s);
  return true;
}

/* In TEXT and OUTSIDE: `held` has a byte more. */
static void look_for_mark(call_stream *s) {
  while (s->held.bytes > 0) {
    size_t spaces = 0;
    bool whole;
    while (spaces < s->held.bytes && is_space(s->held.data[spaces])) spaces++;
    const char *rest = s->held.data + spaces;
    const size_t n = s->held.bytes - spaces;
    if (n == 0) break;
    if (begins_mark(rest, n, &whole)) {
      if (whole) s->state = OPEN;
      if (whole && s->n > 0) s->held.bytes = 0;
      return;
    }
    if (bare_call(s, rest, n)) return;
    if (s->state == TEXT) {
      prog_append(&s->out, s->held.data, spaces + 1);
      s->begun = true;
    }
    s->held.bytes -= spaces + 1;
    memmove(s->held.data, s->held.data + spaces + 1, s->held.bytes);
  }
  if (s->state == OUTSIDE) s->held.bytes = 0;
}

/* ------------------------------------------------------------------- objects */

/* True: all that was opened is closed. */
static bool scan(json_scan *j, char c) {
  if (j->string) {
    if (j->escaped) j->escaped = false;
    else if (c == '\\') j->escaped = true;
    else if (c == '"') j->string = false;
  } else if (c == '"') {
    j->string = true;
  } else if (c == '{' || c == '[') {
    j->depth++;
  } else if ((c == '}' || c == ']') && j->depth > 0) {
    return --j->depth == 0;
  }
  return false;
}

/* Where a plain string of text[n] ends, behind its quote; NULL: it does not, or has escapes. */
static const char *string_end(const char *text, const char *end) {
  for (const char *at = text + 1; at < end && *at != '\\'; at++)
    if (*at == '"') return at + 1;
  return NULL;
}

static const char *skip_spaces(const char *at, const char *end) {
  while (at < end && is_space(*at)) at++;
  return at;
}

/* After a quote in an object whose name is not known: does it begin with it? */
static void look_for_name(call_stream *s) {
  const char *at = s->held.data + s->object_at + 1, *end = s->held.data + s->held.bytes;
  const char *key = skip_spaces(at, end), *key_end = key < end && *key == '"' ? string_end(key, end) : NULL;
  if (!key_end) return; /* not yet, or never */
  s->slow = key_end - key != 6 || memcmp(key, "\"name\"", 6) != 0;
  at = skip_spaces(key_end, end);
  if (s->slow || at == end) return;
  s->slow = *at++ != ':';
  at = skip_spaces(at, end);
  if (s->slow || at == end) return;
  const char *name_end = *at == '"' ? string_end(at, end) : NULL;
  s->slow = *at != '"';
  if (!name_end) return;
  char *name = strndup(at + 1, (size_t)(name_end - at) - 2);
  s->slow = !name; /* no memory */
  if (name && calls_known(s->names, s->n_names, name)) {
    begin_call(s, name);
    s->held.bytes = 0;
    s->state = MEMBERS;
  } else if (name) {
    no_call(s); /* of a tool that there is not */
  }
  free(name);
}

static void whole_object(call_stream *s) {
  char *arguments = NULL;
  json_t *object = json_loadb(s->held.data + s->object_at, s->held.bytes - s->object_at, 0, NULL);
  const char *name = object ? calls_read(object, s->names, s->n_names, &arguments) : NULL;
  if (name) {
    begin_call(s, name);
    tell_arguments(s, arguments, strlen(arguments));
    s->held.bytes = 0;
    s->state = OPEN;
  } else {
    no_call(s);
  }
  free(arguments);
  json_decref(object);
}

static void end_call(call_stream *s, bool well_formed) {
  if (!s->told) tell_arguments(s, "{}", 2);
  s->held.bytes = 0;
  s->state = well_formed ? OPEN : OUTSIDE;
}

/* In an object whose name was told, behind a member: `held` is what came since then. */
static void look_at_members(call_stream *s) {
  const char *end = s->held.data + s->held.bytes, *at = skip_spaces(s->held.data, end);
  if (at == end) return;
  if (*at != ',') {
    end_call(s, *at == '}');
    return;
  }
  const char *key = skip_spaces(at + 1, end);
  if (key == end) return;
  const char *key_end = *key == '"' ? string_end(key, end) : NULL;
  if (!key_end && (*key != '"' || memchr(key, '\\', (size_t)(end - key)))) end_call(s, false);
  if (!key_end) return;
  const char *value = skip_spaces(key_end, end);
  if (value < end && *value != ':') end_call(s, false);
  if (s->state != MEMBERS || value == end || (value = skip_spaces(value + 1, end)) == end) return;
  const size_t n = (size_t)(key_end - key);
  s->wanted = !s->told && ((n == 11 && memcmp(key, "\"arguments\"", n) == 0) ||
                           (n == 12 && memcmp(key, "\"parameters\"", n) == 0));
  s->state = *value == '{' || *value == '[' ? VALUE : SCALAR;
  s->scan = (json_scan){0};
  const char first = *value;
  scan(&s->scan, first);
  s->held.bytes = 0;
  prog_append(s->wanted && s->state == VALUE ? &s->piece : &s->held, &first, 1);
  s->told = s->told || (s->wanted && s->state == VALUE);
}

/* A text is arguments that were written as a text; null is none; anything else stands for itself. */
static void end_scalar(call_stream *s, size_t bytes) {
  json_t *value = json_loadb(s->held.data, bytes, JSON_DECODE_ANY, NULL);
  if (s->wanted && json_is_string(value)) tell_arguments(s, json_string_value(value), json_string_length(value));
  else if (s->wanted && !json_is_null(value)) tell_arguments(s, s->held.data, bytes);
  json_decref(value);
  s->held.bytes -= bytes;
  memmove(s->held.data, s->held.data + bytes, s->held.bytes);
  s->state = MEMBERS;
}

static void add_to_scalar(call_stream *s, char c) {
  const bool string = s->held.data[0] == '"';
  const bool ends = string ? !s->scan.string : c == ',' || c == '}' || is_space(c);
  if (!ends) return;
  end_scalar(s, s->held.bytes - !string);
  if (s->held.bytes > 0) look_at_members(s);
}

/* ---------------------------------------------------------------------- bytes */

static void add_open(call_stream *s, char c) {
  if (c == '{') {
    begin_object(s);
  } else if (!is_space(c) && !strchr(";,[]", c)) {
    s->held.bytes--;
    no_call(s);
    prog_append(&s->held, &c, 1); /* of the mark that closes, or of another one */
    look_for_mark(s);
  } else if (s->n > 0) {
    s->held.bytes = 0;
  }
}

static void add_byte(call_stream *s, char c) {
  if (s->state == VALUE && s->wanted) {
    prog_append(&s->piece, &c, 1);
    if (scan(&s->scan, c)) s->state = MEMBERS;
    return;
  }
  if (!prog_append(&s->held, &c, 1)) return;
  switch (s->state) {
    case OPEN: add_open(s, c); break;
    case OBJECT:
      if (scan(&s->scan, c)) whole_object(s);
      else if (!s->slow && s->held.bytes - s->object_at > HEAD_BYTES) s->slow = true;
      else if (!s->slow && !s->scan.string) look_for_name(s);
      break;
    case MEMBERS: look_at_members(s); break;
    case VALUE: /* of no interest */
      if (scan(&s->scan, c)) s->state = MEMBERS;
      s->held.bytes = 0;
      break;
    case SCALAR:
      scan(&s->scan, c);
      add_to_scalar(s, c);
      break;
    default: look_for_mark(s);
  }
}

void call_stream_add(call_stream *s, const char *text, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) add_byte(s, text[i]);
  flush_content(s);
  flush_arguments(s);
}

bool call_stream_end(call_stream *s) {
  if (s->n == 0) prog_append(&s->out, s->held.data, s->held.bytes);
  s->held.bytes = 0;
  flush_content(s);
  return !s->held.failed && !s->out.failed && !s->piece.failed;
}
