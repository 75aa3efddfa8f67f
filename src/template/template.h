/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chat templates: a small evaluator of the part of the Jinja language that the
 * templates of language models use, rendering as Transformers renders them
 * (blocks trimmed, loop controls, raise_exception, strftime_now, tojson without
 * HTML escaping, the generation tag).
 *
 * A template comes with a model, so it is as untrusted as the weights: steps,
 * depth, memory and output are limited, and nothing but the variables given can
 * be reached. What is outside the subset is refused by name, line and column;
 * it is never rendered as something else. A filter or test that is not known is
 * refused when the template is parsed, but in a branch only when it is reached.
 */
#ifndef ELLM_TEMPLATE_TEMPLATE_H
#define ELLM_TEMPLATE_TEMPLATE_H

#include <time.h>

#include "json/json.h"

enum {
  CHAT_TEMPLATE_MAX_SOURCE = 1 << 20,   /* bytes of a template */
  CHAT_TEMPLATE_MAX_NESTING = 100,      /* of tags and brackets in the source, and of lists and objects in values */
  CHAT_TEMPLATE_MAX_DEPTH = 400,        /* of evaluation: macros, tags and expressions within each other */
  CHAT_TEMPLATE_MAX_STEPS = 10000000,   /* operations, longer ones count by their length */
  CHAT_TEMPLATE_MAX_TEXT = 16 << 20,    /* bytes of the output and of any string */
  CHAT_TEMPLATE_MAX_MEMORY = 256 << 20, /* bytes of all values of one rendering */
  CHAT_TEMPLATE_MAX_RANGE = 100000      /* numbers of one range(), as in Jinja's sandbox */
};

/* A parsed template: immutable, usable by several threads at once. */
typedef struct chat_template chat_template;

/* Parse `source` (UTF-8). `origin` names it in errors: "ORIGIN: chat template:
 * line L column C: ..." (ELLM_ERR_INPUT). */
ellm_status chat_template_create(const char *source, size_t bytes, const char *origin, chat_template **out,
                                 ellm_error *err);
void chat_template_free(chat_template *template_);

/* Render with `variables`, a JSON object (messages, tools, bos_token, ...); the
 * order of its objects is kept. `now` is the local time that strftime_now()
 * sees; NULL: a template that asks for it is refused. *text is malloc'ed and
 * NUL-terminated; *bytes does not count the NUL. */
ellm_status chat_template_render(const chat_template *template_, const json_t *variables, const struct tm *now,
                                 char **text, size_t *bytes, ellm_error *err);

/* ------------------------------------------------------ templates of models */

/* The bytes of a file of the model by its name, or NULL; valid while the model is open. */
typedef const void *(*chat_template_asset_fn)(void *user, const char *name, size_t *bytes);

/* Can this be the name of a template? Letters, digits, '_', '-' and '.', not at the beginning: names become those of
 * files. */
bool chat_template_is_name(const char *name);

/* The template of this name that a model has; *out is NULL where there is none, which for "default" is ELLM_ERR_INPUT.
 * "default" is chat_template.jinja, others are additional_chat_templates/NAME.jinja. Where the first is missing, the
 * field "chat_template" of chat_template.json, else of tokenizer_config.json, holds the default one as a text, or
 * several: {NAME: TEXT, ...} or [{"name": NAME, "template": TEXT}, ...]. `origin` names the model in errors. */
ellm_status chat_template_find(chat_template_asset_fn asset, void *user, const char *origin, const char *name,
                               chat_template **out, ellm_error *err);

/* The special tokens of a model as variables (bos_token, eos_token, ..., additional_special_tokens), from
 * tokenizer_config.json, else special_tokens_map.json. Caller json_decref's *variables. */
ellm_status chat_template_tokens(chat_template_asset_fn asset, void *user, const char *origin, json_t **variables,
                                 ellm_error *err);

#endif
