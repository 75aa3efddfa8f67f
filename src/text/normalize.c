/* SPDX-License-Identifier: Apache-2.0 */
/* Normalizers; see normalize.h. */
#include "text/normalize.h"

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

static ellm_status load_step(void *user, const json_t *object, const char *type, const component_place *place,
                             ellm_error *err) {
  static const struct { const char *type; normalize_kind kind; unicode_form form; } kinds[] = {
    {"Prepend", NORMALIZE_PREPEND, UNICODE_NFC}, {"Replace", NORMALIZE_REPLACE, UNICODE_NFC},
    {"NFC", NORMALIZE_FORM, UNICODE_NFC}, {"NFD", NORMALIZE_FORM, UNICODE_NFD},
    {"NFKC", NORMALIZE_FORM, UNICODE_NFKC}, {"NFKD", NORMALIZE_FORM, UNICODE_NFKD},
    {"Strip", NORMALIZE_STRIP, UNICODE_NFC}, {"StripAccents", NORMALIZE_STRIP_ACCENTS, UNICODE_NFC},
    {"Lowercase", NORMALIZE_LOWERCASE, UNICODE_NFC}, {"ByteLevel", NORMALIZE_BYTE_LEVEL, UNICODE_NFC},
  };
  normalizer *n = user;
  size_t k = 0, known = sizeof kinds / sizeof kinds[0];
  while (k < known && strcmp(kinds[k].type, type) != 0) ++k;
  if (k == known) return component_unsupported(place, type, err);
  normalize_step *step = &n->steps[n->count++];
  step->kind = kinds[k].kind;
  step->form = kinds[k].form;
  if (step->kind == NORMALIZE_FORM) n->blurs_origin = true;
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
  }
  memset(n, 0, sizeof *n);
}

/* --------------------------------------------------------------------- steps */

/* Each step appends its result to `out` (empty at first) and returns false when
 * out of memory. `origin` counts leading bytes, see pieces.h. Results are as
 * long as some small multiple of the text, but for Replace, which stops itself
 * once they are longer than `limit`. */

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
    }
    if (!ok) return ellm_fail_memory(err, text->size, "normalizing");
    ellm_buffer swap = *text;
    *text = *spare;
    *spare = swap;
    if (text->size > limit) return text_growth_refused("normalizer", bytes, err);
  }
  return ELLM_OK;
}
