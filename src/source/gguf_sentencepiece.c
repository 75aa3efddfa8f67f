/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See gguf_sentencepiece.h. The message is that of sentencepiece_model.proto (text/sentencepiece.c reads it). Types and
 * scores have the same numbers there and here. What differs:
 *
 *   - the unknown piece is named by a key, and often is of type control: in the message it is of type unknown, as no
 *     other is;
 *   - user-defined pieces are written with spaces, as they are in a text, in the message with U+2581;
 *   - `llama` leaves spaces as they are, `t5` may have normalization rules and remove spaces.
 */
#include "source/gguf_sentencepiece.h"

#include <string.h>

#include "base/bytes.h"

#define KEY GGUF_TOKENIZER_KEY

enum { WIRE_VARINT = 0, WIRE_BYTES = 2, WIRE_32 = 5 };
enum {
  MODEL_PIECE = 1, MODEL_TRAINER = 2, MODEL_NORMALIZER = 3, PIECE_TEXT = 1, PIECE_SCORE = 2, PIECE_TYPE = 3,
  TRAINER_MODEL_TYPE = 3, TRAINER_BYTE_FALLBACK = 35, TRAINER_BOS_PIECE = 46, TRAINER_EOS_PIECE = 47,
  NORMALIZER_CHARSMAP = 2, NORMALIZER_PREFIX = 3, NORMALIZER_REMOVE_SPACES = 4
};

static const gguf_sentencepiece_kind kinds[] = {
    {"llama", "LlamaTokenizer", 2, true, true, false, 1, 2, 0},
    {"t5", "T5Tokenizer", 1, false, false, true, -1, 1, 2},
};

const gguf_sentencepiece_kind *gguf_sentencepiece_find(gguf_string model) {
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (gguf_string_is(model, kinds[i].model)) return &kinds[i];
  return NULL;
}

/* ---- the wire format ---- */

static size_t varint(uint64_t value, uint8_t out[10]) {
  size_t n = 0;
  for (; value >= 0x80; value >>= 7) out[n++] = (uint8_t)(value | 0x80);
  out[n++] = (uint8_t)value;
  return n;
}

static bool put_varint(ellm_buffer *out, uint64_t value) {
  uint8_t bytes[10];
  return ellm_buffer_append(out, bytes, varint(value, bytes));
}

static bool put_number(ellm_buffer *out, unsigned field, uint64_t value) {
  return put_varint(out, field << 3 | WIRE_VARINT) && put_varint(out, value);
}

static bool put_bytes(ellm_buffer *out, unsigned field, const void *data, size_t bytes) {
  return put_varint(out, field << 3 | WIRE_BYTES) && put_varint(out, bytes) &&
         (bytes == 0 || ellm_buffer_append(out, data, bytes));
}

/* ---- pieces ---- */

/* U+2581 for each space. */
static bool put_marked(ellm_buffer *out, gguf_string text) {
  bool ok = true;
  for (size_t i = 0; ok && i < text.bytes; i++)
    ok = text.data[i] == ' ' ? ellm_buffer_append(out, "\xE2\x96\x81", 3) : ellm_buffer_append(out, text.data + i, 1);
  return ok;
}

static bool put_piece(ellm_buffer *out, ellm_buffer *marked, gguf_string text, float score, uint8_t type) {
  uint8_t head[32];
  const void *data = text.data;
  size_t bytes = text.bytes, n = 0;
  if (type == GGUF_TOKEN_USER_DEFINED) {
    marked->size = 0;
    if (!put_marked(marked, text)) return false;
    data = marked->data;
    bytes = marked->size;
  }
  uint8_t length[10], message[10];
  const size_t n_length = varint(bytes, length);
  const size_t n_message = varint(1 + n_length + bytes + 5 + 2, message);
  head[n++] = MODEL_PIECE << 3 | WIRE_BYTES;
  memcpy(head + n, message, n_message);
  n += n_message;
  head[n++] = PIECE_TEXT << 3 | WIRE_BYTES;
  memcpy(head + n, length, n_length);
  n += n_length;
  uint8_t tail[7] = {PIECE_SCORE << 3 | WIRE_32, 0, 0, 0, 0, PIECE_TYPE << 3 | WIRE_VARINT, type};
  store_u32(tail + 1, float_bits(score));
  return ellm_buffer_append(out, head, n) && (bytes == 0 || ellm_buffer_append(out, data, bytes)) &&
         ellm_buffer_append(out, tail, sizeof tail);
}

/* The id of a key, else of the kind; -1: none. */
static ellm_status special_id(const gguf_metadata *m, const char *key, int64_t otherwise, uint64_t n, int64_t *id,
                              ellm_error *err) {
  *id = otherwise < (int64_t)n ? otherwise : -1;
  return gguf_find(m, key) != NULL ? gguf_get_integer(m, key, 0, (int64_t)n - 1, id, err) : ELLM_OK;
}

static ellm_status find_unknown(const gguf_metadata *m, const gguf_sentencepiece_kind *kind, const gguf_tokens *tokens,
                                int64_t *id, ellm_error *err) {
  int64_t otherwise = kind->unknown;
  for (uint64_t i = tokens->n; i-- > 0;)
    if (gguf_array_integer(tokens->types, i) == GGUF_TOKEN_UNKNOWN) otherwise = (int64_t)i;
  return special_id(m, KEY "unknown_token_id", otherwise, tokens->n, id, err);
}

static ellm_status put_pieces(const gguf_metadata *m, const gguf_sentencepiece_kind *kind, const gguf_tokens *tokens,
                              ellm_buffer *marked, bool *has_bytes, ellm_buffer *out, ellm_error *err) {
  int64_t unknown;
  ELLM_TRY(find_unknown(m, kind, tokens, &unknown, err));
  for (uint64_t i = 0; i < tokens->n; i++) {
    int64_t type = gguf_array_integer(tokens->types, i);
    if (type < GGUF_TOKEN_NORMAL || type > GGUF_TOKEN_BYTE)
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: key " KEY "token_type: token %llu has type %lld, 1 to 6 are known",
                       m->path, (unsigned long long)i, (long long)type);
    if ((int64_t)i == unknown) type = GGUF_TOKEN_UNKNOWN;
    else if (type == GGUF_TOKEN_UNKNOWN) type = GGUF_TOKEN_CONTROL;
    if (type == GGUF_TOKEN_BYTE) *has_bytes = true;
    const float score = (float)gguf_array_number(tokens->scores, i);
    if (!put_piece(out, marked, tokens->tokens[i], score, (uint8_t)type))
      return ellm_fail_memory(err, out->capacity, "a tokenizer");
  }
  return ELLM_OK;
}

/* ---- options ---- */

static ellm_status put_trainer(const gguf_metadata *m, const gguf_sentencepiece_kind *kind, const gguf_tokens *tokens,
                               bool has_bytes, ellm_buffer *message, ellm_error *err) {
  int64_t bos, eos;
  ELLM_TRY(special_id(m, KEY "bos_token_id", kind->bos, tokens->n, &bos, err));
  ELLM_TRY(special_id(m, KEY "eos_token_id", kind->eos, tokens->n, &eos, err));
  bool ok = put_number(message, TRAINER_MODEL_TYPE, kind->type) &&
            put_number(message, TRAINER_BYTE_FALLBACK, has_bytes);
  if (bos >= 0) ok = ok && put_bytes(message, TRAINER_BOS_PIECE, tokens->tokens[bos].data, tokens->tokens[bos].bytes);
  if (eos >= 0) ok = ok && put_bytes(message, TRAINER_EOS_PIECE, tokens->tokens[eos].data, tokens->tokens[eos].bytes);
  return ok ? ELLM_OK : ellm_fail_memory(err, message->capacity, "a tokenizer");
}

static ellm_status optional_bool(const gguf_metadata *m, const char *key, bool *out, ellm_error *err) {
  return gguf_find(m, key) != NULL ? gguf_get_bool(m, key, out, err) : ELLM_OK;
}

static ellm_status put_normalizer(const gguf_metadata *m, const gguf_sentencepiece_kind *kind, ellm_buffer *message,
                                  ellm_error *err) {
  static const char map_key[] = KEY "precompiled_charsmap";
  bool prefix = kind->adds_space, remove = false, ok = true;
  const bool is_bpe = kind->type == 2; /* where nothing but the prefix is looked at */
  ELLM_TRY(optional_bool(m, KEY "add_space_prefix", &prefix, err));
  if (!is_bpe) ELLM_TRY(optional_bool(m, KEY "remove_extra_whitespaces", &remove, err));
  if (!is_bpe && gguf_find(m, map_key) != NULL) {
    const gguf_value *map = gguf_find(m, map_key);
    const bool is_bytes = map->type == GGUF_VALUE_ARRAY &&
                          (map->element == GGUF_VALUE_U8 || map->element == GGUF_VALUE_I8);
    if (!is_bytes) return ellm_fail(err, ELLM_ERR_INPUT, "%s: key %s is not an array of bytes", m->path, map_key);
    ok = put_bytes(message, NORMALIZER_CHARSMAP, map->data, (size_t)map->n);
  }
  ok = ok && put_number(message, NORMALIZER_PREFIX, prefix) && put_number(message, NORMALIZER_REMOVE_SPACES, remove);
  return ok ? ELLM_OK : ellm_fail_memory(err, message->capacity, "a tokenizer");
}

static ellm_status write_all(const gguf_metadata *m, const gguf_sentencepiece_kind *kind, const gguf_tokens *tokens,
                             ellm_buffer scratch[3], ellm_buffer *out, ellm_error *err) {
  bool has_bytes = false;
  if (tokens->types == NULL)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: key " KEY "token_type is missing", m->path);
  if (tokens->scores == NULL) return ellm_fail(err, ELLM_ERR_INPUT, "%s: key " KEY "scores is missing", m->path);
  ELLM_TRY(put_pieces(m, kind, tokens, &scratch[0], &has_bytes, out, err));
  ELLM_TRY(put_trainer(m, kind, tokens, has_bytes, &scratch[1], err));
  ELLM_TRY(put_normalizer(m, kind, &scratch[2], err));
  const bool ok = put_bytes(out, MODEL_TRAINER, scratch[1].data, scratch[1].size) &&
                  put_bytes(out, MODEL_NORMALIZER, scratch[2].data, scratch[2].size);
  return ok ? ELLM_OK : ellm_fail_memory(err, out->capacity, "a tokenizer");
}

ellm_status gguf_sentencepiece_write(const gguf_metadata *m, const gguf_sentencepiece_kind *kind,
                                     const gguf_tokens *tokens, ellm_buffer *out, ellm_error *err) {
  ellm_buffer scratch[3] = {{0}, {0}, {0}};
  const ellm_status status = write_all(m, kind, tokens, scratch, out, err);
  for (size_t i = 0; i < 3; i++) ellm_buffer_free(&scratch[i]);
  return status;
}
