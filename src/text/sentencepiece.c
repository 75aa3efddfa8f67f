/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See sentencepiece.h. The file is a message ModelProto of sentencepiece_model.proto: pieces (1), the trainer's options
 * (2), those of the normalizer (3), a self-test (4), and a denormalizer (5). Fields that are not read here were only of
 * use while the model was trained.
 */
#include "text/sentencepiece.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "text/protobuf.h"
#include "text/sentencepiece_config.h"
#include "text/tokenizer_build.h"
#include "text/tokenizer_parts.h"

/* Fields of the messages. */
enum {
  MODEL_PIECE = 1, MODEL_TRAINER = 2, MODEL_NORMALIZER = 3, MODEL_DENORMALIZER = 5,
  PIECE_TEXT = 1, PIECE_SCORE = 2, PIECE_TYPE = 3,
  TRAINER_MODEL_TYPE = 3, TRAINER_SUFFIX = 24, TRAINER_BYTE_FALLBACK = 35, TRAINER_BOS_PIECE = 46,
  TRAINER_EOS_PIECE = 47,
  NORMALIZER_CHARSMAP = 2, NORMALIZER_PREFIX = 3, NORMALIZER_REMOVE_SPACES = 4, NORMALIZER_ESCAPE = 5
};
enum { MODEL_UNIGRAM = 1, MODEL_BPE = 2 };

typedef struct byte_range { const uint8_t *data; size_t bytes; } byte_range;

/* What of a file is looked at. */
typedef struct proto {
  const char *origin;
  const void *data;
  size_t bytes;
  size_t n_pieces;
  uint64_t type;
  bool suffix, byte_fallback, prefix, remove_spaces, escape;
  byte_range charsmap, denormalizer;
  byte_range bos, eos; /* pieces */
} proto;

static ellm_status damaged(const proto *p, const protobuf_reader *reader, const char *message, ellm_error *err) {
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: no SentencePiece model: %s %s at byte %zu", p->origin, message,
                   reader->problem, (size_t)(reader->at - (const uint8_t *)p->data));
}

static ellm_status wrong_type(const proto *p, const char *field, ellm_error *err) {
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: no SentencePiece model: %s has another type", p->origin, field);
}

/* A field of a message that is read: as a bool, or as bytes where `bytes` is not NULL. */
static ellm_status take(const proto *p, const protobuf_field *field, const char *name, bool *flag, byte_range *bytes,
                        ellm_error *err) {
  if (field->type != (bytes ? PROTOBUF_BYTES : PROTOBUF_VARINT)) return wrong_type(p, name, err);
  if (bytes) *bytes = (byte_range){field->data, field->bytes};
  else *flag = field->value != 0;
  return ELLM_OK;
}

static ellm_status read_trainer(proto *p, const protobuf_field *message, ellm_error *err) {
  protobuf_reader reader = protobuf_over(message->data, message->bytes);
  protobuf_field field;
  while (protobuf_next(&reader, &field)) {
    switch (field.number) {
      case TRAINER_MODEL_TYPE:
        if (field.type != PROTOBUF_VARINT) return wrong_type(p, "trainer_spec.model_type", err);
        p->type = field.value;
        break;
      case TRAINER_SUFFIX: ELLM_TRY(take(p, &field, "treat_whitespace_as_suffix", &p->suffix, NULL, err)); break;
      case TRAINER_BYTE_FALLBACK: ELLM_TRY(take(p, &field, "byte_fallback", &p->byte_fallback, NULL, err)); break;
      case TRAINER_BOS_PIECE: ELLM_TRY(take(p, &field, "bos_piece", NULL, &p->bos, err)); break;
      case TRAINER_EOS_PIECE: ELLM_TRY(take(p, &field, "eos_piece", NULL, &p->eos, err)); break;
      default: break;
    }
  }
  return reader.problem ? damaged(p, &reader, "trainer_spec", err) : ELLM_OK;
}

static ellm_status read_normalizer(proto *p, const protobuf_field *message, ellm_error *err) {
  protobuf_reader reader = protobuf_over(message->data, message->bytes);
  protobuf_field field;
  while (protobuf_next(&reader, &field)) {
    switch (field.number) {
      case NORMALIZER_CHARSMAP: ELLM_TRY(take(p, &field, "precompiled_charsmap", NULL, &p->charsmap, err)); break;
      case NORMALIZER_PREFIX: ELLM_TRY(take(p, &field, "add_dummy_prefix", &p->prefix, NULL, err)); break;
      case NORMALIZER_REMOVE_SPACES:
        ELLM_TRY(take(p, &field, "remove_extra_whitespaces", &p->remove_spaces, NULL, err));
        break;
      case NORMALIZER_ESCAPE: ELLM_TRY(take(p, &field, "escape_whitespaces", &p->escape, NULL, err)); break;
      default: break;
    }
  }
  return reader.problem ? damaged(p, &reader, "normalizer_spec", err) : ELLM_OK;
}

static ellm_status read_denormalizer(proto *p, const protobuf_field *message, ellm_error *err) {
  protobuf_reader reader = protobuf_over(message->data, message->bytes);
  protobuf_field field;
  while (protobuf_next(&reader, &field))
    if (field.number == NORMALIZER_CHARSMAP)
      ELLM_TRY(take(p, &field, "denormalizer_spec", NULL, &p->denormalizer, err));
  return reader.problem ? damaged(p, &reader, "denormalizer_spec", err) : ELLM_OK;
}

/* All but the pieces, which are counted. */
static ellm_status read_options(proto *p, ellm_error *err) {
  protobuf_reader reader = protobuf_over(p->data, p->bytes);
  protobuf_field field;
  while (protobuf_next(&reader, &field)) {
    const bool known = field.number <= MODEL_NORMALIZER || field.number == MODEL_DENORMALIZER;
    if (known && field.type != PROTOBUF_BYTES) return wrong_type(p, "a message", err);
    if (field.number == MODEL_PIECE) p->n_pieces++;
    if (field.number == MODEL_TRAINER) ELLM_TRY(read_trainer(p, &field, err));
    if (field.number == MODEL_NORMALIZER) ELLM_TRY(read_normalizer(p, &field, err));
    if (field.number == MODEL_DENORMALIZER) ELLM_TRY(read_denormalizer(p, &field, err));
  }
  if (reader.problem) return damaged(p, &reader, "the file", err);
  if (p->n_pieces == 0) return ellm_fail(err, ELLM_ERR_INPUT, "%s: no SentencePiece model: no pieces", p->origin);
  return ELLM_OK;
}

static ellm_status check_options(const proto *p, ellm_error *err) {
  static const char *const types[] = {"0", "UNIGRAM", "BPE", "WORD", "CHAR"};
  if (p->type != MODEL_UNIGRAM && p->type != MODEL_BPE) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: model_type %s is not supported, BPE and UNIGRAM are", p->origin,
                     p->type < 5 ? types[p->type] : "of an unknown number");
  }
  if (p->suffix)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: treat_whitespace_as_suffix is not supported", p->origin);
  if (!p->escape)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: escape_whitespaces false is not supported", p->origin);
  if (p->denormalizer.bytes > 0)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: a denormalizer is not supported", p->origin);
  return ELLM_OK;
}

/* ---- parts ---- */

static ellm_status add_piece(const proto *p, const protobuf_field *message, scored_model *m, ellm_error *err) {
  protobuf_reader reader = protobuf_over(message->data, message->bytes);
  protobuf_field field;
  byte_range text = {0};
  float score = 0;
  uint64_t type = PIECE_NORMAL;
  while (protobuf_next(&reader, &field)) {
    if (field.number == PIECE_TEXT) ELLM_TRY(take(p, &field, "piece", NULL, &text, err));
    if (field.number == PIECE_SCORE) {
      if (field.type != PROTOBUF_I32) return wrong_type(p, "score", err);
      score = float_from_bits((uint32_t)field.value);
    }
    if (field.number == PIECE_TYPE) {
      if (field.type != PROTOBUF_VARINT) return wrong_type(p, "type", err);
      type = field.value;
    }
  }
  if (reader.problem) return damaged(p, &reader, "a piece", err);
  if (type > 255) type = 255;
  const uint32_t id = (uint32_t)m->pieces.count;
  const char *piece = text.data ? (const char *)text.data : "";
  ELLM_TRY(scored_add(m, piece, text.bytes, score, (piece_type)type, p->origin, err));
  if (type == PIECE_BYTE && !m->byte_fallback)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: piece %u is a byte, but byte_fallback is not set", p->origin, id);
  if (type != PIECE_UNKNOWN) return ELLM_OK;
  if (m->unk != VOCAB_NONE)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: pieces %u and %u are both the unknown one", p->origin, m->unk, id);
  m->unk = id;
  return ELLM_OK;
}

static ellm_status make_model(const proto *p, scored_model *m, ellm_error *err) {
  protobuf_reader reader = protobuf_over(p->data, p->bytes);
  protobuf_field field;
  m->kind = p->type == MODEL_BPE ? SCORED_BPE : SCORED_UNIGRAM;
  m->sentencepiece = true;
  m->byte_fallback = p->byte_fallback;
  ELLM_TRY(scored_begin(m, p->n_pieces, err));
  while (protobuf_next(&reader, &field))
    if (field.number == MODEL_PIECE) ELLM_TRY(add_piece(p, &field, m, err));
  if (m->unk == VOCAB_NONE) return ellm_fail(err, ELLM_ERR_INPUT, "%s: no piece is the unknown one", p->origin);
  return scored_finish(m, p->origin, err);
}

static ellm_status make_normalizer(const proto *p, tokenizer_parts *parts, ellm_error *err) {
  normalize_step *step = &parts->normalizer.steps[parts->normalizer.count++];
  *step = (normalize_step){.kind = NORMALIZE_SENTENCEPIECE,
                           .user_defined = parts->scored.user_defined,
                           .prepend_space = p->prefix,
                           .remove_spaces = p->remove_spaces};
  return p->charsmap.bytes > 0 ? charsmap_create(p->charsmap.data, p->charsmap.bytes, p->origin, &step->map, err)
                               : ELLM_OK;
}

/* U+2581 becomes a space, bytes become characters, and the space that a text was given is taken away. */
static ellm_status make_decoder(const proto *p, decoder *d, ellm_error *err) {
  static const char mark[] = "\xE2\x96\x81";
  d->present = true;
  decode_step *replace = &d->steps[d->count++];
  replace->kind = DECODE_REPLACE;
  replace->content = strdup(" ");
  if (replace->content == NULL) return ellm_fail_memory(err, 2, "decoder");
  replace->content_bytes = 1;
  ELLM_TRY(regex_compile(mark, sizeof mark - 1, true, p->origin, &replace->pattern, err));
  d->steps[d->count++].kind = DECODE_BYTE_FALLBACK;
  d->steps[d->count++].kind = DECODE_FUSE;
  if (p->prefix) d->steps[d->count++] = (decode_step){.kind = DECODE_STRIP, .character = ' ', .start = 1};
  return ELLM_OK;
}

static ellm_status add_special_tokens(const proto *p, const scored_model *m, added_tokens *added, ellm_error *err) {
  for (uint32_t id = 0; id < m->pieces.count; id++) {
    if (m->types[id] != PIECE_CONTROL && m->types[id] != PIECE_UNKNOWN) continue;
    const vocab_piece *piece = &m->pieces.pieces[id];
    const added_token token = {.id = id,
                               .content = (char *)vocab_string(&m->pieces, piece), /* it is copied */
                               .content_bytes = piece->length,
                               .special = true};
    ELLM_TRY(added_tokens_append(added, &token, p->origin, err));
  }
  return ELLM_OK;
}

static ellm_status make_parts(proto *p, const sentencepiece_config *config, tokenizer_parts *parts, ellm_error *err) {
  ELLM_TRY(read_options(p, err));
  ELLM_TRY(check_options(p, err));
  ELLM_TRY(make_model(p, &parts->scored, err));
  ELLM_TRY(make_normalizer(p, parts, err));
  ELLM_TRY(make_decoder(p, &parts->decoder, err));
  ELLM_TRY(add_special_tokens(p, &parts->scored, &parts->added, err));
  return sentencepiece_config_apply(config, (const char *)p->bos.data, p->bos.bytes, (const char *)p->eos.data,
                                    p->eos.bytes, parts, err);
}

ellm_status sentencepiece_tokenizer(const void *model, size_t bytes, const char *origin, const void *config,
                                    size_t config_bytes, const char *config_origin, ellm_tokenizer **tokenizer,
                                    ellm_error *err) {
  static const char bos[] = "<s>", eos[] = "</s>";
  proto p = {.origin = origin,
             .data = model,
             .bytes = bytes,
             .type = MODEL_UNIGRAM,
             .prefix = true,
             .remove_spaces = true,
             .escape = true,
             .bos = {(const uint8_t *)bos, sizeof bos - 1},
             .eos = {(const uint8_t *)eos, sizeof eos - 1}};
  tokenizer_parts parts = {0};
  sentencepiece_config beside = {0};
  *tokenizer = NULL;
  ellm_status status = sentencepiece_config_read(config, config_bytes, config_origin, &beside, err);
  if (status == ELLM_OK) status = make_parts(&p, &beside, &parts, err);
  sentencepiece_config_free(&beside);
  if (status == ELLM_OK) return tokenizer_build(&parts, origin, tokenizer, err);
  tokenizer_parts_free(&parts);
  return status;
}
