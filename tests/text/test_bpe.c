/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Byte pair encoding on small hand-made tokenizers: merging, unknown characters,
 * added tokens, post-processing, bytes that are not text, and every way in which
 * a model can be wrong. JSON is written with ' for ".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdint.h>

#include "text/text_testing.h"

#define VOCAB "'<unk>':0,'a':1,'b':2,'c':3,'ab':4,'abc':5,'bc':6,' ':7"
#define MERGES "['a b','ab c','b c']"
#define BPE(options) "'model':{'type':'BPE','vocab':{" VOCAB "},'merges':" MERGES options "}"
#define TOKEN(id, content, single, left, right, normalized, special) \
  "{'id':" id ",'content':'" content "','single_word':" single ",'lstrip':" left ",'rstrip':" right \
  ",'normalized':" normalized ",'special':" special "}"

static ellm_tokenizer *make(const char *text) {
  char *json = json_of(text);
  ellm_tokenizer *t = NULL;
  ellm_error err = {0};
  if (tokenizer_of_bytes(json, strlen(json), &t, &err) != ELLM_OK) fail_msg("%s: %s", err.message, json);
  free(json);
  return t;
}

static void refused(const char *text, const char *part) {
  char *json = json_of(text);
  ellm_tokenizer *t = NULL;
  ellm_error err = {0};
  if (tokenizer_of_bytes(json, strlen(json), &t, &err) != ELLM_ERR_INPUT) fail_msg("not refused: %s", json);
  if (strncmp(err.message, "t.json: ", 8) != 0 || !strstr(err.message, part)) {
    fail_msg("%s\nmessage: %s\nwanted:  %s", json, err.message, part);
  }
  free(json);
}

/* Ids of a text, written with spaces between. */
static void check(const ellm_tokenizer *t, unsigned flags, const char *text, size_t bytes, const char *wanted) {
  uint32_t *ids = NULL;
  size_t n = 0, at = 0;
  ellm_error err = {0};
  char got[1024] = "";
  if (ellm_tokenizer_encode(t, text, bytes, flags, &ids, &n, &err) != ELLM_OK) fail_msg("%s", err.message);
  for (size_t i = 0; i < n; ++i) at += (size_t)snprintf(got + at, sizeof got - at, i > 0 ? " %u" : "%u", ids[i]);
  if (strcmp(got, wanted) != 0) fail_msg("\"%s\": got %s, wanted %s", text, got, wanted);
  assert_non_null(ids);
  free(ids);
}

static void encodes(const ellm_tokenizer *t, const char *text, const char *wanted) {
  check(t, 0, text, strlen(text), wanted);
}

static void decodes(const ellm_tokenizer *t, const uint32_t *ids, size_t n, bool skip_special, const char *wanted) {
  char *text = NULL;
  size_t bytes = 0;
  ellm_error err = {0};
  if (ellm_tokenizer_decode(t, ids, n, skip_special, &text, &bytes, &err) != ELLM_OK) fail_msg("%s", err.message);
  assert_string_equal(text, wanted);
  assert_int_equal(bytes, strlen(wanted));
  free(text);
}

/* ------------------------------------------------------------------ merging */

static void test_merges(void **state) {
  (void)state;
  static const char *const forms[] = {
    "{" BPE("") "}",
    "{'model':{'vocab':{" VOCAB "},'merges':[['a','b'],['ab','c'],['b','c']]}}",
    "{'model':{'merges':['#version: 0.2','a b','ab c','b c'],'vocab':{" VOCAB "},'type':'BPE'},'version':'1.0'}",
  };
  for (size_t i = 0; i < sizeof forms / sizeof forms[0]; ++i) {
    ellm_tokenizer *t = make(forms[i]);
    encodes(t, "", "");
    encodes(t, "a", "1");
    encodes(t, "abc", "5");
    encodes(t, "bc", "6");
    encodes(t, "aabcb", "1 5 2");
    encodes(t, "cba bc", "3 2 1 7 6");
    assert_int_equal(ellm_tokenizer_vocab_size(t), 8);
    ellm_tokenizer_free(t);
  }
  ellm_tokenizer *t = make("{'model':{'vocab':{'a':0,'aa':1,'aaa':2,'b':3,'':4},'merges':['a a','aa a','a aa']}}");
  encodes(t, "aaa", "2"); /* leftmost of equals first */
  encodes(t, "aaaaa", "1 2");
  ellm_tokenizer_free(t);
  t = make("{'model':{'vocab':{'a':0,'b':1,'ab':2,'ba':3},'merges':['a b','b a','a b']}}");
  encodes(t, "aba", "0 3"); /* a pair given twice has the later rank */
  ellm_tokenizer_free(t);
  t = make("{'model':{'vocab':{'a b':0,' ':1,'a':2,'b':3,' b':4},'merges':[[' ','b'],['a',' b']]}}");
  encodes(t, "a b", "0"); /* only the list form can name pieces with spaces */
  ellm_tokenizer_free(t);
  t = make("{" BPE(",'ignore_merges':true") "}");
  encodes(t, "abc", "5");
  encodes(t, "<unk>", "0");
  encodes(t, "ab ab", "4 7 4");
  ellm_tokenizer_free(t);
}

/* More symbols than are merged by scanning; both ways must agree. */
static void test_long_words(void **state) {
  (void)state;
  enum { N = 500 };
  ellm_tokenizer *t =
      make("{'model':{'vocab':{'a':0,'b':1,'aa':2,'ab':3,'aaaa':4,'aab':5},'merges':['a a','aa aa','a b','aa b']}}");
  char text[N + 1];
  uint32_t *ids = NULL;
  size_t n = 0;
  ellm_error err = {0};
  memset(text, 'a', N);
  text[N] = '\0';
  assert_int_equal(ellm_tokenizer_encode(t, text, N, 0, &ids, &n, &err), ELLM_OK);
  assert_int_equal(n, N / 4);
  for (size_t i = 0; i < n; ++i) assert_int_equal(ids[i], 4);
  free(ids);
  text[N - 1] = 'b'; /* ...aaab: pairs from the left, then aa+aa, aa+b never meets */
  assert_int_equal(ellm_tokenizer_encode(t, text, N, 0, &ids, &n, &err), ELLM_OK);
  assert_int_equal(n, N / 4 + 1);
  assert_int_equal(ids[n - 3], 4);
  assert_int_equal(ids[n - 2], 2);
  assert_int_equal(ids[n - 1], 3);
  free(ids);
  ellm_tokenizer_free(t);
}

static void test_unknown_characters(void **state) {
  (void)state;
  ellm_tokenizer *t = make("{" BPE("") "}");
  encodes(t, "axxb\xc3\xa9", "4"); /* without unk_token they are dropped, before merging */
  ellm_tokenizer_free(t);
  t = make("{" BPE(",'unk_token':'<unk>'") "}");
  encodes(t, "axxb", "1 0 0 2");
  ellm_tokenizer_free(t);
  t = make("{" BPE(",'unk_token':'<unk>','fuse_unk':true") "}");
  encodes(t, "axx\xe4\xb8\xad" "bx", "1 0 2 0");
  ellm_tokenizer_free(t);
  t = make("{" BPE(",'unk_token':'<none>'") "}"); /* an error only when it is needed */
  uint32_t *ids = NULL;
  size_t n = 7;
  ellm_error err = {0};
  encodes(t, "ab", "4");
  assert_int_equal(ellm_tokenizer_encode(t, "ax", 2, 0, &ids, &n, &err), ELLM_ERR_INPUT);
  assert_non_null(strstr(err.message, "U+0078"));
  assert_null(ids);
  assert_int_equal(n, 0);
  ellm_tokenizer_free(t);
}

static void test_byte_fallback(void **state) {
  (void)state;
  ellm_tokenizer *t =
      make("{'model':{'vocab':{'a':0,'<0xC3>':1,'<0xA9>':2,'<0x0A>':3,'<unk>':4},'merges':[],'unk_token':'<unk>',"
           "'byte_fallback':true},'decoder':{'type':'Sequence','decoders':[{'type':'ByteFallback'},{'type':'Fuse'}]}}");
  encodes(t, "a\xc3\xa9\n", "0 1 2 3");
  encodes(t, "\xc3\xa8", "4"); /* one byte has no piece: the whole character is unknown */
  decodes(t, (const uint32_t[]){0, 1, 2, 3}, 4, false, "a\xc3\xa9\n");
  decodes(t, (const uint32_t[]){1, 0, 2}, 3, false, "\xef\xbf\xbd" "a\xef\xbf\xbd");
  ellm_tokenizer_free(t);
}

/* ------------------------------------------------------------- added tokens */

static void test_added_tokens(void **state) {
  (void)state;
  ellm_tokenizer *t = make("{" BPE("") ",'normalizer':{'type':'Lowercase'},'added_tokens':["
                           TOKEN("8", "<s>", "false", "false", "false", "false", "true") ","
                           TOKEN("9", "<s><s>", "false", "false", "false", "false", "true") ","
                           TOKEN("10", "[L]", "false", "true", "false", "false", "false") ","
                           TOKEN("11", "[R]", "false", "false", "true", "false", "false") ","
                           TOKEN("12", "bcb", "true", "false", "false", "false", "false") ","
                           TOKEN("13", "CC", "false", "false", "false", "true", "false") ","
                           TOKEN("99", "", "false", "false", "false", "false", "false") ","
                           TOKEN("5", "abc", "false", "false", "false", "false", "true") "]}");
  encodes(t, "a<s>b", "1 8 2");
  encodes(t, "<s><s><s>", "9 8"); /* the longest, from the left */
  encodes(t, "<S>", "");          /* not normalized: as it is written */
  encodes(t, "a  [L] b", "1 10 7 2");
  encodes(t, "a [R]  b", "1 7 11 2");
  encodes(t, "a [R] [L]b", "1 7 11 10 2");
  encodes(t, "bcb abcb", "12 7 5 2");
  encodes(t, "ccCCc", "13 13 3"); /* both sides normalized */
  encodes(t, "abc", "5");
  check(t, ELLM_ENCODE_SPECIAL_AS_TEXT, "a<s>abc[L]", 10, "1 5 10");
  assert_int_equal(ellm_tokenizer_vocab_size(t), 14);
  assert_string_equal(ellm_tokenizer_piece(t, 9), "<s><s>");
  assert_string_equal(ellm_tokenizer_piece(t, 13), "CC");
  uint32_t id = 0;
  assert_true(ellm_tokenizer_find(t, "<s>", &id));
  assert_int_equal(id, 8);
  assert_true(ellm_tokenizer_find(t, "abc", &id));
  assert_int_equal(id, 5);
  assert_false(ellm_tokenizer_find(t, "", &id));
  assert_false(ellm_tokenizer_find(t, "ac", &id));
  assert_true(ellm_tokenizer_is_special(t, 8) && ellm_tokenizer_is_special(t, 5));
  assert_false(ellm_tokenizer_is_special(t, 10) || ellm_tokenizer_is_special(t, 1) || ellm_tokenizer_is_special(t, 14));
  decodes(t, (const uint32_t[]){8, 1, 10, 5}, 4, false, "<s> a [L] abc");
  decodes(t, (const uint32_t[]){8, 1, 10, 5}, 4, true, "a [L]");
  ellm_tokenizer_free(t);
}

static void test_refused_added_tokens(void **state) {
  (void)state;
  static const struct { const char *tokens, *part;
  } cases[] = {
      {TOKEN("9", "<s>", "false", "false", "false", "false", "true"),
       "\"<s>\" has id 9, but by the vocabulary it would be 8"},
      {TOKEN("8", "abc", "false", "false", "false", "false", "true"),
       "\"abc\" has id 8, but by the vocabulary it would be 5"},
      {TOKEN("-1", "<s>", "false", "false", "false", "false", "true"), "id of added token \"<s>\""},
      {TOKEN("4294967304", "<s>", "false", "false", "false", "false", "true"), "id of added token \"<s>\""},
      {TOKEN("8.0", "<s>", "false", "false", "false", "false", "true"), "id of added token \"<s>\""},
      {TOKEN("8", "<s>", "false", "1", "false", "false", "true"), "added_tokens[0]: \"lstrip\" is 1, true or false"},
      {"{'id':8,'content':7}", "\"content\" is 7, a string is expected"},
      {TOKEN("8", "AC", "false", "false", "false", "true", "true") "," TOKEN("9", "ac", "false", "false", "false",
                                                                             "true", "true"),
       "two added tokens are looked for as \"ac\""},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
    char text[1024];
    snprintf(text, sizeof text, "{" BPE("") ",'normalizer':{'type':'Lowercase'},'added_tokens':[%s]}", cases[i].tokens);
    refused(text, cases[i].part);
  }
  char text[2048], content[1100];
  memset(content, 'a', sizeof content - 1);
  content[sizeof content - 1] = '\0';
  snprintf(text, sizeof text,
           "{" BPE("") ",'added_tokens':[" TOKEN("8", "%s", "false", "false", "false", "false", "true") "]}", content);
  refused(text, "longer than 1024 bytes");
  refused("{" BPE("") ",'normalizer':{'type':'Replace','pattern':{'String':'x'},'content':''},'added_tokens':["
          TOKEN("8", "xx", "false", "false", "false", "true", "true") "]}", "\"xx\" is normalized to nothing");
  /* an id that a piece of the model has, though the count of pieces comes to it */
  refused("{'model':{'vocab':{'a':1},'merges':[]},'added_tokens':[" TOKEN("1", "<s>", "false", "false", "false",
                                                                          "false", "true") "]}",
          "given to added token \"<s>\" and to piece \"a\"");
}

/* A token that is listed again has the properties of its last listing, and is special if any of them is; ids and
 * texts are the `tokenizers` library's. */
static void test_added_tokens_twice(void **state) {
  (void)state;
  static const struct { const char *tokens, *plain, *as_text; } cases[] = {
#define X(left, normalized, special) TOKEN("8", "<x>", "false", left, "false", normalized, special)
      {X("false", "false", "true") "," X("false", "false", "true"), "1 7 8 7 2 7 7 1", "1 7 7 2 7 7 1"},
      {X("true", "false", "false") "," X("false", "false", "false"), "1 7 8 7 2 7 7 1", "1 7 8 7 2 7 7 1"},
      {X("false", "false", "false") "," X("true", "false", "false"), "1 8 7 2 7 7 1", "1 8 7 2 7 7 1"},
      {X("false", "false", "false") "," X("false", "false", "true"), "1 7 8 7 2 7 7 1", "1 7 7 2 7 7 1"},
      {X("true", "false", "true") "," X("false", "false", "false"), "1 7 8 7 2 7 7 1", "1 7 7 2 7 7 1"},
      {X("false", "false", "false") "," X("false", "true", "false"), "1 7 8 7 2 7 8 7 1", "1 7 8 7 2 7 8 7 1"},
      {X("false", "true", "false") "," X("false", "false", "false"), "1 7 8 7 2 7 7 1", "1 7 8 7 2 7 7 1"},
      /* another id the second time: the first counts, and the next token follows on it */
      {X("false", "false", "false") "," TOKEN("20", "<x>", "false", "false", "false", "false", "false") ","
       TOKEN("9", "<y>", "false", "false", "false", "false", "false"), "1 7 8 7 2 7 7 1", "1 7 8 7 2 7 7 1"},
      {X("true", "false", "false") "," X("true", "false", "false") "," X("true", "false", "false"), "1 8 7 2 7 7 1",
       "1 8 7 2 7 7 1"},
#undef X
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    char text[2048];
    snprintf(text, sizeof text, "{" BPE("") ",'normalizer':{'type':'Lowercase'},'added_tokens':[%s]}", cases[i].tokens);
    ellm_tokenizer *t = make(text);
    encodes(t, "a <x> b <X> a", cases[i].plain);
    check(t, ELLM_ENCODE_SPECIAL_AS_TEXT, "a <x> b <X> a", 13, cases[i].as_text);
    ellm_tokenizer_free(t);
  }
}

static void test_post_processor(void **state) {
  (void)state;
  ellm_tokenizer *t = make(
      "{" BPE("") ",'post_processor':{'type':'Sequence','processors':[{'type':'ByteLevel'},"
                  "{'type':'TemplateProcessing','single':[{'SpecialToken':{'id':'x','type_id':0}},"
                  "{'Sequence':{'id':'A','type_id':0}},{'SpecialToken':{'id':'y'}}],"
                  "'special_tokens':{'x':{'id':'x','ids':[3,0],'tokens':[]},'y':{'id':'y','ids':[7],'tokens':[]}}}]}}");
  encodes(t, "ab", "3 0 4 7");
  encodes(t, "", "3 0 7");
  check(t, ELLM_ENCODE_NO_POST, "ab", 2, "4");
  check(t, ELLM_ENCODE_NO_POST | ELLM_ENCODE_SPECIAL_AS_TEXT, "", 0, "");
  ellm_tokenizer_free(t);
}

static void test_pair_processors(void **state) {
  (void)state;
#define PAIR(type, more) "{'type':'" type "','sep':['y',7],'cls':['x',3]" more "}"
  static const char *const forms[] = {PAIR("BertProcessing", ""), PAIR("RobertaProcessing", ""),
                                      PAIR("RobertaProcessing", ",'trim_offsets':true,'add_prefix_space':true")};
  for (size_t i = 0; i < sizeof forms / sizeof *forms; ++i) {
    char text[1024];
    snprintf(text, sizeof text, "{" BPE("") ",'post_processor':%s}", forms[i]);
    ellm_tokenizer *t = make(text);
    encodes(t, "ab", "3 4 7");
    encodes(t, "", "3 7");
    check(t, ELLM_ENCODE_NO_POST, "ab", 2, "4");
    ellm_tokenizer_free(t);
  }
  refused("{" BPE("") ",'post_processor':{'type':'BertProcessing','sep':['y',-7],'cls':['x',3]}}", "\"sep\" is");
  refused("{" BPE("") ",'post_processor':{'type':'RobertaProcessing','sep':['y',7]}}", "\"cls\" is missing");
  refused("{" BPE("") ",'post_processor':{'type':'Sequence','processors':[" PAIR("BertProcessing", "") ","
          PAIR("BertProcessing", "") "]}}", "beside another template");
#undef PAIR
}

/* -------------------------------------------------------------- odd arguments */

static void test_odd_input(void **state) {
  (void)state;
  ellm_tokenizer *t =
      make("{'model':{'vocab':{'a':0,'b':1,'\\u0000':2,'\\ufffd':3,'\\ud83d\\ude00':4,'a\\u0000':5,'x':16777215},"
           "'merges':['a \\u0000']},'decoder':{'type':'Fuse'}}");
  check(t, 0, "a\0b", 3, "5 1");
  check(t, 0, "a\xff" "b", 3, "0 3 1");
  check(t, 0, "\xf0\x9f\x98\x80\xf0\x9f\x98", 7, "4 3");       /* a character cut off is one replacement */
  check(t, 0, "\xed\xa0\x80\xc0\xaf", 5, "3 3 3 3 3");           /* a surrogate, a long form */
  check(t, 0, NULL, 0, "");
  assert_int_equal(ellm_tokenizer_vocab_size(t), 16777216);
  assert_null(ellm_tokenizer_piece(t, 6));
  assert_null(ellm_tokenizer_piece(t, 16777216));
  assert_null(ellm_tokenizer_piece(t, UINT32_MAX));
  assert_false(ellm_tokenizer_is_special(t, UINT32_MAX));
  decodes(t, (const uint32_t[]){0, 6, 16777216, UINT32_MAX, 0x80000000u, 1, 16777215}, 7, false, "abx");
  decodes(t, NULL, 0, true, "");
  char *text = NULL;
  size_t bytes = 0, n = 0;
  uint32_t *ids = NULL;
  ellm_error err = {0};
  assert_int_equal(ellm_tokenizer_decode(t, (const uint32_t[]){5, 1}, 2, false, &text, &bytes, &err), ELLM_OK);
  assert_int_equal(bytes, 3);
  assert_memory_equal(text, "a\0b", 4);
  free(text);
  assert_int_equal(ellm_tokenizer_encode(t, "a", 1, 4, &ids, &n, &err), ELLM_ERR_USAGE);
  assert_null(ids);
  ellm_tokenizer_free(t);
  ellm_tokenizer_free(NULL);
}

static void test_refused_models(void **state) {
  (void)state;
  static const struct { const char *json, *part; } cases[] = {
    {"{'model':{'type':'WordPiece','unk_token':'[UNK]','vocab':{}}}", "model of type \"WordPiece\" is not supported"},
    {"{'model':{'type':'WordPiece','vocab':{'a':0}}}", "model of type \"WordPiece\" is not supported, BPE and Unigram"},
    {"{'model':{'type':'WordLevel','vocab':{},'unk_token':'a'}}", "model of type \"WordLevel\""},
    {"{'model':{'type':1}}", "model of type"},
    {"{" BPE(",'dropout':0.1") "}", "model.dropout"},
    {"{" BPE(",'continuing_subword_prefix':'##'") "}", "model.continuing_subword_prefix"},
    {"{" BPE(",'end_of_word_suffix':'</w>'") "}", "model.end_of_word_suffix"},
    {"{" BPE(",'fuse_unk':0") "}", "fuse_unk"},
    {"{" BPE(",'unk_token':0") "}", "unk_token"},
    {"{'model':{'type':'BPE','merges':[]}}", "model.vocab is not an object"},
    {"{'model':{'type':'BPE','vocab':[],'merges':[]}}", "model.vocab is not an object"},
    {"{'model':{'type':'BPE','vocab':{}}}", "model.merges is not an array"},
    {"{'model':{'type':'BPE','vocab':{},'merges':{}}}", "model.merges is not an array"},
    {"{'model':{'vocab':{'a':0,'a':1},'merges':[]}}", "piece \"a\" appears twice"},
    {"{'model':{'vocab':{'a':0,'\\u0061':1},'merges':[]}}", "piece \"a\" appears twice"},
    {"{'model':{'vocab':{'a':1,'b':1},'merges':[]}}", "id 1 of piece \"b\" is given to two pieces"},
    {"{'model':{'vocab':{'a':16777216},'merges':[]}}", "id of piece \"a\" is not a number from 0 to 16777215"},
    {"{'model':{'vocab':{'a':-1},'merges':[]}}", "id of piece \"a\""},
    {"{'model':{'vocab':{'a':1.0},'merges':[]}}", "id of piece \"a\""},
    {"{'model':{'vocab':{'a':1e3},'merges':[]}}", "id of piece \"a\""},
    {"{'model':{'vocab':{'a':01},'merges':[]}}", "id of piece \"a\""},
    {"{'model':{'vocab':{'a':99999999999999999999},'merges':[]}}", "id of piece \"a\""},
    {"{'model':{'vocab':{'a':'0'},'merges':[]}}", "id of piece \"a\""},
    {"{'model':{'vocab':{'a':0 'b':1},'merges':[]}}", "no comma between two pieces"},
    {"{'model':{'vocab':{'a':0,},'merges':[]}}", "no piece and id after \"a\""},
    {"{'model':{'vocab':{'a':0,'\\ud800':1},'merges':[]}}", "no piece and id after \"a\""},
    {"{'model':{'vocab':{'a':0,'\xff':1},'merges':[]}}", "t.json"},
    {"{'model':{'vocab':{'a':0},'vocab':{'a':0},'merges':[]}}", "t.json"},
    {"{'model':{'vocab':{'a':0},'merges':[]},'model':{}}", "t.json"},
    {"{'model':{'vocab':{" VOCAB "},'merges':['a x']}}", "merge 0 names \"x\", which is not in the vocabulary"},
    {"{'model':{'vocab':{" VOCAB "},'merges':['a b',['a','b']]}}", "merge 1 is not \"a b\""},
    {"{'model':{'vocab':{" VOCAB "},'merges':[['a','b'],'a b']}}", "merge 1 is not [\"a\", \"b\"]"},
    {"{'model':{'vocab':{" VOCAB "},'merges':['a b','a a']}}", "merge 1 names \"aa\""},
    {"{'model':{'vocab':{" VOCAB "},'merges':['ab']}}", "merge 0 is not"},
    {"{'model':{'vocab':{" VOCAB "},'merges':['a b c']}}", "merge 0 is not"},
    {"{'model':{'vocab':{" VOCAB "},'merges':[['a','b','c']]}}", "merge 0 is not"},
    {"{'model':{'vocab':{" VOCAB "},'merges':[null]}}", "merge 0 is not"},
    {"{'model':{'vocab':{" VOCAB "},'merges':['a b' 'b c']}}", "no comma after merge 1"},
    {"{'model':{'vocab':{" VOCAB "},'merges':['a b'", "t.json"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) refused(cases[i].json, cases[i].part);
}

/* No prefix of a tokenizer is one, and none is read past its end. */
static void test_truncated(void **state) {
  (void)state;
  char *json = json_of("{" BPE(",'unk_token':'<unk>'") ",'normalizer':{'type':'NFC'},'added_tokens':["
                       TOKEN("8", "<s>", "false", "false", "false", "false", "true") "]}");
  for (size_t bytes = 0; bytes < strlen(json); ++bytes) {
    ellm_tokenizer *t = NULL;
    ellm_error err = {0};
    assert_int_equal(tokenizer_of_bytes(json, bytes, &t, &err), ELLM_ERR_INPUT);
    assert_true(err.message[0] != '\0');
  }
  free(json);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_merges),
      cmocka_unit_test(test_long_words),
      cmocka_unit_test(test_unknown_characters),
      cmocka_unit_test(test_byte_fallback),
      cmocka_unit_test(test_added_tokens),
      cmocka_unit_test(test_refused_added_tokens),
      cmocka_unit_test(test_added_tokens_twice), cmocka_unit_test(test_post_processor),
    cmocka_unit_test(test_pair_processors),
      cmocka_unit_test(test_odd_input),
      cmocka_unit_test(test_refused_models),
      cmocka_unit_test(test_truncated),
  };
  return cmocka_run_group_tests_name("byte pair encoding", tests, NULL, NULL);
}
