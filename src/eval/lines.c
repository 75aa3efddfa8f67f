/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/lines.h"

#include <stdio.h>
#include <string.h>

#include "json/json.h"
#include "eval/wikitext.h"

ellm_status json_lines_next(json_lines *lines, json_t **object, ellm_error *err) {
  *object = NULL;
  while (lines->at < lines->bytes) {
    const char *newline = memchr(lines->text + lines->at, '\n', lines->bytes - lines->at);
    size_t start = lines->at, end = newline ? (size_t)(newline - lines->text) : lines->bytes;
    char origin[300];
    lines->at = end + 1;
    lines->line++;
    text_strip(lines->text, &start, &end);
    if (start == end) continue;
    snprintf(origin, sizeof origin, "%.250s: line %zu", lines->origin, lines->line);
    ELLM_TRY(json_parse(lines->text + start, end - start, origin, object, err));
    if (json_is_object(*object)) return ELLM_OK;
    json_decref(*object);
    *object = NULL;
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: not a JSON object", origin);
  }
  return ELLM_OK;
}
