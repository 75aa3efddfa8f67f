/* SPDX-License-Identifier: Apache-2.0 */
/* Loading pre-tokenizers; see pretokenize.h. */
#include "text/pretokenize_load.h"

#include <stdio.h>
#include <string.h>

#include "text/utf8.h"

static const char byte_level_pattern[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

static ellm_status load_behavior(const json_t *object, const component_place *place, split_behavior *behavior,
                                 ellm_error *err) {
  static const char *const names[] = {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"};
  const char *name;
  size_t bytes;
  ELLM_TRY(component_string(object, "behavior", place, &name, &bytes, err));
  for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
    if (strcmp(name, names[i]) == 0) {
      *behavior = (split_behavior)i;
      return ELLM_OK;
    }
  }
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s: behavior \"%s\" is not supported", place->origin, place->part, name);
}

ellm_status metaspace_load(const json_t *object, const component_place *place, uint32_t *replacement,
                           prepend_scheme *scheme, bool *split, ellm_error *err) {
  static const char *const names[] = {"first", "never", "always"};
  const json_t *given = json_object_get(object, "prepend_scheme");
  bool add_prefix_space = true;
  *scheme = PREPEND_ALWAYS;
  *split = true;
  ELLM_TRY(component_character(object, "replacement", place, replacement, err));
  ELLM_TRY(component_bool(object, "split", false, place, split, err));
  ELLM_TRY(component_bool(object, "add_prefix_space", false, place, &add_prefix_space, err));
  if (given) {
    const char *name = json_string_value(given);
    size_t i = 0;
    while (name && i < 3 && strcmp(name, names[i]) != 0) ++i;
    if (!name || i == 3) {
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s: prepend_scheme \"%s\" is not supported", place->origin,
                       place->part, name ? name : "?");
    }
    *scheme = (prepend_scheme)i;
  }
  if (!add_prefix_space && *scheme != PREPEND_NEVER) { /* the older spelling must agree with the newer one */
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s: add_prefix_space does not agree with prepend_scheme", place->origin,
                     place->part);
  }
  return ELLM_OK;
}

static ellm_status load_step(void *user, const json_t *object, const char *type, const component_place *place,
                             ellm_error *err) {
  static const struct { const char *type; pretokenize_kind kind; } kinds[] = {
    {"ByteLevel", PRETOKENIZE_BYTE_LEVEL}, {"Metaspace", PRETOKENIZE_METASPACE}, {"Digits", PRETOKENIZE_DIGITS},
    {"Split", PRETOKENIZE_SPLIT}, {"Punctuation", PRETOKENIZE_PUNCTUATION}, {"Whitespace", PRETOKENIZE_WHITESPACE},
    {"WhitespaceSplit", PRETOKENIZE_WHITESPACE_SPLIT},
  };
  pretokenizer *p = user;
  size_t k = 0, known = sizeof kinds / sizeof kinds[0];
  while (k < known && strcmp(kinds[k].type, type) != 0) ++k;
  if (k == known) return component_unsupported(place, type, err);
  pretokenize_step *step = &p->steps[p->count++];
  step->kind = kinds[k].kind;
  switch (step->kind) {
    case PRETOKENIZE_BYTE_LEVEL: {
      bool use_regex = true;
      char where[96];
      ELLM_TRY(component_bool(object, "add_prefix_space", true, place, &step->add_prefix_space, err));
      ELLM_TRY(component_bool(object, "use_regex", false, place, &use_regex, err));
      if (!use_regex) return ELLM_OK;
      snprintf(where, sizeof where, "%.60s: ByteLevel", place->origin);
      return regex_compile(byte_level_pattern, sizeof byte_level_pattern - 1, false, where, &step->pattern, err);
    }
    case PRETOKENIZE_METASPACE: {
      uint32_t cp;
      ELLM_TRY(metaspace_load(object, place, &cp, &step->scheme, &step->split, err));
      step->replacement_bytes = utf8_encode(cp, step->replacement);
      return ELLM_OK;
    }
    case PRETOKENIZE_DIGITS: {
      bool individual = false;
      ELLM_TRY(component_bool(object, "individual_digits", true, place, &individual, err));
      step->behavior = individual ? SPLIT_ISOLATED : SPLIT_CONTIGUOUS;
      return ELLM_OK;
    }
    case PRETOKENIZE_SPLIT:
      ELLM_TRY(load_behavior(object, place, &step->behavior, err));
      ELLM_TRY(component_bool(object, "invert", true, place, &step->invert, err));
      return component_pattern(object, place, &step->pattern, err);
    case PRETOKENIZE_PUNCTUATION:
      step->behavior = SPLIT_ISOLATED;
      return json_object_get(object, "behavior") ? load_behavior(object, place, &step->behavior, err) : ELLM_OK;
    case PRETOKENIZE_WHITESPACE:
    case PRETOKENIZE_WHITESPACE_SPLIT: return ELLM_OK;
  }
  return ELLM_OK;
}

ellm_status pretokenizer_load(const json_t *component, const char *origin, pretokenizer *p, ellm_error *err) {
  component_place place = {origin, "pre_tokenizer"};
  return component_walk(component, "pretokenizers", &place, load_step, p, err);
}

ellm_status pretokenizer_check(const pretokenizer *p, const normalizer *n, const char *origin, ellm_error *err) {
  for (size_t i = 1; i < p->count && n->blurs_origin; ++i) {
    if (p->steps[i].kind == PRETOKENIZE_METASPACE && p->steps[i].scheme == PREPEND_FIRST) {
      return ellm_fail(err, ELLM_ERR_INPUT,
                       "%s: pre_tokenizer: Metaspace with prepend_scheme \"first\" after another step and a Unicode "
                       "normalizer is not supported", origin);
    }
  }
  return ELLM_OK;
}

void pretokenizer_free(pretokenizer *p) {
  for (size_t i = 0; i < p->count; ++i) regex_free(p->steps[i].pattern);
  memset(p, 0, sizeof *p);
}
