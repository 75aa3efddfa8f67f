/* SPDX-License-Identifier: Apache-2.0 */
/* Reading components of tokenizer.json; see component.h. */
#include "text/component.h"

#include <stdio.h>
#include <string.h>

#include "json/json.h"
#include "text/utf8.h"

typedef struct walk {
  const char *list_field;
  const component_place *place;
  component_fn fn;
  void *user;
  size_t steps;
} walk;

static ellm_status walk_component(walk *w, const json_t *component, size_t depth, ellm_error *err) {
  const component_place *place = w->place;
  if (!component || json_is_null(component)) return ELLM_OK;
  if (!json_is_object(component)) {
    return json_wrong(component, place->part, place->origin, "an object", err);
  }
  const char *type = json_string_value(json_object_get(component, "type"));
  if (!type) return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s has no type", place->origin, place->part);
  if (strcmp(type, "Sequence") != 0) {
    if (++w->steps > COMPONENT_MAX_STEPS) {
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s has more than %d steps", place->origin, place->part,
                       COMPONENT_MAX_STEPS);
    }
    return w->fn(w->user, component, type, place, err);
  }
  const json_t *list = json_object_get(component, w->list_field);
  if (!json_is_array(list)) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s: Sequence without \"%s\"", place->origin, place->part, w->list_field);
  }
  if (depth == COMPONENT_MAX_DEPTH) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s: Sequences are nested too deep", place->origin, place->part);
  }
  for (size_t i = 0; i < json_array_size(list); ++i) {
    const json_t *item = json_array_get(list, i);
    if (!json_is_object(item)) {
      char text[80];
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s: item %zu of a Sequence is %s, an object is expected",
                       place->origin,
                       place->part, i, json_brief(item, text));
    }
    ELLM_TRY(walk_component(w, item, depth + 1, err));
  }
  return ELLM_OK;
}

ellm_status component_walk(const json_t *component, const char *list_field, const component_place *place,
                           component_fn fn, void *user, ellm_error *err) {
  walk w = {list_field, place, fn, user, 0};
  return walk_component(&w, component, 0, err);
}

ellm_status component_unsupported(const component_place *place, const char *type, ellm_error *err) {
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s of type \"%s\" is not supported", place->origin, place->part, type);
}

ellm_status component_wrong(const json_t *value, const char *field, const component_place *place, const char *wanted,
                            ellm_error *err) {
  char text[80];
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s: \"%s\" is %s, %s is expected", place->origin, place->part, field,
                   json_brief(value, text), wanted);
}

ellm_status component_bool(const json_t *object, const char *field, bool required, const component_place *place,
                           bool *out, ellm_error *err) {
  const json_t *value = json_object_get(object, field);
  if (!required && (!value || json_is_null(value))) return ELLM_OK;
  if (!json_is_boolean(value)) return component_wrong(value, field, place, "true or false", err);
  *out = json_is_true(value);
  return ELLM_OK;
}

ellm_status component_string(const json_t *object, const char *field, const component_place *place, const char **text,
                             size_t *bytes, ellm_error *err) {
  const json_t *value = json_object_get(object, field);
  if (!json_is_string(value)) return component_wrong(value, field, place, "a string", err);
  *text = json_string_value(value);
  *bytes = json_string_length(value);
  return ELLM_OK;
}

ellm_status component_character(const json_t *object, const char *field, const component_place *place, uint32_t *cp,
                                ellm_error *err) {
  const char *text;
  size_t bytes;
  ELLM_TRY(component_string(object, field, place, &text, &bytes, err));
  if (bytes == 0 || utf8_length(text[0]) != bytes)
    return component_wrong(json_object_get(object, field), field, place, "one character", err);
  utf8_decode(text, cp);
  return ELLM_OK;
}

ellm_status component_pattern(const json_t *object, const component_place *place, text_regex **regex, ellm_error *err) {
  const json_t *pattern = json_object_get(object, "pattern");
  bool literal = json_object_get(pattern, "String") != NULL;
  if (!json_is_object(pattern) || json_object_size(pattern) != 1) {
    return component_wrong(pattern, "pattern", place, "an object of one field", err);
  }
  const char *text;
  size_t bytes;
  char where[REGEX_WHERE_BYTES];
  ELLM_TRY(component_string(pattern, literal ? "String" : "Regex", place, &text, &bytes, err));
  snprintf(where, sizeof where, "%s: %s", place->origin, place->part);
  return regex_compile(text, bytes, literal, where, regex, err);
}
