/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Long texts: a megabyte of one letter, of spaces, through every kind of
 * tokenizer in use, and shorter mixtures. Where time grew with the square of
 * the length, these would not end. The shipped model's tokenizer gives back
 * what it was given.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "text/text_testing.h"

#define MARK "\xe2\x96\x81"
#define GPT_2 \
  "'pre_tokenizer':{'type':'ByteLevel','add_prefix_space':false,'trim_offsets':true,'use_regex':true}," \
  "'decoder':{'type':'ByteLevel','add_prefix_space':true,'trim_offsets':true,'use_regex':true}"
#define LLAMA_3 \
  "'pre_tokenizer':{'type':'Sequence','pretokenizers':[{'type':'Split','pattern':{'Regex':'" \
  "(?i:\\u0027s|\\u0027t|\\u0027re)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}|" \
  " ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+'}," \
  "'behavior':'Isolated','invert':false},{'type':'ByteLevel','add_prefix_space':false,'use_regex':false}]}," \
  "'decoder':{'type':'ByteLevel','add_prefix_space':true,'trim_offsets':true,'use_regex':true}"
#define LLAMA_2 \
  "'normalizer':{'type':'Sequence','normalizers':[{'type':'Prepend','prepend':'" MARK \
  "'},{'type':'Replace','pattern':" \
  "{'String':' '},'content':'" MARK \
  "'}]},'decoder':{'type':'Sequence','decoders':[{'type':'Replace','pattern':{'String':'" MARK \
  "'},'content':' '},{'type':'ByteFallback'},{'type':'Fuse'},{'type':'Strip','content':' ','start':1,'stop':0}]}"
#define METASPACE(split) \
  "'pre_tokenizer':{'type':'Metaspace','replacement':'" MARK "','prepend_scheme':'always','split':" split "}," \
  "'decoder':{'type':'Metaspace','replacement':'" MARK "','prepend_scheme':'always','split':" split "}"
#define UNICODE \
  "'normalizer':{'type':'Sequence','normalizers':[{'type':'NFKC'},{'type':'NFD'},{'type':'NFC'}]}," \
  "'pre_tokenizer':{'type':'Sequence','pretokenizers':" \
  "[{'type':'Digits','individual_digits':true},{'type':'Punctuation'}]}," \
  "'decoder':{'type':'Fuse'}"
#define STRIPPING \
  "'decoder':{'type':'Fuse'},'added_tokens':[" \
  "{'id':22,'content':'!','single_word':false,'lstrip':true,'rstrip':true,'normalized':false,'special':true}," \
  "{'id':23,'content':'?','single_word':true,'lstrip':false,'rstrip':true,'normalized':true,'special':true}," \
  "{'id':2,'content':' ','single_word':false,'lstrip':false,'rstrip':true,'normalized':true,'special':true}]"

/* Letters and spaces, with merges up to eight equal ones and some between the two. */
#define VOCAB \
  "'a':0,'b':1,' ':2,'\\u0120':3,'" MARK "':4,'\\n':5,'\\u010a':6,'aa':7,'aaaa':8,'aaaaaaaa':9,'  ':10,'    ':11," \
  "'\\u0120\\u0120':12,'\\u0120\\u0120\\u0120\\u0120':13,'" MARK MARK "':14,'" MARK MARK MARK MARK "':15,'" MARK \
  "a':16," \
  "'\\u0120a':17,'ab':18,'aab':19,'<0x0A>':20,'a ':21"
#define MERGES \
  "['a','a'],['aa','aa'],['aaaa','aaaa'],[' ',' '],['  ','  '],['\\u0120','\\u0120']," \
  "['\\u0120\\u0120','\\u0120\\u0120'],['" MARK "','" MARK "'],['" MARK MARK "','" MARK MARK "'],['" MARK \
  "','a'],['\\u0120','a'],['a','b'],['aa','b'],['a',' ']"

static ellm_tokenizer *make(const char *parts, const char *options) {
  char text[8192];
  assert_true(snprintf(text, sizeof text, "{'model':{'vocab':{" VOCAB "},'merges':[" MERGES "]%s},%s}", options,
                       parts) < (int)sizeof text);
  char *json = json_of(text);
  ellm_tokenizer *t = NULL;
  ellm_error err = {0};
  if (tokenizer_of_bytes(json, strlen(json), &t, &err) != ELLM_OK) fail_msg("%s: %s", err.message, json);
  free(json);
  return t;
}

/* Encode; decoding then gives the text again if all of it has pieces. */
static void round_trip(const ellm_tokenizer *t, const char *text, size_t bytes, bool same) {
  uint32_t *ids = NULL;
  size_t n = 0, decoded_bytes = 0;
  char *decoded = NULL;
  ellm_error err = {0};
  if (ellm_tokenizer_encode(t, text, bytes, ELLM_ENCODE_NO_POST, &ids, &n, &err) != ELLM_OK) {
    fail_msg("%s", err.message);
  }
  assert_true(n > 0 && n <= bytes + 1);
  if (ellm_tokenizer_decode(t, ids, n, false, &decoded, &decoded_bytes, &err) != ELLM_OK) fail_msg("%s", err.message);
  if (same) {
    assert_int_equal(decoded_bytes, bytes);
    assert_memory_equal(decoded, text, bytes);
  }
  free(decoded);
  free(ids);
}

static void test_megabytes(void **state) {
  (void)state;
  enum { BYTES = 1 << 20 };
  static const struct { const char *parts, *options; bool same;
  } kinds[] = {
      {GPT_2, "", true},
      {LLAMA_3, ",'ignore_merges':true", true},
      {LLAMA_2, ",'byte_fallback':true", true},
      {METASPACE("true"), "", false},
      {METASPACE("false"), "", false},
      {UNICODE, "", true},
      {STRIPPING, "", false},
      {"'decoder':{'type':'Fuse'}", "", true},
  };
  static const char *const patterns[] = {"a", " ", "\n", "ab", "a ", "aaab  a b", " \n"};
  char *text = malloc(BYTES);
  assert_non_null(text);
  for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; ++k) {
    ellm_tokenizer *t = make(kinds[k].parts, kinds[k].options);
    for (size_t p = 0; p < sizeof patterns / sizeof patterns[0]; ++p) {
      size_t bytes = p < 2 ? BYTES : BYTES / 8;
      for (size_t i = 0; i < bytes; ++i) text[i] = patterns[p][i % strlen(patterns[p])];
      round_trip(t, text, bytes, kinds[k].same);
    }
    ellm_tokenizer_free(t);
  }
  free(text);
}

/* Runs of combining marks, whose ordering must not take quadratic time either. */
static void test_marks(void **state) {
  (void)state;
  enum { MARKS = 200000 };
  ellm_tokenizer *t = make(UNICODE, ",'unk_token':'b'");
  char *text = malloc(2 * MARKS + 1);
  assert_non_null(text);
  text[0] = 'a';
  for (size_t i = 0; i < MARKS; ++i) memcpy(text + 1 + 2 * i, i % 2 == 0 ? "\xcc\x81" : "\xcc\xa7", 2);
  round_trip(t, text, 2 * MARKS + 1, false);
  ellm_tokenizer_free(t);
  free(text);
}

static void test_shipped_tokenizer(void **state) {
  (void)state;
  ellm_tokenizer *t = tokenizer_of_file("models/stories-4m/tokenizer.json");
  uint8_t *text = NULL;
  size_t bytes = 0;
  ellm_error err = {0};
  if (file_read_all(ENTROLLM_SOURCE_DIR "/models/stories-4m/unseen.txt", (size_t)1 << 28, &text, &bytes, &err) !=
      ELLM_OK) {
    fail_msg("%s", err.message);
  }
  round_trip(t, (const char *)text, bytes, true);
  free(text);
  static const char *const texts[] = {" ", "\n\n  \t",
                                      "Zo\xc3\xab said: \xe2\x80\x9chi\xe2\x80\x9d \xf0\x9f\x98\x80\xf0\x9f\x91\x8d",
                                      "\x01\x7f<|endoftext|>x"};
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; ++i) round_trip(t, texts[i], strlen(texts[i]), true);
  round_trip(t, "\0a\0", 3, true);
  ellm_tokenizer_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_megabytes), cmocka_unit_test(test_marks), cmocka_unit_test(test_shipped_tokenizer),
  };
  return cmocka_run_group_tests_name("long texts", tests, NULL, NULL);
}
