/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: grammars and schemas. Input: "G" and GBNF or "S" and a JSON Schema, then, after a NUL byte, bytes that
 * choose tokens. Whatever it is, it is refused with a reason, or answers follow it: every token of a mask can come, no
 * other can, a text that ends is UTF-8, and under a schema JSON.
 */
#include <stdlib.h>
#include <string.h>

#include "grammar/grammar.h"
#include "json/json.h"
#include "text/utf8.h"
#include "want.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_TEXT = 200, MOST_STEPS = 24, WORDS = 16 };

/* Pieces of JSON and of characters. The three bytes of U+20AC are pieces of their own. */
static const char tokenizer_json[] =
    "{\"decoder\": {\"type\": \"Sequence\", \"decoders\": [{\"type\": \"ByteFallback\"}, {\"type\": \"Fuse\"}]}, "
    "\"added_tokens\": [{\"id\": 40, \"content\": \"<s>\", \"special\": true, \"normalized\": false, \"single_word\": false, "
    "\"lstrip\": false, \"rstrip\": false}], \"model\": {\"type\": \"BPE\", \"byte_fallback\": true, \"merges\": [], "
    "\"vocab\": {\"a\": 0, \"b\": 1, \"\\\"\": 2, \"{\": 3, \"}\": 4, \"[\": 5, \"]\": 6, \",\": 7, \":\": 8, \" \": 9, "
    "\"0\": 10, \"1\": 11, \"-\": 12, \".\": 13, \"\\\\\": 14, \"n\": 15, \"{\\\"\": 16, \"\\\":\": 17, \"\\\",\": 18, "
    "\"true\": 19, \"null\": 20, \"ab\": 21, \"\\n\": 22, \"<0xE2>\": 23, \"<0x82>\": 24, \"<0xAC>\": 25, \"\\u00e9\": 26, "
    "\"false\": 27, \"\\\"}\": 28, \"}}\": 29, \"]]\": 30, \"x\": 31, \"u\": 32, \"e\": 33, \"u00\": 34, \"12\": 35, "
    "\"a\\\"\": 36, \"/\": 37, \"c\": 38, \"  \": 39}}}";

static void check_token(const ellm_grammar *g, const ellm_buffer *text, const char *piece, size_t bytes, bool allowed) {
  grammar_matcher *m;
  bool possible, ends;
  want(grammar_matcher_create(g, &m, NULL) == ELLM_OK);
  const bool ok = grammar_matcher_bytes(m, (const char *)text->data, text->size, &possible, &ends, NULL) == ELLM_OK &&
                  grammar_matcher_bytes(m, piece, bytes, &possible, &ends, NULL) == ELLM_OK;
  if (ok) want(possible == allowed);
  grammar_matcher_free(m);
}

static void check_end(const ellm_buffer *text, bool schema) {
  json_t *value = NULL;
  want(utf8_is_valid((const char *)text->data, text->size));
  if (!schema) return;
  want(json_parse_with(0, text->data, text->size, "text", &value, NULL) == ELLM_OK);
  json_decref(value);
}

static void follow(const ellm_grammar *g, const vocabulary *v, const uint8_t *choices, size_t n, bool schema) {
  grammar_matcher *m;
  ellm_buffer text = {0};
  uint64_t mask[WORDS] = {0};
  bool more, ends;
  if (grammar_matcher_create(g, &m, NULL) != ELLM_OK) return;
  for (size_t i = 0; i < n && i < MOST_STEPS && text.size < MOST_TEXT; i++) {
    if (grammar_matcher_next(m, mask, &more, &ends, NULL) != ELLM_OK) break;
    if (ends) check_end(&text, schema);
    if (!more) break;
    want(!(mask[40 / 64] >> 40 % 64 & 1));
    uint32_t id = choices[i] % v->n_ids;
    check_token(g, &text, (const char *)v->bytes + v->begin[id], v->begin[id + 1] - v->begin[id],
                (mask[id / 64] >> id % 64 & 1) || v->begin[id + 1] == v->begin[id]);
    while (!(mask[id / 64] >> id % 64 & 1)) id = (id + 1) % v->n_ids;
    if (grammar_matcher_accept(m, id, NULL) != ELLM_OK) break; /* too ambiguous */
    want(ellm_buffer_append(&text, v->bytes + v->begin[id], v->begin[id + 1] - v->begin[id]));
  }
  grammar_matcher_free(m);
  ellm_buffer_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static ellm_tokenizer *tokenizer;
  static vocabulary *v;
  if (!tokenizer) {
    want(ellm_tokenizer_create(tokenizer_json, strlen(tokenizer_json), "fuzz", &tokenizer, NULL) == ELLM_OK);
    want(vocabulary_of(tokenizer, &v, NULL) == ELLM_OK);
  }
  if (size < 1 || size > 1 << 16) return 0;
  const bool schema = data[0] == 'S';
  const uint8_t *end = memchr(data, 0, size);
  const size_t bytes = end ? (size_t)(end - data) - 1 : size - 1, n = end ? size - bytes - 2 : 0;
  if (end == data) return 0;
  ellm_grammar *g;
  ellm_error err = {0};
  const char *text = (const char *)data + 1;
  const ellm_status status = schema ? ellm_grammar_create_schema(tokenizer, text, bytes, "fuzz", &g, &err)
                                    : ellm_grammar_create(tokenizer, text, bytes, "fuzz", &g, &err);
  want((status == ELLM_OK) == (g != NULL));
  want(status == ELLM_OK || err.message[0] != '\0');
  if (g) follow(g, v, end ? end + 1 : NULL, n, schema);
  ellm_grammar_free(g);
  return 0;
}
