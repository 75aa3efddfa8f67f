/* SPDX-License-Identifier: Apache-2.0 */
/* See schema_merge.h. */
#include "grammar/schema_merge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool schema_is_annotation(const char *keyword) {
  static const char *const names[] = {"title",       "description", "default",   "examples",        "example",
                                      "$schema",     "$id",         "$comment",  "deprecated",      "readOnly",
                                      "writeOnly",   "$defs",       "definitions", "contentEncoding", "contentMediaType",
                                      "contentSchema", "$vocabulary"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(keyword, names[i]) == 0) return true;
  return false;
}

bool schema_value_has_type(const json_t *value, const char *type) {
  switch (json_typeof(value)) {
    case JSON_OBJECT: return strcmp(type, "object") == 0;
    case JSON_ARRAY: return strcmp(type, "array") == 0;
    case JSON_STRING: return strcmp(type, "string") == 0;
    case JSON_INTEGER: return strcmp(type, "integer") == 0 || strcmp(type, "number") == 0;
    case JSON_REAL:
      return strcmp(type, "number") == 0 ||
             (strcmp(type, "integer") == 0 && json_real_value(value) == floor(json_real_value(value)));
    case JSON_TRUE:
    case JSON_FALSE: return strcmp(type, "boolean") == 0;
    case JSON_NULL: return strcmp(type, "null") == 0;
  }
  return false;
}

static bool lists(const json_t *types, const char *type) {
  if (json_is_string(types)) return strcmp(json_string_value(types), type) == 0;
  for (size_t i = 0; i < json_array_size(types); i++)
    if (json_is_string(json_array_get(types, i)) && strcmp(json_string_value(json_array_get(types, i)), type) == 0)
      return true;
  return false;
}

bool schema_has_type(const json_t *schema, const char *type) {
  const json_t *types = json_object_get(schema, "type");
  return !types || lists(types, type) || (strcmp(type, "integer") == 0 && lists(types, "number"));
}

/* ----------------------------------------------------------------- references */

static int hex_digit(char c) {
  return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* One part of a pointer, up to the next "/", as it is meant. Returns where it ends; NULL: it is longer than `room`. */
static const char *read_part(const char *from, char *part, size_t room) {
  size_t n = 0;
  for (; *from && *from != '/'; from++) {
    char c = *from;
    if (c == '%' && hex_digit(from[1]) >= 0 && hex_digit(from[2]) >= 0) {
      c = (char)(hex_digit(from[1]) << 4 | hex_digit(from[2]));
      from += 2;
    } else if (c == '~' && (from[1] == '0' || from[1] == '1')) {
      c = *++from == '0' ? '~' : '/';
    }
    if (n + 1 >= room) return NULL;
    part[n++] = c;
  }
  part[n] = '\0';
  return from;
}

const json_t *schema_target(const json_t *root, const char *reference) {
  char part[1024];
  const json_t *at = root;
  if (*reference++ != '#') return NULL;
  if (*reference != '\0' && *reference != '/') return NULL;
  while (at && *reference == '/') {
    reference = read_part(reference + 1, part, sizeof part);
    if (!reference) return NULL;
    if (json_is_array(at)) {
      char *rest;
      const unsigned long index = strtoul(part, &rest, 10);
      at = *rest == '\0' && part[0] >= '0' && part[0] <= '9' ? json_array_get(at, index) : NULL;
    } else {
      at = json_object_get(at, part);
    }
  }
  return at;
}

/* ---------------------------------------------------------------------- merge */

static ellm_status fail_both(const schema_place *place, const char *keyword) {
  return schema_fail(place, "\"%s\" in several schemas that hold together is not supported", keyword);
}

/* Properties of `theirs` that are not in `own`. */
static bool has_more(const json_t *own, const json_t *theirs) {
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)theirs, name, value) if (!json_object_get(own, name)) return true;
  return false;
}

static ellm_status merge_properties(const schema_place *place, json_t *into, const json_t *more) {
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)more, name, value) {
    const json_t *there = json_object_get(into, name);
    json_t *both = NULL;
    if (there && !json_equal(there, value)) ELLM_TRY(schema_merge(place, there, value, &both));
    else if (!there) both = json_deep_copy(value);
    if (both && json_object_set_new(into, name, both) != 0) return ellm_fail_memory(place->err, 64, "a schema");
  }
  return ELLM_OK;
}

static json_t *both_types(const json_t *a, const json_t *b) {
  static const char *const names[] = {"object", "array", "string", "number", "integer", "boolean", "null"};
  json_t *both = json_array();
  for (size_t i = 0; both && i < sizeof names / sizeof *names; i++) {
    const bool integer = strcmp(names[i], "integer") == 0;
    const bool in_a = lists(a, names[i]) || (integer && lists(a, "number"));
    const bool in_b = lists(b, names[i]) || (integer && lists(b, "number"));
    if (!in_a || !in_b || (integer && lists(both, "number"))) continue;
    if (json_array_append_new(both, json_string(names[i])) == 0) continue;
    json_decref(both);
    both = NULL;
  }
  return both;
}

/* The tighter of two bounds, 0 where it is none. */
static int bound_direction(const char *keyword) {
  static const char *const lower[] = {"minimum", "exclusiveMinimum", "minLength", "minItems"};
  static const char *const upper[] = {"maximum", "exclusiveMaximum", "maxLength", "maxItems"};
  for (size_t i = 0; i < 4; i++) {
    if (strcmp(keyword, lower[i]) == 0) return 1;
    if (strcmp(keyword, upper[i]) == 0) return -1;
  }
  return 0;
}

static ellm_status merge_keyword(const schema_place *place, json_t *into, const json_t *other, const char *keyword,
                                 const json_t *value) {
  json_t *there = json_object_get(into, keyword), *both = NULL;
  const int direction = bound_direction(keyword);
  if (!there) {
    both = json_deep_copy(value);
  } else if (json_equal(there, value) || schema_is_annotation(keyword)) {
    return ELLM_OK;
  } else if (strcmp(keyword, "properties") == 0 && json_is_object(there) && json_is_object(value)) {
    return merge_properties(place, there, value);
  } else if (strcmp(keyword, "required") == 0 && json_is_array(there) && json_is_array(value)) {
    both = json_copy(there);
    if (json_array_extend(both, (json_t *)value) != 0) return ellm_fail_memory(place->err, 64, "a schema");
  } else if (strcmp(keyword, "type") == 0) {
    both = both_types(there, value);
  } else if (direction != 0 && json_is_number(there) && json_is_number(value)) {
    const bool tighter = direction * (json_number_value(value) - json_number_value(there)) > 0;
    both = json_copy(tighter ? (json_t *)value : there);
  } else if (strcmp(keyword, "additionalProperties") == 0 && (json_is_true(there) || json_is_true(value))) {
    both = json_copy(json_is_true(there) ? (json_t *)value : there);
  } else {
    (void)other;
    return fail_both(place, keyword);
  }
  if (!both || json_object_set_new(into, keyword, both) != 0) return ellm_fail_memory(place->err, 64, "a schema");
  return ELLM_OK;
}

/* "additionalProperties" speaks of the properties beside it: what others add would be among the additional ones. */
static bool excludes(const json_t *schema, const json_t *other) {
  const json_t *additional = json_object_get(schema, "additionalProperties");
  if (!additional || json_is_true(additional)) return false;
  return has_more(json_object_get(schema, "properties"), json_object_get(other, "properties"));
}

ellm_status schema_merge(const schema_place *place, const json_t *a, const json_t *b, json_t **merged) {
  *merged = NULL;
  if (json_is_boolean(a) || json_is_boolean(b)) {
    const json_t *one = json_is_false(a) || json_is_true(b) ? a : b;
    *merged = json_deep_copy(one);
    return *merged ? ELLM_OK : ellm_fail_memory(place->err, 64, "a schema");
  }
  if (!json_is_object(a) || !json_is_object(b)) return schema_fail(place, "a schema is an object, true or false");
  if (excludes(a, b) || excludes(b, a)) return fail_both(place, "additionalProperties");
  json_t *into = json_deep_copy(a);
  const char *keyword;
  json_t *value;
  ellm_status status = into ? ELLM_OK : ellm_fail_memory(place->err, 64, "a schema");
  json_object_foreach((json_t *)b, keyword, value) {
    if (status != ELLM_OK) break;
    status = merge_keyword(place, into, a, keyword, value);
  }
  if (status == ELLM_OK) *merged = into;
  else json_decref(into);
  return status;
}

/* ------------------------------------------------------------------- disjoint */

static const json_t *followed(const json_t *root, const json_t *schema) {
  for (int i = 0; i < 8; i++) {
    const json_t *reference = json_object_get(schema, "$ref");
    if (!json_is_string(reference)) return schema;
    schema = schema_target(root, json_string_value(reference));
  }
  return NULL;
}

static bool is_value_of(const json_t *schema, const json_t *value) {
  const json_t *list = json_object_get(schema, "enum"), *one = json_object_get(schema, "const");
  if (one) return json_equal(one, value);
  for (size_t i = 0; i < json_array_size(list); i++)
    if (json_equal(json_array_get(list, i), value)) return true;
  return false;
}

/* Both are lists of values that have none in common. */
static bool values_disjoint(const json_t *a, const json_t *b) {
  const json_t *list = json_object_get(a, "enum"), *one = json_object_get(a, "const");
  if (!list && !one) return false;
  if (!json_object_get(b, "enum") && !json_object_get(b, "const")) return false;
  if (one) return !is_value_of(b, one);
  for (size_t i = 0; i < json_array_size(list); i++)
    if (is_value_of(b, json_array_get(list, i))) return false;
  return true;
}

static bool types_disjoint(const json_t *a, const json_t *b) {
  static const char *const names[] = {"object", "array", "string", "number", "integer", "boolean", "null"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (schema_has_type(a, names[i]) && schema_has_type(b, names[i])) return false;
  return true;
}

bool schema_requires(const json_t *schema, const char *name) {
  const json_t *required = json_object_get(schema, "required");
  for (size_t i = 0; i < json_array_size(required); i++) {
    const char *one = json_string_value(json_array_get(required, i));
    if (one && strcmp(one, name) == 0) return true;
  }
  return false;
}

bool schema_disjoint(const json_t *root, const json_t *a, const json_t *b) {
  const char *name;
  json_t *value;
  a = followed(root, a);
  b = followed(root, b);
  if (json_is_false(a) || json_is_false(b)) return true;
  if (!json_is_object(a) || !json_is_object(b)) return false;
  if (types_disjoint(a, b) || values_disjoint(a, b)) return true;
  if (!json_object_get(a, "type") || !json_object_get(b, "type")) return false;
  const json_t *theirs = json_object_get(b, "properties"); /* objects with a property that tells them apart */
  json_object_foreach(json_object_get(a, "properties"), name, value) {
    const json_t *other = json_object_get(theirs, name);
    if (other && schema_requires(a, name) && schema_requires(b, name) &&
        values_disjoint(followed(root, value), followed(root, other)))
      return !schema_has_type(a, "null") || !schema_has_type(b, "null");
  }
  return false;
}
