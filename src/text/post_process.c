/* SPDX-License-Identifier: Apache-2.0 */
/* Post-processors; see post_process.h. */
#include "text/post_process.h"

#include <stdlib.h>
#include <string.h>

#include "json/json.h"
#include "text/component.h"

static ellm_status bad_template(const component_place *place, const char *what, ellm_error *err) {
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s: TemplateProcessing: %s", place->origin, place->part, what);
}

static ellm_status append_special(const json_t *specials, const char *name, const component_place *place, id_list *list,
                                  ellm_error *err) {
  const json_t *ids = json_object_get(json_object_get(specials, name), "ids");
  if (!json_is_array(ids)) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s: special token \"%s\" of the template is not defined", place->origin,
                     place->part, name);
  }
  for (size_t i = 0; i < json_array_size(ids); ++i) {
    const json_t *value = json_array_get(ids, i);
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) >= (json_int_t)VOCAB_ID_LIMIT) {
      char text[80];
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s: id of special token \"%s\" is %s, a number from 0 to %u is "
                                            "expected",
                       place->origin, place->part, name, json_brief(value, text), VOCAB_ID_LIMIT - 1);
    }
    uint32_t id = (uint32_t)json_integer_value(value);
    if (!id_list_append(list, &id, 1)) return ellm_fail_memory(err, sizeof id, "post_processor");
  }
  return ELLM_OK;
}

static ellm_status load_template(const json_t *object, const component_place *place, post_processor *post,
                                 ellm_error *err) {
  const json_t *pieces = json_object_get(object, "single");
  bool has_text = false;
  if (post->has_template) return bad_template(place, "given twice", err);
  post->has_template = true;
  if (!json_is_array(pieces)) return bad_template(place, "\"single\" is not an array", err);
  for (size_t i = 0; i < json_array_size(pieces); ++i) {
    const json_t *piece = json_array_get(pieces, i);
    const json_t *sequence = json_object_get(piece, "Sequence"), *special = json_object_get(piece, "SpecialToken");
    const char *name = json_string_value(json_object_get(sequence ? sequence : special, "id"));
    if (!name || json_object_size(piece) != 1) {
      return bad_template(place, "a piece is neither Sequence nor SpecialToken", err);
    }
    if (sequence) {
      if (strcmp(name, "A") != 0 || has_text) {
        return bad_template(place, "\"single\" must hold sequence A once and no other", err);
      }
      has_text = true;
    } else {
      ELLM_TRY(append_special(json_object_get(object, "special_tokens"), name, place,
                              has_text ? &post->after : &post->before, err));
    }
  }
  return has_text ? ELLM_OK : bad_template(place, "\"single\" does not hold sequence A", err);
}

/* ["</s>", 2]: only the id counts. */
static ellm_status append_pair(const json_t *object, const char *field, const component_place *place, id_list *list,
                               ellm_error *err) {
  const json_t *pair = json_object_get(object, field), *value = json_array_get(pair, 1);
  if (json_array_size(pair) != 2 || !json_is_string(json_array_get(pair, 0)) || !json_is_integer(value) ||
      json_integer_value(value) < 0 || json_integer_value(value) >= (json_int_t)VOCAB_ID_LIMIT) {
    return component_wrong(pair, field, place, "a pair of a token and its id", err);
  }
  const uint32_t id = (uint32_t)json_integer_value(value);
  return id_list_append(list, &id, 1) ? ELLM_OK : ellm_fail_memory(err, sizeof id, "post_processor");
}

/* RobertaProcessing and BertProcessing: cls, the text, sep. (What they say of offsets and spaces changes no id.) */
static ellm_status load_pair(const json_t *object, const char *type, const component_place *place,
                             post_processor *post, ellm_error *err) {
  if (post->has_template) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s: %s beside another template", place->origin, place->part, type);
  }
  post->has_template = true;
  ELLM_TRY(append_pair(object, "cls", place, &post->before, err));
  return append_pair(object, "sep", place, &post->after, err);
}

static ellm_status load_step(void *user, const json_t *object, const char *type, const component_place *place,
                             ellm_error *err) {
  if (strcmp(type, "TemplateProcessing") == 0) return load_template(object, place, user, err);
  if (strcmp(type, "RobertaProcessing") == 0 || strcmp(type, "BertProcessing") == 0) {
    return load_pair(object, type, place, user, err);
  }
  if (strcmp(type, "ByteLevel") == 0) return ELLM_OK; /* trims offsets, which we do not have */
  return component_unsupported(place, type, err);
}

ellm_status post_processor_load(const json_t *component, const char *origin, post_processor *post, ellm_error *err) {
  component_place place = {origin, "post_processor"};
  return component_walk(component, "processors", &place, load_step, post, err);
}

void post_processor_free(post_processor *post) {
  free(post->before.items);
  free(post->after.items);
  memset(post, 0, sizeof *post);
}
