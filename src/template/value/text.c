/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chat templates: characters of strings, and str() and repr() of values. Strings are UTF-8, positions of templates are
 * characters, those of C are bytes: tpl_length and tpl_offset go between the two. Texts of values equal Python's, byte
 * for byte, because templates print lists and dicts into prompts.
 */
#include "template/value/text.h"

#include <stdio.h>
#include <string.h>

#include "template/value/numbers.h"
#include "text/unicode.h"
#include "text/utf8.h"

/* --------------------------------------------------------------- characters */

/* All bytes but those that continue a character (10xxxxxx). */
size_t tpl_length(const tpl_string *text) {
  size_t n = 0;
  for (size_t i = 0; i < text->bytes; i++) n += ((unsigned char)text->data[i] & 0xC0) != 0x80;
  return n;
}

size_t tpl_offset(const tpl_string *text, size_t character) {
  size_t at = 0;
  for (; character > 0 && at < text->bytes; character--) at += utf8_length(text->data[at]);
  return at;
}

bool tpl_substring(tpl_limits *limits, const tpl_string *text, size_t from, size_t to, tpl_value *out) {
  tpl_string *part = tpl_alloc(limits, sizeof *part);
  if (!part) return false;
  *part = (tpl_string){.data = text->data + from, .bytes = to - from}; /* strings never change: shared */
  *out = tpl_of_string(part);
  return tpl_charge(limits, 1);
}

/* By memchr for the first byte, then memcmp. Each candidate is paid for, so that a text of one letter costs what it
 * takes. */
bool tpl_find(tpl_limits *limits, const tpl_string *text, size_t from, size_t to, const tpl_string *part,
              size_t *offset) {
  *offset = SIZE_MAX;
  if (to > text->bytes) to = text->bytes;
  if (from > to || part->bytes > to - from) return true;
  if (part->bytes == 0) {
    *offset = from;
    return true;
  }
  const char *at = text->data + from, *last = text->data + to - part->bytes;
  while (at <= last) {
    const char *candidate = memchr(at, part->data[0], (size_t)(last - at) + 1);
    const size_t passed = candidate ? (size_t)(candidate - at) : (size_t)(last - at);
    if (!tpl_charge(limits, (passed + part->bytes) / 16)) return false;
    if (!candidate) return true;
    if (memcmp(candidate, part->data, part->bytes) == 0) {
      *offset = (size_t)(candidate - text->data);
      return true;
    }
    at = candidate + 1;
  }
  return true;
}

bool tpl_mark_up(tpl_limits *limits, tpl_value text, tpl_value *out) {
  tpl_string *markup = tpl_alloc(limits, sizeof *markup);
  if (!markup) return false;
  *markup = *text.u.string;
  markup->markup = true;
  *out = tpl_of_string(markup);
  return true;
}

/* What is markup already stays; the result is markup. */
bool tpl_escape(tpl_limits *limits, tpl_value value, tpl_value *out) {
  static const char special[] = "&<>'\"";
  static const char *const escapes[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
  ellm_buffer buffer = {0};
  tpl_value text;
  if (!tpl_str(limits, value, &text)) return false;
  const tpl_string *string = text.u.string;
  bool good = true;
  for (size_t i = 0; good && !string->markup && i < string->bytes; i++) {
    const char c = string->data[i];
    const char *found = c ? strchr(special, c) : NULL;
    good = found ? tpl_put(limits, &buffer, escapes[found - special], strlen(escapes[found - special]))
                 : tpl_put(limits, &buffer, &c, 1);
  }
  if (string->markup) good = tpl_put(limits, &buffer, string->data, string->bytes);
  return tpl_take_text(limits, &buffer, &text) && good && tpl_mark_up(limits, text, out);
}

/* -------------------------------------------------------------------- texts */

static bool put_text(tpl_limits *limits, ellm_buffer *buffer, const char *text) {
  return tpl_put(limits, buffer, text, strlen(text));
}

/* What repr() writes as it is: Python's str.isprintable by categories of Unicode. */
static bool is_printable(uint32_t cp) {
  if (cp < 0x7F) return cp >= 0x20;
  const char *category = unicode_category(cp);
  return category[0] != 'C' && category[0] != 'Z';
}

/* Single quotes, unless the text has some and no double ones. */
static bool put_string_repr(tpl_limits *limits, ellm_buffer *buffer, const tpl_string *text) {
  const bool single = text->bytes > 0 && memchr(text->data, '\'', text->bytes);
  const char quote = single && !memchr(text->data, '"', text->bytes) ? '"' : '\'';
  if (!tpl_put(limits, buffer, &quote, 1)) return false;
  for (size_t i = 0; i < text->bytes;) {
    uint32_t cp;
    const size_t n = utf8_decode(text->data + i, &cp);
    char escaped[16] = "";
    if (cp == (unsigned char)quote || cp == '\\') snprintf(escaped, sizeof escaped, "\\%c", (char)cp);
    else if (cp == '\n') strcpy(escaped, "\\n");
    else if (cp == '\r') strcpy(escaped, "\\r");
    else if (cp == '\t') strcpy(escaped, "\\t");
    else if (!is_printable(cp))
      snprintf(escaped, sizeof escaped, cp < 0x100 ? "\\x%02x" : cp < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)cp);
    if (!(escaped[0] ? put_text(limits, buffer, escaped) : tpl_put(limits, buffer, text->data + i, n))) return false;
    i += n;
  }
  return tpl_put(limits, buffer, &quote, 1);
}

/* A tuple of one has a comma behind it. */
static bool put_list(tpl_limits *limits, ellm_buffer *buffer, const tpl_list *list, const char *open, const char *close,
                     bool comma) {
  if (!put_text(limits, buffer, open)) return false;
  for (size_t i = 0; i < list->count; i++)
    if ((i > 0 && !put_text(limits, buffer, ", ")) || !tpl_put_repr(limits, buffer, list->items[i])) return false;
  return (!comma || list->count != 1 || put_text(limits, buffer, ",")) && put_text(limits, buffer, close);
}

static bool put_dict(tpl_limits *limits, ellm_buffer *buffer, const tpl_dict *dict) {
  if (!put_text(limits, buffer, "{")) return false;
  for (size_t i = 0; i < dict->count; i++)
    if ((i > 0 && !put_text(limits, buffer, ", ")) || !tpl_put_repr(limits, buffer, dict->entries[i].key) ||
        !put_text(limits, buffer, ": ") || !tpl_put_repr(limits, buffer, dict->entries[i].value))
      return false;
  return put_text(limits, buffer, "}");
}

static bool put_view(tpl_limits *limits, ellm_buffer *buffer, tpl_value view) {
  tpl_list *items;
  return put_text(limits, buffer, tpl_kind_name(view)) && tpl_view_list(limits, view.u.view, &items) &&
         put_list(limits, buffer, items, "([", "])", false);
}

static bool put_range(tpl_limits *limits, ellm_buffer *buffer, const tpl_range *range) {
  char text[96];
  if (range->step == 1) {
    snprintf(text, sizeof text, "range(%lld, %lld)", (long long)range->start, (long long)range->stop);
  } else {
    snprintf(text, sizeof text, "range(%lld, %lld, %lld)", (long long)range->start, (long long)range->stop,
             (long long)range->step);
  }
  return put_text(limits, buffer, text);
}

static bool put_inside(tpl_limits *limits, ellm_buffer *buffer, tpl_value v) {
  char text[32];
  switch (v.kind) {
    case TPL_UNDEFINED: return put_text(limits, buffer, "Undefined");
    case TPL_NONE: return put_text(limits, buffer, "None");
    case TPL_BOOL: return put_text(limits, buffer, v.u.boolean ? "True" : "False");
    case TPL_INT:
      snprintf(text, sizeof text, "%lld", (long long)v.u.integer);
      return put_text(limits, buffer, text);
    case TPL_FLOAT:
      tpl_float_repr(v.u.real, text);
      return put_text(limits, buffer, text);
    case TPL_STRING:
      if (v.u.string->markup) return tpl_fail(limits, "the text of a list with escaped text is not supported");
      return put_string_repr(limits, buffer, v.u.string);
    case TPL_LIST: return put_list(limits, buffer, v.u.list, "[", "]", false);
    case TPL_TUPLE: return put_list(limits, buffer, v.u.list, "(", ")", true);
    case TPL_DICT: return put_dict(limits, buffer, v.u.dict);
    case TPL_RANGE: return put_range(limits, buffer, v.u.range);
    case TPL_VIEW: return put_view(limits, buffer, v);
    case TPL_NAMESPACE:
      return put_text(limits, buffer, "<Namespace ") && put_dict(limits, buffer, v.u.space) &&
             put_text(limits, buffer, ">");
    /* Python prints an address: not the same twice, so surely a mistake of the template */
    default: return tpl_fail(limits, "the text of a value of type %s is not supported", tpl_kind_name(v));
  }
}

/* Lists may hold lists: depth is limited. */
bool tpl_put_repr(tpl_limits *limits, ellm_buffer *buffer, tpl_value value) {
  if (!tpl_charge(limits, 1) || !tpl_deeper(limits)) return false;
  const bool done = put_inside(limits, buffer, value);
  limits->depth--;
  return done;
}

/* str(): of a string itself, of undefined nothing, else repr(). */
bool tpl_put_str(tpl_limits *limits, ellm_buffer *buffer, tpl_value value) {
  if (value.kind == TPL_STRING) return tpl_put(limits, buffer, value.u.string->data, value.u.string->bytes);
  return value.kind == TPL_UNDEFINED || tpl_put_repr(limits, buffer, value);
}

bool tpl_str(tpl_limits *limits, tpl_value value, tpl_value *out) {
  ellm_buffer buffer = {0};
  if (value.kind == TPL_STRING) {
    *out = value;
    return true;
  }
  tpl_put_str(limits, &buffer, value);
  return tpl_take_text(limits, &buffer, out);
}
