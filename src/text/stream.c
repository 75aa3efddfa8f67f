/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streaming decoder; see stream.h. Decoders as they occur in practice are
 *
 *   steps on single strings, then ByteFallback, then Fuse or ByteLevel (or the
 *   end), then Strips of the whole,
 *
 * and each of these can work on what has come so far. A decoder of another
 * shape may change any of its text by what comes later: it runs once, at the
 * end.
 */
#include "text/stream.h"

#include <stdlib.h>
#include <string.h>

#include "text/byte_level.h"
#include "text/pieces.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

typedef struct strip_state { uint32_t to_drop, held; } strip_state; /* characters */

struct ellm_stream {
  const ellm_tokenizer *tokenizer;
  bool skip_special;
  bool whole;                 /* decode at the end only */
  size_t head, tail;          /* steps [0, head) work on strings, strips begin at `tail` */
  bool fallback;              /* step `head` is ByteFallback */
  bool byte_level;            /* the joining step is ByteLevel */
  size_t strings;             /* fed so far */
  ellm_buffer pending;        /* bytes of characters not complete */
  ellm_buffer out, a, b;
  strip_state strips[COMPONENT_MAX_STEPS];
  regex_scratch regex;
  id_list ids;                /* whole */
};

static void reset(ellm_stream *s) {
  const decoder *d = &s->tokenizer->parts.decoder;
  s->strings = s->pending.size = s->ids.count = 0;
  for (size_t i = s->tail; i < d->count; ++i) s->strips[i] = (strip_state){d->steps[i].start, 0};
}

/* Recognize the shape of the decoder. */
static void analyse(ellm_stream *s) {
  const decoder *d = &s->tokenizer->parts.decoder;
  size_t at = 0;
  while (at < d->count && (d->steps[at].kind == DECODE_REPLACE || d->steps[at].kind == DECODE_STRIP ||
                           d->steps[at].kind == DECODE_METASPACE)) {
    ++at;
  }
  s->head = at;
  if (at < d->count && d->steps[at].kind == DECODE_BYTE_FALLBACK) {
    s->fallback = true;
    ++at;
  }
  if (at < d->count && d->steps[at].kind == DECODE_BYTE_LEVEL) {
    s->byte_level = true;
    if (s->fallback) s->whole = true;
    ++at;
  } else if (at < d->count && d->steps[at].kind == DECODE_FUSE) {
    ++at;
  } else if (at < d->count) {
    s->whole = true;
  }
  s->tail = at;
  for (; at < d->count; ++at) {
    if (d->steps[at].kind != DECODE_STRIP && d->steps[at].kind != DECODE_FUSE) s->whole = true;
  }
}

ellm_status ellm_stream_create(const ellm_tokenizer *tokenizer, bool skip_special, ellm_stream **stream,
                               ellm_error *err) {
  ellm_stream *s = calloc(1, sizeof *s);
  *stream = NULL;
  if (!s) return ellm_fail_memory(err, sizeof *s, "stream");
  s->tokenizer = tokenizer;
  s->skip_special = skip_special;
  analyse(s);
  reset(s);
  *stream = s;
  return ELLM_OK;
}

void ellm_stream_free(ellm_stream *s) {
  if (!s) return;
  ellm_buffer_free(&s->pending);
  ellm_buffer_free(&s->out);
  ellm_buffer_free(&s->a);
  ellm_buffer_free(&s->b);
  regex_scratch_free(&s->regex);
  free(s->ids.items);
  free(s);
}

static bool add(ellm_buffer *out, const char *text, size_t bytes) {
  return bytes == 0 || ellm_buffer_append(out, text, bytes);
}

/* Strip step `step` of the joined text, given the next part: leading characters
 * are dropped, trailing ones that may turn out to be the last are held back. */
static bool strip_part(const decode_step *step, strip_state *state, const char *text, size_t bytes, ellm_buffer *out) {
  char character[4];
  size_t length = utf8_encode(step->character, character), start = 0, end = bytes;
  while (state->to_drop > 0 && start < bytes) {
    if (bytes - start < length || memcmp(text + start, character, length) != 0) {
      state->to_drop = 0;
      break;
    }
    start += length;
    --state->to_drop;
  }
  if (start == end) return true;
  uint32_t trailing = 0;
  while (end - start >= length && trailing < step->stop && memcmp(text + end - length, character, length) == 0) {
    end -= length;
    ++trailing;
  }
  uint32_t release = state->held;
  if (end == start) { /* nothing but trailing ones: those held stay, up to the limit */
    uint32_t all = state->held + trailing;
    release = all > step->stop ? all - step->stop : 0;
    trailing = all - release;
  }
  for (uint32_t i = 0; i < release; ++i) {
    if (!add(out, character, length)) return false;
  }
  state->held = trailing;
  return add(out, text + start, end - start);
}

/* A part of the joined text goes through the strips to `out`. */
static bool emit(ellm_stream *s, const char *text, size_t bytes) {
  const decoder *d = &s->tokenizer->parts.decoder;
  if (s->tail == d->count) return add(&s->out, text, bytes);
  ellm_buffer *from = &s->a, *to = &s->b;
  from->size = 0;
  if (!add(from, text, bytes)) return false;
  for (size_t i = s->tail; i < d->count; ++i) {
    if (d->steps[i].kind != DECODE_STRIP) continue;
    to->size = 0;
    if (from->size > 0 && !strip_part(&d->steps[i], &s->strips[i], (const char *)from->data, from->size, to)) {
      return false;
    }
    ellm_buffer *swap = from;
    from = to;
    to = swap;
  }
  return add(&s->out, (const char *)from->data, from->size);
}

/* Give out the complete characters of `pending`; at the end also the rest. */
static bool drain_pending(ellm_stream *s, bool end) {
  size_t at = 0;
  bool ok = true;
  while (ok && at < s->pending.size) {
    const char *text = (const char *)s->pending.data + at;
    uint32_t cp;
    size_t length;
    utf8_kind kind = utf8_next(text, s->pending.size - at, &cp, &length);
    if (kind == UTF8_INCOMPLETE && !end) break;
    if (kind == UTF8_CHARACTER) {
      ok = emit(s, text, length);
    } else { /* ByteLevel: one for each broken character; ByteFallback: one for each byte */
      for (size_t i = 0; ok && i < (s->byte_level ? 1 : length); ++i) ok = emit(s, "\xEF\xBF\xBD", 3);
    }
    at += length;
  }
  if (at > 0) memmove(s->pending.data, s->pending.data + at, s->pending.size - at);
  s->pending.size -= at;
  return ok;
}

/* One string through the steps on strings; *text then points into a or b. */
static ellm_status run_head(ellm_stream *s, const char **text, size_t *bytes, ellm_error *err) {
  const decoder *d = &s->tokenizer->parts.decoder;
  ellm_buffer *to = &s->a;
  size_t given = *bytes, limit = text_growth_limit(given);
  for (size_t i = 0; i < s->head; ++i) {
    const decode_step *step = &d->steps[i];
    bool ok = true;
    to->size = 0;
    if (step->kind == DECODE_REPLACE) ELLM_TRY(decode_replace(step, &s->regex, *text, *bytes, limit, to, err));
    else if (step->kind == DECODE_STRIP) ok = decode_strip(step, *text, *bytes, to);
    else ok = decode_metaspace(step, s->strings == 0, *text, *bytes, to);
    if (!ok) return ellm_fail_memory(err, *bytes, "decoding");
    if (to->size > limit) return text_growth_refused("decoder", given, err);
    *text = to->size > 0 ? (const char *)to->data : "";
    *bytes = to->size;
    to = to == &s->a ? &s->b : &s->a;
  }
  return ELLM_OK;
}

static ellm_status next_string(ellm_stream *s, const char *text, size_t bytes, ellm_error *err) {
  const decoder *d = &s->tokenizer->parts.decoder;
  bool ok = true;
  if (!d->present && s->strings > 0) ok = emit(s, " ", 1);
  ELLM_TRY(run_head(s, &text, &bytes, err));
  ++s->strings;
  int value = s->fallback ? decode_byte_piece(text, bytes) : -1;
  if (s->byte_level) {
    ok = ok && byte_level_append_bytes(&s->pending, text, bytes) && drain_pending(s, false);
  } else if (value >= 0) {
    uint8_t byte = (uint8_t)value;
    ok = ok && ellm_buffer_append(&s->pending, &byte, 1) && drain_pending(s, false);
  } else if (ok) {
    /* `text` may be in a buffer that emit uses: keep it apart. */
    if (s->pending.size > 0 || s->tail < d->count) {
      ellm_buffer copy = {0};
      ok = add(&copy, text, bytes) && drain_pending(s, true) && emit(s, (const char *)copy.data, copy.size);
      ellm_buffer_free(&copy);
    } else {
      ok = emit(s, text, bytes);
    }
  }
  return ok ? ELLM_OK : ellm_fail_memory(err, bytes, "decoding");
}

static ellm_status decode_whole(ellm_stream *s, ellm_error *err) {
  char *text;
  size_t bytes;
  ELLM_TRY(ellm_tokenizer_decode(s->tokenizer, s->ids.items, s->ids.count, s->skip_special, &text, &bytes, err));
  bool ok = add(&s->out, text, bytes);
  free(text);
  return ok ? ELLM_OK : ellm_fail_memory(err, bytes, "decoding");
}

static ellm_status finish(ellm_stream *s, const char **text, size_t *bytes, ellm_error *err) {
  size_t size = s->out.size;
  if (!ellm_buffer_append(&s->out, "", 1)) return ellm_fail_memory(err, size, "decoding");
  *text = (const char *)s->out.data;
  *bytes = size;
  return ELLM_OK;
}

ellm_status ellm_stream_next(ellm_stream *s, uint32_t id, const char **text, size_t *bytes, ellm_error *err) {
  size_t length;
  s->out.size = 0;
  const char *piece = tokenizer_decoded_piece(s->tokenizer, id, s->skip_special, &length);
  if (piece && s->whole) {
    if (!id_list_append(&s->ids, &id, 1)) return ellm_fail_memory(err, sizeof id, "decoding");
  } else if (piece) {
    ELLM_TRY(next_string(s, piece, length, err));
  }
  return finish(s, text, bytes, err);
}

ellm_status ellm_stream_flush(ellm_stream *s, const char **text, size_t *bytes, ellm_error *err) {
  s->out.size = 0;
  if (s->whole) ELLM_TRY(decode_whole(s, err));
  else if (!drain_pending(s, true)) return ellm_fail_memory(err, s->pending.size, "decoding");
  reset(s);
  return finish(s, text, bytes, err);
}

ellm_status ellm_stream_id_bytes(ellm_stream *s, uint32_t id, const char **text, size_t *bytes, ellm_error *err) {
  size_t length;
  const size_t strings = s->strings;
  s->out.size = 0;
  *text = "";
  *bytes = 0;
  if (s->whole)
    return ellm_fail(err, ELLM_ERR_INPUT, "the tokenizer's decoder is of a kind whose ids have no text of their own");
  const char *piece = tokenizer_decoded_piece(s->tokenizer, id, s->skip_special, &length);
  if (!piece) return ELLM_OK;
  s->strings = 1;
  const ellm_status status = run_head(s, &piece, &length, err);
  s->strings = strings;
  if (status != ELLM_OK) return status;
  const int value = s->fallback ? decode_byte_piece(piece, length) : -1;
  const uint8_t byte = (uint8_t)value;
  bool ok = s->tokenizer->parts.decoder.present || add(&s->out, " ", 1);
  if (s->byte_level) ok = ok && byte_level_append_bytes(&s->out, piece, length);
  else if (value >= 0) ok = ok && ellm_buffer_append(&s->out, &byte, 1);
  else ok = ok && add(&s->out, piece, length);
  if (!ok) return ellm_fail_memory(err, length, "decoding");
  *text = s->out.size > 0 ? (const char *)s->out.data : "";
  *bytes = s->out.size;
  return ELLM_OK;
}
