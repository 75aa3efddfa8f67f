/* SPDX-License-Identifier: Apache-2.0 */
/* See charsmap.h. */
#include "text/charsmap.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "text/utf8.h"

enum {
  HEAD = 4,
  UNIT = 4,
  MAX_STRING = 256, /* bytes of one that is replaced; a damaged array may be a circle */
  MAX_TEXT = 1024   /* bytes that it becomes */
};

static size_t longest_text(const charsmap *map) {
  size_t longest = 0;
  for (size_t at = 0; at < map->texts_bytes;) {
    const size_t length = strlen(map->texts + at);
    if (length > longest) longest = length;
    at += length + 1;
  }
  return longest;
}

ellm_status charsmap_create(const void *blob, size_t bytes, const char *origin, charsmap **out, ellm_error *err) {
  *out = NULL;
  const size_t array = bytes >= HEAD ? load_u32(blob) : 0;
  if (bytes <= HEAD || array < UNIT || array % UNIT != 0 || array >= bytes - HEAD) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: precompiled_charsmap of %zu bytes: an array of %zu bytes does not fit",
                     origin, bytes, array);
  }
  charsmap *map = calloc(1, sizeof *map);
  if (map != NULL) map->blob = malloc(bytes);
  if (map == NULL || map->blob == NULL) {
    free(map);
    return ellm_fail_memory(err, bytes, "normalization rules");
  }
  memcpy(map->blob, blob, bytes);
  map->n_units = array / UNIT;
  map->texts = (const char *)map->blob + HEAD + array;
  map->texts_bytes = bytes - HEAD - array;
  if (map->texts[map->texts_bytes - 1] != '\0' || !utf8_is_valid(map->texts, map->texts_bytes)) {
    charsmap_free(map);
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: precompiled_charsmap: the texts behind the array are not UTF-8 that "
                                          "ends with NUL", origin);
  }
  const size_t longest = longest_text(map);
  if (longest > MAX_TEXT) {
    charsmap_free(map);
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: precompiled_charsmap: a text of %zu bytes, at most %d are read", origin,
                     longest, MAX_TEXT);
  }
  *out = map;
  return ELLM_OK;
}

void charsmap_free(charsmap *map) {
  if (map == NULL) return;
  free(map->blob);
  free(map);
}

/* The unit, or 0, which has no children and no leaf; no byte of a text leads to it but NUL, which is no part of any. */
static uint32_t unit_at(const charsmap *map, size_t place) {
  return place < map->n_units ? load_u32(map->blob + HEAD + UNIT * place) : 0;
}
static uint32_t label(uint32_t unit) { return unit & 0x800000FFu; }
static size_t children(uint32_t unit) { return (size_t)(unit >> 10) << ((unit & 0x200u) >> 6); }

static size_t find(const charsmap *map, const char *text, size_t bytes, bool longest, const char **becomes) {
  size_t found = 0, place = children(unit_at(map, 0));
  if (bytes > MAX_STRING) bytes = MAX_STRING;
  for (size_t i = 0; i < bytes && text[i] != '\0'; i++) {
    const uint8_t byte = (uint8_t)text[i];
    place ^= byte;
    const uint32_t unit = unit_at(map, place);
    if (label(unit) != byte) break;
    place ^= children(unit);
    if ((unit >> 8 & 1) == 0 || (i + 1 < bytes && ((uint8_t)text[i + 1] & 0xC0) == 0x80)) continue;
    const size_t at = unit_at(map, place) & 0x7FFFFFFFu;
    if (at >= map->texts_bytes || ((uint8_t)map->texts[at] & 0xC0) == 0x80) continue;
    *becomes = map->texts + at;
    found = i + 1;
    if (!longest) break;
  }
  return found;
}

size_t charsmap_shortest(const charsmap *map, const char *text, size_t bytes, const char **becomes) {
  return find(map, text, bytes, false, becomes);
}

size_t charsmap_longest(const charsmap *map, const char *text, size_t bytes, const char **becomes) {
  return find(map, text, bytes, true, becomes);
}
