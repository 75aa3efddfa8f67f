/* SPDX-License-Identifier: Apache-2.0 */
/* See gguf_pretokenizer.h. The expressions are those of the models' own tokenizer.json, quoted as JSON. */
#include "source/gguf_pretokenizer.h"

#include <string.h>

#define BYTE_LEVEL "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":true}"
#define TO_BYTES "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":false}"
#define SEQUENCE(first, second) "{\"type\":\"Sequence\",\"pretokenizers\":[" first "," second "]}"
#define DIGITS "{\"type\":\"Digits\",\"individual_digits\":true}"
#define SPLIT(regex)                                                                                    \
  "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" regex "\"},\"behavior\":\"Isolated\",\"invert\":false}"

/* Parts that the expressions have in common. */
#define SHORT_FORMS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define WORD "[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+"
#define SPACES "\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"
#define MARKS " ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*"
#define MARKS_OR_SLASH " ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n/]*"
#define UPPER "[\\\\p{Lu}\\\\p{Lt}\\\\p{Lm}\\\\p{Lo}\\\\p{M}]"
#define LOWER "[\\\\p{Ll}\\\\p{Lm}\\\\p{Lo}\\\\p{M}]"
#define CASED(ending)                                                                            \
  "[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?" UPPER "*" LOWER "+" ending "|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?" UPPER "+" LOWER "*" \
  ending

#define THREE_DIGITS SEQUENCE(SPLIT(SHORT_FORMS "|" WORD "|\\\\p{N}{1,3}|" MARKS "|" SPACES), TO_BYTES)
#define ONE_DIGIT SEQUENCE(SPLIT(SHORT_FORMS "|" WORD "|\\\\p{N}|" MARKS "|" SPACES), TO_BYTES)
#define TEKKEN SEQUENCE(SPLIT(CASED("") "|\\\\p{N}|" MARKS_OR_SLASH "|" SPACES), TO_BYTES)
#define GPT_4O SEQUENCE(SPLIT(CASED(SHORT_FORMS "?") "|\\\\p{N}{1,3}|" MARKS_OR_SLASH "|" SPACES), TO_BYTES)

static const gguf_pretokenizer table[] = {
    {"gpt-2", "null", BYTE_LEVEL, false, false},
    {"smollm", "null", SEQUENCE(DIGITS, BYTE_LEVEL), false, false},
    {"llama-bpe", "null", THREE_DIGITS, true, true},
    {"llama3", "null", THREE_DIGITS, true, true},
    {"llama-v3", "null", THREE_DIGITS, true, true},
    {"smaug-bpe", "null", THREE_DIGITS, false, false},
    {"dbrx", "null", THREE_DIGITS, false, false},
    {"qwen2", "{\"type\":\"NFC\"}", ONE_DIGIT, false, false},
    {"tekken", "null", TEKKEN, true, true},
    {"gpt-4o", "null", GPT_4O, false, false},
};

const gguf_pretokenizer *gguf_pretokenizer_find(gguf_string name) {
  for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    if (strlen(table[i].name) == name.bytes && memcmp(table[i].name, name.data, name.bytes) == 0) return &table[i];
  return NULL;
}

const char *gguf_pretokenizer_names(void) {
  return "gpt-2, smollm, llama-bpe (llama3, llama-v3), smaug-bpe, dbrx, qwen2, tekken and gpt-4o";
}
