/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of tools in the text of an answer. */
#ifndef ELLM_SERVE_CALLS_H
#define ELLM_SERVE_CALLS_H

#include <jansson.h>

#include "program/buffer.h"

enum { CALLS_ID_BYTES = 32 };

/* Marks that calls are behind, and what closes them (NULL: the end); `open` is NULL after the last. */
typedef struct calls_mark { const char *open, *close; } calls_mark;
extern const calls_mark calls_marks[];

bool calls_known(char *const *names, size_t n_names, const char *name);
/* The name of the call that an object is, and *arguments, JSON (malloc'ed); NULL: it is none of a known name. */
const char *calls_read(const json_t *object, char *const *names, size_t n_names, char **arguments);
/* What clients call call n of an answer. */
void calls_id(char id[CALLS_ID_BYTES], unsigned long long seed, size_t n);

/*
 * Look for calls in data[bytes], as the families that we run write them: Qwen, SmolLM3 and Hermes between <tool_call>
 * and </tool_call>, Phi-4 between <|tool_call|> and <|/tool_call|>, Llama 3 and Mistral as the whole text, an object or
 * a list of objects with "name" and "arguments" or "parameters", Mistral's after [TOOL_CALLS], Llama's after
 * <|python_tag|>. A call counts where its name is one of names[n_names].
 *
 * *calls: their JSON, a list in the form of OpenAI's API ("id", "type", "function"); empty where there are
 * none. *content_bytes: what is before the first of them, all where there are none. `seed`
 * makes ids.
 */
void calls_find(const char *data, size_t bytes, char *const *names, size_t n_names, unsigned long long seed,
                prog_buffer *calls, size_t *content_bytes);

#endif
