/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chat templates: a small evaluator of the part of the Jinja language that the
 * templates of language models use, rendering as Transformers renders them
 * (blocks trimmed, loop controls, raise_exception, strftime_now, tojson without
 * HTML escaping, the generation tag).
 *
 * A template comes with a model, so it is as untrusted as the weights: steps,
 * depth, memory and output are limited, and nothing but the variables given can
 * be reached. What lies outside the subset is refused by name, line and column;
 * it is never rendered as something else.
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

/* The template of a model: chat_template.jinja, else chat_template.json, else
 * "chat_template" of tokenizer_config.json. Of several named ones it is
 * "tool_use" if `tools` and there is one, else "default". ELLM_ERR_INPUT if
 * there is none. `origin` names the model in errors. */
ellm_status chat_template_find(chat_template_asset_fn asset, void *user, const char *origin, bool tools,
                               chat_template **out, ellm_error *err);

/* The variables of a rendering: the special tokens of the model (bos_token,
 * eos_token, ..., from tokenizer_config.json, else special_tokens_map.json),
 * `messages`, `tools` and `documents` (NULL: none, which a template sees as
 * None) and add_generation_prompt. Caller json_decref's *variables. */
ellm_status chat_template_variables(chat_template_asset_fn asset, void *user, const char *origin, json_t *messages,
                                    json_t *tools, json_t *documents, bool add_generation_prompt, json_t **variables,
                                    ellm_error *err);

#endif
