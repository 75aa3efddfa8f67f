/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The components of tokenizer.json one by one: what each makes of a text, and
 * what is refused by name. Expected values are those of the `tokenizers`
 * library. JSON is written with ' for ".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "json/json.h"
#include "text/decode.h"
#include "text/normalize.h"
#include "text/pretokenize.h"
#include "text/pretokenize_load.h"
#include "text/text_testing.h"

/* In the first two, pieces and strings are written with | between them. */
typedef struct component_case { const char *component, *input, *expected; } component_case;

#define REPLACE(kind, pattern, content) \
  "{'type':'Replace','pattern':{'" kind "':'" pattern "'},'content':'" content "'}"
#define SPLIT(kind, pattern, behavior, invert) \
  "{'type':'Split','pattern':{'" kind "':'" pattern "'},'behavior':'" behavior "','invert':" invert "}"
#define BYTE_LEVEL(space, regex) \
  "{'type':'ByteLevel','add_prefix_space':" space ",'trim_offsets':true,'use_regex':" regex "}"
#define METASPACE(mark, scheme, split) \
  "{'type':'Metaspace','replacement':'" mark "','prepend_scheme':'" scheme "','split':" split "}"
#define LLAMA_3 \
  "(?i:\\u0027s|\\u0027t|\\u0027re|\\u0027ve|\\u0027m|\\u0027ll|\\u0027d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?" \
  "\\\\p{L}+|\\\\p{N}{1,3}| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"
#define QWEN_2 \
  "(?i:\\u0027s|\\u0027t|\\u0027re|\\u0027ve|\\u0027m|\\u0027ll|\\u0027d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?" \
  "\\\\p{L}+|\\\\p{N}| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"
#define LLAMA_2_DECODER \
  "{'type':'Sequence','decoders':[" REPLACE("String", "▁", " ") ",{'type':'ByteFallback'},{'type':'Fuse'}," \
  "{'type':'Strip','content':' ','start':1,'stop':0}]}"

static const component_case normalizers[] = {
  {"{'type':'Prepend','prepend':'▁'}", "ab", "▁ab"},
  {"{'type':'Prepend','prepend':'▁'}", "", ""},
  {REPLACE("String", " ", "▁"), " a  b", "▁a▁▁b"},
  {REPLACE("String", " ", "▁"), "ab", "ab"},
  {REPLACE("String", "aa", ""), "aaaaa b", "a b"},
  {REPLACE("Regex", " {2,}", "_"), "a b   c    ", "a b_c_"},
  {REPLACE("Regex", "(?<=a)b", "$1"), "abb b ab", "a$1b b a$1"},
  {"{'type':'NFC'}", "e\xcc\x81" "a\xcc\xa7\xcc\x81", "\xc3\xa9\xc3\xa1\xcc\xa7"},
  {"{'type':'NFC'}", "ﬁ½", "ﬁ½"},
  {"{'type':'NFC'}", "\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab", "한"},
  {"{'type':'NFD'}", "é한", "e\xcc\x81\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab"},
  {"{'type':'NFD'}", "ﬁ½", "ﬁ½"},
  {"{'type':'NFD'}", "q\xcc\x87\xcc\xa3", "q\xcc\xa3\xcc\x87"},
  {"{'type':'NFKC'}", "\xef\xac\x81\xc2\xbd\xef\xbc\xa1\xe3\x80\x80" "e\xcc\x81", "fi1⁄2A é"},
  {"{'type':'NFKD'}", "\xef\xac\x81\xc2\xbd\xef\xbc\xa1\xe3\x80\x80\xc3\xa9", "fi1\xe2\x81\x84" "2A e\xcc\x81"},
  {"{'type':'Strip','strip_left':true,'strip_right':true}", " \t a b\xe3\x80\x80\n", "a b"},
  {"{'type':'Strip','strip_left':true,'strip_right':true}", "   ", ""},
  {"{'type':'Strip','strip_left':true,'strip_right':false}", "\xc2\xa0 a b  ", "a b  "},
  {"{'type':'Strip','strip_left':false,'strip_right':true}", "  a b \xe2\x80\x83", "  a b"},
  {"{'type':'StripAccents'}", "e\xcc\x81" "a\xcc\xa7", "ea"},
  {"{'type':'StripAccents'}", "é", "é"},
  {"{'type':'Lowercase'}", "HELLO ÀÉ İ ǅ ẞ Σ", "hello \xc3\xa0\xc3\xa9 i\xcc\x87 \xc7\x86 \xc3\x9f \xcf\x83"},
  {"{'type':'ByteLevel'}", "a b\n\xc3\xa9", "aĠbĊÃ©"},
  {"{'type':'ByteLevel'}", "\x7f", "ġ"},
  {"{'type':'Sequence','normalizers':[]}", "A b", "A b"},
  {"{'type':'Sequence','normalizers':[{'type':'NFD'},{'type':'Sequence','normalizers':[{'type':'StripAccents'},"
   "{'type':'Lowercase'}]},{'type':'Prepend','prepend':'_'}]}",
   "ÉÀ x", "_ea x"},
};

static const component_case pretokenizers[] = {
  {BYTE_LEVEL("false", "true"), "Hello  world's 12 \xc3\xa9!\n\n x", "Hello|Ġ|Ġworld|'s|Ġ12|ĠÃ©|!|ĊĊ|Ġx"},
  {BYTE_LEVEL("false", "true"), "", ""},
  {BYTE_LEVEL("true", "true"), "ab c", "Ġab|Ġc"},
  {BYTE_LEVEL("true", "true"), " ab", "Ġab"},
  {BYTE_LEVEL("false", "false"), "ab cd\n", "abĠcdĊ"},
  {METASPACE("▁", "always", "true"), "ab  c", "▁ab|▁|▁c"},
  {METASPACE("▁", "always", "true"), " ab", "▁ab"},
  {METASPACE("▁", "always", "true"), "▁ab", "▁ab"},
  {METASPACE("▁", "first", "false"), "ab c", "▁ab▁c"},
  {METASPACE("_", "never", "true"), "ab_c d", "ab|_c|_d"},
  {"{'type':'Digits','individual_digits':true}", "ab12c3½", "ab|1|2|c|3|½"},
  {"{'type':'Digits','individual_digits':false}", "ab12c3½", "ab|12|c|3½"},
  {SPLIT("String", " ", "Removed", "false"), "a b  c ", "a|b|c"},
  {SPLIT("String", " ", "Isolated", "false"), "a b  c ", "a| |b| | |c| "},
  {SPLIT("String", " ", "MergedWithPrevious", "false"), "a b  c ", "a |b | |c "},
  {SPLIT("String", " ", "MergedWithNext", "false"), "a b  c ", "a| b| | c| "},
  {SPLIT("String", " ", "Contiguous", "false"), "a b  c ", "a| |b|  |c| "},
  {SPLIT("Regex", "[a-c]+", "Removed", "true"), "xaby caz", "ab|ca"},
  {SPLIT("Regex", "[a-c]+", "MergedWithPrevious", "true"), "xaby caz", "x|aby |caz"},
  {SPLIT("Regex", LLAMA_3, "Isolated", "false"),
    "I'LL don't 1234567 a.b,,\x0d\n  \n  x  y  ", "I|'LL| don|'t| |123|456|7| a|.b|,,\x0d\n|  \n| | x| | y|  "},
  {SPLIT("Regex", QWEN_2, "Isolated", "false"),
    "123 x_y\xe2\x80\x83\xe2\x80\x83z's", "1|2|3| x|_y|\xe2\x80\x83|\xe2\x80\x83z|'s"},
  {SPLIT("Regex", "\\\\p{Lu}?\\\\p{Ll}+|\\\\p{^L}", "Isolated", "false"), "camelCase X1", "camel|Case| |X|1"},
  {SPLIT("Regex", "\\\\w+|[^\\\\w\\\\s]+", "Removed", "true"), "ab, c-d²", "ab|,|c|-|d²"},
  {SPLIT("Regex", "\\\\b", "Isolated", "false"), "ab cd", "ab| |cd"},
  {SPLIT("Regex", "a*", "Isolated", "false"), "baac", "b|aa|c"},
  {SPLIT("Regex", "^a|b$", "Isolated", "false"), "aab\nab", "a|a|b|\n|a|b"},
  {SPLIT("Regex", "a{2}+", "Isolated", "false"), "aaaaab", "aaaa|ab"},
  {SPLIT("Regex", "(?>a|ab)c", "Isolated", "false"), "abcac", "abc|ac"},
  {SPLIT("Regex", "\\\\x41|\\\\x{e9}|\\\\u4e2d|\\\\t", "Isolated", "false"),
    "xA\xc3\xa9y\xe4\xb8\xadz\t!", "x|A|\xc3\xa9|y|\xe4\xb8\xad|z|\t|!"},
  {SPLIT("Regex", "[\\\\s\\\\S]", "Isolated", "false"), "aé", "a|é"},
  {SPLIT("Regex", "[\\\\d.]+?x", "Isolated", "false"), "1.2x3", "1.2x|3"},
  {"{'type':'Punctuation','behavior':'Isolated'}", "Hey, you! a$b «x»", "Hey|,| you|!| a|$|b |«|x|»"},
  {"{'type':'Punctuation','behavior':'Contiguous'}", "a!!b", "a|!!|b"},
  {"{'type':'Punctuation','behavior':'Removed'}", "a,b", "a|b"},
  {"{'type':'Whitespace'}", "Hey, you!  x_1²", "Hey|,|you|!|x_1|²"},
  {"{'type':'WhitespaceSplit'}", "a b\xe3\x80\x80 c,\td", "a|b|c,|d"},
  {"{'type':'Sequence','pretokenizers':[]}", "a b", "a b"},
  {"{'type':'Sequence','pretokenizers':[{'type':'Digits','individual_digits':true}," BYTE_LEVEL("false", "true") "]}",
   "ab 12", "ab|Ġ|1|2"},
  {"{'type':'Sequence','pretokenizers':[{'type':'WhitespaceSplit'}," METASPACE("▁", "first", "true") "]}",
   "ab cd", "▁ab|cd"},
  {"{'type':'Sequence','pretokenizers':[{'type':'WhitespaceSplit'}," METASPACE("▁", "first", "true") "]}",
   " ab", "ab"},
};

static const component_case decoders[] = {
  {NULL, "ab|c", "ab c"},
  {BYTE_LEVEL("true", "true"), "Ġab|Ċ", " ab\n"},
  {BYTE_LEVEL("true", "true"), "Ã|©", "é"},
  {BYTE_LEVEL("true", "true"), "Ã|x", "�x"},
  {BYTE_LEVEL("true", "true"), "中Ġ|a", "中Ġa"},
  {REPLACE("String", "▁", " "), "▁a▁|b▁", " a b "},
  {REPLACE("Regex", "[ab]+", "-"), "ab|xb", "-x-"},
  {"{'type':'ByteFallback'}", "<0xE2>|<0x82>|<0xAC>|x", "€x"},
  {"{'type':'ByteFallback'}", "<0xE2>|<0x82>|x", "��x"},
  {"{'type':'ByteFallback'}", "<0xZZ>|<0x41", "<0xZZ><0x41"},
  {"{'type':'ByteFallback'}", "<0x6a>", "j"},
  {"{'type':'ByteFallback'}", "<0xFF>|<0x41>", "��"},
  {"{'type':'Fuse'}", "a|b|c", "abc"},
  {"{'type':'Strip','content':' ','start':1,'stop':0}", "  a| b", " ab"},
  {"{'type':'Strip','content':'x','start':2,'stop':1}", "xxxaxx", "xax"},
  {METASPACE("▁", "always", "true"), "▁ab|▁c▁", "ab c "},
  {METASPACE("▁", "never", "true"), "▁ab|▁c", " ab c"},
  {LLAMA_2_DECODER, "▁Hi|▁|<0xC3>|<0xA9>|!", "Hi é!"},
  {LLAMA_2_DECODER, "▁|▁a", " a"},
  {LLAMA_2_DECODER, "", ""},
  {"{'type':'Sequence','decoders':[]}", "a|b", "ab"},
};

static json_t *parse(const char *text) {
  char *json = json_of(text);
  json_t *root = NULL;
  ellm_error err = {0};
  if (json_parse(json, strlen(json), "t.json", &root, &err) != ELLM_OK) fail_msg("%s: %s", err.message, json);
  free(json);
  return root;
}

static void compare(const component_case *c, const ellm_buffer *got) {
  if (got->size == strlen(c->expected) &&
      memcmp(got->data ? got->data : (const uint8_t *)"", c->expected, got->size) == 0) {
    return;
  }
  fail_msg("%s of \"%s\"\ngot    \"%.*s\"\nwanted \"%s\"", c->component ? c->component : "no component", c->input,
           (int)got->size, (const char *)got->data, c->expected);
}

static void add(ellm_buffer *out, const void *data, size_t bytes) {
  assert_true(bytes == 0 || ellm_buffer_append(out, data, bytes));
}

static void test_normalizers(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof normalizers / sizeof normalizers[0]; ++i) {
    const component_case *c = &normalizers[i];
    json_t *json = parse(c->component);
    normalizer n = {0};
    regex_scratch scratch = {0};
    ellm_buffer text = {0}, spare = {0};
    size_t origin = 0;
    ellm_error err = {0};
    if (normalizer_load(json, "t.json", &n, &err) != ELLM_OK) fail_msg("%s: %s", c->component, err.message);
    add(&text, c->input, strlen(c->input));
    if (normalize(&n, &scratch, &text, &spare, &origin, &err) != ELLM_OK) fail_msg("%s: %s", c->component, err.message);
    compare(c, &text);
    ellm_buffer_free(&text);
    ellm_buffer_free(&spare);
    regex_scratch_free(&scratch);
    normalizer_free(&n);
    json_decref(json);
  }
}

static void test_pretokenizers(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof pretokenizers / sizeof pretokenizers[0]; ++i) {
    const component_case *c = &pretokenizers[i];
    json_t *json = parse(c->component);
    pretokenizer p = {0};
    regex_scratch scratch = {0};
    split_state split = {0};
    ellm_buffer joined = {0};
    ellm_error err = {0};
    if (pretokenizer_load(json, "t.json", &p, &err) != ELLM_OK) fail_msg("%s: %s", c->component, err.message);
    add(&split.text, c->input, strlen(c->input));
    assert_true(piece_list_append(&split.pieces, 0, strlen(c->input), strlen(c->input) > 0));
    if (pretokenize(&p, &scratch, &split, &err) != ELLM_OK) fail_msg("%s: %s", c->component, err.message);
    for (size_t k = 0; k < split.pieces.count; ++k) {
      const text_piece *piece = &split.pieces.items[k];
      assert_true(piece->start < piece->end && piece->end <= split.text.size);
      if (k > 0) add(&joined, "|", 1);
      add(&joined, split.text.data + piece->start, piece->end - piece->start);
    }
    compare(c, &joined);
    ellm_buffer_free(&joined);
    split_state_free(&split);
    regex_scratch_free(&scratch);
    pretokenizer_free(&p);
    json_decref(json);
  }
}

static void test_decoders(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof decoders / sizeof decoders[0]; ++i) {
    const component_case *c = &decoders[i];
    json_t *json = c->component ? parse(c->component) : NULL;
    decoder d = {0};
    regex_scratch scratch = {0};
    string_list list = {0};
    ellm_error err = {0};
    if (decoder_load(json, "t.json", &d, &err) != ELLM_OK) fail_msg("%s: %s", c->component, err.message);
    assert_true(d.present == (json != NULL));
    for (const char *at = c->input; *at;) { /* without a decoder the tokenizer puts spaces between */
      size_t length = strcspn(at, "|");
      if (!d.present && at > c->input) add(&list.text, " ", 1);
      add(&list.text, at, length);
      assert_true(string_list_end(&list));
      at += length + (at[length] == '|');
    }
    if (decode_strings(&d, &scratch, &list, &err) != ELLM_OK) fail_msg("%s: %s", c->component, err.message);
    compare(c, &list.text);
    string_list_free(&list);
    regex_scratch_free(&scratch);
    decoder_free(&d);
    json_decref(json);
  }
}

/* ----------------------------------------------------------------- refusals */

#define MODEL "'model':{'type':'BPE','vocab':{'a':0,'b':1,'<s>':2},'merges':[]}"

static void refused(const char *field, const char *value, const char *part) {
  char text[4096];
  if (field) assert_true(snprintf(text, sizeof text, "{" MODEL ",'%s':%s}", field, value) < (int)sizeof text);
  else assert_true(snprintf(text, sizeof text, "%s", value) < (int)sizeof text);
  char *json = json_of(text);
  ellm_tokenizer *t = NULL;
  ellm_error err = {0};
  if (tokenizer_of_bytes(json, strlen(json), &t, &err) != ELLM_ERR_INPUT) fail_msg("not refused: %s", json);
  if (strncmp(err.message, "t.json: ", 8) != 0 || !strstr(err.message, part)) {
    fail_msg("%s\nmessage: %s\nwanted:  %s", json, err.message, part);
  }
  free(json);
}

static void test_refused_components(void **state) {
  (void)state;
  static const struct { const char *field, *value, *part;
  } cases[] = {
      {"version", "'2.0'", "version \"2.0\""},
      {"normalizer", "{'type':'Precompiled','precompiled_charsmap':'AA=='}",
       "normalizer: Precompiled: precompiled_charsmap of 1 bytes"},
      {"normalizer", "{'type':'Precompiled','precompiled_charsmap':'AA=A'}", "precompiled_charsmap is not base64"},
      {"normalizer", "{'type':'Precompiled','precompiled_charsmap':'AAA'}", "precompiled_charsmap is not base64"},
      {"normalizer", "{'type':'Precompiled'}", "\"precompiled_charsmap\" is missing, a string is expected"},
      {"normalizer", "{'type':'Precompiled','precompiled_charsmap':'CAAAAAAAAAA='}", "an array of 8 bytes does not fit"},
      {"normalizer", "{'type':'Precompiled','precompiled_charsmap':'BAAAAAAAAABh'}", "are not UTF-8 that ends with NUL"},
      {"normalizer", "{'type':'Precompiled','precompiled_charsmap':'BAAAAAAAAAD/AA=='}", "are not UTF-8 that"},
      {"normalizer", "{'type':'BertNormalizer'}", "normalizer of type \"BertNormalizer\""},
      {"normalizer", "{'type':'Sequence','normalizers':[{'type':'NFC'},{'type':'Nmt'}]}", "normalizer of type \"Nmt\""},
      {"normalizer", "{'type':'Sequence'}", "Sequence without \"normalizers\""},
      {"normalizer", "{'type':'Sequence','normalizers':[null]}", "item 0"},
      {"normalizer", "{'type':7}", "normalizer has no type"},
      {"normalizer", "'NFC'", "normalizer is \"NFC\", an object"},
      {"normalizer", "{'type':'Strip','strip_left':true}", "\"strip_right\" is missing"},
      {"normalizer", "{'type':'Prepend'}", "\"prepend\" is missing"},
      {"normalizer", REPLACE("Regex", "a*", "b"), "matches the empty string"},
      {"normalizer", REPLACE("String", "", "b"), "empty pattern"},
      {"normalizer", "{'type':'Replace','pattern':'a','content':'b'}", "\"pattern\" is \"a\", an object of one field"},
      {"normalizer", REPLACE("Glob", "a", "b"), "\"Regex\" is missing"},
      {"pre_tokenizer", "{'type':'BertPreTokenizer'}", "pre_tokenizer of type \"BertPreTokenizer\""},
      {"pre_tokenizer", "{'type':'CharDelimiterSplit','delimiter':' '}",
       "pre_tokenizer of type \"CharDelimiterSplit\""},
      {"pre_tokenizer", "{'type':'UnicodeScripts'}", "pre_tokenizer of type \"UnicodeScripts\""},
      {"pre_tokenizer", SPLIT("Regex", "a", "Eaten", "false"), "behavior \"Eaten\""},
      {"pre_tokenizer", SPLIT("Regex", "a", "Isolated", "0"), "\"invert\" is 0, true or false"},
      {"pre_tokenizer", METASPACE("ab", "first", "true"), "\"replacement\" is \"ab\", one character"},
      {"pre_tokenizer", METASPACE("_", "last", "true"), "prepend_scheme \"last\""},
      {"pre_tokenizer", "{'type':'Metaspace','replacement':'_','prepend_scheme':'first','add_prefix_space':false}",
       "add_prefix_space"},
      {"pre_tokenizer", "{'type':'Digits'}", "\"individual_digits\" is missing, true or false is expected"},
      {"post_processor", "{'type':'TemplateProcessing','single':[]}", "does not hold sequence A"},
      {"post_processor", "{'type':'TemplateProcessing','single':[{'Sequence':{'id':'B'}}]}", "sequence A once"},
      {"post_processor", "{'type':'TemplateProcessing','single':[{'SpecialToken':{'id':'<s>'}}]}",
       "\"<s>\" of the template is not defined"},
      {"post_processor",
       "{'type':'TemplateProcessing','single':[{'SpecialToken':{'id':'x'}}],'special_tokens':{'x':{'ids':[-1]}}}",
       "id of special token \"x\" is -1, a number from 0"},
      {"decoder", "{'type':'WordPiece','prefix':'##','cleanup':true}", "decoder of type \"WordPiece\""},
      {"decoder", "{'type':'BPEDecoder','suffix':'</w>'}", "decoder of type \"BPEDecoder\""},
      {"decoder", "{'type':'CTC'}", "decoder of type \"CTC\""},
      {"decoder", "{'type':'Strip','content':' ','start':-1,'stop':0}", "\"start\" is -1, a number from 0"},
      {"decoder", "{'type':'Strip','content':' ','start':0,'stop':4294967296}", "\"stop\" is 4294967296, a number"},
      {"added_tokens", "{}", "added_tokens is {}, an array"},
      {"added_tokens", "[7]", "added_tokens[0] is 7, an object"},
      {"truncation", "null},", "t.json"},
      {NULL, "", "t.json"},
      {NULL, "[]", "not a JSON object"},
      {NULL, "{}", "model is missing"},
      {NULL, "{'model':[]}", "model is [], an object"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) refused(cases[i].field, cases[i].value, cases[i].part);
}

static void test_refused_patterns(void **state) {
  (void)state;
  static const struct { const char *pattern, *part; } cases[] = {
    {"(a", "group without end"}, {"a)", "no group to close"}, {"[a", "class without end"}, {"[]", "empty class"},
    {"*a", "nothing to repeat"}, {"a**", "repetition of a repetition"}, {"a{2}{3}", "repetition of a repetition"},
    {"a{2000}", "interval out of range"}, {"a{3,2}", "interval out of range"}, {"(a)\\\\1", "not supported"},
    {"(?<n>a)", "not supported"}, {"(?x: a)", "not supported"}, {"\\\\p{Linear_B}", "this property"},
    {"\\\\pL", "needs {PROPERTY}"}, {"[a&&]", "empty operand"}, {"[&&a]", "empty operand"},
    {"[[:letter:]]", "no POSIX class"},
    {"[[:Alpha:]]", "no POSIX class"}, {"[[]", "empty class"}, {"[a[b]", "class without end"},
    {"[[a]-z]", "range from a class"},
    {"(?i:[a&&b])", "not supported inside"}, {"(?i:[[:alpha:]])", "not supported inside"},
    {"(?i:[a[^b]])", "not supported inside"},
    {"\\\\X", "this escape"},
    {"[\\\\R]", "not supported inside a class"},
    {"[^[^[:^ascii:]]a]", "not supported in a class inside"},
    {"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[a]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", "nested too deep"},
    {"[z-a]", "no range"}, {"[\\\\d-z]", "range from a class"}, {"\\\\G", "not supported"}, {"\\\\K", "not supported"},
    {"\\\\xff", "a byte, not a character"}, {"\\\\x{110000}", "no character"}, {"\\\\ud800", "no character"},
    {"(?i:\\u00e9)", "only ASCII"}, {"(?i:ss)", "ligature"}, {"", "empty pattern"}, {"(?<=a+)b", "regular expression"},
    {"((((((((((((((((((((((((((((((((((a))))))))))))))))))))))))))))))))))", "nested too deep"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
    char value[512];
    snprintf(value, sizeof value, SPLIT("Regex", "%s", "Isolated", "false"), cases[i].pattern);
    refused("pre_tokenizer", value, cases[i].part);
  }
}

/* Steps and Sequences beyond their limits; JSON deeper than the parser goes. */
static void test_refused_sizes(void **state) {
  (void)state;
  char value[4096] = "{'type':'Sequence','normalizers':[{'type':'NFC'}";
  for (int i = 0; i < COMPONENT_MAX_STEPS; ++i) strcat(value, ",{'type':'NFC'}");
  strcat(value, "]}");
  refused("normalizer", value, "more than 64 steps");
  value[0] = '\0';
  for (int i = 0; i <= COMPONENT_MAX_DEPTH + 1; ++i) strcat(value, "{'type':'Sequence','decoders':[");
  for (int i = 0; i <= COMPONENT_MAX_DEPTH + 1; ++i) strcat(value, "]}");
  refused("decoder", value, "nested too deep");
  memset(value, '[', 4000);
  value[4000] = '\0';
  refused(NULL, value, "t.json");
}

/* A file whose steps would make a gigabyte of a few bytes. */
static void test_growth(void **state) {
  (void)state;
  static const struct { const char *part, *field, *list, *step; } cases[] = {
    {"normalizer", "normalizer", "normalizers", REPLACE("String", "a", "aa")},
    {"normalizer", "normalizer", "normalizers", "{'type':'ByteLevel'}"},
    {"pre-tokenizer", "pre_tokenizer", "pretokenizers", BYTE_LEVEL("false", "false")},
    {"decoder", "decoder", "decoders", REPLACE("Regex", "[a]", "aa")},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
    char text[8192];
    int size = snprintf(text, sizeof text, "{" MODEL ",'%s':{'type':'Sequence','%s':[%s", cases[i].field, cases[i].list,
                        cases[i].step);
    for (int k = 1; k < 40; ++k) size += snprintf(text + size, sizeof text - (size_t)size, ",%s", cases[i].step);
    size += snprintf(text + size, sizeof text - (size_t)size, "]}}");
    assert_true(size < (int)sizeof text);
    char *json = json_of(text), *decoded = NULL;
    ellm_tokenizer *t = NULL;
    ellm_error err = {0};
    uint32_t *ids = NULL, aaa[3] = {0, 0, 0};
    size_t n = 0;
    if (tokenizer_of_bytes(json, strlen(json), &t, &err) != ELLM_OK) fail_msg("%s", err.message);
    ellm_status status = strcmp(cases[i].field, "decoder") == 0
                             ? ellm_tokenizer_decode(t, aaa, 3, false, &decoded, &n, &err)
                             : ellm_tokenizer_encode(t, "aaa é", 6, 0, &ids, &n, &err);
    assert_int_equal(status, ELLM_ERR_INPUT);
    if (!strstr(err.message, cases[i].part)) fail_msg("%s", err.message);
    assert_null(ids);
    assert_null(decoded);
    ellm_tokenizer_free(t);
    free(json);
  }
}

/* A pattern that backtracks without end is an error, not a hang. */
static void test_match_limit(void **state) {
  (void)state;
  char *json =
      json_of("{" MODEL ",'pre_tokenizer':" SPLIT("Regex", "(?:a|a)*(?:a|a)*(?:a|a)*[bc]", "Isolated", "false") "}");
  ellm_tokenizer *t = NULL;
  ellm_error err = {0};
  char text[2001];
  uint32_t *ids = NULL;
  size_t n = 0;
  memset(text, 'a', sizeof text);
  if (tokenizer_of_bytes(json, strlen(json), &t, &err) != ELLM_OK) fail_msg("%s", err.message);
  assert_int_equal(ellm_tokenizer_encode(t, text, sizeof text, 0, &ids, &n, &err), ELLM_ERR_INPUT);
  if (!strstr(err.message, "match limit")) fail_msg("%s", err.message);
  ellm_tokenizer_free(t);
  free(json);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_normalizers),      cmocka_unit_test(test_pretokenizers),
      cmocka_unit_test(test_decoders),         cmocka_unit_test(test_refused_components),
      cmocka_unit_test(test_refused_patterns), cmocka_unit_test(test_refused_sizes),
      cmocka_unit_test(test_growth),           cmocka_unit_test(test_match_limit),
  };
  return cmocka_run_group_tests_name("components", tests, NULL, NULL);
}
