/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: case of texts, as Python's strings change it. */
#include "template/value/case.h"

#include <utf8proc.h>

#include "template/value/case_tables.h"
#include "text/unicode.h"
#include "text/utf8.h"

/* What else counts as upper or lower case (Other_Uppercase, Other_Lowercase) shows by its mapping or is
 * in the table. */
bool tpl_is_upper(uint32_t cp) {
  if (cp < 0x80) return cp >= 'A' && cp <= 'Z';
  const char *category = unicode_category(cp);
  if (category[0] == 'L') return category[1] == 'u';
  return utf8proc_tolower((utf8proc_int32_t)cp) != (utf8proc_int32_t)cp;
}

bool tpl_is_lower(uint32_t cp) {
  if (cp < 0x80) return cp >= 'a' && cp <= 'z';
  const char *category = unicode_category(cp);
  if (category[0] == 'L' && category[1] == 'l') return true;
  for (size_t i = 0; i < tpl_n_lower_marks && cp >= tpl_lower_marks[i].first; i++)
    if (cp <= tpl_lower_marks[i].last) return true;
  if (category[0] == 'L') return cp == 0xAA || cp == 0xBA;
  return utf8proc_toupper((utf8proc_int32_t)cp) != (utf8proc_int32_t)cp;
}

bool tpl_is_cased(uint32_t cp) {
  if (tpl_is_upper(cp) || tpl_is_lower(cp)) return true;
  const char *category = unicode_category(cp);
  return category[0] == 'L' && category[1] == 't';
}

static const tpl_special_case *special(uint32_t cp) {
  size_t low = 0, high = tpl_n_special_cases;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (cp > tpl_special_cases[middle].cp) low = middle + 1;
    else high = middle;
  }
  return low < tpl_n_special_cases && tpl_special_cases[low].cp == cp ? &tpl_special_cases[low] : NULL;
}

static bool put_character(tpl_limits *limits, ellm_buffer *buffer, uint32_t cp) {
  char utf8[4];
  return tpl_put(limits, buffer, utf8, utf8_encode(cp, utf8));
}

static bool put_special(tpl_limits *limits, ellm_buffer *buffer, const uint32_t mapping[3]) {
  for (int i = 0; i < 3 && mapping[i]; i++)
    if (!put_character(limits, buffer, mapping[i])) return false;
  return true;
}

/* Marks and signs that do not separate a letter from its word. */
static bool is_case_ignorable(uint32_t cp) {
  const char *category = unicode_category(cp);
  if (cp == '\'' || cp == '.' || cp == ':' || cp == 0xB7 || cp == 0x2019) return true;
  return category[0] == 'M' ? category[1] != 'c' : (category[0] == 'C' && category[1] == 'f') ||
                                                       (category[0] == 'L' && category[1] == 'm') ||
                                                       (category[0] == 'S' && category[1] == 'k');
}

/* Is the sigma at `at` the last letter of a word? (Unicode, Final_Sigma) */
static bool is_final_sigma(const tpl_string *text, size_t at) {
  uint32_t cp = 0;
  size_t i = at;
  bool before = false;
  while (i > 0) {
    do i--;
    while (((unsigned char)text->data[i] & 0xC0) == 0x80);
    utf8_decode(text->data + i, &cp);
    if (is_case_ignorable(cp)) continue;
    before = tpl_is_cased(cp);
    break;
  }
  if (!before) return false;
  for (i = at + 2; i < text->bytes;) {
    i += utf8_decode(text->data + i, &cp);
    if (!is_case_ignorable(cp)) return !tpl_is_cased(cp);
  }
  return true;
}

static bool put_lower(tpl_limits *limits, ellm_buffer *buffer, const tpl_string *text, size_t at, uint32_t cp) {
  uint32_t mapping[2];
  if (cp == 0x3A3) { /* how far the word reaches is work of its own */
    if (!tpl_charge(limits, 1)) return false;
    return put_character(limits, buffer, is_final_sigma(text, at) ? 0x3C2 : 0x3C3);
  }
  const size_t n = unicode_lowercase(cp, mapping);
  return put_character(limits, buffer, mapping[0]) && (n < 2 || put_character(limits, buffer, mapping[1]));
}

static bool put_case(tpl_limits *limits, ellm_buffer *buffer, const tpl_string *text, size_t at, uint32_t cp,
                     tpl_case how) {
  if (how == CASE_LOWER) return put_lower(limits, buffer, text, at, cp);
  const tpl_special_case *row = special(cp);
  if (row) return put_special(limits, buffer, how == CASE_UPPER ? row->upper : row->title);
  const utf8proc_int32_t c = (utf8proc_int32_t)cp;
  return put_character(limits, buffer, (uint32_t)(how == CASE_UPPER ? utf8proc_toupper(c) : utf8proc_totitle(c)));
}

bool tpl_change_case(tpl_limits *limits, const tpl_string *text, tpl_case how, tpl_value *out) {
  ellm_buffer buffer = {0};
  bool good = true, in_word = false;
  for (size_t i = 0; good && i < text->bytes;) {
    uint32_t cp;
    const size_t n = utf8_decode(text->data + i, &cp);
    tpl_case mapping = how;
    if (how == CASE_TITLE) mapping = in_word ? CASE_LOWER : CASE_TITLE;
    if (how == CASE_CAPITALIZE) mapping = i > 0 ? CASE_LOWER : CASE_TITLE;
    good = put_case(limits, &buffer, text, i, cp, mapping);
    in_word = tpl_is_cased(cp);
    i += n;
  }
  tpl_charge(limits, text->bytes / 4);
  return tpl_take_text(limits, &buffer, out);
}

bool tpl_is_cased_text(const tpl_string *text, bool upper) {
  bool any = false;
  for (size_t i = 0; i < text->bytes;) {
    uint32_t cp;
    i += utf8_decode(text->data + i, &cp);
    if (!tpl_is_cased(cp)) continue;
    if (!(upper ? tpl_is_upper(cp) : tpl_is_lower(cp))) return false;
    any = true;
  }
  return any;
}
