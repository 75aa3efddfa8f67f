/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the translation share: the state of one translation, and
 * the pieces of PCRE2 patterns that several of them write. regex_translate.c
 * goes through a pattern, regex_class.c through a class [..] in it.
 */
#ifndef ELLM_TEXT_REGEX_TRANSLATOR_H
#define ELLM_TEXT_REGEX_TRANSLATOR_H

#include "base/memory.h"
#include "base/status.h"
#include "text/unicode_sets.h"

enum { REGEX_MAX_DEPTH = 32 }; /* of groups, and of classes */

typedef struct translator {
  const char *pattern, *where;
  size_t bytes, at;
  ellm_buffer *out;
  ellm_error *err;
  bool memory_failed;
  /* Where the last atom starts in `out`, and whether there is one to repeat. */
  size_t atom;
  bool has_atom;
  bool caseless;         /* inside (?i:..) */
  char previous;         /* literal before, inside (?i:..) */
  size_t depth;
  struct { size_t start; bool caseless, assertion; } groups[REGEX_MAX_DEPTH];
} translator;

/* Everything below writes to `out`, which need not be t->out, and notes in t->memory_failed that it could not. */
void regex_emit(translator *t, ellm_buffer *out, const char *text);
void regex_emit_range(translator *t, ellm_buffer *out, uint32_t first, uint32_t last);
/* The members of a set, and its `without`, as items of a class [..]. */
void regex_emit_set(translator *t, ellm_buffer *out, const unicode_set *set);

/* ELLM_ERR_INPUT that quotes pattern[at..at + length). */
ellm_status regex_refuse(const translator *t, size_t at, size_t length, const char *why);
bool regex_starts(const translator *t, const char *text);   /* is that what comes next? */
char regex_peek(const translator *t, size_t ahead);         /* '\0' beyond the end */

/* An escape that stands for one character: t->at is at the backslash. *single is false (and nothing consumed) if it
 * is not of that kind. */
ellm_status regex_character_escape(translator *t, uint32_t *cp, bool *single);
/* \p{NAME}, \P{NAME}, \p{^NAME} at t->at. */
ellm_status regex_property(translator *t, const unicode_set **set, bool *negated);

#define REGEX_SPACE_ITEMS \
  "\\x09-\\x0d\\x20\\x85\\xa0\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
#define REGEX_HEX_ITEMS "0-9A-Fa-f"

#endif
