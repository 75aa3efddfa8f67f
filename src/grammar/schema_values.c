/* SPDX-License-Identifier: Apache-2.0 */
/* See schema_values.h. */
#include "grammar/schema_values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "grammar/schema_pattern.h"
#include "grammar/schema_range.h"
#include "text/utf8.h"

/* ------------------------------------------------------------------- keywords */

static const char *const supported[] = {
    "type",          "enum",  "const",       "properties", "required",  "additionalProperties", "anyOf",
    "oneOf",         "allOf", "$ref",        "items",      "prefixItems", "minItems",           "maxItems",
    "minLength",     "maxLength", "pattern", "format",     "minimum",   "maximum",              "exclusiveMinimum",
    "exclusiveMaximum"};
static const char *const unsupported[] = {
    "not",            "if",               "then",              "else",          "dependentSchemas", "dependentRequired",
    "dependencies",   "patternProperties", "propertyNames",    "minProperties", "maxProperties",    "contains",
    "minContains",    "maxContains",      "uniqueItems",       "multipleOf",    "unevaluatedItems",
    "unevaluatedProperties", "additionalItems", "$dynamicRef", "$recursiveRef", "$anchor",          "$dynamicAnchor"};

static bool is_one(const char *const *names, size_t n, const char *name) {
  for (size_t i = 0; i < n; i++)
    if (strcmp(names[i], name) == 0) return true;
  return false;
}

#define COUNT(list) (sizeof(list) / sizeof *(list))

bool schema_is_keyword(const char *name) {
  return is_one(supported, COUNT(supported), name) || is_one(unsupported, COUNT(unsupported), name);
}

/* Some say nothing with some values. */
static bool says_nothing(const char *name, const json_t *value) {
  if (strcmp(name, "uniqueItems") == 0) return json_is_false(value);
  if (strcmp(name, "minProperties") == 0) return json_is_integer(value) && json_integer_value(value) == 0;
  if (strncmp(name, "unevaluated", 11) == 0 || strcmp(name, "propertyNames") == 0) return json_is_true(value);
  return false;
}

ellm_status schema_check_keywords(const schema_place *place, const json_t *schema) {
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)schema, name, value)
    if (is_one(unsupported, COUNT(unsupported), name) && !says_nothing(name, value))
      return schema_fail(place, "\"%s\" is not supported", name);
  return ELLM_OK;
}

/* -------------------------------------------------------------------- strings */

static expr_id quoted(json_forms *j, expr_id inside) {
  return RULES_SEQUENCE(j->rules, rules_literal(j->rules, "\"", 1), inside, rules_literal(j->rules, "\"", 1));
}

ellm_status schema_string(json_forms *j, schema_place *place, const json_t *schema, expr_id *made) {
  uint32_t min = 0, max = RULES_NO_LIMIT;
  ELLM_TRY(schema_count(place, schema, "minLength", &min));
  ELLM_TRY(schema_count(place, schema, "maxLength", &max));
  if (max < min) return schema_fail(place, "minLength %u is more than maxLength %u", (unsigned)min, (unsigned)max);
  const json_t *pattern = json_object_get(schema, "pattern"), *format = json_object_get(schema, "format");
  if (pattern || format) {
    const bool lengths = min > 0 || max != RULES_NO_LIMIT;
    expr_id inside = EXPR_NONE;
    if (lengths || (pattern && format))
      return schema_fail(place, "\"%s\" beside \"%s\" is not supported", pattern ? "pattern" : "format",
                         pattern && format ? "format" : min > 0 ? "minLength" : "maxLength");
    if (!json_is_string(pattern ? pattern : format))
      return schema_wrong(place, pattern ? pattern : format, pattern ? "pattern" : "format", "a text");
    if (pattern) ELLM_TRY(schema_pattern(j, place, json_string_value(pattern), &inside));
    else ELLM_TRY(schema_format(j, place, json_string_value(format), &inside));
    *made = quoted(j, inside);
    return ELLM_OK;
  }
  *made = min == 0 && max == RULES_NO_LIMIT ? form_string(j)
                                            : quoted(j, rules_repeat(j->rules, form_character(j), min, max));
  return ELLM_OK;
}

/* ------------------------------------------------------------------------ keys */

typedef struct name { const char *text; size_t bytes; } name;

static int by_text(const void *a, const void *b) { return strcmp(((const name *)a)->text, ((const name *)b)->text); }

/* What may follow when names[begin, end) have begun alike up to `at`: any character that none of them goes on with and
 * then any; one that some continue with, and so on; the end, where no name ends. */
static expr_id besides(json_forms *j, const name *names, size_t begin, size_t end, size_t at) {
  grammar_rules *r = j->rules;
  expr_list choices = {0};
  const bool is_name = begin < end && names[begin].bytes == at;
  size_t i = begin + is_name, n = 0;
  code_range *others = calloc(end - begin + 5, sizeof *others);
  while (others && i < end && r->status == ELLM_OK) {
    uint32_t character;
    const size_t length = utf8_decode(names[i].text + at, &character);
    size_t same = i + 1;
    while (same < end && memcmp(names[same].text + at, names[i].text + at, length) == 0) same++;
    others[n++] = (code_range){character, character};
    if (character >= 0x20 && character != '"' && character != '\\') /* the others are written as escapes: left out */
      expr_list_add(r, &choices, RULES_SEQUENCE(r, rules_literal(r, names[i].text + at, length),
                                                besides(j, names, i, same, at + length)));
    i = same;
  }
  if (!others) rules_fail(r, ELLM_ERR_IO, "out of memory (for a grammar)");
  if (others && r->status == ELLM_OK) {
    code_range special[] = {{0, 0x1F}, {'"', '"'}, {'\\', '\\'}};
    const expr_id any = rules_repeat(r, rules_class(r, special, 3, true), 0, RULES_NO_LIMIT);
    memcpy(others + n, special, sizeof special);
    expr_list_add(r, &choices, RULES_SEQUENCE(r, rules_class(r, others, n + 3, true), any));
    if (!is_name) expr_list_add(r, &choices, rules_literal(r, "", 0));
  }
  free(others);
  return expr_list_choice(r, &choices);
}

expr_id form_key_besides(json_forms *j, const json_t *properties) {
  const size_t n = json_object_size(properties);
  if (n == 0) return form_string(j);
  name *names = calloc(n, sizeof *names);
  const char *text;
  json_t *value;
  size_t i = 0;
  if (!names) {
    rules_fail(j->rules, ELLM_ERR_IO, "out of memory (for a grammar)");
    return EXPR_NONE;
  }
  json_object_foreach((json_t *)properties, text, value) names[i++] = (name){text, strlen(text)};
  qsort(names, n, sizeof *names, by_text);
  const expr_id made = quoted(j, besides(j, names, 0, n, 0));
  free(names);
  return made;
}

/* --------------------------------------------------------------------- numbers */

typedef struct bounds { double low, high; bool above, below; } bounds; /* above, below: the bound itself is not in it */

static ellm_status read_bound(const schema_place *place, const json_t *schema, const char *field, double *value) {
  const json_t *bound = json_object_get(schema, field);
  *value = NAN;
  if (!bound) return ELLM_OK;
  if (!json_is_number(bound)) return schema_wrong(place, bound, field, "a number");
  *value = json_number_value(bound);
  return ELLM_OK;
}

static ellm_status read_bounds(const schema_place *place, const json_t *schema, bounds *b) {
  double above, below;
  ELLM_TRY(read_bound(place, schema, "minimum", &b->low));
  ELLM_TRY(read_bound(place, schema, "maximum", &b->high));
  ELLM_TRY(read_bound(place, schema, "exclusiveMinimum", &above));
  ELLM_TRY(read_bound(place, schema, "exclusiveMaximum", &below));
  b->above = !isnan(above) && !(b->low > above);
  b->below = !isnan(below) && !(b->high < below);
  if (b->above) b->low = above;
  if (b->below) b->high = below;
  return ELLM_OK;
}

/* The whole multiples of 1 / scale inside of the bounds; beyond what numbers have digits for there are none. */
static void scaled_bounds(const bounds *b, double scale, int64_t *low, int64_t *high) {
  const double least = -(double)RANGE_LAST, most = (double)RANGE_LAST;
  double from = isnan(b->low) ? least : ceil(b->low * scale), to = isnan(b->high) ? most : floor(b->high * scale);
  /* 0.3 * 1000000 may lie a little beside 300000: the decimal that is meant is the nearest, if it is that near */
  if (!isnan(b->low) && fabs(b->low * scale - nearbyint(b->low * scale)) <= fabs(b->low * scale) * 4e-16)
    from = nearbyint(b->low * scale);
  if (!isnan(b->high) && fabs(b->high * scale - nearbyint(b->high * scale)) <= fabs(b->high * scale) * 4e-16)
    to = nearbyint(b->high * scale);
  if (b->above && from <= b->low * scale * (1 + (b->low < 0 ? -4e-16 : 4e-16))) from += 1;
  if (b->below && to >= b->high * scale * (1 - (b->high < 0 ? -4e-16 : 4e-16))) to -= 1;
  *low = from > most ? RANGE_LAST + 1 : (int64_t)fmax(from, least);
  *high = to < least ? -RANGE_LAST - 1 : (int64_t)fmin(to, most);
}

ellm_status schema_number(json_forms *j, schema_place *place, const json_t *schema, bool integer, expr_id *made) {
  bounds b = {0};
  int64_t low, high;
  ELLM_TRY(read_bounds(place, schema, &b));
  if (isnan(b.low) && isnan(b.high)) {
    *made = integer ? form_integer(j) : form_number(j);
    return ELLM_OK;
  }
  scaled_bounds(&b, integer ? 1 : RANGE_SCALE, &low, &high);
  if (low > high)
    return schema_fail(place, "no number of at most 15 digits%s lies between the bounds",
                       integer ? "" : ", six of them behind the point,");
  *made = integer ? form_integer_range(j, low, high) : form_decimal_range(j, low, high);
  return ELLM_OK;
}
