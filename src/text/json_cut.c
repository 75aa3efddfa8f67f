/* SPDX-License-Identifier: Apache-2.0 */
/* Cutting and streaming the large values of tokenizer.json; see json_cut.h. */
#include "text/json_cut.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "text/utf8.h"

static void skip_space(json_reader *r) {
  while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t')) ++r->at;
}

bool json_reader_take(json_reader *r, char wanted) {
  skip_space(r);
  if (r->at == r->end || *r->at != wanted) return false;
  ++r->at;
  return true;
}

bool json_reader_at_end(json_reader *r) {
  skip_space(r);
  return r->at == r->end;
}

void json_reader_free(json_reader *r) {
  ellm_buffer_free(&r->unescaped[0]);
  ellm_buffer_free(&r->unescaped[1]);
}

static bool hex4(json_reader *r, uint32_t *value) {
  if (r->end - r->at < 4) return false;
  *value = 0;
  for (int i = 0; i < 4; ++i) {
    char c = *r->at++;
    uint32_t digit;
    if (c >= '0' && c <= '9') digit = (uint32_t)(c - '0');
    else if (c >= 'a' && c <= 'f') digit = (uint32_t)(c - 'a' + 10);
    else if (c >= 'A' && c <= 'F') digit = (uint32_t)(c - 'A' + 10);
    else return false;
    *value = *value << 4 | digit;
  }
  return true;
}

static bool append(json_reader *r, ellm_buffer *out, const char *text, size_t bytes) {
  if (bytes == 0 || ellm_buffer_append(out, text, bytes)) return true;
  r->no_memory = true;
  return false;
}

/* After a backslash: append the character it stands for. */
static bool unescape(json_reader *r, ellm_buffer *out) {
  static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
  if (r->at == r->end) return false;
  char c = *r->at++;
  if (c != 'u') {
    const char *found = c ? strchr(names, c) : NULL;
    return found && append(r, out, &values[found - names], 1);
  }
  uint32_t cp, low;
  if (!hex4(r, &cp)) return false;
  if (cp >= 0xD800 && cp < 0xDC00) {
    if (r->end - r->at < 2 || r->at[0] != '\\' || r->at[1] != 'u') return false;
    r->at += 2;
    if (!hex4(r, &low) || low < 0xDC00 || low > 0xDFFF) return false;
    cp = 0x10000 + ((cp - 0xD800) << 10 | (low - 0xDC00));
  } else if (cp >= 0xDC00 && cp < 0xE000) {
    return false;
  }
  char encoded[4];
  return append(r, out, encoded, utf8_encode(cp, encoded));
}

/* Advance to the next quote, backslash or control character. True: past nothing but ASCII. */
static bool skip_plain(json_reader *r) {
  uint8_t all = 0;
  for (; r->at < r->end && *r->at != '"' && *r->at != '\\' && (uint8_t)*r->at >= 0x20; ++r->at) all |= (uint8_t)*r->at;
  return all < 0x80;
}

bool json_reader_string(json_reader *r, int which, const char **text, size_t *bytes) {
  if (!json_reader_take(r, '"')) return false;
  const char *start = r->at;
  const bool ascii = skip_plain(r);
  if (r->at == r->end) return false;
  if (*r->at == '"') {
    *text = start;
    *bytes = (size_t)(r->at++ - start);
    return ascii || utf8_is_valid(*text, *bytes);
  }
  ellm_buffer *out = &r->unescaped[which];
  out->size = 0;
  for (;;) {
    if (!append(r, out, start, (size_t)(r->at - start))) return false;
    if (r->at == r->end || (uint8_t)*r->at < 0x20) return false;
    if (*r->at++ == '"') break;
    if (!unescape(r, out)) return false;
    start = r->at;
    skip_plain(r);
  }
  *text = out->size > 0 ? (const char *)out->data : "";
  *bytes = out->size;
  return utf8_is_valid(*text, *bytes);
}

bool json_reader_integer(json_reader *r, uint64_t *value) {
  skip_space(r);
  const char *start = r->at;
  *value = 0;
  while (r->at < r->end && *r->at >= '0' && *r->at <= '9' && r->at - start < 15) {
    *value = *value * 10 + (uint64_t)(*r->at++ - '0');
  }
  if (r->at == start || (*start == '0' && r->at - start > 1)) return false;
  if (r->at == r->end) return true;
  char next = *r->at; /* nothing that would make it another number */
  return !((next >= '0' && next <= '9') || next == '.' || next == 'e' || next == 'E');
}

/* strtod rounds correctly, but expects the decimal point of the locale that the host program has set: so the point is
 * replaced. It may also read past its text, which need not end with NUL: so the digits are copied. */
bool json_reader_real(json_reader *r, double *value) {
  char digits[64]; /* numbers that programs write have less than half as many */
  size_t n = 0;
  const char *point = localeconv()->decimal_point;
  skip_space(r);
  if (r->at == r->end || !(*r->at == '-' || (*r->at >= '0' && *r->at <= '9'))) return false;
  while (r->at < r->end && n + 1 < sizeof digits && memchr("+-.0123456789Ee", *r->at, 15) != NULL) {
    digits[n++] = *r->at == '.' ? point[0] : *r->at;
    ++r->at;
  }
  digits[n] = '\0';
  char *end;
  *value = strtod(digits, &end);
  return *end == '\0' && n + 1 < sizeof digits && isfinite(*value);
}

/* Advance past a string, its contents unseen. */
static bool skip_string(json_reader *r) {
  if (!json_reader_take(r, '"')) return false;
  while (r->at < r->end) {
    char c = *r->at++;
    if (c == '"') return true;
    if (c == '\\' && r->at < r->end) ++r->at;
  }
  return false;
}

/* Advance past a value by counting brackets; not a check that it is one. */
static bool skip_value(json_reader *r) {
  size_t depth = 0;
  do {
    skip_space(r);
    if (r->at == r->end) return false;
    char c = *r->at;
    if (c == '"') {
      if (!skip_string(r)) return false;
      continue;
    }
    ++r->at;
    if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      if (depth-- == 0) return false;
    } else if (depth == 0) { /* a number or a word */
      while (r->at < r->end && !memchr(",}] \n\r\t", *r->at, 7)) ++r->at;
    }
  } while (depth > 0);
  return true;
}

/* "key": with the reader then at the value. The key as written, not unescaped. */
static bool take_key(json_reader *r, const char **key, size_t *bytes) {
  skip_space(r);
  const char *start = r->at + 1;
  if (!skip_string(r)) return false;
  *key = start;
  *bytes = (size_t)(r->at - 1 - start);
  if (!json_reader_take(r, ':')) return false;
  skip_space(r);
  return true;
}

static bool is_key(const char *key, size_t bytes, const char *wanted) {
  return bytes == strlen(wanted) && memcmp(key, wanted, bytes) == 0;
}

/* The members of "model"; false when it is not an object as expected. */
static bool cut_model(json_reader *r, json_range *vocab, json_range *merges) {
  if (!json_reader_take(r, '{')) return false;
  if (json_reader_take(r, '}')) return true;
  do {
    const char *key;
    size_t bytes;
    if (!take_key(r, &key, &bytes)) return false;
    json_range *range = is_key(key, bytes, "vocab") ? vocab : is_key(key, bytes, "merges") ? merges : NULL;
    const char *start = r->at;
    if (!skip_value(r)) return false;
    if (range && range->text) return false; /* given twice: the library will say so */
    if (range) *range = (json_range){start, (size_t)(r->at - start)};
  } while (json_reader_take(r, ','));
  return json_reader_take(r, '}');
}

static bool find_ranges(json_reader *r, json_range *vocab, json_range *merges) {
  bool seen = false;
  if (!json_reader_take(r, '{')) return false;
  do {
    const char *key;
    size_t bytes;
    if (!take_key(r, &key, &bytes)) return false;
    if (!is_key(key, bytes, "model") || seen) {
      if (!skip_value(r)) return false;
      continue;
    }
    seen = true;
    if (!cut_model(r, vocab, merges)) return false;
  } while (json_reader_take(r, ','));
  return json_reader_take(r, '}');
}

bool json_cut(const char *json, size_t bytes, json_range *vocab, json_range *merges, ellm_buffer *rest) {
  json_reader reader = {.at = json, .end = json + bytes};
  json_range ranges[2] = {{NULL, 0}, {NULL, 0}};
  if (!find_ranges(&reader, &ranges[0], &ranges[1])) ranges[0].text = ranges[1].text = NULL;
  *vocab = ranges[0];
  *merges = ranges[1];
  if (ranges[1].text && (!ranges[0].text || ranges[1].text < ranges[0].text)) { /* in order of place */
    json_range swap = ranges[0];
    ranges[0] = ranges[1];
    ranges[1] = swap;
  }
  const char *done = json;
  for (int i = 0; i < 2; ++i) {
    if (!ranges[i].text) continue;
    if (!ellm_buffer_append(rest, done, (size_t)(ranges[i].text - done)) || !ellm_buffer_append(rest, "null", 4)) {
      return false;
    }
    done = ranges[i].text + ranges[i].bytes;
  }
  size_t left = bytes - (size_t)(done - json);
  return left == 0 || ellm_buffer_append(rest, done, left);
}
