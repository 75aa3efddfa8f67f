/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of grammars share: tokenizers of a few tokens, and whether texts are those of a grammar. */
#ifndef ELLM_TESTS_GRAMMAR_TESTING_H
#define ELLM_TESTS_GRAMMAR_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "grammar/grammar.h"
#include "grammar/mask.h"
#include "text/byte_level.h"

static ellm_error test_err;
#define ERR (&test_err)
#define ASSERT_OK(call)                                       \
  do {                                                        \
    test_err.message[0] = '\0';                               \
    if ((call) != ELLM_OK) fail_msg("%s", test_err.message);  \
  } while (0)

static uint64_t random_state = 88172645463325252u;
static inline uint32_t random_below(uint32_t n) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return (uint32_t)(random_state >> 11) % n;
}

/* A byte-level tokenizer: the 256 bytes, then the given texts, then "<end>", which is special. */
static inline ellm_tokenizer *tokenizer_of(const char *const *texts, const size_t *lengths, size_t n) {
  ellm_buffer json = {0};
  ellm_tokenizer *tokenizer;
  ellm_buffer_print(&json, "{\"added_tokens\": [{\"id\": %zu, \"content\": \"<end>\", \"special\": true, \"normalized\": "
                           "false, \"single_word\": false, \"lstrip\": false, \"rstrip\": false}], \"pre_tokenizer\": "
                           "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": "
                           "true}, \"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": "
                           "true, \"use_regex\": true}, \"model\": {\"type\": \"BPE\", \"merges\": [], \"vocab\": {",
                    256 + n);
  for (size_t i = 0; i < 256 + n; i++) {
    const char byte = (char)i;
    ellm_buffer piece = {0};
    byte_level_append(&piece, i < 256 ? &byte : texts[i - 256], i < 256 ? 1 : lengths ? lengths[i - 256]
                                                                                    : strlen(texts[i - 256]));
    ellm_buffer_append(&json, i > 0 ? ", \"" : "\"", i > 0 ? 3 : 1);
    for (size_t b = 0; b < piece.size; b++) {
      if (piece.data[b] == '"' || piece.data[b] == '\\') ellm_buffer_append(&json, "\\", 1);
      ellm_buffer_append(&json, piece.data + b, 1);
    }
    ellm_buffer_print(&json, "\": %zu", i);
    ellm_buffer_free(&piece);
  }
  ellm_buffer_append(&json, "}}}", 3);
  ASSERT_OK(ellm_tokenizer_create(json.data, json.size, "tokenizer", &tokenizer, ERR));
  ellm_buffer_free(&json);
  return tokenizer;
}

typedef enum verdict { WRONG, BEGINNING, WHOLE } verdict; /* of a text under a grammar */

static inline verdict judge_bytes(const ellm_grammar *g, const char *text, size_t bytes) {
  grammar_matcher *m;
  bool possible, ends;
  ASSERT_OK(grammar_matcher_create(g, &m, ERR));
  ASSERT_OK(grammar_matcher_bytes(m, text, bytes, &possible, &ends, ERR));
  grammar_matcher_free(m);
  return ends ? WHOLE : possible ? BEGINNING : WRONG;
}

static inline verdict judge(const ellm_grammar *g, const char *text) { return judge_bytes(g, text, strlen(text)); }

#endif
