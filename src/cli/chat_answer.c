/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of a chat. When the context is full, before an answer or in it, the
 * oldest turns are dropped whole and what remains is evaluated again where it
 * moved: that takes time and is exact. It is always said.
 */
#include "cli/chat_answer.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Remove the oldest turn: from its first message to the next one of the user. False if there is only one. */
static bool drop_turn(chat *c) {
  const size_t first = chat_head(c), n = json_array_size(c->messages);
  size_t next = first + 1;
  while (next < n && strcmp(chat_role(c, next), "user") != 0) next++;
  if (next >= n) return false;
  for (size_t i = first; i < next; i++) json_array_remove(c->messages, first);
  return true;
}

static void report_dropped(chat *c, size_t dropped, bool answering) {
  if (dropped == 0) return;
  c->dropped += dropped;
  if (answering && isatty(STDOUT_FILENO)) fputc('\n', stderr); /* not within a line of the answer */
  cli_error(ELLM_OK, "the context of %u tokens is full: %zu of the oldest turns %s dropped",
            (unsigned)c->capacity, dropped, dropped == 1 ? "was" : "were");
}

static ellm_status conversation_ids(const chat *c, uint32_t **ids, size_t *n_ids, ellm_error *err) {
  json_t *all = json_copy(c->more);
  if (!all || json_object_set(all, "messages", c->messages) != 0) {
    json_decref(all);
    return prog_failure_memory(err, 64, "the messages");
  }
  const ellm_status status = cli_conversation_encode(c->format, all, c->variables, false, ids, n_ids, err);
  json_decref(all);
  return status;
}

/*
 * The ids of the conversation, malloc'ed, with room for `extra` ids after them
 * and, as far as dropping turns can make it, `reserve` more. Where they do not
 * fit whatever is dropped, nothing is.
 */
static ellm_status trim_conversation(chat *c, size_t extra, size_t reserve, uint32_t **ids, size_t *n_ids,
                                     size_t *dropped, ellm_error *err) {
  const size_t capacity = c->capacity, least = extra + (reserve > 0);
  json_t *before = json_copy(c->messages);
  ellm_status status;
  *dropped = 0;
  if (!before) return prog_failure_memory(err, json_array_size(c->messages) * sizeof before, "the messages");
  for (;;) {
    status = conversation_ids(c, ids, n_ids, err);
    if (status != ELLM_OK || *n_ids + extra + reserve <= capacity || !drop_turn(c)) break;
    free(*ids);
    *ids = NULL;
    ++*dropped;
  }
  if (status == ELLM_OK && *n_ids + least > capacity)
    status = prog_failure(err, ELLM_ERR_INPUT,
                       "the message needs %zu tokens; the context has room for %zu", *n_ids,
                       capacity);
  if (status != ELLM_OK) {
    json_t *fewer = c->messages;
    c->messages = before;
    before = fewer;
    *dropped = 0;
    free(*ids);
    *ids = NULL;
  }
  json_decref(before);
  return status;
}

/* generation.make_room: older turns go, the answer stays. */
static ellm_status make_room(void *user, const ellm_answer *answer, uint32_t **prompt, size_t *n_prompt,
                             ellm_error *err) {
  chat *c = user;
  size_t n_ids, dropped = 0;
  ellm_answer_ids(answer, &n_ids);
  const ellm_status status = trim_conversation(c, n_ids - 1, c->capacity / 4, prompt, n_prompt, &dropped, err);
  report_dropped(c, dropped, true);
  if (status == ELLM_OK && dropped > 0) return ELLM_OK;
  free(*prompt);
  *prompt = NULL;
  return status == ELLM_ERR_INPUT ? ELLM_OK : status; /* what is left is too long: the end of this answer */
}

static void end_line(const generation *g) {
  const bool ended = g->text_bytes > 0 && g->new_text[g->text_bytes - 1] == '\n';
  if (!ended) cli_write("\n", 1);
  cli_flush();
}

/* What is to be said after an answer. */
static void report_answer(chat *c, const generation *g) {
  const size_t read = g->n_prompt - g->kept;
  c->answers++;
  c->read_tokens += read;
  c->read_seconds += g->prompt_seconds;
  c->written_tokens += g->n_ids;
  c->written_seconds += g->seconds;
  if (g->end == ELLM_END_CONTEXT || g->end == ELLM_END_FULL)
    cli_error(ELLM_OK, "the context of %u tokens is full: the answer was cut", (unsigned)g->capacity);
  else if (g->end == ELLM_END_LIMIT)
    chat_say(c, "[the answer was cut after %zu tokens: /set n allows more]", g->limit);
  chat_say(c, "[%zu tokens, %.1f tokens/s; prompt %zu tokens, %zu of them new, %.0f tokens/s; context %u of %u]",
           g->n_ids, cli_rate((double)g->n_ids, g->seconds), g->n_prompt, read,
           cli_rate((double)read, g->prompt_seconds), (unsigned)ellm_sequence_length(c->sequence),
           (unsigned)g->capacity);
}

/* After SIGINT a person continues; where there is none, and after SIGTERM, it is the end. */
static void after_signal(chat *c) {
  if (!cli_stopped()) return;
  if (c->terminal && cli_forget_interrupt()) {
    chat_say(c, "[stopped]");
    return;
  }
  c->quit = true;
  c->status = cli_error(ELLM_INTERRUPTED, "interrupted");
}

bool chat_answer(chat *c) {
  const cli_sampling *s = &c->settings;
  const size_t capacity = c->capacity, limit = cli_sampling_limit(s);
  generation g = {.model = c->model,
                  .text = true,
                  .limit = limit,
                  .most_positions = c->capacity,
                  .stops = s->stops.items,
                  .n_stops = s->stops.count,
                  .grammar = c->grammar,
                  .show = SHOW_TEXT,
                  .sequence = c->sequence,
                  .capacity = c->capacity,
                  .make_room = limit == SIZE_MAX ? NULL : make_room, /* with room made again it need not end */
                  .user = c};
  ellm_error err;
  uint32_t *ids = NULL;
  size_t dropped = 0;
  ellm_sampling_init(&g.sampling);
  g.sampling.temperature = (float)s->temperature;
  g.sampling.top_k = s->top_k;
  g.sampling.top_p = (float)s->top_p;
  g.sampling.min_p = (float)s->min_p;
  g.sampling.repeat_penalty = (float)s->repeat_penalty;
  g.sampling.seed = s->seed.value;
  g.n_end_ids = ellm_chat_end_ids(c->format, &g.end_ids);
  ellm_status status = trim_conversation(c, 0, limit < capacity / 4 ? limit : capacity / 4, &ids, &g.n_prompt,
                                         &dropped, &err);
  report_dropped(c, dropped, false);
  g.prompt = ids;
  if (status == ELLM_OK) status = generate(&g, &err);
  const bool begun = status == ELLM_OK && !(cli_stopped() && g.n_ids == 0);
  bool answered = false;
  if (g.text_bytes > 0 || begun) end_line(&g);
  if (begun) {
    report_answer(c, &g);
    answered = chat_append(c, "assistant", g.new_text, g.text_bytes);
  } else if (status != ELLM_OK) {
    chat_fail(c, &err);
  }
  after_signal(c);
  if (!cli_output_ok()) c->quit = true;
  generation_free(&g);
  free(ids);
  return answered;
}
