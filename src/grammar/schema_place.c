/* SPDX-License-Identifier: Apache-2.0 */
/* See schema_place.h. */
#include "grammar/schema_place.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "json/json.h"

static void end_text(schema_place *place) {
  if (ellm_buffer_append(&place->pointer, "", 1)) place->pointer.size--;
}

size_t schema_into(schema_place *place, const char *part) {
  const size_t mark = place->pointer.size;
  bool ok = ellm_buffer_append(&place->pointer, "/", 1);
  for (; ok && *part; part++) {
    if (*part == '~') ok = ellm_buffer_append(&place->pointer, "~0", 2);
    else if (*part == '/') ok = ellm_buffer_append(&place->pointer, "~1", 2);
    else ok = ellm_buffer_append(&place->pointer, part, 1);
  }
  end_text(place);
  return mark;
}

size_t schema_into_index(schema_place *place, size_t index) {
  char text[24];
  snprintf(text, sizeof text, "%zu", index);
  return schema_into(place, text);
}

void schema_back(schema_place *place, size_t mark) {
  place->pointer.size = mark;
  end_text(place);
}

ellm_status schema_fail(const schema_place *place, const char *format, ...) {
  char text[240];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  const char *pointer = place->pointer.size > 0 ? (const char *)place->pointer.data : "";
  const size_t most = 160; /* the end of a long one tells more than its beginning */
  const bool cut = place->pointer.size > most;
  return ellm_fail(place->err, ELLM_ERR_INPUT, "%s: #%s%s: %s", place->origin, cut ? "..." : "",
                   cut ? pointer + place->pointer.size - most : pointer, text);
}

ellm_status schema_wrong(const schema_place *place, const json_t *value, const char *field, const char *wanted) {
  char text[80];
  return schema_fail(place, "%s is %s, %s is expected", field, json_brief(value, text), wanted);
}

ellm_status schema_count(const schema_place *place, const json_t *schema, const char *field, uint32_t *out) {
  const json_t *value = json_object_get(schema, field);
  if (!value) return ELLM_OK;
  const double number = json_number_value(value);
  if (!json_is_number(value) || number < 0 || number > RULES_MOST_COUNT || number != (double)(uint32_t)number)
    return schema_wrong(place, value, field, "a whole number from 0 to 16777216");
  *out = (uint32_t)number;
  return ELLM_OK;
}
