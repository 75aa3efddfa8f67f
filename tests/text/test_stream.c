/* SPDX-License-Identifier: Apache-2.0 */
/* Decoding id by id: whole characters only, nothing lost, nothing held back for longer than needed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "text/stream.h"
#include "text/text_testing.h"
#include "text/utf8.h"

#define MODEL(vocab) "'model':{'vocab':{" vocab "},'merges':[]}"
#define BYTE_LEVEL "'decoder':{'type':'ByteLevel','add_prefix_space':true,'trim_offsets':true,'use_regex':true}"
#define LLAMA_2 \
  "'decoder':{'type':'Sequence','decoders':[{'type':'Replace','pattern':{'String':'\xe2\x96\x81'},'content':' '}," \
  "{'type':'ByteFallback'},{'type':'Fuse'},{'type':'Strip','content':' ','start':1,'stop':0}]}"
#define SPECIAL(id, content) \
  "{'id':" id ",'content':'" content \
  "','single_word':false,'lstrip':false,'rstrip':false,'normalized':false,'special':true}"

typedef struct session { ellm_tokenizer *tokenizer; ellm_stream *stream; } session;

static session begin(const char *text, bool skip_special) {
  char *json = json_of(text);
  session s = {NULL, NULL};
  ellm_error err = {0};
  if (tokenizer_of_bytes(json, strlen(json), &s.tokenizer, &err) != ELLM_OK) fail_msg("%s", err.message);
  assert_int_equal(ellm_stream_create(s.tokenizer, skip_special, &s.stream, &err), ELLM_OK);
  free(json);
  return s;
}

static void end(session *s) {
  ellm_stream_free(s->stream);
  ellm_tokenizer_free(s->tokenizer);
}

static void given(const char *text, size_t bytes, const char *wanted) {
  assert_string_equal(text, wanted);
  assert_int_equal(bytes, strlen(wanted));
  assert_true(utf8_is_valid(text, bytes));
}

static void next(session *s, uint32_t id, const char *wanted) {
  const char *text = NULL;
  size_t bytes = 0;
  ellm_error err = {0};
  if (ellm_stream_next(s->stream, id, &text, &bytes, &err) != ELLM_OK) fail_msg("%s", err.message);
  given(text, bytes, wanted);
}

static void flush(session *s, const char *wanted) {
  const char *text = NULL;
  size_t bytes = 0;
  ellm_error err = {0};
  if (ellm_stream_flush(s->stream, &text, &bytes, &err) != ELLM_OK) fail_msg("%s", err.message);
  given(text, bytes, wanted);
}

static void test_byte_level(void **state) {
  (void)state;
  /* the bytes F0 9F 98 80 of a character in pieces of one and two */
  session s = begin(
      "{" MODEL("'a':0,'\\u0120b':1,'\\u00f0':2,'\\u0141':3,'\\u013a\\u0122':4,'\\u0141\\u013a':5,'<e>':6")
      "," BYTE_LEVEL ",'added_tokens':[" SPECIAL("6", "<e>") "]}",
      false);
  next(&s, 0, "a");
  next(&s, 1, " b");
  next(&s, 2, "");
  next(&s, 3, "");
  next(&s, 4, "\xf0\x9f\x98\x80");
  next(&s, 2, "");
  next(&s, 0, "\xef\xbf\xbd" "a");
  next(&s, 77, "");
  next(&s, 2, "");
  next(&s, 5, "");
  flush(&s, "\xef\xbf\xbd");
  next(&s, 6, "<e>");
  next(&s, 2, "");
  flush(&s, "\xef\xbf\xbd");
  flush(&s, "");
  end(&s);
}

static void test_byte_fallback(void **state) {
  (void)state;
  session s =
      begin("{" MODEL("'\xe2\x96\x81':0,'\xe2\x96\x81"
                      "a':1,'<0xC3>':2,'<0xA9>':3,'<0x0A>':4,'<s>':5,'b\xe2\x96\x81':6") "," LLAMA_2
                                                                                         ",'added_tokens':[" SPECIAL(
                                                                                             "5", "<s>") "]}",
            true);
  for (int round = 0; round < 2; ++round) { /* a flush begins anew */
    next(&s, 5, "");
    next(&s, 0, "");  /* the first space goes */
    next(&s, 1, " a");
    next(&s, 2, "");
    next(&s, 3, "\xc3\xa9");
    next(&s, 2, "");
    next(&s, 4, "\xef\xbf\xbd\n");
    next(&s, 6, "b ");
    next(&s, 3, "\xef\xbf\xbd");
    next(&s, 2, "");
    flush(&s, "\xef\xbf\xbd");
  }
  end(&s);
}

static void test_strips(void **state) {
  (void)state;
  session s = begin("{" MODEL("' ':0,'a':1,'a ':2") ",'decoder':{'type':'Sequence','decoders':[{'type':'Fuse'},"
                    "{'type':'Strip','content':' ','start':2,'stop':2}]}}", false);
  next(&s, 0, "");
  next(&s, 0, "");
  next(&s, 0, "");   /* may be one of the last two */
  next(&s, 1, " a");
  next(&s, 2, "a");
  next(&s, 0, "");
  next(&s, 0, " ");
  flush(&s, "");
  end(&s);
  s = begin(
      "{" MODEL("'\xe2\x96\x81"
                "a':0,'b':1") ",'decoder':{'type':'Metaspace','replacement':'\xe2\x96\x81','prepend_scheme':'always'}}",
      false);
  next(&s, 0, "a");
  next(&s, 0, " a");
  next(&s, 1, "b");
  flush(&s, "");
  next(&s, 0, "a");
  end(&s);
  s = begin("{" MODEL("'a':0,'b':1") "}", false); /* no decoder: spaces between */
  next(&s, 0, "a");
  next(&s, 1, " b");
  flush(&s, "");
  next(&s, 1, "b");
  end(&s);
}

/* A step on all of the text that depends on what comes: text at the end. */
static void test_other_shapes(void **state) {
  (void)state;
  session s = begin("{" MODEL("'a':0,'b':1") ",'decoder':{'type':'Sequence','decoders':[{'type':'Fuse'},"
                    "{'type':'Replace','pattern':{'Regex':'ab$'},'content':'x'}]}}", false);
  next(&s, 0, "");
  next(&s, 1, "");
  next(&s, 0, "");
  flush(&s, "aba");
  next(&s, 0, "");
  next(&s, 1, "");
  flush(&s, "x");
  flush(&s, "");
  end(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_byte_level), cmocka_unit_test(test_byte_fallback), cmocka_unit_test(test_strips),
    cmocka_unit_test(test_other_shapes),
  };
  return cmocka_run_group_tests_name("streams of text", tests, NULL, NULL);
}
