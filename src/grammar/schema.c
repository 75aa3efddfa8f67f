/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a schema to rules: see schema.h. References and what they point at become rules, which are made one after the
 * other from a list, so that chains of references are as long as they like. Schemas that hold together (allOf, what
 * is beside anyOf or $ref) are merged first.
 */
#include "grammar/schema.h"

#include <stdlib.h>
#include <string.h>

#include "grammar/json_forms.h"
#include "grammar/schema_merge.h"
#include "grammar/schema_values.h"
#include "json/json.h"

enum { MOST_DEPTH = 100, MOST_MERGES = 4096 };

typedef struct reference { const json_t *schema; uint32_t rule; char *pointer; } reference;

typedef struct schema_reader {
  grammar_rules *rules;
  json_forms json;
  const json_t *root;
  schema_place place;
  reference *references;
  size_t n_references, references_room;
  json_t *merged;      /* a list that keeps them */
  unsigned depth;
} schema_reader;

static ellm_status compile(schema_reader *s, const json_t *schema, expr_id *made);

/* A part of the schema that is reached by these names. */
static ellm_status compile_at(schema_reader *s, const char *part, const json_t *schema, expr_id *made) {
  const size_t mark = schema_into(&s->place, part);
  ELLM_TRY(compile(s, schema, made));
  schema_back(&s->place, mark);
  return ELLM_OK;
}

static ellm_status compile_index(schema_reader *s, const char *part, size_t index, const json_t *schema,
                                 expr_id *made) {
  const size_t mark = schema_into(&s->place, part);
  schema_into_index(&s->place, index);
  ELLM_TRY(compile(s, schema, made));
  schema_back(&s->place, mark);
  return ELLM_OK;
}

static ellm_status keep_merged(schema_reader *s, json_t *merged) {
  if (json_array_size(s->merged) >= MOST_MERGES) {
    json_decref(merged);
    return schema_fail(&s->place, "more than %d schemas would have to be merged", MOST_MERGES);
  }
  return json_array_append_new(s->merged, merged) == 0 ? ELLM_OK : ellm_fail_memory(s->place.err, 64, "a schema");
}

/* ----------------------------------------------------------------- references */

static ellm_status find_target(schema_reader *s, const json_t *schema, const json_t **target) {
  const json_t *value = json_object_get(schema, "$ref");
  if (!json_is_string(value)) return schema_wrong(&s->place, value, "$ref", "a text");
  *target = schema_target(s->root, json_string_value(value));
  if (*target) return ELLM_OK;
  char text[80];
  return schema_fail(&s->place, "$ref %s is not found; only \"#\" and \"#/...\" are supported",
                     json_brief(value, text));
}

static ellm_status call_reference(schema_reader *s, const json_t *target, const char *pointer, expr_id *made) {
  for (size_t i = 0; i < s->n_references; i++)
    if (s->references[i].schema == target) {
      *made = rules_call(s->rules, s->references[i].rule);
      return ELLM_OK;
    }
  if (!rules_grow(s->rules, &s->references, &s->references_room, s->n_references, sizeof *s->references))
    return ELLM_OK; /* the rules know */
  char *copy = strdup(pointer);
  const uint32_t rule = rules_unnamed(s->rules);
  if (!copy) return ellm_fail_memory(s->place.err, strlen(pointer), "a schema");
  s->references[s->n_references++] = (reference){target, rule, copy};
  *made = rules_call(s->rules, rule);
  return ELLM_OK;
}

/* -------------------------------------------------------------- several at once */

/* The schema without a keyword; *some: what is left says something, else *rest is NULL. */
static ellm_status without(schema_reader *s, const json_t *schema, const char *keyword, json_t **rest, bool *some) {
  const char *name;
  json_t *value;
  *some = false;
  *rest = NULL;
  json_object_foreach((json_t *)schema, name, value)
    if (!schema_is_annotation(name) && strcmp(name, keyword) != 0) *some = true;
  if (!*some) return ELLM_OK;
  *rest = json_copy((json_t *)schema);
  if (!*rest) return ellm_fail_memory(s->place.err, 64, "a schema");
  json_object_del(*rest, keyword);
  return keep_merged(s, *rest);
}

static ellm_status merge_parts(schema_reader *s, const json_t *a, const json_t *b, const json_t **both) {
  json_t *merged;
  ELLM_TRY(schema_merge(&s->place, a, b, &merged));
  *both = merged;
  return keep_merged(s, merged);
}

/* A reference with its siblings, followed as far as it goes. */
static ellm_status compile_reference(schema_reader *s, const json_t *schema, expr_id *made) {
  const json_t *target;
  json_t *rest;
  bool some;
  ELLM_TRY(find_target(s, schema, &target));
  ELLM_TRY(without(s, schema, "$ref", &rest, &some));
  if (!some) return call_reference(s, target, json_string_value(json_object_get(schema, "$ref")), made);
  ELLM_TRY(merge_parts(s, target, rest, &target));
  return compile(s, target, made);
}

static ellm_status compile_all_of(schema_reader *s, const json_t *schema, expr_id *made) {
  const json_t *parts = json_object_get(schema, "allOf"), *all;
  json_t *rest;
  bool some;
  if (json_array_size(parts) == 0) return schema_wrong(&s->place, parts, "allOf", "a list of schemas");
  ELLM_TRY(without(s, schema, "allOf", &rest, &some));
  all = rest;
  for (size_t i = 0; i < json_array_size(parts); i++) {
    const size_t mark = schema_into(&s->place, "allOf");
    schema_into_index(&s->place, i);
    const json_t *part = json_array_get(parts, i);
    for (int follow = 0; json_is_object(part) && json_object_size(part) == 1 && json_object_get(part, "$ref"); follow++) {
      if (follow > MOST_DEPTH) return schema_fail(&s->place, "a schema refers directly to itself");
      ELLM_TRY(find_target(s, part, &part));
    }
    if (!all) all = part;
    else ELLM_TRY(merge_parts(s, all, part, &all));
    schema_back(&s->place, mark);
  }
  return compile(s, all, made);
}

/* anyOf, and oneOf where at most one of the schemas can hold. */
static ellm_status compile_any_of(schema_reader *s, const json_t *schema, const char *keyword, expr_id *made) {
  const json_t *parts = json_object_get(schema, keyword);
  const size_t n = json_array_size(parts);
  json_t *rest;
  bool some;
  if (n == 0) return schema_wrong(&s->place, parts, keyword, "a list of schemas");
  if (strcmp(keyword, "oneOf") == 0)
    for (size_t i = 1; i < n; i++)
      for (size_t k = 0; k < i; k++)
        if (!schema_disjoint(s->root, json_array_get(parts, i), json_array_get(parts, k)))
          return schema_fail(&s->place, "oneOf of schemas that may both hold (%zu and %zu) is not supported", k, i);
  ELLM_TRY(without(s, schema, keyword, &rest, &some));
  expr_list list = {0};
  ellm_status status = ELLM_OK;
  for (size_t i = 0; status == ELLM_OK && i < n; i++) {
    const json_t *part = json_array_get(parts, i);
    expr_id one = EXPR_NONE;
    if (some) status = merge_parts(s, rest, part, &part);
    if (status == ELLM_OK) status = compile_index(s, keyword, i, part, &one);
    if (status == ELLM_OK) expr_list_add(s->rules, &list, one);
  }
  const expr_id choice = expr_list_choice(s->rules, &list);
  if (status == ELLM_OK) *made = choice;
  return status;
}

/* ---------------------------------------------------------------------- objects */

/* The properties that are listed, then those that are only required. */
static ellm_status all_properties(schema_reader *s, const json_t *schema, json_t **all) {
  const json_t *properties = json_object_get(schema, "properties"), *required = json_object_get(schema, "required");
  const json_t *additional = json_object_get(schema, "additionalProperties");
  if (properties && !json_is_object(properties)) return schema_wrong(&s->place, properties, "properties", "an object");
  if (required && !json_is_array(required)) return schema_wrong(&s->place, required, "required", "a list of names");
  *all = properties ? json_copy((json_t *)properties) : json_object();
  if (!*all) return ellm_fail_memory(s->place.err, 64, "a schema");
  ELLM_TRY(keep_merged(s, *all));
  for (size_t i = 0; i < json_array_size(required); i++) {
    const json_t *name = json_array_get(required, i);
    if (!json_is_string(name)) return schema_wrong(&s->place, name, "an entry of required", "a text");
    if (json_object_get(*all, json_string_value(name))) continue;
    json_t *value = additional ? json_incref((json_t *)additional) : json_true();
    if (json_object_set_new(*all, json_string_value(name), value) != 0)
      return ellm_fail_memory(s->place.err, 64, "a schema");
  }
  return ELLM_OK;
}

/* A rule for each property, "name": value. */
static ellm_status compile_members(schema_reader *s, json_t *properties, uint32_t *members) {
  const size_t mark = schema_into(&s->place, "properties");
  const char *name;
  json_t *schema;
  json_object_foreach(properties, name, schema) {
    expr_id value = EXPR_NONE;
    ELLM_TRY(compile_at(s, name, schema, &value));
    json_t *key = json_string(name);
    if (!key) return ellm_fail_memory(s->place.err, strlen(name), "a schema");
    *members = rules_unnamed(s->rules);
    rules_define(s->rules, *members++, form_member(&s->json, form_literal(&s->json, key), value));
    json_decref(key);
  }
  schema_back(&s->place, mark);
  return ELLM_OK;
}

/* More members, of names that are not listed: any number, "," before each. `*extra` is a rule for one. */
static ellm_status compile_extra(schema_reader *s, const json_t *schema, const json_t *properties, uint32_t *extra) {
  const json_t *additional = json_object_get(schema, "additionalProperties");
  expr_id value = EXPR_NONE;
  *extra = EXPR_NONE;
  if (additional ? json_is_false(additional) : json_object_size(properties) > 0) return ELLM_OK;
  if (additional && !json_is_true(additional)) ELLM_TRY(compile_at(s, "additionalProperties", additional, &value));
  else value = form_value(&s->json);
  *extra = rules_unnamed(s->rules);
  rules_define(s->rules, *extra, form_member(&s->json, form_key_besides(&s->json, properties), value));
  return ELLM_OK;
}

/* What may come after member i - 1: those from i on, each optional one or not, then more. Returns a rule. */
static uint32_t compile_tail(schema_reader *s, uint32_t member, bool required, uint32_t rest) {
  grammar_rules *r = s->rules;
  const uint32_t tail = rules_unnamed(r);
  expr_id next = form_next(&s->json, rules_call(r, member));
  if (!required) next = rules_repeat(r, next, 0, 1);
  rules_define(r, tail, RULES_SEQUENCE(r, next, rules_call(r, rest)));
  return tail;
}

/* Members in the order of the schema; the first that is there has no comma. `members` and `tails` are [n + 1]:
 * tails[i] is what may come after member i - 1. */
static ellm_status join_members(schema_reader *s, const json_t *schema, const json_t *properties, uint32_t extra,
                                const uint32_t *members, uint32_t *tails, expr_id *made) {
  grammar_rules *r = s->rules;
  const size_t n = json_object_size(properties);
  const char *name;
  json_t *value;
  expr_list firsts = {0};
  size_t i = 0;
  bool required = false;
  bool *must = calloc(n + 1, sizeof *must);
  if (!must) return ellm_fail_memory(s->place.err, n, "a schema");
  json_object_foreach((json_t *)properties, name, value) must[i++] = schema_requires(schema, name);
  tails[n] = rules_unnamed(r);
  rules_define(r, tails[n], extra == EXPR_NONE ? rules_literal(r, "", 0)
                                               : rules_repeat(r, form_next(&s->json, rules_call(r, extra)), 0,
                                                              RULES_NO_LIMIT));
  for (i = n; i-- > 1;) tails[i] = compile_tail(s, members[i], must[i], tails[i + 1]);
  for (i = 0; i < n && !required; i++) {
    expr_list_add(r, &firsts, RULES_SEQUENCE(r, rules_call(r, members[i]), rules_call(r, tails[i + 1])));
    required = must[i];
  }
  if (!required && extra != EXPR_NONE)
    expr_list_add(r, &firsts, RULES_SEQUENCE(r, rules_call(r, extra), rules_call(r, tails[n])));
  const expr_id some = firsts.count > 0 ? form_braces(&s->json, rules_choice(r, firsts.items, firsts.count))
                                        : form_empty(&s->json, "{", "}");
  *made = required || firsts.count == 0 ? some : RULES_CHOICE(r, form_empty(&s->json, "{", "}"), some);
  free(firsts.items);
  free(must);
  return ELLM_OK;
}

static ellm_status compile_object(schema_reader *s, const json_t *schema, expr_id *made) {
  json_t *properties;
  uint32_t extra = EXPR_NONE;
  ELLM_TRY(all_properties(s, schema, &properties));
  if (json_object_size(properties) == 0 && (!json_object_get(schema, "additionalProperties") ||
                                            json_is_true(json_object_get(schema, "additionalProperties")))) {
    *made = form_any_object(&s->json);
    return ELLM_OK;
  }
  const size_t n = json_object_size(properties) + 1;
  uint32_t *members = calloc(2 * n, sizeof *members);
  if (!members) return ellm_fail_memory(s->place.err, 2 * n * sizeof *members, "a schema");
  ellm_status status = compile_members(s, properties, members);
  if (status == ELLM_OK) status = compile_extra(s, schema, properties, &extra);
  if (status == ELLM_OK) status = join_members(s, schema, properties, extra, members, members + n, made);
  free(members);
  return status;
}

/* ----------------------------------------------------------------------- arrays */

/* Elements from the list, each with a rule of its own, then any number of others. */
static ellm_status compile_elements(schema_reader *s, const json_t *prefix, const json_t *items, uint32_t min,
                                    uint32_t max, expr_id *made) {
  grammar_rules *r = s->rules;
  const size_t n = json_array_size(prefix);
  uint32_t other = EXPR_NONE, rest = EXPR_NONE;
  expr_id value = EXPR_NONE;
  if (!json_is_false(items) && max > n) {
    if (items) ELLM_TRY(compile_at(s, "items", items, &value));
    else value = form_value(&s->json);
    other = rules_unnamed(r);
    rules_define(r, other, value);
  } else if (min > n) {
    return schema_fail(&s->place, "minItems %u is more than there can be", (unsigned)min);
  }
  const uint32_t more = max == RULES_NO_LIMIT ? max : max > n ? max - (uint32_t)n : 0;
  const uint32_t least = min > n ? min - (uint32_t)n : 0;
  for (size_t i = n + 1; i-- > 0;) { /* rest: what comes after i elements of the list */
    expr_id first = EXPR_NONE;
    if (i < n && i < max) ELLM_TRY(compile_index(s, "prefixItems", i, json_array_get(prefix, i), &first));
    expr_id from;
    if (i == n && other != EXPR_NONE) {
      const uint32_t after = more == RULES_NO_LIMIT ? more : n == 0 ? more - 1 : more;
      const expr_id others = rules_repeat(r, form_next(&s->json, rules_call(r, other)),
                                          n == 0 && least > 0 ? least - 1 : least, after);
      from = n == 0 ? RULES_SEQUENCE(r, rules_call(r, other), others) : others;
    } else if (i < n && i < max) {
      if (i > 0) first = form_next(&s->json, first);
      from = RULES_SEQUENCE(r, first, rules_call(r, rest));
      if (i >= min && i > 0) from = rules_repeat(r, from, 0, 1);
    } else {
      from = rules_literal(r, "", 0);
    }
    rest = rules_unnamed(r);
    rules_define(r, rest, from);
  }
  const bool none = n == 0 && other == EXPR_NONE;
  const expr_id some = none || max == 0 ? EXPR_NONE : form_brackets(&s->json, rules_call(r, rest));
  if (none || max == 0) *made = form_empty(&s->json, "[", "]");
  else *made = min > 0 ? some : RULES_CHOICE(r, form_empty(&s->json, "[", "]"), some);
  return ELLM_OK;
}

static ellm_status compile_array(schema_reader *s, const json_t *schema, expr_id *made) {
  const json_t *prefix = json_object_get(schema, "prefixItems"), *items = json_object_get(schema, "items");
  uint32_t min = 0, max = RULES_NO_LIMIT;
  if (prefix && !json_is_array(prefix)) return schema_wrong(&s->place, prefix, "prefixItems", "a list of schemas");
  if (json_is_array(items)) return schema_fail(&s->place, "a list in \"items\" is not supported: it is prefixItems");
  ELLM_TRY(schema_count(&s->place, schema, "minItems", &min));
  ELLM_TRY(schema_count(&s->place, schema, "maxItems", &max));
  if (max < min) return schema_fail(&s->place, "minItems %u is more than maxItems %u", (unsigned)min, (unsigned)max);
  if (!prefix && !items && min == 0 && max == RULES_NO_LIMIT) {
    *made = form_any_array(&s->json);
    return ELLM_OK;
  }
  return compile_elements(s, prefix, items, min, max, made);
}

/* ------------------------------------------------------------------------ types */

static ellm_status compile_values(schema_reader *s, const json_t *schema, expr_id *made) {
  const json_t *list = json_object_get(schema, "enum"), *one = json_object_get(schema, "const");
  const json_t *types = json_object_get(schema, "type");
  const size_t n = one ? 1 : json_array_size(list);
  expr_list values = {0};
  const char *name;
  json_t *ignored;
  json_object_foreach((json_t *)schema, name, ignored)
    if (strcmp(name, "enum") != 0 && strcmp(name, "const") != 0 && strcmp(name, "type") != 0 &&
        schema_is_keyword(name))
      return schema_fail(&s->place, "\"%s\" beside enum or const is not supported", name);
  if (n == 0) return schema_wrong(&s->place, list, "enum", "a list of values");
  for (size_t i = 0; i < n; i++) {
    const json_t *value = one ? one : json_array_get(list, i);
    bool fits = !types || (json_is_string(types) && schema_value_has_type(value, json_string_value(types)));
    for (size_t t = 0; t < json_array_size(types); t++) {
      const char *type = json_string_value(json_array_get(types, t));
      fits |= type && schema_value_has_type(value, type);
    }
    for (size_t k = 0; one && list && fits && k <= json_array_size(list); k++) {
      fits = k < json_array_size(list); /* const beside enum: one of them */
      if (fits && json_equal(json_array_get(list, k), value)) break;
    }
    if (fits) expr_list_add(s->rules, &values, form_literal(&s->json, value));
  }
  const bool none = values.count == 0;
  *made = expr_list_choice(s->rules, &values);
  return none && s->rules->status == ELLM_OK ? schema_fail(&s->place, "no value of enum or const is of the type")
                                             : ELLM_OK;
}

static ellm_status compile_type(schema_reader *s, const json_t *schema, const char *type, expr_id *made) {
  if (strcmp(type, "object") == 0) return compile_object(s, schema, made);
  if (strcmp(type, "array") == 0) return compile_array(s, schema, made);
  if (strcmp(type, "string") == 0) return schema_string(&s->json, &s->place, schema, made);
  if (strcmp(type, "number") == 0) return schema_number(&s->json, &s->place, schema, false, made);
  if (strcmp(type, "integer") == 0) return schema_number(&s->json, &s->place, schema, true, made);
  if (strcmp(type, "boolean") == 0) *made = form_boolean(&s->json);
  else if (strcmp(type, "null") == 0) *made = form_null(&s->json);
  else return schema_fail(&s->place, "type \"%.40s\" is not known", type);
  return ELLM_OK;
}

/* A schema without a type says by its keywords which it is about. */
static const char *implied_type(const json_t *schema) {
  static const char *const about[][2] = {
      {"properties", "object"},  {"required", "object"},  {"additionalProperties", "object"},
      {"items", "array"},        {"prefixItems", "array"}, {"minItems", "array"},
      {"maxItems", "array"},     {"minLength", "string"}, {"maxLength", "string"},
      {"pattern", "string"},     {"format", "string"},    {"minimum", "number"},
      {"maximum", "number"},     {"exclusiveMinimum", "number"}, {"exclusiveMaximum", "number"}};
  for (size_t i = 0; i < sizeof about / sizeof *about; i++)
    if (json_object_get(schema, about[i][0])) return about[i][1];
  return NULL;
}

static ellm_status compile_types(schema_reader *s, const json_t *schema, expr_id *made) {
  const json_t *types = json_object_get(schema, "type");
  const char *implied = implied_type(schema);
  if (!types && !implied) {
    *made = form_value(&s->json);
    return ELLM_OK;
  }
  if (!types) return compile_type(s, schema, implied, made);
  if (json_is_string(types)) return compile_type(s, schema, json_string_value(types), made);
  if (!json_is_array(types)) return schema_wrong(&s->place, types, "type", "a name or a list of names");
  expr_list list = {0};
  ellm_status status = ELLM_OK;
  for (size_t i = 0; status == ELLM_OK && i < json_array_size(types); i++) {
    const char *type = json_string_value(json_array_get(types, i));
    expr_id one = EXPR_NONE;
    status = type ? compile_type(s, schema, type, &one)
                  : schema_wrong(&s->place, json_array_get(types, i), "an entry of type", "a name");
    expr_list_add(s->rules, &list, one);
  }
  const expr_id choice = expr_list_choice(s->rules, &list);
  if (status == ELLM_OK) *made = choice;
  return status;
}

static ellm_status compile_object_schema(schema_reader *s, const json_t *schema, expr_id *made) {
  ELLM_TRY(schema_check_keywords(&s->place, schema));
  if (json_object_get(schema, "$ref")) return compile_reference(s, schema, made);
  if (json_object_get(schema, "allOf")) return compile_all_of(s, schema, made);
  if (json_object_get(schema, "anyOf")) return compile_any_of(s, schema, "anyOf", made);
  if (json_object_get(schema, "oneOf")) return compile_any_of(s, schema, "oneOf", made);
  if (json_object_get(schema, "enum") || json_object_get(schema, "const")) return compile_values(s, schema, made);
  return compile_types(s, schema, made);
}

static ellm_status compile(schema_reader *s, const json_t *schema, expr_id *made) {
  if (s->rules->status != ELLM_OK) return ELLM_OK;
  if (json_is_true(schema)) *made = form_value(&s->json);
  else if (json_is_false(schema)) *made = rules_choice(s->rules, NULL, 0);
  else if (!json_is_object(schema)) return schema_wrong(&s->place, schema, "a schema", "an object, true or false");
  else if (s->depth >= MOST_DEPTH) return schema_fail(&s->place, "schemas are nested more than %d deep", MOST_DEPTH);
  else {
    s->depth++;
    ELLM_TRY(compile_object_schema(s, schema, made));
    s->depth--;
  }
  return ELLM_OK;
}

/* ------------------------------------------------------------------------- all */

static ellm_status compile_all(schema_reader *s) {
  expr_id first = EXPR_NONE;
  ELLM_TRY(call_reference(s, s->root, "#", &first));
  for (size_t done = 0; done < s->n_references && s->rules->status == ELLM_OK; done++) {
    const reference it = s->references[done]; /* the list may move */
    expr_id body = EXPR_NONE;
    s->place.pointer.size = 0;
    if (!ellm_buffer_append(&s->place.pointer, it.pointer + 1, strlen(it.pointer)))
      return ellm_fail_memory(s->place.err, strlen(it.pointer), "a schema");
    s->place.pointer.size--; /* the NUL */
    s->depth = 0;
    const ellm_status status = compile(s, it.schema, &body);
    if (status != ELLM_OK && s->rules->status == ELLM_OK) return status;
    rules_define(s->rules, it.rule, body);
  }
  if (s->rules->status != ELLM_OK)
    return ellm_fail(s->place.err, s->rules->status, "%s: %s", s->place.origin, s->rules->err.message);
  s->rules->root = s->references[0].rule;
  return ELLM_OK;
}

ellm_status schema_read(grammar_rules *rules, const char *text, size_t bytes, const char *origin, ellm_error *err) {
  json_t *root;
  ELLM_TRY(json_parse(text, bytes, origin, &root, err));
  schema_reader s = {.rules = rules, .root = root, .place = {.origin = origin, .err = err}, .merged = json_array()};
  json_rules_init(&s.json, rules);
  const ellm_status status = s.merged ? compile_all(&s) : ellm_fail_memory(err, 64, "a schema");
  for (size_t i = 0; i < s.n_references; i++) free(s.references[i].pointer);
  free(s.references);
  ellm_buffer_free(&s.place.pointer);
  json_decref(s.merged);
  json_decref(root);
  return status;
}
