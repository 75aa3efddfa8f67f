/* SPDX-License-Identifier: Apache-2.0 */
/* Compiling and matching with PCRE2; see regex.h. The translation is in
 * regex_translate.c. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/regex.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "text/regex_translate.h"

enum { HEAP_KIBIBYTES = 64 * 1024, JIT_STACK_BYTES = 8 * 1024 * 1024 };

/* Steps that one match may take: patterns in use take a few for each byte. */
static uint32_t match_limit(size_t bytes) {
  return bytes > (UINT32_MAX - 100000) / 64 ? UINT32_MAX : (uint32_t)bytes * 64 + 100000;
}

struct text_regex {
  pcre2_code *code;      /* NULL for a literal */
  char *literal;
  size_t literal_bytes;
  bool matches_empty, jit;
  char where[REGEX_WHERE_BYTES];
};

static ellm_status compile_pattern(const char *pattern, size_t bytes, text_regex *regex, ellm_error *err) {
  ellm_buffer translated = {0};
  ellm_status status = regex_translate(pattern, bytes, regex->where, &translated, err);
  pcre2_compile_context *context = pcre2_compile_context_create(NULL);
  if (status == ELLM_OK && (!context || !ellm_buffer_append(&translated, "", 1))) {
    status = ellm_fail_memory(err, bytes, "regular expression");
  }
  if (status == ELLM_OK) {
    int code;
    PCRE2_SIZE offset;
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pcre2_set_parens_nest_limit(context, 64);
    regex->code =
        pcre2_compile((PCRE2_SPTR)translated.data, translated.size - 1,
                      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &code, &offset, context);
    if (!regex->code && code == PCRE2_ERROR_HEAP_FAILED) {
      status = ellm_fail_memory(err, bytes, "regular expression");
    } else if (!regex->code) {
      PCRE2_UCHAR text[128] = "";
      pcre2_get_error_message(code, text, sizeof text);
      status = ellm_fail(err, ELLM_ERR_INPUT, "%s: regular expression: %s", regex->where, (const char *)text);
    }
  }
  if (status == ELLM_OK) {
    uint32_t empty = 1;
    pcre2_pattern_info(regex->code, PCRE2_INFO_MATCHEMPTY, &empty);
    regex->matches_empty = empty != 0;
    regex->jit = pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE) == 0; /* without it, slower */
  }
  pcre2_compile_context_free(context);
  ellm_buffer_free(&translated);
  return status;
}

ellm_status regex_compile(const char *pattern, size_t bytes, bool literal, const char *where, text_regex **out,
                          ellm_error *err) {
  text_regex *regex = calloc(1, sizeof *regex);
  *out = NULL;
  if (!regex) return ellm_fail_memory(err, sizeof *regex, "regular expression");
  strncpy(regex->where, where, sizeof regex->where - 1);
  ellm_status status = ELLM_OK;
  if (bytes == 0) {
    status = ellm_fail(err, ELLM_ERR_INPUT, "%s: empty pattern", where);
  } else if (literal) {
    regex->literal = malloc(bytes);
    if (!regex->literal) status = ellm_fail_memory(err, bytes, "pattern");
    else memcpy(regex->literal, pattern, bytes);
    regex->literal_bytes = bytes;
  } else {
    status = compile_pattern(pattern, bytes, regex, err);
  }
  if (status != ELLM_OK) {
    regex_free(regex);
    return status;
  }
  *out = regex;
  return ELLM_OK;
}

void regex_free(text_regex *regex) {
  if (!regex) return;
  pcre2_code_free(regex->code);
  free(regex->literal);
  free(regex);
}

bool regex_matches_empty(const text_regex *regex) { return regex->matches_empty; }

void regex_scratch_free(regex_scratch *scratch) {
  pcre2_match_data_free(scratch->match_data);
  pcre2_match_context_free(scratch->match_context);
  pcre2_jit_stack_free(scratch->jit_stack);
  memset(scratch, 0, sizeof *scratch);
}

static ellm_status prepare_scratch(regex_scratch *scratch, ellm_error *err) {
  if (scratch->match_data) return ELLM_OK;
  scratch->match_context = pcre2_match_context_create(NULL);
  scratch->match_data = pcre2_match_data_create(1, NULL);
  scratch->jit_stack = pcre2_jit_stack_create(32 * 1024, JIT_STACK_BYTES, NULL); /* NULL without JIT */
  if (!scratch->match_context || !scratch->match_data) {
    regex_scratch_free(scratch);
    return ellm_fail_memory(err, 4096, "matching");
  }
  pcre2_set_heap_limit(scratch->match_context, HEAP_KIBIBYTES);
  if (scratch->jit_stack) pcre2_jit_stack_assign(scratch->match_context, NULL, scratch->jit_stack);
  return ELLM_OK;
}

static bool find_literal(const text_regex *regex, const char *text, size_t bytes, size_t from, size_t *start) {
  while (bytes - from >= regex->literal_bytes) {
    const char *hit = memchr(text + from, regex->literal[0], bytes - from - regex->literal_bytes + 1);
    if (!hit) return false;
    from = (size_t)(hit - text);
    if (memcmp(hit, regex->literal, regex->literal_bytes) == 0) {
      *start = from;
      return true;
    }
    ++from;
  }
  return false;
}

ellm_status regex_next(const text_regex *regex, regex_scratch *scratch, const char *text, size_t bytes,
                       regex_position *position, bool *found, size_t *start, size_t *end, ellm_error *err) {
  *found = false;
  if (regex->literal) {
    if (position->next > bytes || !find_literal(regex, text, bytes, position->next, start)) return ELLM_OK;
    *found = true;
    *end = position->next = *start + regex->literal_bytes;
    return ELLM_OK;
  }
  ELLM_TRY(prepare_scratch(scratch, err));
  pcre2_set_match_limit(scratch->match_context, match_limit(bytes));
  while (position->next <= bytes) {
    int code = pcre2_match(regex->code, (PCRE2_SPTR)text, bytes, position->next, PCRE2_NO_UTF_CHECK,
                           scratch->match_data, scratch->match_context);
    if (code == PCRE2_ERROR_NOMATCH) return ELLM_OK;
    if (code == PCRE2_ERROR_NOMEMORY) return ellm_fail_memory(err, bytes, "matching");
    if (code < 0) {
      PCRE2_UCHAR reason[128] = "";
      pcre2_get_error_message(code, reason, sizeof reason);
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: regular expression: %s, %zu bytes from the start of a piece of text",
                       regex->where, (const char *)reason, position->next);
    }
    const PCRE2_SIZE *range = pcre2_get_ovector_pointer(scratch->match_data);
    *start = range[0];
    *end = range[1];
    if (*start == *end && position->any && position->last_end == *end) {
      size_t step = 1;
      while (position->next + step < bytes && ((uint8_t)text[position->next + step] & 0xC0) == 0x80) ++step;
      position->next += step;
      continue;
    }
    position->next = position->last_end = *end;
    position->any = true;
    *found = true;
    return ELLM_OK;
  }
  return ELLM_OK;
}
