/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The token loop. Memory is taken before it; in it, only the text of the
 * result grows. An interruption is looked for at every token and between the
 * batches of a long prompt.
 */
#include "cli/generate.h"

#include <stdlib.h>

#include "model/sequence.h"
#include "text/stream.h"

const char *const end_reason_names[] = {"length", "eos", "stop", "context", "interrupted", "output"};

static bool show_text(generation *g, const char *text, size_t bytes) {
  if (bytes == 0) return true;
  if (g->show == SHOW_TEXT) {
    cli_write(text, bytes);
    cli_flush();
  }
  return ellm_buffer_append(&g->text, text, bytes);
}

static void show_id(generation *g, uint32_t id) {
  char text[16];
  if (g->show != SHOW_IDS) return;
  int length = snprintf(text, sizeof text, "%s%u", g->n_ids > 1 ? " " : "", (unsigned)id);
  cli_write(text, (size_t)length);
  cli_flush();
}

static ellm_status pass_text(generation *g, const char *text, size_t bytes, ellm_error *err) {
  const char *out;
  size_t out_bytes;
  if (!stop_filter_feed(&g->stops, text, bytes, &out, &out_bytes) || !show_text(g, out, out_bytes))
    return ellm_fail_memory(err, g->text.size + bytes, "the text");
  return ELLM_OK;
}

/* The prompt goes through the stream unseen: how a piece is written may depend
 * on what stands before it (a space at the very start is dropped). */
static ellm_status open_stream(const generation *g, ellm_stream **stream, ellm_error *err) {
  const char *text;
  size_t bytes;
  ELLM_TRY(ellm_stream_create(g->tokenizer, true, stream, err));
  for (size_t i = 0; i < g->n_prompt; i++) ELLM_TRY(ellm_stream_next(*stream, g->prompt[i], &text, &bytes, err));
  return ELLM_OK;
}

double cli_rate(double amount, double seconds) { return seconds > 0 ? amount / seconds : 0; }

ellm_status cli_sequence_restore(ellm_sequence *sequence, const char *path, const uint32_t *ids, size_t n_ids,
                                 ellm_error *err) {
  cli_progress progress;
  cli_progress_init(&progress, true);
  const ellm_status status = ellm_sequence_restore(sequence, path, ids, n_ids, cli_progress_update, &progress, err);
  cli_progress_end(&progress);
  return status;
}

ellm_status cli_sequence_save(const ellm_sequence *sequence, const char *path, ellm_error *err) {
  cli_progress progress;
  cli_progress_init(&progress, true);
  const ellm_progress_fn update = cli_stopped() ? NULL : cli_progress_update;
  const ellm_status status = ellm_sequence_save(sequence, path, update, &progress, err);
  cli_progress_end(&progress);
  return status;
}

/* The prompt, and the logits of its last position. A prompt cache is written where it did not hold all of it. */
static ellm_status read_prompt(generation *g, ellm_sequence *sequence, ellm_sampler *sampler, float *logits,
                               ellm_error *err) {
  size_t stored = 0;
  if (g->prompt_cache && file_exists(g->prompt_cache)) {
    ELLM_TRY(cli_sequence_restore(sequence, g->prompt_cache, g->prompt, g->n_prompt, err));
    stored = ellm_sequence_length(sequence);
  }
  double start = clock_seconds();
  ellm_status status =
      sequence_follow(sequence, g->prompt, g->n_prompt, logits, cli_goes_on, NULL, &g->kept, err);
  if (status == ELLM_INTERRUPTED) {
    g->end = END_INTERRUPTED;
    return ELLM_OK;
  }
  ELLM_TRY(status);
  g->prompt_seconds = clock_seconds() - start;
  for (size_t i = 0; i < g->n_prompt; i++) ellm_sampler_accept(sampler, g->prompt[i]);
  return g->prompt_cache && stored < g->n_prompt ? cli_sequence_save(sequence, g->prompt_cache, err) : ELLM_OK;
}

static bool is_end(const generation *g, const ellm_model_info *info, uint32_t id) {
  if (!g->end_ids) return model_is_eos(info, id);
  for (size_t i = 0; i < g->n_end_ids; i++)
    if (g->end_ids[i] == id) return true;
  return false;
}

static ellm_status token_loop(generation *g, const ellm_model_info *info, ellm_sequence *sequence,
                              ellm_sampler *sampler, ellm_stream *stream, float *logits, ellm_error *err) {
  double start = clock_seconds();
  g->end = END_LENGTH;
  while (g->n_ids < g->limit) {
    if (cli_stopped()) {
      g->end = END_INTERRUPTED;
      break;
    }
    ELLM_TRY(ellm_logits_check(logits, info->vocab_size, ellm_sequence_length(sequence) - 1, err));
    uint32_t id = ellm_sampler_next(sampler, logits);
    if (!g->ignore_eos && is_end(g, info, id)) {
      g->end = END_EOS;
      break;
    }
    ellm_sampler_accept(sampler, id);
    g->ids[g->n_ids++] = id;
    show_id(g, id);
    if (stream) {
      const char *text;
      size_t bytes;
      ELLM_TRY(ellm_stream_next(stream, id, &text, &bytes, err));
      ELLM_TRY(pass_text(g, text, bytes, err));
    }
    g->seconds = clock_seconds() - start;
    if (g->stops.matched) g->end = END_STOP;
    else if (!cli_output_ok()) g->end = END_OUTPUT;
    else if (g->n_ids == g->limit) break;
    else if (ellm_sequence_length(sequence) == g->capacity) {
      bool made = false;
      if (g->make_room) ELLM_TRY(g->make_room(g->user, g, &made, err));
      if (!made) g->end = END_CONTEXT;
    }
    if (g->end != END_LENGTH) break;
    ELLM_TRY(ellm_evaluate(g->model, &(ellm_batch_item){sequence, &id, 1, logits, 1}, 1, err));
  }
  g->seconds = clock_seconds() - start;
  return ELLM_OK;
}

/* What the stream and the stop filter still hold. */
static ellm_status finish_text(generation *g, ellm_stream *stream, ellm_error *err) {
  const char *text;
  size_t bytes;
  ELLM_TRY(ellm_stream_flush(stream, &text, &bytes, err));
  ELLM_TRY(pass_text(g, text, bytes, err));
  stop_filter_rest(&g->stops, &text, &bytes);
  if (!show_text(g, text, bytes)) return ellm_fail_memory(err, g->text.size + bytes, "the text");
  if (g->stops.matched && g->end == END_LENGTH) g->end = END_STOP;
  return ELLM_OK;
}

ellm_status generate(generation *g, ellm_error *err) {
  ellm_model_info info;
  ellm_sequence *sequence = g->sequence;
  ellm_sampler *sampler = NULL;
  ellm_stream *stream = NULL;
  ellm_model_get_info(g->model, &info);
  if (g->n_prompt == 0) return ellm_fail(err, ELLM_ERR_INPUT, "the prompt has no tokens");
  const char *reason = info.max_context_reason;
  if (g->most_positions > info.max_context)
    return ellm_fail(err, ELLM_ERR_INPUT, "a context of %u tokens is more than the model's %u%s%s",
                     (unsigned)g->most_positions, (unsigned)info.max_context, reason ? ": " : "", reason ? reason : "");
  const uint32_t positions = g->most_positions > 0 ? g->most_positions : info.max_context;
  if (g->n_prompt > positions)
    return ellm_fail(err, ELLM_ERR_INPUT, "the prompt has %zu tokens, more than the %scontext of %u%s%s", g->n_prompt,
                     g->most_positions > 0 ? "" : "model's ", (unsigned)positions, reason ? ": " : "",
                     reason ? reason : "");
  /* The last new token is never fed back. */
  size_t room = positions - g->n_prompt, wanted = g->limit > 0 ? g->limit - 1 : 0;
  if (!sequence) g->capacity = (uint32_t)(g->n_prompt + (wanted < room ? wanted : room));
  size_t most = !g->make_room && room + 1 < g->limit ? room + 1 : g->limit;
  g->ids = calloc(most + 1, sizeof *g->ids);
  float *logits = calloc(info.vocab_size, sizeof *logits);
  ellm_status status = g->ids && logits ? ELLM_OK : ellm_fail_memory(err, info.vocab_size * sizeof *logits, "logits");
  if (status == ELLM_OK) status = ellm_model_reserve(g->model, g->capacity, err);
  if (status == ELLM_OK && !sequence) status = ellm_sequence_create(g->model, &sequence, err);
  if (status == ELLM_OK) status = ellm_sampler_create(&g->sampling, info.vocab_size, &sampler, err);
  if (status == ELLM_OK && g->tokenizer) status = open_stream(g, &stream, err);
  if (status == ELLM_OK) status = read_prompt(g, sequence, sampler, logits, err);
  if (status == ELLM_OK && g->end != END_INTERRUPTED)
    status = token_loop(g, &info, sequence, sampler, stream, logits, err);
  if (status == ELLM_OK && stream) status = finish_text(g, stream, err);
  ellm_stream_free(stream);
  ellm_sampler_free(sampler);
  if (!g->sequence) ellm_sequence_free(sequence);
  free(logits);
  return status;
}

void generation_free(generation *g) {
  free(g->ids);
  ellm_buffer_free(&g->text);
  stop_filter_free(&g->stops);
  g->ids = NULL;
}
