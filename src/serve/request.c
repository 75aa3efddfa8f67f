/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the body of a request to ids and settings. Fields that are not known are
 * ignored, as OpenAI's API grows by the month; those that are known and would
 * change the answer, and cannot be honoured, are refused by name.
 */
#include "serve/request.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "serve/grammars.h"
#include "serve/messages.h"

/* ------------------------------------------------------------------ refusals */

typedef struct refusal { const char *field, *why; } refusal;

/* Fields that must be absent, null, false, 0 or empty. */
static bool nothing_asked(const json_t *v) {
  return !v || json_is_null(v) || json_is_false(v) || (json_is_number(v) && json_number_value(v) == 0) ||
         (json_is_string(v) && json_string_length(v) == 0) || (json_is_array(v) && json_array_size(v) == 0) ||
         (json_is_object(v) && json_object_size(v) == 0);
}

static bool refuse(const json_t *body, const refusal *list, size_t n, problem *p) {
  for (size_t i = 0; i < n; i++)
    if (!nothing_asked(json_object_get(body, list[i].field)))
      return problem_set(p, 400, list[i].field, "%s is not supported%s%s", list[i].field, *list[i].why ? ": " : "",
                         list[i].why);
  return true;
}

static bool refuse_what_cannot_be(const json_t *body, bool chat, problem *p) {
  static const refusal both[] = {{"json_schema", "use response_format"}};
  static const refusal chats[] = {{"functions", "use tools"}, {"function_call", "use tool_choice"},
                                  {"audio", ""}, {"web_search_options", ""}};
  static const refusal texts[] = {{"suffix", ""}, {"echo", ""}};
  if (!refuse(body, both, sizeof both / sizeof *both, p)) return false;
  if (chat ? !refuse(body, chats, sizeof chats / sizeof *chats, p)
           : !refuse(body, texts, sizeof texts / sizeof *texts, p))
    return false;
  json_int_t best = 1;
  if (!chat && (!field_int(body, "best_of", 1, 1, &best, NULL, p))) return false;
  json_t *modalities = NULL;
  if (!field_array(body, "modalities", &modalities, p)) return false;
  for (size_t i = 0; i < json_array_size(modalities); i++) {
    const char *name = json_string_value(json_array_get(modalities, i));
    if (!name || strcmp(name, "text") != 0)
      return problem_set(p, 400, "modalities", "modalities: only \"text\" is supported");
  }
  return true;
}

/* ------------------------------------------------------------------ settings */

static bool draw_seed(uint64_t *seed, problem *p) {
  uint32_t drawn; /* so that it is exact in the numbers of any client */
  if (getrandom(&drawn, sizeof drawn, 0) != sizeof drawn) return problem_set(p, 500, NULL, "no random seed can be had");
  *seed = drawn;
  return true;
}

static bool read_seed(const json_t *body, uint64_t *seed, problem *p) {
  json_int_t value = -1;
  if (!field_int(body, "seed", -1, INT64_MAX, &value, NULL, p)) return false;
  *seed = (uint64_t)value;
  return value >= 0 || draw_seed(seed, p);
}

static bool read_sampling(const server *s, const json_t *body, ellm_sampling *out, problem *p) {
  ellm_sampling c = s->sampling;
  double temperature = c.temperature, top_p = c.top_p, min_p = c.min_p, repeat = c.repeat_penalty;
  double frequency = 0, presence = 0;
  json_int_t top_k = c.top_k;
  if (!field_real(body, "temperature", 0, 100, &temperature, NULL, p) ||
      !field_real(body, "top_p", 0, 1, &top_p, NULL, p) ||
      !field_real(body, "min_p", 0, 1, &min_p, NULL, p) ||
      !field_real(body, "repeat_penalty", 0.01, 100, &repeat, NULL, p) ||
      !field_real(body, "frequency_penalty", -100, 100, &frequency, NULL, p) ||
      !field_real(body, "presence_penalty", -100, 100, &presence, NULL, p) ||
      !field_int(body, "top_k", 0, 1 << 24, &top_k, NULL, p) || !read_seed(body, &c.seed, p))
    return false;
  c.temperature = (float)temperature;
  c.top_p = (float)top_p;
  c.min_p = (float)min_p;
  c.repeat_penalty = (float)repeat;
  c.frequency_penalty = (float)frequency;
  c.presence_penalty = (float)presence;
  c.top_k = (int)top_k;
  *out = c;
  return true;
}

/* Ids as keys, -100 to 100 as values. */
static bool read_biases(const server *s, request *r, const json_t *body, problem *p) {
  json_t *given = NULL, *value;
  const char *key;
  if (!field_object(body, "logit_bias", &given, p)) return false;
  const size_t n = json_object_size(given);
  if (n == 0) return true;
  if (n > REQUEST_MOST_BIASES)
    return problem_set(p, 400, "logit_bias", "logit_bias has %zu entries, more than %d", n, REQUEST_MOST_BIASES);
  r->biases = calloc(n, sizeof *r->biases);
  if (!r->biases) return problem_memory(p);
  json_object_foreach(given, key, value) {
    char *end;
    const unsigned long id = strtoul(key, &end, 10);
    const double bias = json_is_number(value) ? json_number_value(value) : 1000;
    if (!(*key >= '0' && *key <= '9') || *end || id >= s->info.vocab_size)
      return problem_set(p, 400, "logit_bias", "logit_bias: \"%.30s\" is not a token id below %u", key,
                         (unsigned)s->info.vocab_size);
    if (!(bias >= -100 && bias <= 100))
      return problem_set(p, 400, "logit_bias", "logit_bias: the bias of %lu must be a number of -100 to 100", id);
    r->biases[r->sampling.n_biases++] = (ellm_bias){(uint32_t)id, (float)bias};
  }
  r->sampling.biases = r->biases;
  return true;
}

/* Of a chat a flag and a number, of a text a number. */
static bool read_logprobs(request *r, const json_t *body, problem *p) {
  json_int_t top = 0;
  bool given = false;
  if (!r->chat) {
    if (!field_int(body, "logprobs", 0, REQUEST_MOST_TOP, &top, &given, p)) return false;
    r->logprobs = given;
  } else {
    if (!field_bool(body, "logprobs", &r->logprobs, p) ||
        !field_int(body, "top_logprobs", 0, REQUEST_MOST_TOP, &top, &given, p))
      return false;
    if (top > 0 && !r->logprobs) return problem_set(p, 400, "top_logprobs", "top_logprobs needs logprobs");
  }
  r->top = (size_t)top;
  return true;
}

/* ------------------------------------------------------------------ grammars */

static bool read_schema(server *s, request *r, const json_t *format, problem *p) {
  static const char field[] = "response_format.json_schema.schema";
  const json_t *schema = json_object_get(json_object_get(format, "json_schema"), "schema");
  if (!json_is_object(schema)) return problem_set(p, 400, field, "%s must be an object", field);
  char *dump = json_dumps(schema, JSON_COMPACT); /* in the order of the request: that of the answer's fields */
  const bool good = dump ? grammars_take(s, dump, true, field, &r->grammar, p) : problem_memory(p);
  free(dump);
  return good;
}

/* response_format as OpenAI has it, and `grammar`, GBNF as llama.cpp's server has it. */
static bool read_grammar(server *s, request *r, const json_t *body, problem *p) {
  json_t *format = NULL;
  const char *gbnf = NULL, *type = "text";
  if (!field_text(body, "grammar", &gbnf, p) || !field_object(body, "response_format", &format, p)) return false;
  if (format) type = json_string_value(json_object_get(format, "type"));
  const bool object = type && strcmp(type, "json_object") == 0, schema = type && strcmp(type, "json_schema") == 0;
  if (!object && !schema && (!type || strcmp(type, "text") != 0))
    return problem_set(p, 400, "response_format", "response_format of type \"%.40s\" is not supported",
                       type ? type : "");
  if (gbnf && *gbnf && (object || schema))
    return problem_set(p, 400, "grammar", "grammar and response_format cannot be used together");
  if (gbnf && *gbnf) return grammars_take(s, gbnf, false, "grammar", &r->grammar, p);
  if (object) return grammars_take(s, "{\"type\":\"object\"}", true, "response_format", &r->grammar, p);
  return !schema || read_schema(s, r, format, p);
}

static bool add_stop(request *r, const json_t *stop, problem *p) {
  if (!json_is_string(stop)) return problem_set(p, 400, "stop", "stop must be a text or a list of texts");
  const size_t bytes = json_string_length(stop);
  if (bytes == 0 || bytes > REQUEST_STOP_BYTES)
    return problem_set(p, 400, "stop", "a text of stop must have 1 to %d bytes", REQUEST_STOP_BYTES);
  r->stops[r->n_stops] = strdup(json_string_value(stop));
  return r->stops[r->n_stops++] || problem_memory(p);
}

static bool read_stops(request *r, const json_t *body, problem *p) {
  const json_t *stop = json_object_get(body, "stop");
  if (!stop || json_is_null(stop)) return true;
  const size_t n = json_is_array(stop) ? json_array_size(stop) : 1;
  if (n > REQUEST_MOST_STOPS)
    return problem_set(p, 400, "stop", "stop has %zu texts, more than %d", n, REQUEST_MOST_STOPS);
  r->stops = calloc(n + 1, sizeof *r->stops);
  if (!r->stops) return problem_memory(p);
  if (!json_is_array(stop)) return add_stop(r, stop, p);
  for (size_t i = 0; i < n; i++)
    if (!add_stop(r, json_array_get(stop, i), p)) return false;
  return true;
}

/* max_tokens, and its newer name for chats, which goes first. */
static bool read_limit(request *r, const json_t *body, problem *p) {
  json_int_t limit = 0;
  bool given = false;
  if (r->chat && !field_int(body, "max_completion_tokens", 0, INT32_MAX, &limit, &given, p)) return false;
  if (!given && !field_int(body, "max_tokens", 0, INT32_MAX, &limit, &given, p)) return false;
  r->limit = given ? (size_t)limit : r->chat ? SIZE_MAX : REQUEST_TOKENS;
  return true;
}

static bool read_settings(server *s, request *r, const json_t *body, problem *p) {
  json_int_t n = 1;
  json_t *stream_options = NULL;
  const char *model = NULL;
  if (!refuse_what_cannot_be(body, r->chat, p) || !field_text(body, "model", &model, p) ||
      !read_sampling(s, body, &r->sampling, p) || !read_biases(s, r, body, p) ||
      !read_logprobs(r, body, p) || !read_stops(r, body, p) || !read_limit(r, body, p) ||
      !field_int(body, "n", 1, REQUEST_MOST_CHOICES, &n, NULL, p) || !field_bool(body, "stream", &r->stream, p) ||
      !field_object(body, "stream_options", &stream_options, p) ||
      !field_bool(stream_options, "include_usage", &r->include_usage, p))
    return false;
  if (stream_options && !r->stream)
    return problem_set(p, 400, "stream_options", "stream_options needs stream");
  r->n = (size_t)n;
  return read_grammar(s, r, body, p);
}

/* ------------------------------------------------------------------- prompts */

static ellm_status conversation_call(const server *s, const json_t *conversation, bool ids, void **out, size_t *n,
                                     ellm_error *err) {
  ellm_conversation c;
  struct tm now;
  const time_t seconds = time(NULL);
  char *dump = json_dumps(conversation, JSON_COMPACT);
  *out = NULL;
  if (!dump) {
    *err = (ellm_error){.status = ELLM_ERR_IO, .message = "out of memory"};
    return ELLM_ERR_IO;
  }
  localtime_r(&seconds, &now);
  ellm_conversation_init(&c);
  c.json = dump;
  c.bytes = strlen(dump);
  c.origin = "messages";
  c.answer = true;
  c.now = &now;
  const ellm_status status = ids ? ellm_chat_encode(s->chat, &c, (uint32_t **)out, n, err)
                                 : ellm_chat_render(s->chat, &c, (char **)out, n, err);
  free(dump);
  return status;
}

/* A template that does not mention tools would drop them silently: it is asked whether they make a difference. */
static bool check_tools_seen(const server *s, const json_t *conversation, problem *p) {
  char *with = NULL, *without = NULL;
  size_t n_with, n_without;
  ellm_error err;
  json_t *fewer = json_copy((json_t *)conversation);
  if (!fewer) return problem_memory(p);
  json_object_del(fewer, "tools");
  bool good = conversation_call(s, conversation, false, (void **)&with, &n_with, &err) == ELLM_OK &&
              conversation_call(s, fewer, false, (void **)&without, &n_without, &err) == ELLM_OK;
  if (!good) problem_of(p, "messages", &err);
  else if (n_with == n_without && memcmp(with, without, n_with) == 0)
    good = problem_set(p, 400, "tools", "tools: the chat template of this model has no place for them");
  free(with);
  free(without);
  json_decref(fewer);
  return good;
}

static bool read_conversation(const server *s, const json_t *body, json_t **conversation, problem *p) {
  *conversation = NULL;
  if (!s->chat) return problem_set(p, 400, "messages", "this model cannot be talked with: %s", s->chat_error.message);
  return messages_read(body, conversation, p);
}

bool request_chat_ids(const server *s, const json_t *conversation, prompt *out, problem *p) {
  ellm_error err;
  *out = (prompt){0};
  return conversation_call(s, conversation, true, (void **)&out->ids, &out->n, &err) == ELLM_OK ||
         problem_of(p, "messages", &err);
}

bool request_chat_text(const server *s, const json_t *body, char **out, size_t *bytes, problem *p) {
  json_t *conversation;
  ellm_error err;
  *out = NULL;
  if (!read_conversation(s, body, &conversation, p)) return false;
  bool good = true;
  if (conversation_call(s, conversation, false, (void **)out, bytes, &err) != ELLM_OK)
    good = problem_of(p, "messages", &err);
  json_decref(conversation);
  return good;
}

static bool encode_text(const server *s, const json_t *value, prompt *out, problem *p) {
  ellm_error err;
  if (!s->tokenizer) return problem_set(p, 400, "prompt", "the model has no tokenizer: prompt must be token ids");
  return ellm_tokenizer_encode(s->tokenizer, json_string_value(value), json_string_length(value), ELLM_ENCODE_DEFAULT,
                               &out->ids, &out->n, &err) == ELLM_OK ||
         problem_of(p, "prompt", &err);
}

static bool copy_ids(const server *s, const json_t *list, prompt *out, problem *p) {
  out->n = json_array_size(list);
  out->ids = calloc(out->n + 1, sizeof *out->ids);
  if (!out->ids) return problem_memory(p);
  for (size_t i = 0; i < out->n; i++) {
    const json_t *id = json_array_get(list, i);
    if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) >= s->info.vocab_size)
      return problem_set(p, 400, "prompt", "prompt[%zu] is not a token id below %u", i, (unsigned)s->info.vocab_size);
    out->ids[i] = (uint32_t)json_integer_value(id);
  }
  return true;
}

static bool read_prompt(const server *s, const json_t *value, prompt *out, problem *p) {
  if (json_is_string(value)) return encode_text(s, value, out, p);
  if (json_is_array(value)) return copy_ids(s, value, out, p);
  return problem_set(p, 400, "prompt", "prompt must be a text, token ids, or a list of these");
}

/* A text, ids, a list of texts, a list of lists of ids. */
static bool read_prompts(const server *s, request *r, const json_t *body, problem *p) {
  const json_t *value = json_object_get(body, "prompt"), *first = json_array_get(value, 0);
  if (!value || json_is_null(value)) return problem_set(p, 400, "prompt", "prompt is missing");
  const bool several = json_is_string(first) || json_is_array(first);
  const size_t n = several ? json_array_size(value) : 1;
  if (n > REQUEST_MOST_CHOICES)
    return problem_set(p, 400, "prompt", "prompt is a list of %zu, more than %d", n, REQUEST_MOST_CHOICES);
  r->prompts = calloc(n, sizeof *r->prompts);
  if (!r->prompts) return problem_memory(p);
  r->n_prompts = n;
  for (size_t i = 0; i < n; i++)
    if (!read_prompt(s, several ? json_array_get(value, i) : value, &r->prompts[i], p)) return false;
  return true;
}

static bool check_lengths(const server *s, const request *r, problem *p) {
  const char *field = r->chat ? "messages" : "prompt";
  for (size_t i = 0; i < r->n_prompts; i++) {
    const size_t n = r->prompts[i].n;
    if (n == 0) return problem_set(p, 400, field, "%s has no tokens", field);
    if (n <= s->options->context) continue;
    problem_set(p, 400, field, "%s has %zu tokens, more than the context of %u", field, n,
                (unsigned)s->options->context);
    p->code = "context_length_exceeded";
    return false;
  }
  return true;
}

static bool keep_tool_names(request *r, const json_t *tools, problem *p) {
  r->tool_names = calloc(json_array_size(tools) + 1, sizeof *r->tool_names);
  if (!r->tool_names) return problem_memory(p);
  for (size_t i = 0; i < json_array_size(tools); i++) {
    const json_t *function = json_object_get(json_array_get(tools, i), "function");
    char *name = strdup(json_string_value(json_object_get(function, "name")));
    if (!name) return problem_memory(p);
    r->tool_names[r->n_tool_names++] = name;
  }
  return true;
}

/* A call that must come is the whole answer: a JSON object, which calls.c finds. */
static bool force_call(server *s, request *r, const json_t *body, problem *p) {
  json_t *schema;
  if (!messages_forced_call(body, &schema, p)) return false;
  if (!schema) return true;
  char *dump = json_dumps(schema, JSON_COMPACT);
  json_decref(schema);
  bool good = dump || problem_memory(p);
  if (good && r->grammar)
    good = problem_set(p, 400, "tool_choice",
                       "tool_choice cannot be used with response_format or grammar if it asks for a call");
  good = good && grammars_take(s, dump, true, "tools", &r->grammar, p);
  free(dump);
  return good;
}

static bool read_chat(server *s, request *r, const json_t *body, problem *p) {
  json_t *conversation;
  if (!read_conversation(s, body, &conversation, p)) return false;
  const json_t *tools = json_object_get(conversation, "tools");
  r->prompts = calloc(1, sizeof *r->prompts);
  r->n_prompts = r->prompts != NULL;
  bool good = r->prompts || problem_memory(p);
  if (good && tools) good = check_tools_seen(s, conversation, p) && keep_tool_names(r, tools, p);
  good = good && force_call(s, r, body, p) && request_chat_ids(s, conversation, &r->prompts[0], p);
  json_decref(conversation);
  r->n_end_ids = ellm_chat_end_ids(s->chat, &r->end_ids);
  return good;
}

request *request_read(server *s, bool chat, const json_t *body, problem *p) {
  request *r = calloc(1, sizeof *r);
  if (!r) {
    problem_memory(p);
    return NULL;
  }
  r->chat = chat;
  if (read_settings(s, r, body, p) && (chat ? read_chat(s, r, body, p) : read_prompts(s, r, body, p)) &&
      check_lengths(s, r, p))
    return r;
  request_free(r);
  return NULL;
}

size_t request_answers(const request *r) { return r->n * r->n_prompts; }

void request_free(request *r) {
  if (!r) return;
  for (size_t i = 0; i < r->n_prompts; i++) free(r->prompts[i].ids);
  for (size_t i = 0; i < r->n_stops; i++) free(r->stops[i]);
  for (size_t i = 0; i < r->n_tool_names; i++) free(r->tool_names[i]);
  free(r->prompts);
  free(r->tool_names);
  free(r->biases);
  grammars_release(r->grammar);
  free(r->stops);
  free(r);
}
