/* SPDX-License-Identifier: Apache-2.0 */
/* jansson with the limits and the errors that untrusted files need. */
#include "json/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "json/mark.h"

/* jansson needs up to 40 times the bytes of a text made of tiny values: their
 * number is bounded (commas in strings count too) before any is allocated. */
static bool too_many_values(const char *text, size_t n) {
  size_t count = 0;
  for (size_t i = 0; i < n; i++) count += text[i] == ',' || text[i] == '[' || text[i] == '{';
  return count > JSON_MAX_VALUES;
}

/*
 * Where jansson runs out of memory it often sets no position, and sometimes says that the text is wrong. A text is only
 * called wrong when there is memory to be had and jansson says so again.
 */
static bool has_memory(size_t bytes) {
  void *volatile memory = malloc(bytes + 64); /* volatile: a compiler may take it that malloc before free succeeds */
  const bool has = memory != NULL;
  free(memory);
  return has;
}

static bool says_no_memory(const json_error_t *error) {
  return error->line < 0 || json_error_code(error) == json_error_out_of_memory;
}

/* jansson drops a character of a string or a number, and says nothing, where it has no memory to hold it. So what it
 * made of a text is compared with what it makes of it again; texts of a size for which that would take long are let
 * be. */
enum { PARSED_TWICE = 1 << 20 };

static bool is_sure(const json_t *root, size_t flags, const void *text, size_t bytes) {
  if (bytes > PARSED_TWICE) return true;
  json_t *again = json_loadb(text, bytes, flags, NULL);
  const bool same = again != NULL && json_equal(root, again);
  json_decref(again);
  return same;
}

ellm_status json_parse_with(size_t flags, const void *text, size_t bytes, const char *origin, json_t **root,
                            ellm_error *err) {
  json_error_t error;
  *root = NULL;
  if (too_many_values(text, bytes))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: more than %d JSON values", origin, JSON_MAX_VALUES);
  /* jansson limits the depth itself (JSON_PARSER_MAX_DEPTH, 2048) */
  flags |= JSON_ALLOW_NUL | JSON_DECODE_ANY;
  *root = json_loadb(text, bytes, flags, &error);
  if (*root == NULL && !says_no_memory(&error) && has_memory(bytes)) *root = json_loadb(text, bytes, flags, &error);
  if (*root != NULL && is_sure(*root, flags, text, bytes)) return ELLM_OK;
  if (*root != NULL) {
    json_decref(*root);
    *root = NULL;
    return ellm_fail_memory(err, bytes, origin);
  }
  if (says_no_memory(&error) || !has_memory(bytes)) return ellm_fail_memory(err, bytes, origin);
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: not valid JSON: %s (line %d, column %d)", origin, error.text, error.line,
                   error.column);
}

ellm_status json_parse(const void *text, size_t bytes, const char *origin, json_t **root, ellm_error *err) {
  return json_parse_with(JSON_REJECT_DUPLICATES, text, bytes, origin, root, err);
}

/* The field, or NULL when missing or null; an error when it is required. */
static ellm_status find(const json_t *object, const char *field, bool required, const char *origin,
                        const json_t **value, ellm_error *err) {
  *value = json_object_get(object, field);
  if (*value != NULL && json_is_null(*value)) *value = NULL;
  if (*value == NULL && required) return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s is missing", origin, field);
  return ELLM_OK;
}

static int add_text(const char *data, size_t bytes, void *user) {
  return ellm_buffer_append(user, data, bytes) ? 0 : -1;
}

char *json_text(const json_t *value, size_t flags) {
  ellm_buffer text = {0};
  if (json_dump_callback(value, add_text, &text, flags) == 0 && ellm_buffer_append(&text, "", 1)) return (char *)text.data;
  ellm_buffer_free(&text);
  return NULL;
}

const char *json_brief(const json_t *value, char text[80]) {
  if (value == NULL) return "missing";
  const char *number = json_unreadable_number(value);
  if (number != NULL) return strlen(number) < 80 ? strcpy(text, number) : "a number of many digits";
  const size_t n = json_dumpb(value, text, 79, JSON_ENCODE_ANY | JSON_COMPACT);
  if (n > 79) return "a long value";
  text[n] = '\0';
  return text;
}

ellm_status json_wrong(const json_t *value, const char *field, const char *origin, const char *wanted,
                       ellm_error *err) {
  char text[80];
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s is %s, %s is expected", origin, field, json_brief(value, text), wanted);
}

ellm_status json_get_u64(const json_t *object, const char *field, bool required, const char *origin, uint64_t *out,
                         ellm_error *err) {
  const json_t *value;
  ELLM_TRY(find(object, field, required, origin, &value, err));
  if (value == NULL) return ELLM_OK;
  if (!json_is_integer(value) || json_integer_value(value) < 0)
    return json_wrong(value, field, origin, "an integer of at least 0", err);
  *out = (uint64_t)json_integer_value(value);
  return ELLM_OK;
}

ellm_status json_get_u32(const json_t *object, const char *field, bool required, const char *origin, uint32_t *out,
                         ellm_error *err) {
  uint64_t wide = *out;
  ELLM_TRY(json_get_u64(object, field, required, origin, &wide, err));
  if (wide > UINT32_MAX) return json_wrong(json_object_get(object, field), field, origin, "an integer below 2^32", err);
  *out = (uint32_t)wide;
  return ELLM_OK;
}

ellm_status json_get_double(const json_t *object, const char *field, bool required, const char *origin, double *out,
                            ellm_error *err) {
  const json_t *value;
  ELLM_TRY(find(object, field, required, origin, &value, err));
  if (value == NULL) return ELLM_OK;
  if (!json_is_number(value) || !isfinite(json_number_value(value)))
    return json_wrong(value, field, origin, "a number", err);
  *out = json_number_value(value);
  return ELLM_OK;
}

ellm_status json_get_bool(const json_t *object, const char *field, bool required, const char *origin, bool *out,
                          ellm_error *err) {
  const json_t *value;
  ELLM_TRY(find(object, field, required, origin, &value, err));
  if (value == NULL) return ELLM_OK;
  if (!json_is_boolean(value)) return json_wrong(value, field, origin, "true or false", err);
  *out = json_is_true(value);
  return ELLM_OK;
}

ellm_status json_get_string(const json_t *object, const char *field, bool required, const char *origin,
                            const char **out, ellm_error *err) {
  const json_t *value;
  ELLM_TRY(find(object, field, required, origin, &value, err));
  if (value == NULL) return ELLM_OK;
  if (!json_is_string(value) || json_unreadable_number(value) != NULL)
    return json_wrong(value, field, origin, "a string", err);
  if (strlen(json_string_value(value)) != json_string_length(value)) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s contains a NUL character", origin, field);
  }
  *out = json_string_value(value);
  return ELLM_OK;
}
