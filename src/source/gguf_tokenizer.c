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

#include "source/gguf_pretokenizer.h"
#include "source/gguf_sentencepiece.h"
#include "source/gguf_tokens.h"

#define KEY GGUF_TOKENIZER_KEY

#define BYTE_LEVEL "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":true}"

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

/* A number; as often as there are tokens, so not by way of snprintf. */
static bool decimal(ellm_buffer *out, uint64_t number) {
  char digits[20];
  size_t at = sizeof digits;
  do digits[--at] = (char)('0' + number % 10);
  while ((number /= 10) > 0);
  return ellm_buffer_append(out, digits + at, sizeof digits - at);
}

static ellm_status no_memory(const ellm_buffer *out, ellm_error *err) {
  return ellm_fail_memory(err, out->capacity, "a tokenizer");
}

bool gguf_has_tokenizer(const gguf_metadata *m) {
  gguf_string model;
  if (gguf_find(m, KEY "model") == NULL) return false;
  return gguf_get_string(m, KEY "model", &model, NULL) != ELLM_OK || !gguf_string_is(model, "no_vocab");
}

/* The kind of a model with scores; NULL: it is another, or there is none. */
static const gguf_sentencepiece_kind *scored_kind(const gguf_metadata *m) {
  gguf_string model;
  return gguf_get_string(m, KEY "model", &model, NULL) == ELLM_OK ? gguf_sentencepiece_find(model) : NULL;
}

const char *gguf_tokenizer_name(const gguf_metadata *m) {
  return scored_kind(m) != NULL ? "tokenizer.model" : "tokenizer.json";
}

static ellm_status find_pre_tokenizer(const gguf_metadata *m, const gguf_pretokenizer **out, ellm_error *err) {
  gguf_string model, pre;
  ELLM_TRY(gguf_get_string(m, KEY "model", &model, err));
  if (!gguf_string_is(model, "gpt2"))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: key " KEY "model is %.*s, gpt2, llama and t5 are supported", m->path,
                     GGUF_SHOWN(model));
  ELLM_TRY(gguf_get_string(m, KEY "pre", &pre, err));
  *out = gguf_pretokenizer_find(pre);
  if (*out != NULL) return ELLM_OK;
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: key " KEY "pre is %.*s, %s are supported", m->path, GGUF_SHOWN(pre),
                   gguf_pretokenizer_names());
}

static bool add_added_tokens(const gguf_tokens *tokens, ellm_buffer *out) {
  bool ok = text(out, "\"added_tokens\":["), first = true;
  for (uint64_t i = 0; ok && tokens->types != NULL && i < tokens->n; i++) {
    char head[64];
    const int64_t type = gguf_array_integer(tokens->types, i);
    if (type != GGUF_TOKEN_CONTROL && type != GGUF_TOKEN_USER_DEFINED) continue;
    snprintf(head, sizeof head, "%s{\"id\":%llu,\"content\":", first ? "" : ",", (unsigned long long)i);
    ok = text(out, head) && quoted(out, tokens->tokens[i]) &&
         text(out, ",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":false,\"special\":") &&
         text(out, type == GGUF_TOKEN_CONTROL ? "true}" : "false}");
    first = false;
  }
  return ok && text(out, "],");
}

static bool add_vocabulary(const gguf_tokens *tokens, ellm_buffer *out) {
  bool ok = text(out, "\"vocab\":{");
  for (uint64_t i = 0; ok && i < tokens->n; i++)
    ok = quoted(out, tokens->tokens[i]) && text(out, ":") && decimal(out, i) && (i + 1 == tokens->n || text(out, ","));
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

/* The ids that a text has before and after it, each only where the file wants it; -1: none. */
typedef struct text_ends {
  int64_t bos, eos;
} text_ends;

static ellm_status find_end(const gguf_metadata *m, const gguf_tokens *tokens, const char *add_key, bool adds,
                            const char *id_key, int64_t *id, ellm_error *err) {
  *id = -1;
  if (gguf_find(m, add_key) != NULL) ELLM_TRY(gguf_get_bool(m, add_key, &adds, err));
  return adds ? gguf_get_integer(m, id_key, 0, (int64_t)tokens->n - 1, id, err) : ELLM_OK;
}

static bool special_in_template(const gguf_tokens *tokens, int64_t id, ellm_buffer *out) {
  return text(out, "{\"SpecialToken\":{\"id\":") && quoted(out, tokens->tokens[id]) && text(out, ",\"type_id\":0}}");
}

static bool special_defined(const gguf_tokens *tokens, int64_t id, ellm_buffer *out) {
  char number[32];
  const gguf_string token = tokens->tokens[id];
  snprintf(number, sizeof number, "%lld", (long long)id);
  return quoted(out, token) && text(out, ":{\"id\":") && quoted(out, token) && text(out, ",\"ids\":[") &&
         text(out, number) && text(out, "],\"tokens\":[") && quoted(out, token) && text(out, "]}");
}

/* What puts tokens before and after each text, or "null". */
static ellm_status add_post_processor(const gguf_metadata *m, const gguf_tokens *tokens, bool adds_bos,
                                      ellm_buffer *out, ellm_error *err) {
  text_ends ends;
  ELLM_TRY(find_end(m, tokens, KEY "add_bos_token", adds_bos, KEY "bos_token_id", &ends.bos, err));
  ELLM_TRY(find_end(m, tokens, KEY "add_eos_token", false, KEY "eos_token_id", &ends.eos, err));
  if (ends.bos < 0 && ends.eos < 0) return text(out, "\"post_processor\":null,") ? ELLM_OK : no_memory(out, err);
  bool ok = text(out, "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[");
  if (ends.bos >= 0) ok = ok && special_in_template(tokens, ends.bos, out) && text(out, ",");
  ok = ok && text(out, "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}");
  if (ends.eos >= 0) ok = ok && text(out, ",") && special_in_template(tokens, ends.eos, out);
  ok = ok && text(out, "],\"pair\":[{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},"
                       "{\"Sequence\":{\"id\":\"B\",\"type_id\":0}}],\"special_tokens\":{");
  if (ends.bos >= 0) ok = ok && special_defined(tokens, ends.bos, out);
  if (ends.bos >= 0 && ends.eos >= 0 && ends.eos != ends.bos) ok = ok && text(out, ",");
  if (ends.eos >= 0 && ends.eos != ends.bos) ok = ok && special_defined(tokens, ends.eos, out);
  return ok && text(out, "}},") ? ELLM_OK : no_memory(out, err);
}

static ellm_status write_tokenizer(const gguf_metadata *m, gguf_tokens *tokens, ellm_buffer *out, ellm_error *err) {
  const gguf_pretokenizer *pre;
  ELLM_TRY(find_pre_tokenizer(m, &pre, err));
  ELLM_TRY(gguf_tokens_find(m, tokens, err));
  if (!text(out, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"normalizer\":") ||
      !text(out, pre->normalizer) || !text(out, ",\"pre_tokenizer\":") || !text(out, pre->json) || !text(out, ",") ||
      !add_added_tokens(tokens, out))
    return no_memory(out, err);
  ELLM_TRY(add_post_processor(m, tokens, pre->adds_bos, out, err));
  if (!text(out, "\"decoder\":" BYTE_LEVEL ",\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
                 "\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,\"fuse_unk\":false,"
                 "\"byte_fallback\":false,\"ignore_merges\":") ||
      !text(out, pre->ignore_merges ? "true," : "false,") || !add_vocabulary(tokens, out))
    return no_memory(out, err);
  ELLM_TRY(add_merges(m, out, err));
  return text(out, "}}") ? ELLM_OK : no_memory(out, err);
}

static ellm_status write_scored(const gguf_metadata *m, const gguf_sentencepiece_kind *kind, gguf_tokens *tokens,
                                ellm_buffer *out, ellm_error *err) {
  ELLM_TRY(gguf_tokens_find(m, tokens, err));
  return gguf_sentencepiece_write(m, kind, tokens, out, err);
}

ellm_status gguf_tokenizer(const gguf_metadata *m, ellm_buffer *out, ellm_error *err) {
  gguf_tokens tokens = {0};
  const gguf_sentencepiece_kind *kind = scored_kind(m);
  const ellm_status status =
      kind != NULL ? write_scored(m, kind, &tokens, out, err) : write_tokenizer(m, &tokens, out, err);
  free(tokens.tokens);
  return status;
}

/* "FIELD":"TOKEN", where the key of its id is there, or there is an id without it. */
static ellm_status add_special(const gguf_metadata *m, const gguf_tokens *tokens, const char *key, int64_t otherwise,
                               const char *field, ellm_buffer *out, ellm_error *err) {
  int64_t id = otherwise;
  if (gguf_find(m, key) == NULL && (id < 0 || id >= (int64_t)tokens->n)) return ELLM_OK;
  if (gguf_find(m, key) != NULL)
    ELLM_TRY(gguf_get_integer(m, key, 0, (int64_t)tokens->n - 1, &id, err));
  const bool ok = text(out, "\"") && text(out, field) && text(out, "\":") && quoted(out, tokens->tokens[id]) &&
                  text(out, ",");
  return ok ? ELLM_OK : no_memory(out, err);
}

/* Of models with scores: what is before and after a text, which of others is in tokenizer.json. */
static ellm_status add_ends(const gguf_metadata *m, const gguf_sentencepiece_kind *kind, ellm_buffer *out,
                            ellm_error *err) {
  bool bos = kind->adds_bos, eos = kind->adds_eos;
  if (gguf_find(m, KEY "add_bos_token") != NULL) ELLM_TRY(gguf_get_bool(m, KEY "add_bos_token", &bos, err));
  if (gguf_find(m, KEY "add_eos_token") != NULL) ELLM_TRY(gguf_get_bool(m, KEY "add_eos_token", &eos, err));
  const bool ok = text(out, "\"add_bos_token\":") && text(out, bos ? "true," : "false,") &&
                  text(out, "\"add_eos_token\":") && text(out, eos ? "true," : "false,");
  return ok ? ELLM_OK : no_memory(out, err);
}

static ellm_status write_config(const gguf_metadata *m, gguf_tokens *tokens, ellm_buffer *out, ellm_error *err) {
  const gguf_sentencepiece_kind *kind = scored_kind(m);
  gguf_string chat_template;
  ELLM_TRY(gguf_tokens_find(m, tokens, err));
  if (!text(out, "{")) return no_memory(out, err);
  ELLM_TRY(add_special(m, tokens, KEY "bos_token_id", kind ? kind->bos : -1, "bos_token", out, err));
  ELLM_TRY(add_special(m, tokens, KEY "eos_token_id", kind ? kind->eos : -1, "eos_token", out, err));
  ELLM_TRY(add_special(m, tokens, KEY "unknown_token_id", kind ? kind->unknown : -1, "unk_token", out, err));
  ELLM_TRY(add_special(m, tokens, KEY "padding_token_id", -1, "pad_token", out, err));
  if (kind != NULL) ELLM_TRY(add_ends(m, kind, out, err));
  if (gguf_find(m, "tokenizer.chat_template") != NULL) {
    ELLM_TRY(gguf_get_string(m, "tokenizer.chat_template", &chat_template, err));
    if (!text(out, "\"chat_template\":") || !quoted(out, chat_template) || !text(out, ",")) return no_memory(out, err);
  }
  const bool ok = text(out, "\"tokenizer_class\":\"") &&
                  text(out, kind ? kind->class_name : "PreTrainedTokenizerFast") && text(out, "\"}");
  return ok ? ELLM_OK : no_memory(out, err);
}

ellm_status gguf_tokenizer_config(const gguf_metadata *m, ellm_buffer *out, ellm_error *err) {
  gguf_tokens tokens = {0};
  const ellm_status status = write_config(m, &tokens, out, err);
  free(tokens.tokens);
  return status;
}
