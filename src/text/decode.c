/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoders; see decode.h. A decoder is a list of steps. Each takes a list of strings, at first one a token, and makes
 * another; at the end they are joined. Steps that work on one string alone are functions of their own, which
 * streaming uses as well.
 */
#include "text/decode.h"

#include <stdlib.h>
#include <string.h>

#include "text/byte_level.h"
#include "text/pieces.h"
#include "text/pretokenize.h"
#include "text/pretokenize_load.h"
#include "text/utf8.h"

/* ------------------------------------------------------------------- loading */

static ellm_status load_count(const json_t *object, const char *field, const component_place *place, uint32_t *out,
                              ellm_error *err) {
  const json_t *value = json_object_get(object, field);
  if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > 65536) {
    return component_wrong(value, field, place, "a number from 0 to 65536", err);
  }
  *out = (uint32_t)json_integer_value(value);
  return ELLM_OK;
}

/* A pattern that matches nothing would insert between all characters. */
static ellm_status load_replace(const json_t *object, const component_place *place, decode_step *step,
                                ellm_error *err) {
  const char *content;
  size_t bytes;
  ELLM_TRY(component_pattern(object, place, &step->pattern, err));
  if (regex_matches_empty(step->pattern)) {
    return ellm_fail(err, ELLM_ERR_INPUT,
                     "%s: %s: Replace with a pattern that matches the empty string is not supported", place->origin,
                     place->part);
  }
  ELLM_TRY(component_string(object, "content", place, &content, &bytes, err));
  step->content = malloc(bytes + 1);
  if (!step->content) return ellm_fail_memory(err, bytes, "decoder");
  memcpy(step->content, content, bytes + 1);
  step->content_bytes = bytes;
  return ELLM_OK;
}

static ellm_status load_step(void *user, const json_t *object, const char *type, const component_place *place,
                             ellm_error *err) {
  static const struct { const char *type; decode_kind kind; } kinds[] = {
    {"ByteLevel", DECODE_BYTE_LEVEL}, {"Replace", DECODE_REPLACE}, {"ByteFallback", DECODE_BYTE_FALLBACK},
    {"Fuse", DECODE_FUSE}, {"Strip", DECODE_STRIP}, {"Metaspace", DECODE_METASPACE},
  };
  decoder *d = user;
  size_t k = 0, known = sizeof kinds / sizeof kinds[0];
  while (k < known && strcmp(kinds[k].type, type) != 0) ++k;
  if (k == known) return component_unsupported(place, type, err);
  decode_step *step = &d->steps[d->count++];
  step->kind = kinds[k].kind;
  if (step->kind == DECODE_REPLACE) return load_replace(object, place, step, err);
  if (step->kind == DECODE_STRIP) {
    ELLM_TRY(component_character(object, "content", place, &step->character, err));
    ELLM_TRY(load_count(object, "start", place, &step->start, err));
    return load_count(object, "stop", place, &step->stop, err);
  }
  if (step->kind == DECODE_METASPACE) {
    prepend_scheme scheme;
    bool split;
    ELLM_TRY(metaspace_load(object, place, &step->character, &scheme, &split, err));
    step->drops_first = scheme != PREPEND_NEVER;
  }
  return ELLM_OK;
}

ellm_status decoder_load(const json_t *component, const char *origin, decoder *d, ellm_error *err) {
  component_place place = {origin, "decoder"};
  d->present = component && !json_is_null(component);
  return component_walk(component, "decoders", &place, load_step, d, err);
}

/* Fine for one that is all zero. */
void decoder_free(decoder *d) {
  for (size_t i = 0; i < d->count; ++i) {
    regex_free(d->steps[i].pattern);
    free(d->steps[i].content);
  }
  memset(d, 0, sizeof *d);
}

/* --------------------------------------------------------------- string lists */

/* What was appended to the text since the last call is one more string. */
bool string_list_end(string_list *list) {
  if (list->count == list->capacity) {
    size_t capacity = list->capacity < 32 ? 32 : list->capacity, bytes;
    if (!ellm_mul_size(capacity, 2, &capacity) || !ellm_mul_size(capacity, sizeof *list->ends, &bytes)) return false;
    size_t *ends = realloc(list->ends, bytes);
    if (!ends) return false;
    list->ends = ends;
    list->capacity = capacity;
  }
  list->ends[list->count++] = list->text.size;
  return true;
}

void string_list_free(string_list *list) {
  ellm_buffer_free(&list->text);
  free(list->ends);
  memset(list, 0, sizeof *list);
}

/* ----------------------------------------------------------- one string a time */

ellm_status decode_replace(const decode_step *step, regex_scratch *scratch, const char *text, size_t bytes,
                           size_t limit, ellm_buffer *out, ellm_error *err) {
  regex_position position = {0};
  size_t done = 0;
  bool ok = true;
  while (ok && out->size <= limit) {
    bool found;
    size_t start, end;
    ELLM_TRY(regex_next(step->pattern, scratch, text, bytes, &position, &found, &start, &end, err));
    if (!found) break;
    ok = ellm_buffer_append(out, text + done, start - done) &&
         ellm_buffer_append(out, step->content, step->content_bytes);
    done = end;
  }
  return ok && ellm_buffer_append(out, text + done, bytes - done) ? ELLM_OK : ellm_fail_memory(err, bytes, "decoding");
}

/* At most `start` times the character at the beginning, `stop` times at the end. */
bool decode_strip(const decode_step *step, const char *text, size_t bytes, ellm_buffer *out) {
  char character[4];
  size_t length = utf8_encode(step->character, character), start = 0, end = bytes;
  for (uint32_t i = 0; i < step->start && end - start >= length && memcmp(text + start, character, length) == 0; ++i) {
    start += length;
  }
  for (uint32_t i = 0; i < step->stop && end - start >= length && memcmp(text + end - length, character, length) == 0;
       ++i) {
    end -= length;
  }
  return ellm_buffer_append(out, text + start, end - start);
}

/* The replacement becomes a space, but not as the very first character. */
bool decode_metaspace(const decode_step *step, bool first, const char *text, size_t bytes, ellm_buffer *out) {
  for (size_t at = 0; at < bytes;) {
    uint32_t cp;
    size_t length = utf8_decode(text + at, &cp);
    if (cp != step->character) {
      if (!ellm_buffer_append(out, text + at, length)) return false;
    } else if (!(first && step->drops_first) && !ellm_buffer_append(out, " ", 1)) {
      return false;
    }
    at += length;
  }
  return true;
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/* "<0x41>" is the byte 0x41; -1 for anything else. */
int decode_byte_piece(const char *text, size_t bytes) {
  if (bytes != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>') return -1;
  int high = text[3] == '+' ? 0 : hex_digit(text[3]), low = hex_digit(text[4]); /* "+A" is a number in Rust */
  return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* ---------------------------------------------------------------------- lists */

/* Bytes collected by ByteFallback become a string, or one U+FFFD a byte. */
static bool end_byte_run(ellm_buffer *run, string_list *out) {
  if (run->size == 0) return true;
  const char *text = (const char *)run->data;
  if (utf8_is_valid(text, run->size)) {
    if (!ellm_buffer_append(&out->text, text, run->size) || !string_list_end(out)) return false;
  } else {
    for (size_t i = 0; i < run->size; ++i) {
      if (!utf8_append(&out->text, 0xFFFD) || !string_list_end(out)) return false;
    }
  }
  run->size = 0;
  return true;
}

/* One step over all strings. ByteFallback collects bytes of neighbours, ByteLevel and Fuse make one string of all. */
static ellm_status list_step(const decode_step *step, regex_scratch *scratch, const string_list *in, size_t limit,
                             string_list *out, ellm_error *err) {
  ellm_buffer bytes = {0};
  bool ok = true;
  ellm_status status = ELLM_OK;
  for (size_t i = 0; i < in->count && ok && status == ELLM_OK; ++i) {
    size_t start = i > 0 ? in->ends[i - 1] : 0, length = in->ends[i] - start;
    const char *text = length > 0 ? (const char *)in->text.data + start : "";
    switch (step->kind) {
      case DECODE_BYTE_LEVEL: ok = byte_level_append_bytes(&bytes, text, length); break;
      case DECODE_REPLACE:
        status = decode_replace(step, scratch, text, length, limit, &out->text, err);
        ok = string_list_end(out);
        break;
      case DECODE_BYTE_FALLBACK: {
        int value = decode_byte_piece(text, length);
        uint8_t byte = (uint8_t)value;
        if (value >= 0) ok = ellm_buffer_append(&bytes, &byte, 1);
        else ok = end_byte_run(&bytes, out) && ellm_buffer_append(&out->text, text, length) && string_list_end(out);
        break;
      }
      case DECODE_FUSE: ok = ellm_buffer_append(&out->text, text, length); break;
      case DECODE_STRIP: ok = decode_strip(step, text, length, &out->text) && string_list_end(out); break;
      case DECODE_METASPACE:
        ok = decode_metaspace(step, i == 0, text, length, &out->text) && string_list_end(out);
        break;
    }
  }
  if (step->kind == DECODE_BYTE_LEVEL) {
    ok = ok && utf8_append_replaced(&out->text, (const char *)bytes.data, bytes.size);
  }
  if (step->kind == DECODE_BYTE_FALLBACK) ok = ok && end_byte_run(&bytes, out);
  if (step->kind == DECODE_BYTE_LEVEL || step->kind == DECODE_FUSE) ok = ok && string_list_end(out);
  ellm_buffer_free(&bytes);
  if (status == ELLM_OK && !ok) status = ellm_fail_memory(err, in->text.size, "decoding");
  return status;
}

ellm_status decode_strings(const decoder *d, regex_scratch *scratch, string_list *list, ellm_error *err) {
  string_list other = {0};
  ellm_status status = ELLM_OK;
  size_t bytes = list->text.size, limit = text_growth_limit(bytes);
  for (size_t i = 0; i < d->count && status == ELLM_OK; ++i) {
    other.text.size = other.count = 0;
    status = list_step(&d->steps[i], scratch, list, limit, &other, err);
    if (status == ELLM_OK && other.text.size > limit) status = text_growth_refused("decoder", bytes, err);
    string_list swap = *list;
    *list = other;
    other = swap;
  }
  string_list_free(&other);
  return status;
}
