/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See fields.h. Depth and number of values are counted before anything is
 * parsed: a few bytes of JSON can otherwise become many of memory.
 */
#include "serve/fields.h"

#include <math.h>
#include <string.h>

/* Depth and number of values, of what need not be JSON. */
static bool within_limits(const char *data, size_t bytes, problem *p) {
  size_t depth = 0, values = 0;
  bool quoted = false;
  for (size_t i = 0; i < bytes; i++) {
    const char c = data[i];
    if (quoted) {
      if (c == '\\') i++;
      else if (c == '"') quoted = false;
      continue;
    }
    quoted = c == '"';
    if (c == '{' || c == '[') depth++;
    if ((c == '}' || c == ']') && depth > 0) depth--;
    values += c == '{' || c == '[' || c == ',' || c == ':';
    if (depth > FIELDS_MAX_DEPTH)
      return problem_set(p, 400, NULL, "the body is nested deeper than %d levels", FIELDS_MAX_DEPTH);
    if (values > FIELDS_MAX_VALUES)
      return problem_set(p, 400, NULL, "the body has more than %d values", FIELDS_MAX_VALUES);
  }
  return true;
}

/* jansson drops a character of a string or a number, and says nothing, where it has no memory to hold it: then a prompt
 * would be another one. So what it made of a body is compared with what it makes of it again; bodies of a size for
 * which that would take long are let be. */
enum { PARSED_TWICE = 1 << 20 };

static bool is_sure(const json_t *body, const char *data, size_t bytes) {
  if (bytes > PARSED_TWICE) return true;
  json_t *again = json_loadb(data, bytes, JSON_REJECT_DUPLICATES, NULL);
  const bool same = again && json_equal(body, again);
  json_decref(again);
  return same;
}

bool fields_parse(const char *data, size_t bytes, json_t **body, problem *p) {
  json_error_t error;
  *body = NULL;
  if (bytes == 0) return problem_set(p, 400, NULL, "the body is empty: a JSON object is needed");
  if (!within_limits(data, bytes, p)) return false;
  *body = json_loadb(data, bytes, JSON_REJECT_DUPLICATES, &error);
  if (!*body && (error.line < 0 || json_error_code(&error) == json_error_out_of_memory)) return problem_memory(p);
  if (!*body)
    return problem_set(p, 400, NULL, "the body is not valid JSON: line %d, column %d: %s", error.line, error.column,
                       error.text);
  const bool sure = is_sure(*body, data, bytes);
  if (sure && json_is_object(*body)) return true;
  json_decref(*body);
  *body = NULL;
  return sure ? problem_set(p, 400, NULL, "the body is not a JSON object") : problem_memory(p);
}

static json_t *find(const json_t *body, const char *name) {
  json_t *value = json_object_get(body, name);
  return json_is_null(value) ? NULL : value;
}

bool field_given(const json_t *body, const char *name) { return find(body, name) != NULL; }

bool field_real(const json_t *body, const char *name, double low, double high, double *value, bool *given, problem *p) {
  const json_t *v = find(body, name);
  if (given) *given = v != NULL;
  if (!v) return true;
  const double number = json_is_number(v) ? json_number_value(v) : NAN;
  if (!(number >= low && number <= high))
    return problem_set(p, 400, name, "%s must be a number of %g to %g", name, low, high);
  *value = number;
  return true;
}

bool field_int(const json_t *body, const char *name, json_int_t low, json_int_t high, json_int_t *value, bool *given,
               problem *p) {
  const json_t *v = find(body, name);
  if (given) *given = v != NULL;
  if (!v) return true;
  if (!json_is_integer(v) || json_integer_value(v) < low || json_integer_value(v) > high)
    return problem_set(p, 400, name, "%s must be a whole number of %lld to %lld", name, (long long)low,
                       (long long)high);
  *value = json_integer_value(v);
  return true;
}

bool field_bool(const json_t *body, const char *name, bool *value, problem *p) {
  const json_t *v = find(body, name);
  if (!v) return true;
  if (!json_is_boolean(v)) return problem_set(p, 400, name, "%s must be true or false", name);
  *value = json_is_true(v);
  return true;
}

bool field_text(const json_t *body, const char *name, const char **value, problem *p) {
  const json_t *v = find(body, name);
  if (!v) return true;
  if (!json_is_string(v)) return problem_set(p, 400, name, "%s must be a text", name);
  *value = json_string_value(v);
  return true;
}

bool field_object(const json_t *body, const char *name, json_t **value, problem *p) {
  json_t *v = find(body, name);
  if (!v) return true;
  if (!json_is_object(v)) return problem_set(p, 400, name, "%s must be an object", name);
  *value = v;
  return true;
}

bool field_array(const json_t *body, const char *name, json_t **value, problem *p) {
  json_t *v = find(body, name);
  if (!v) return true;
  if (!json_is_array(v)) return problem_set(p, 400, name, "%s must be a list", name);
  *value = v;
  return true;
}
