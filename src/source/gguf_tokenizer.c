/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON is written piece by piece: a vocabulary of 262,144 tokens as a tree in memory would take longer than all the
 * rest of opening a file. How a text is cut into words is only a name in GGUF files ("pre"), which stands for the
 * pre-tokenizer of the model that it is called after.
 */
#include "source/gguf_tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY "tokenizer.ggml."

enum { TOKEN_CONTROL = 3, TOKEN_USER_DEFINED = 4 };

typedef struct pre_tokenizer {
  const char *pre, *json;
} pre_tokenizer;

#define BYTE_LEVEL "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":true}"

static const pre_tokenizer pre_tokenizers[] = {
    {"gpt-2", BYTE_LEVEL},
    {"smollm", "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\",\"individual_digits\":true}," BYTE_LEVEL
               "]}"},
};

typedef struct token_list {
  gguf_string *tokens;
  uint64_t n;
  const gguf_value *types; /* NULL: all are ordinary */
} token_list;

static bool string_is(gguf_string string, const char *text) {
  return string.bytes == strlen(text) && memcmp(string.data, text, string.bytes) == 0;
}

static bool text(ellm_buffer *out, const char *piece) { return ellm_buffer_append(out, piece, strlen(piece)); }

/* A JSON string. What is no UTF-8 is found by those who read the file. */
static bool quoted(ellm_buffer *out, gguf_string string) {
  bool ok = text(out, "\"");
  size_t plain = 0; /* from here on nothing is written yet */
  for (size_t i = 0; ok && i < string.bytes; i++) {
    const unsigned char c = (unsigned char)string.data[i];
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    char escape[8];
    snprintf(escape, sizeof escape, c < 0x20 ? "\\u%04x" : "\\%c", c);
    ok = ellm_buffer_append(out, string.data + plain, i - plain) && text(out, escape);
    plain = i + 1;
  }
  return ok && ellm_buffer_append(out, string.data + plain, string.bytes - plain) && text(out, "\"");
}

static ellm_status no_memory(const ellm_buffer *out, ellm_error *err) {
  return ellm_fail_memory(err, out->capacity, "a tokenizer");
}

bool gguf_has_tokenizer(const gguf_metadata *m) {
  gguf_string model;
  if (gguf_find(m, KEY "model") == NULL) return false;
  return gguf_get_string(m, KEY "model", &model, NULL) != ELLM_OK || !string_is(model, "no_vocab");
}

static ellm_status find_pre_tokenizer(const gguf_metadata *m, const char **json, ellm_error *err) {
  gguf_string model, pre;
  ELLM_TRY(gguf_get_string(m, KEY "model", &model, err));
  if (!string_is(model, "gpt2"))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: key " KEY "model is %.*s, gpt2 is supported", m->path,
                     GGUF_SHOWN(model));
  ELLM_TRY(gguf_get_string(m, KEY "pre", &pre, err));
  for (size_t i = 0; i < sizeof pre_tokenizers / sizeof *pre_tokenizers; i++) {
    if (!string_is(pre, pre_tokenizers[i].pre)) continue;
    *json = pre_tokenizers[i].json;
    return ELLM_OK;
  }
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: key " KEY "pre is %.*s, gpt-2 and smollm are supported", m->path,
                   GGUF_SHOWN(pre));
}

/* tokens->tokens is to be freed by the caller, also after an error. */
static ellm_status find_tokens(const gguf_metadata *m, token_list *tokens, ellm_error *err) {
  const gguf_value *list;
  ELLM_TRY(gguf_get_array(m, KEY "tokens", GGUF_VALUE_STRING, &list, err));
  if (gguf_find(m, KEY "token_type") != NULL) {
    ELLM_TRY(gguf_get_array(m, KEY "token_type", GGUF_VALUE_I32, &tokens->types, err));
    if (tokens->types->n != list->n) {
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: key " KEY "token_type has %llu elements, there are %llu tokens",
                       m->path,
                       (unsigned long long)tokens->types->n, (unsigned long long)list->n);
    }
  }
  tokens->n = list->n; /* each takes 8 bytes of the file at least */
  tokens->tokens = malloc((size_t)list->n * sizeof *tokens->tokens + 1);
  if (tokens->tokens == NULL) return ellm_fail_memory(err, (size_t)list->n * sizeof *tokens->tokens, "a vocabulary");
  gguf_array_strings(list, tokens->tokens);
  return ELLM_OK;
}

static bool add_added_tokens(const token_list *tokens, ellm_buffer *out) {
  bool ok = text(out, "\"added_tokens\":["), first = true;
  for (uint64_t i = 0; ok && tokens->types != NULL && i < tokens->n; i++) {
    char head[64];
    const int64_t type = gguf_array_integer(tokens->types, i);
    if (type != TOKEN_CONTROL && type != TOKEN_USER_DEFINED) continue;
    snprintf(head, sizeof head, "%s{\"id\":%llu,\"content\":", first ? "" : ",", (unsigned long long)i);
    ok = text(out, head) && quoted(out, tokens->tokens[i]) &&
         text(out, ",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":false,\"special\":") &&
         text(out, type == TOKEN_CONTROL ? "true}" : "false}");
    first = false;
  }
  return ok && text(out, "],");
}

static bool add_vocabulary(const token_list *tokens, ellm_buffer *out) {
  bool ok = text(out, "\"vocab\":{");
  for (uint64_t i = 0; ok && i < tokens->n; i++) {
    char id[32];
    snprintf(id, sizeof id, ":%llu%s", (unsigned long long)i, i + 1 < tokens->n ? "," : "");
    ok = quoted(out, tokens->tokens[i]) && text(out, id);
  }
  return ok && text(out, "},");
}

static ellm_status add_merges(const gguf_metadata *m, ellm_buffer *out, ellm_error *err) {
  const gguf_value *list;
  ELLM_TRY(gguf_get_array(m, KEY "merges", GGUF_VALUE_STRING, &list, err));
  gguf_string *merges = malloc((size_t)list->n * sizeof *merges + 1);
  if (merges == NULL) return ellm_fail_memory(err, (size_t)list->n * sizeof *merges, "merges");
  gguf_array_strings(list, merges);
  bool ok = text(out, "\"merges\":[");
  for (uint64_t i = 0; ok && i < list->n; i++) ok = text(out, i > 0 ? "," : "") && quoted(out, merges[i]);
  free(merges);
  return ok && text(out, "]") ? ELLM_OK : no_memory(out, err);
}

/* What puts the beginning-of-sequence token before each text, or "null". */
static ellm_status add_post_processor(const gguf_metadata *m, const token_list *tokens, ellm_buffer *out,
                                      ellm_error *err) {
  bool bos = false, eos = false;
  int64_t id;
  char number[32];
  if (gguf_find(m, KEY "add_bos_token") != NULL) ELLM_TRY(gguf_get_bool(m, KEY "add_bos_token", &bos, err));
  if (gguf_find(m, KEY "add_eos_token") != NULL) ELLM_TRY(gguf_get_bool(m, KEY "add_eos_token", &eos, err));
  if (eos) return ellm_fail(err, ELLM_ERR_INPUT, "%s: key " KEY "add_eos_token true is not supported", m->path);
  if (!bos) return text(out, "\"post_processor\":null,") ? ELLM_OK : no_memory(out, err);
  ELLM_TRY(gguf_get_integer(m, KEY "bos_token_id", 0, (int64_t)tokens->n - 1, &id, err));
  const gguf_string token = tokens->tokens[id];
  snprintf(number, sizeof number, "%lld", (long long)id);
  const bool ok = text(out,
                       "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":") &&
                  quoted(out, token) &&
                  text(out, ",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],\"pair\":["
                            "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},{\"Sequence\":{\"id\":\"B\",\"type_id\":0}}],"
                            "\"special_tokens\":{") &&
                  quoted(out, token) && text(out, ":{\"id\":") && quoted(out, token) && text(out, ",\"ids\":[") &&
                  text(out, number) && text(out, "],\"tokens\":[") && quoted(out, token) && text(out, "]}}},");
  return ok ? ELLM_OK : no_memory(out, err);
}

static ellm_status write_tokenizer(const gguf_metadata *m, token_list *tokens, ellm_buffer *out, ellm_error *err) {
  const char *pre;
  ELLM_TRY(find_pre_tokenizer(m, &pre, err));
  ELLM_TRY(find_tokens(m, tokens, err));
  if (!text(out, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"normalizer\":null,\"pre_tokenizer\":") ||
      !text(out, pre) || !text(out, ",") || !add_added_tokens(tokens, out))
    return no_memory(out, err);
  ELLM_TRY(add_post_processor(m, tokens, out, err));
  if (!text(out, "\"decoder\":" BYTE_LEVEL ",\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
                 "\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,\"fuse_unk\":false,"
                 "\"byte_fallback\":false,\"ignore_merges\":false,") ||
      !add_vocabulary(tokens, out))
    return no_memory(out, err);
  ELLM_TRY(add_merges(m, out, err));
  return text(out, "}}") ? ELLM_OK : no_memory(out, err);
}

ellm_status gguf_tokenizer(const gguf_metadata *m, ellm_buffer *out, ellm_error *err) {
  token_list tokens = {0};
  const ellm_status status = write_tokenizer(m, &tokens, out, err);
  free(tokens.tokens);
  return status;
}

/* "FIELD":"TOKEN", where the key of its id is there. */
static ellm_status add_special(const gguf_metadata *m, const token_list *tokens, const char *key, const char *field,
                               ellm_buffer *out, ellm_error *err) {
  int64_t id;
  if (gguf_find(m, key) == NULL) return ELLM_OK;
  ELLM_TRY(gguf_get_integer(m, key, 0, (int64_t)tokens->n - 1, &id, err));
  const bool ok = text(out, "\"") && text(out, field) && text(out, "\":") && quoted(out, tokens->tokens[id]) &&
                  text(out, ",");
  return ok ? ELLM_OK : no_memory(out, err);
}

static ellm_status write_config(const gguf_metadata *m, token_list *tokens, ellm_buffer *out, ellm_error *err) {
  gguf_string chat_template;
  ELLM_TRY(find_tokens(m, tokens, err));
  if (!text(out, "{")) return no_memory(out, err);
  ELLM_TRY(add_special(m, tokens, KEY "bos_token_id", "bos_token", out, err));
  ELLM_TRY(add_special(m, tokens, KEY "eos_token_id", "eos_token", out, err));
  ELLM_TRY(add_special(m, tokens, KEY "unknown_token_id", "unk_token", out, err));
  ELLM_TRY(add_special(m, tokens, KEY "padding_token_id", "pad_token", out, err));
  if (gguf_find(m, "tokenizer.chat_template") != NULL) {
    ELLM_TRY(gguf_get_string(m, "tokenizer.chat_template", &chat_template, err));
    if (!text(out, "\"chat_template\":") || !quoted(out, chat_template) || !text(out, ",")) return no_memory(out, err);
  }
  return text(out, "\"tokenizer_class\":\"PreTrainedTokenizerFast\"}") ? ELLM_OK : no_memory(out, err);
}

ellm_status gguf_tokenizer_config(const gguf_metadata *m, ellm_buffer *out, ellm_error *err) {
  token_list tokens = {0};
  const ellm_status status = write_config(m, &tokens, out, err);
  free(tokens.tokens);
  return status;
}
