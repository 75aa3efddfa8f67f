/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers in texts, by hand what two regular expressions and a clean-up do:
 * strict    The answer is (\-?[0-9\.\,]+).         the first
 * flexible  (-?[$0-9.,]{2,})|(-?[0-9]+)             the last
 */
#include "eval/gsm8k_extract.h"

#include <string.h>

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_number(char c) { return is_digit(c) || c == '.' || c == ','; }
static bool is_money(char c) { return is_number(c) || c == '$'; }

typedef struct span { size_t start, end; } span;

/* The group of "(\-?[0-9\.\,]+)." at `at`. The point at the end is any character but a newline; with none
 * after the run it takes the run's last one. */
static bool strict_at(const char *text, size_t bytes, size_t at, span *group) {
  size_t start = at;
  if (at < bytes && text[at] == '-') at++;
  size_t digits = at;
  while (at < bytes && is_number(text[at])) at++;
  if (at == digits) return false;
  if (at == bytes || text[at] == '\n') at--;
  *group = (span){start, at};
  return at > digits;
}

static bool find_strict(const char *text, size_t bytes, span *group) {
  static const char before[] = "The answer is ";
  const size_t n = sizeof before - 1;
  for (size_t at = 0; at + n <= bytes; at++)
    if (memcmp(text + at, before, n) == 0 && strict_at(text, bytes, at + n, group)) return true;
  return false;
}

static bool find_flexible(const char *text, size_t bytes, span *group) {
  bool found = false;
  for (size_t at = 0; at < bytes;) {
    size_t first = at + (text[at] == '-'), money = first, digits = first;
    while (money < bytes && is_money(text[money])) money++;
    while (digits < bytes && is_digit(text[digits])) digits++;
    size_t end = money - first >= 2 ? money : digits > first ? digits : at;
    if (end > at) {
      *group = (span){at, end};
      found = true;
    }
    at = end > at ? end : at + 1;
  }
  return found;
}

ellm_status gsm8k_clean(const char *text, size_t bytes, ellm_buffer *out, ellm_error *err) {
  static const char mark[] = "#### ";
  const size_t n = sizeof mark - 1, before = out->size;
  for (size_t i = 0; i < bytes; i++)
    if (text[i] != ',' && text[i] != '$' && !ellm_buffer_append(out, text + i, 1))
      return ellm_fail_memory(err, bytes, "an answer");
  for (size_t at = out->size; at >= before + n; at--)
    if (memcmp(out->data + at - n, mark, n) == 0) {
      memmove(out->data + before, out->data + at, out->size - at);
      out->size = before + (out->size - at);
      break;
    }
  if (out->size > before && out->data[out->size - 1] == '.') out->size--;
  return ELLM_OK;
}

ellm_status gsm8k_extract(const char *completion, size_t bytes, bool strict, ellm_buffer *out, bool *found,
                          ellm_error *err) {
  span group = {0, 0};
  *found = strict ? find_strict(completion, bytes, &group) : find_flexible(completion, bytes, &group);
  return *found ? gsm8k_clean(completion + group.start, group.end - group.start, out, err) : ELLM_OK;
}
