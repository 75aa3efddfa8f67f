/* SPDX-License-Identifier: Apache-2.0 */
#include "json/mark.h"

#include <string.h>

enum { MARK_BYTES = sizeof JSON_MARK - 1 };

const char *json_unreadable_number(const json_t *value) {
  if (!json_is_string(value) || json_string_length(value) <= MARK_BYTES) return NULL;
  const char *text = json_string_value(value);
  return memcmp(text, JSON_MARK, MARK_BYTES) == 0 ? text + MARK_BYTES : NULL;
}
