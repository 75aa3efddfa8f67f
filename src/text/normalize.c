/* SPDX-License-Identifier: Apache-2.0 */
/* Normalizers; see normalize.h. */
#include "text/normalize.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/byte_level.h"
#include "text/utf8.h"

/* ------------------------------------------------------------------- loading */

static ellm_status copy_content(normalize_step *step, const json_t *object, const char *field,
                                const component_place *place, ellm_error *err) {
  const char *text;
  size_t bytes;
  ELLM_TRY(component_string(object, field, place, &text, &bytes, err));
  step->content = malloc(bytes + 1);
  if (!step->content) return ellm_fail_memory(err, bytes, "normalizer");
  memcpy(step->content, text, bytes + 1);
  step->content_bytes = bytes;
  return ELLM_OK;
}

static int base64_value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Groups of four, the last one filled up with '='; out[bytes / 4 * 3]. False: it is something else. */
static bool decode_base64(const char *text, size_t bytes, uint8_t *out, size_t *size) {
  size_t padding = 0;
  *size = 0;
  if (bytes % 4 != 0) return false;
  while (padding < 2 && padding < bytes && text[bytes - 1 - padding] == '=') ++padding;
  for (size_t i = 0; i < bytes; i += 4) {
    uint32_t group = 0;
    const size_t digits = i + 4 < bytes ? 4 : 4 - padding;
    for (size_t k = 0; k < 4; ++k) {
      const int value = k < digits ? base64_value(text[i + k]) : 0;
      if (value < 0) return false;
      group = group << 6 | (uint32_t)value;
    }
    for (size_t k = 0; k + 1 < digits; ++k) out[(*size)++] = (uint8_t)(group >> (16 - 8 * k));
  }
  return true;
}

static ellm_status load_charsmap(const json_t *object, const component_place *place, charsmap **map, ellm_error *err) {
  const char *text;
  size_t bytes, size = 0;
  char where[REGEX_WHERE_BYTES];
  ELLM_TRY(component_string(object, "precompiled_charsmap", place, &text, &bytes, err));
  uint8_t *blob = malloc(bytes / 4 * 3 + 1);
  if (!blob) return ellm_fail_memory(err, bytes, "normalizer");
  snprintf(where, sizeof where, "%s: %s: Precompiled", place->origin, place->part);
  ellm_status status = decode_base64(text, bytes, blob, &size)
                           ? charsmap_create(blob, size, where, map, err)
                           : ellm_fail(err, ELLM_ERR_INPUT, "%s: precompiled_charsmap is not base64", where);
  free(blob);
  return status;
}

static ellm_status load_step(void *user, const json_t *object, const char *type, const component_place *place,
                             ellm_error *err) {
  static const struct { const char *type; normalize_kind kind; unicode_form form; } kinds[] = {
    {"Prepend", NORMALIZE_PREPEND, UNICODE_NFC}, {"Replace", NORMALIZE_REPLACE, UNICODE_NFC},
    {"NFC", NORMALIZE_FORM, UNICODE_NFC}, {"NFD", NORMALIZE_FORM, UNICODE_NFD},
    {"NFKC", NORMALIZE_FORM, UNICODE_NFKC}, {"NFKD", NORMALIZE_FORM, UNICODE_NFKD},
    {"Strip", NORMALIZE_STRIP, UNICODE_NFC}, {"StripAccents", NORMALIZE_STRIP_ACCENTS, UNICODE_NFC},
    {"Lowercase", NORMALIZE_LOWERCASE, UNICODE_NFC}, {"ByteLevel", NORMALIZE_BYTE_LEVEL, UNICODE_NFC},
    {"Precompiled", NORMALIZE_PRECOMPILED, UNICODE_NFC},
  };
  normalizer *n = user;
  size_t k = 0, known = sizeof kinds / sizeof kinds[0];
  while (k < known && strcmp(kinds[k].type, type) != 0) ++k;
  if (k == known) return component_unsupported(place, type, err);
  normalize_step *step = &n->steps[n->count++];
  step->kind = kinds[k].kind;
  step->form = kinds[k].form;
  if (step->kind == NORMALIZE_FORM || step->kind == NORMALIZE_PRECOMPILED) n->blurs_origin = true;
  if (step->kind == NORMALIZE_PRECOMPILED) return load_charsmap(object, place, &step->map, err);
  if (step->kind == NORMALIZE_PREPEND) return copy_content(step, object, "prepend", place, err);
  if (step->kind == NORMALIZE_STRIP) {
    ELLM_TRY(component_bool(object, "strip_left", true, place, &step->left, err));
    return component_bool(object, "strip_right", true, place, &step->right, err);
  }
  if (step->kind != NORMALIZE_REPLACE) return ELLM_OK;
  ELLM_TRY(component_pattern(object, place, &step->pattern, err));
  if (regex_matches_empty(step->pattern)) {
    return ellm_fail(err, ELLM_ERR_INPUT,
                     "%s: %s: Replace with a pattern that matches the empty string is not supported", place->origin,
                     place->part);
  }
  return copy_content(step, object, "content", place, err);
}

ellm_status normalizer_load(const json_t *component, const char *origin, normalizer *n, ellm_error *err) {
  component_place place = {origin, "normalizer"};
  return component_walk(component, "normalizers", &place, load_step, n, err);
}

void normalizer_free(normalizer *n) {
  for (size_t i = 0; i < n->count; ++i) {
    free(n->steps[i].content);
    regex_free(n->steps[i].pattern);
    charsmap_free(n->steps[i].map);
  }
  memset(n, 0, sizeof *n);
}

/* --------------------------------------------------------------------- steps */

/* Each step appends its result to `out` (empty at first) and returns false when
 * out of memory. `origin` counts leading bytes, see pieces.h. Results are as
 * long as some small multiple of the text, except those of Replace and of
 * precompiled rules, which stop themselves once they are longer than `limit`. */

static bool step_prepend(const normalize_step *step, const char *text, size_t bytes, ellm_buffer *out, size_t *origin) {
  if (bytes == 0) return true;
  if (*origin > 0) *origin += step->content_bytes;
  return ellm_buffer_append(out, step->content, step->content_bytes) && ellm_buffer_append(out, text, bytes);
}

static ellm_status step_replace(const normalize_step *step, regex_scratch *scratch, const char *text, size_t bytes,
                                size_t limit, ellm_buffer *out, size_t *origin, ellm_error *err) {
  regex_position position = {0};
  size_t done = 0, from_origin = *origin, new_origin = from_origin;
  while (out->size <= limit) {
    bool found;
    size_t start, end;
    ELLM_TRY(regex_next(step->pattern, scratch, text, bytes, &position, &found, &start, &end, err));
    if (!found) break;
    if (!ellm_buffer_append(out, text + done, start - done) ||
        !ellm_buffer_append(out, step->content, step->content_bytes)) {
      return ellm_fail_memory(err, bytes, "normalizing");
    }
    /* What replaces a match lies where the match ended. */
    if (end <= from_origin) new_origin = out->size + (from_origin - end);
    else if (start < from_origin) new_origin = out->size - step->content_bytes;
    done = end;
  }
  if (!ellm_buffer_append(out, text + done, bytes - done)) return ellm_fail_memory(err, bytes, "normalizing");
  *origin = new_origin;
  return ELLM_OK;
}

static bool step_form(const normalize_step *step, const char *text, size_t bytes, ellm_buffer *out, size_t *origin) {
  if (!unicode_normalize(step->form, text, bytes, out)) return false;
  if (*origin > 0) *origin = out->size > 0 ? utf8_length((char)out->data[0]) : 0;
  return true;
}

static bool step_strip(const normalize_step *step, const char *text, size_t bytes, ellm_buffer *out, size_t *origin) {
  size_t start = 0, end = bytes;
  uint32_t cp;
  while (step->left && start < end) {
    size_t length = utf8_decode(text + start, &cp);
    if (!unicode_is_space(cp)) break;
    start += length;
  }
  while (step->right && end > start) {
    size_t last = end - 1;
    while (last > start && ((uint8_t)text[last] & 0xC0) == 0x80) --last;
    utf8_decode(text + last, &cp);
    if (!unicode_is_space(cp)) break;
    end = last;
  }
  *origin = *origin > start ? *origin - start : 0;
  if (*origin > end - start) *origin = end - start;
  return ellm_buffer_append(out, text + start, end - start);
}

static bool step_characters(const normalize_step *step, const char *text, size_t bytes, ellm_buffer *out,
                            size_t *origin) {
  size_t from_origin = *origin;
  for (size_t at = 0; at < bytes;) {
    uint32_t cp, lower[2];
    size_t length = utf8_decode(text + at, &cp);
    if (step->kind == NORMALIZE_LOWERCASE) {
      size_t count = unicode_lowercase(cp, lower);
      for (size_t i = 0; i < count; ++i) {
        if (!utf8_append(out, lower[i])) return false;
      }
    } else if (!unicode_is_accent(cp) && !ellm_buffer_append(out, text + at, length)) {
      return false;
    }
    at += length;
    if (at <= from_origin) *origin = out->size;
  }
  return true;
}

static bool step_byte_level(const char *text, size_t bytes, ellm_buffer *out, size_t *origin) {
  size_t head = *origin < bytes ? *origin : bytes;
  if (!byte_level_append(out, text, head)) return false;
  *origin = out->size;
  return byte_level_append(out, text + head, bytes - head);
}

static bool append_text(ellm_buffer *out, const char *text) {
  const size_t bytes = strlen(text);
  return bytes == 0 || ellm_buffer_append(out, text, bytes);
}

/* As the library does it: a rule is looked for at each short grapheme, which it replaces as a whole though only its
 * beginning need match, and else at each character. */
static bool step_precompiled(const normalize_step *step, const char *text, size_t bytes, size_t limit, ellm_buffer *out,
                             size_t *origin) {
  for (size_t at = 0, next; at < bytes && out->size <= limit; at = next) {
    const char *becomes;
    next = at + unicode_grapheme(text + at, bytes - at);
    if (next - at < 6 && charsmap_shortest(step->map, text + at, next - at, &becomes) > 0) {
      if (!append_text(out, becomes)) return false;
      continue;
    }
    for (size_t length; at < next; at += length) {
      length = utf8_length(text[at]);
      const bool found = charsmap_shortest(step->map, text + at, length, &becomes) > 0;
      if (!(found ? append_text(out, becomes) : ellm_buffer_append(out, text + at, length))) return false;
    }
  }
  if (*origin > 0) *origin = out->size > 0 ? utf8_length((char)out->data[0]) : 0;
  return true;
}

/* What the text begins with, normalized, into *becomes and *length (which is not NUL-terminated); returns how many
 * bytes of the text that stands for. */
static size_t sentencepiece_prefix(const normalize_step *step, const char *text, size_t bytes, const char **becomes,
                                   size_t *length) {
  uint32_t id;
  *becomes = text;
  *length = step->user_defined ? prefix_tree_longest(step->user_defined, text, bytes, &id) : 0;
  if (*length > 0) return *length;
  const size_t replaced = step->map ? charsmap_longest(step->map, text, bytes, becomes) : 0;
  *length = replaced > 0 ? strlen(*becomes) : utf8_length(text[0]);
  return replaced > 0 ? replaced : *length;
}

static const char space_mark[] = "\xE2\x96\x81"; /* U+2581 */
enum { MARK_BYTES = 3 };

/* Append with U+2581 for each space. */
static bool append_marked(ellm_buffer *out, const char *text, size_t bytes) {
  for (size_t at = 0; at < bytes;) {
    const char *space = memchr(text + at, ' ', bytes - at);
    const size_t end = space ? (size_t)(space - text) : bytes;
    if (end > at && !ellm_buffer_append(out, text + at, end - at)) return false;
    if (space && !ellm_buffer_append(out, space_mark, MARK_BYTES)) return false;
    at = space ? end + 1 : end;
  }
  return true;
}

static bool step_sentencepiece(const normalize_step *step, const char *text, size_t bytes, size_t limit,
                               ellm_buffer *out) {
  const char *becomes;
  size_t at = 0, length, replaced;
  while (step->remove_spaces && at < bytes) {
    replaced = sentencepiece_prefix(step, text + at, bytes - at, &becomes, &length);
    if (length != 1 || becomes[0] != ' ') break;
    at += replaced;
  }
  if (at == bytes) return true;
  if (step->prepend_space && !ellm_buffer_append(out, space_mark, MARK_BYTES)) return false;
  bool after_space = step->remove_spaces;
  for (; at < bytes && out->size <= limit; at += replaced) {
    replaced = sentencepiece_prefix(step, text + at, bytes - at, &becomes, &length);
    while (after_space && length > 0 && becomes[0] == ' ') {
      ++becomes;
      --length;
    }
    if (length == 0) continue;
    if (!append_marked(out, becomes, length)) return false;
    after_space = step->remove_spaces && becomes[length - 1] == ' ';
  }
  while (step->remove_spaces && out->size >= MARK_BYTES &&
         memcmp(out->data + out->size - MARK_BYTES, space_mark, MARK_BYTES) == 0) {
    out->size -= MARK_BYTES;
  }
  return true;
}

ellm_status normalize(const normalizer *n, regex_scratch *scratch, ellm_buffer *text, ellm_buffer *spare,
                      size_t *origin, ellm_error *err) {
  size_t bytes = text->size, limit = text_growth_limit(bytes);
  for (size_t i = 0; i < n->count && text->size > 0; ++i) {
    const normalize_step *step = &n->steps[i];
    const char *in = (const char *)text->data;
    bool ok = true;
    spare->size = 0;
    switch (step->kind) {
      case NORMALIZE_PREPEND: ok = step_prepend(step, in, text->size, spare, origin); break;
      case NORMALIZE_REPLACE: ELLM_TRY(step_replace(step, scratch, in, text->size, limit, spare, origin, err)); break;
      case NORMALIZE_FORM: ok = step_form(step, in, text->size, spare, origin); break;
      case NORMALIZE_STRIP: ok = step_strip(step, in, text->size, spare, origin); break;
      case NORMALIZE_STRIP_ACCENTS:
      case NORMALIZE_LOWERCASE: ok = step_characters(step, in, text->size, spare, origin); break;
      case NORMALIZE_BYTE_LEVEL: ok = step_byte_level(in, text->size, spare, origin); break;
      case NORMALIZE_PRECOMPILED: ok = step_precompiled(step, in, text->size, limit, spare, origin); break;
      case NORMALIZE_SENTENCEPIECE: ok = step_sentencepiece(step, in, text->size, limit, spare); break;
    }
    if (!ok) return ellm_fail_memory(err, text->size, "normalizing");
    ellm_buffer swap = *text;
    *text = *spare;
    *spare = swap;
    if (text->size > limit) return text_growth_refused("normalizer", bytes, err);
  }
  return ELLM_OK;
}
