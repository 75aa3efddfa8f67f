/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tokenizer.model`: what is damaged or not supported is refused by name, and small models made here show what golden
 * ones do not: unused pieces, equal scores, text that is not a piece, what stands before and after a text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdint.h>

#include <cmocka.h>

#include "text/text_testing.h"

/* ---- writing */

typedef struct message { uint8_t data[4096]; size_t bytes; } message;

static void put(message *m, const void *data, size_t bytes) {
  assert_true(m->bytes + bytes <= sizeof m->data);
  memcpy(m->data + m->bytes, data, bytes);
  m->bytes += bytes;
}

static void put_varint(message *m, uint64_t value) {
  for (; value >= 0x80; value >>= 7) put(m, &(uint8_t){(uint8_t)(value | 0x80)}, 1);
  put(m, &(uint8_t){(uint8_t)value}, 1);
}

static void put_number(message *m, unsigned field, uint64_t value) {
  put_varint(m, field << 3);
  put_varint(m, value);
}

static void put_bytes(message *m, unsigned field, const void *data, size_t bytes) {
  put_varint(m, field << 3 | 2);
  put_varint(m, bytes);
  put(m, data, bytes);
}

static void put_piece(message *m, const char *text, float score, int type) {
  message piece = {.bytes = 0};
  put_bytes(&piece, 1, text, strlen(text));
  put_varint(&piece, 2 << 3 | 5);
  put(&piece, &score, sizeof score);
  if (type != 1) put_number(&piece, 3, (uint64_t)type);
  put_bytes(m, 1, piece.data, piece.bytes);
}

/* <unk>, <s>, </s>, and options: of type BPE, nothing normalized. */
static message model(void) {
  message m = {.bytes = 0}, trainer = {.bytes = 0}, normalizer = {.bytes = 0};
  put_number(&trainer, 3, 2);
  put_bytes(&m, 2, trainer.data, trainer.bytes);
  put_number(&normalizer, 3, 0);
  put_number(&normalizer, 4, 0);
  put_bytes(&m, 3, normalizer.data, normalizer.bytes);
  put_piece(&m, "<unk>", 0, 2);
  put_piece(&m, "<s>", 0, 3);
  put_piece(&m, "</s>", 0, 3);
  return m;
}

static ellm_status make(const message *m, const char *config, ellm_tokenizer **t, ellm_error *err) {
  uint8_t *exact = malloc(m->bytes > 0 ? m->bytes : 1);
  char *json = config ? json_of(config) : NULL;
  assert_non_null(exact);
  memcpy(exact, m->data, m->bytes);
  const ellm_status status = sentencepiece_tokenizer(exact, m->bytes, "t.model", json, json ? strlen(json) : 0,
                                                     "t_config.json", t, err);
  assert_true((status == ELLM_OK) == (*t != NULL));
  free(exact);
  free(json);
  return status;
}

static void encodes(const message *m, const char *config, unsigned flags, const char *text, const char *wanted) {
  ellm_tokenizer *t = NULL;
  ellm_error err = {0};
  uint32_t *ids;
  size_t n, used = 0;
  char got[512] = "";
  if (make(m, config, &t, &err) != ELLM_OK) fail_msg("%s", err.message);
  assert_int_equal(ellm_tokenizer_encode(t, text, strlen(text), flags, &ids, &n, &err), ELLM_OK);
  for (size_t i = 0; i < n; i++) used += (size_t)snprintf(got + used, sizeof got - used, "%s%u", i ? " " : "", ids[i]);
  assert_string_equal(got, wanted);
  free(ids);
  ellm_tokenizer_free(t);
}

static void refused(const message *m, const char *config, const char *part) {
  ellm_tokenizer *t = NULL;
  ellm_error err = {0};
  if (make(m, config, &t, &err) != ELLM_ERR_INPUT) fail_msg("not refused: %s", part);
  if (!strstr(err.message, part)) fail_msg("got    %s\nwanted %s", err.message, part);
}

/* ---- tests */

static void test_joining(void **state) {
  (void)state;
  message m = model();
  put_piece(&m, "a", -1, 1);   /* 3 */
  put_piece(&m, "b", -1, 1);
  put_piece(&m, "c", -1, 1);
  put_piece(&m, "ab", -5, 1);  /* 6 */
  put_piece(&m, "bc", -5, 1);
  put_piece(&m, "aa", -2, 1);
  encodes(&m, NULL, ELLM_ENCODE_NO_POST, "abc", "6 5");   /* equal scores: the leftmost */
  encodes(&m, NULL, ELLM_ENCODE_NO_POST, "aabc", "8 7");
  encodes(&m, NULL, ELLM_ENCODE_NO_POST, "aaabc", "8 6 5");
  encodes(&m, NULL, ELLM_ENCODE_NO_POST, "xaxyb", "0 3 0 4"); /* one for several unknown characters */
  put_piece(&m, "xy", -1, 1); /* joined of characters that are no pieces */
  encodes(&m, NULL, ELLM_ENCODE_NO_POST, "xyx", "9 0");
  encodes(&m, NULL, ELLM_ENCODE_NO_POST, "", "");
}

static void test_unused(void **state) {
  (void)state;
  message m = model();
  put_piece(&m, "a", -1, 1);
  put_piece(&m, "b", -1, 1);
  put_piece(&m, "ab", -1, 5);
  put_piece(&m, "abb", -2, 1);  /* 6 */
  put_piece(&m, "abba", -3, 5);
  encodes(&m, NULL, ELLM_ENCODE_NO_POST, "ab", "3 4");
  encodes(&m, NULL, ELLM_ENCODE_NO_POST, "abb", "6");
  encodes(&m, NULL, ELLM_ENCODE_NO_POST, "abba", "6 3");
}

static void test_ends(void **state) {
  (void)state;
  message m = model();
  put_piece(&m, "a", -1, 1);
  encodes(&m, NULL, ELLM_ENCODE_DEFAULT, "a", "1 3");
  encodes(&m, "{'add_bos_token':false}", ELLM_ENCODE_DEFAULT, "a", "3");
  encodes(&m, "{'add_bos_token':null,'add_eos_token':true}", ELLM_ENCODE_DEFAULT, "a", "1 3 2");
  encodes(&m, "{'add_bos_token':true,'bos_token':{'content':'</s>'}}", ELLM_ENCODE_DEFAULT, "a<s>", "2 3 1");
  encodes(&m, NULL, ELLM_ENCODE_NO_POST | ELLM_ENCODE_SPECIAL_AS_TEXT, "a<s>", "3 0");
  static const char more[] = "{'added_tokens_decoder':{'4':{'content':'<x>','special':true},"
                             "'5':{'content':'aa','special':false,'rstrip':true}}}";
  encodes(&m, more, ELLM_ENCODE_DEFAULT, "a<x>aa  a", "1 3 4 5 3");
  encodes(&m, more, ELLM_ENCODE_SPECIAL_AS_TEXT, "<x>a", "1 0 3");
  refused(&m, "{'added_tokens_decoder':{'7':{'content':'<x>'}}}", "added token \"<x>\" has id 7, but by the vocabulary");
  refused(&m, "{'added_tokens_decoder':{'x':{'content':'<x>'}}}", "\"x\" is not an id with a token");
  refused(&m, "{'added_tokens_decoder':[1]}", "added_tokens_decoder is [1], an object is expected");
  refused(&m, "{'add_bos_token':true,'bos_token':'<b>'}", "add_bos_token is true, but bos_token <b> is not a piece");
  refused(&m, "{'add_bos_token':1}", "add_bos_token");
  refused(&m, "[]", "t_config.json: not a JSON object");
  refused(&m, "{", "t_config.json");
}

static void with_option(unsigned spec, unsigned field, uint64_t value, const char *part) {
  message m = model(), options = {.bytes = 0};
  put_number(&options, field, value);
  put_bytes(&m, spec, options.data, options.bytes);
  refused(&m, NULL, part);
}

static void test_refused(void **state) {
  (void)state;
  message m = {.bytes = 0};
  refused(&m, NULL, "no SentencePiece model: no pieces");
  with_option(2, 3, 3, "model_type WORD is not supported, BPE and UNIGRAM are");
  with_option(2, 3, 4, "model_type CHAR is not supported");
  with_option(2, 3, 77, "model_type of an unknown number is not supported");
  with_option(2, 24, 1, "treat_whitespace_as_suffix is not supported");
  with_option(2, 35, 1, "there is no byte piece <0x00>");
  with_option(3, 5, 0, "escape_whitespaces false is not supported");
  m = model();
  put_bytes(&m, 3, "\x12\x04\x04\0\0\0", 6);
  refused(&m, NULL, "precompiled_charsmap of 4 bytes: an array of 4 bytes does not fit");
  m = model();
  put_bytes(&m, 5, "\x12\x01x", 3);
  refused(&m, NULL, "a denormalizer is not supported");
  m = model();
  put_number(&m, 1, 5);
  refused(&m, NULL, "a message has another type");
  m = model();
  put_bytes(&m, 2, "\x1a\x01x", 3);
  refused(&m, NULL, "trainer_spec.model_type has another type");
  static const struct { const char *text; float score; int type; const char *part; } pieces[] = {
      {"", 0, 1, "piece 3 has 0 bytes"},        {"\xff", 0, 1, "piece 3 is not UTF-8"},
      {"a", NAN, 1, "piece 3 \"a\" has score"}, {"a", 0, 7, "piece 3 \"a\" has type 7, 1 to 6 are known"},
      {"a", 0, 0, "has type 0"},                {"<s>", 0, 1, "piece 3 \"<s>\" appears twice"},
      {"a", 0, 2, "pieces 0 and 3 are both the unknown one"}, {"<0x41>", 0, 6, "piece 3 is a byte, but byte_fallback"}};
  for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
    m = model();
    put_piece(&m, pieces[i].text, pieces[i].score, pieces[i].type);
    refused(&m, NULL, pieces[i].part);
  }
  m = (message){.bytes = 0};
  put_piece(&m, "a", 0, 1);
  refused(&m, NULL, "no piece is the unknown one");
}

static void test_damaged(void **state) {
  (void)state;
  static const struct { const char *data; size_t bytes; const char *part; } cases[] = {
      {"\x0a", 1, "the file ends in a number at byte 1"},
      {"\x0a\x05xx", 4, "the file ends in a field"},
      {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, "the file ends in a field"},
      {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12, "a number of more than 64 bits"},
      {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11, "a number of more than 64 bits"},
      {"\x02\x00", 2, "a field of no number"},
      {"\xfb\xff\xff\xff\x7f\x00", 6, "a field of no number"},
      {"\x0b\x0c", 2, "a field of a type that is not known"},
      {"\x0d\x01\x02", 3, "the file ends in a field"},
      {"\x09\x01\x02\x03\x04\x05\x06\x07", 8, "the file ends in a field"},
      {"\x0a\x02\x0a\x09", 4, "a piece ends in a field"},
      {"\x12\x01\x0a", 3, "trainer_spec ends in a number"},
      {"\x1a\x01\x0a", 3, "normalizer_spec ends in a number"},
      {"\x2a\x01\x0a", 3, "denormalizer_spec ends in a number"},
      {"{\"a\":1}", 7, "no SentencePiece model"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    message m = {.bytes = 0};
    put(&m, cases[i].data, cases[i].bytes);
    refused(&m, NULL, cases[i].part);
  }
}

/* Prefixes of a real file, and files with one byte changed: an error with a name, or a tokenizer that works. */
static void test_prefixes(void **state) {
  (void)state;
  uint8_t *data;
  size_t bytes;
  ellm_error err = {0};
  const char *path = ENTROLLM_SOURCE_DIR "/tests/golden/sentencepiece/bpe-rules/tokenizer.model";
  assert_int_equal(file_read_all(path, 1 << 20, &data, &bytes, &err), ELLM_OK);
  for (size_t i = 0; i < 2 * bytes; i += 29) {
    ellm_tokenizer *t = NULL;
    const uint8_t kept = data[i % bytes];
    const size_t length = i < bytes ? i : bytes;
    if (i >= bytes) data[i - bytes] ^= (uint8_t)(1u << i % 8);
    err.message[0] = '\0';
    const ellm_status status = sentencepiece_tokenizer(data, length, "t.model", NULL, 0, "", &t, &err);
    assert_true(status == ELLM_OK || (status == ELLM_ERR_INPUT && strncmp(err.message, "t.model: ", 9) == 0));
    uint32_t *ids = NULL;
    size_t n;
    if (t) ellm_tokenizer_encode(t, "Once  upon \xef\xbc\xa1 \xe2\x91\xa0", 17, 0, &ids, &n, &err);
    free(ids);
    ellm_tokenizer_free(t);
    data[i % bytes] = kept;
  }
  free(data);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_joining), cmocka_unit_test(test_unused),
                                     cmocka_unit_test(test_ends),    cmocka_unit_test(test_refused),
                                     cmocka_unit_test(test_damaged), cmocka_unit_test(test_prefixes)};
  return cmocka_run_group_tests_name("sentencepiece", tests, NULL, NULL);
}
