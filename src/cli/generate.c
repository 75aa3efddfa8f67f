/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An answer is computed by the library; this shows it and looks for signals,
 * before each batch of it.
 */
#include "cli/generate.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/team.h"

double cli_rate(double amount, double seconds) { return seconds > 0 ? amount / seconds : 0; }

ellm_status cli_sequence_restore(ellm_sequence *sequence, const char *path, const uint32_t *ids, size_t n_ids,
                                 ellm_error *err) {
  cli_progress progress;
  cli_progress_init(&progress);
  const ellm_status status = ellm_sequence_restore(sequence, path, ids, n_ids, cli_progress_update, &progress, err);
  cli_progress_end(&progress);
  return status;
}

/* A member of a team that writes nothing has its part in what another writes all the same: it goes to a file that is
 * nobody's. */
static ellm_status save_for_another(const ellm_sequence *sequence, ellm_error *err) {
  char *path = cli_path_join(cli_temporary_folder(), "entrollm-rank-XXXXXX");
  if (path == NULL) return prog_failure_memory(err, sizeof *path, "a path");
  const int file = mkstemp(path);
  ellm_status status;
  if (file < 0) {
    status = prog_failure_errno(err, errno, "create", path);
  } else {
    close(file);
    status = ellm_sequence_save(sequence, path, NULL, NULL, err);
    unlink(path);
  }
  free(path);
  return status;
}

ellm_status cli_sequence_save(const ellm_sequence *sequence, const char *path, ellm_error *err) {
  if (!cli_team_writes()) return save_for_another(sequence, err);
  cli_progress progress;
  cli_progress_init(&progress);
  const ellm_progress_fn update = cli_stopped() ? NULL : cli_progress_update;
  const ellm_status status = ellm_sequence_save(sequence, path, update, &progress, err);
  cli_progress_end(&progress);
  return status;
}

/* --------------------------------------------------------------------- parts */

/* Once the prompt is read and nothing else is in the sequence. */
static bool save_prompt(generation *g) {
  if (g->saved) return true;
  g->saved = true;
  return cli_sequence_save(g->sequence, g->prompt_cache, &g->save_error) == ELLM_OK;
}

static bool take(void *user, const ellm_answer *answer, const ellm_answer_part *part) {
  generation *g = user;
  size_t n_ids;
  ellm_answer_ids(answer, &n_ids);
  if (g->show == SHOW_IDS && part->has_id) {
    char text[16];
    const int length = snprintf(text, sizeof text, "%s%u", n_ids > 1 ? " " : "", (unsigned)part->id);
    cli_write(text, (size_t)length);
    cli_flush();
  }
  if (g->show == SHOW_TEXT && part->bytes > 0) {
    cli_write(part->text, part->bytes);
    cli_flush();
  }
  return save_prompt(g) && cli_output_ok();
}

static ellm_status make_room(void *user, const ellm_answer *answer, uint32_t **prompt, size_t *n_prompt,
                             ellm_error *err) {
  generation *g = user;
  return g->make_room(g->user, answer, prompt, n_prompt, err);
}

/* -------------------------------------------------------------------- answers */

static ellm_status add_request(generation *g, ellm_error *err) {
  ellm_request r;
  ellm_request_init(&r);
  r.prompt = g->prompt;
  r.n_prompt = g->n_prompt;
  r.limit = g->limit;
  r.positions = g->most_positions;
  r.sampling = &g->sampling;
  r.end_ids = g->end_ids;
  r.n_end_ids = g->n_end_ids;
  r.ignore_end = g->ignore_eos;
  r.stops = g->stops;
  r.n_stops = g->n_stops;
  r.no_text = !g->text;
  r.grammar = g->grammar;
  r.sequence = g->sequence;
  r.take = take;
  r.make_room = g->make_room ? make_room : NULL;
  r.user = g;
  return ellm_generator_add(g->generator, &r, &g->answer, err);
}

/* The pool must hold the whole answer: prompt and new tokens, except the last, which is never fed back. */
static ellm_status reserve(generation *g, ellm_error *err) {
  ellm_model_info info;
  ellm_model_get_info(g->model, &info);
  g->capacity = g->most_positions > 0 ? g->most_positions : info.max_context;
  const size_t room = g->capacity - g->n_prompt, wanted = g->limit > 0 ? g->limit - 1 : 0;
  if (g->own && wanted < room) g->capacity = (uint32_t)(g->n_prompt + wanted);
  return ellm_model_reserve(g->model, g->capacity, err);
}

static void take_results(generation *g) {
  ellm_answer_info info;
  ellm_answer_get_info(g->answer, &info);
  g->ids = ellm_answer_ids(g->answer, &g->n_ids);
  g->new_text = ellm_answer_text(g->answer, &g->text_bytes);
  g->end = info.end;
  g->kept = info.n_kept;
  g->prompt_seconds = info.prompt_seconds;
  g->seconds = info.seconds;
  g->end_name = g->interrupted ? "interrupted" : !cli_output_ok() ? "output" : ellm_end_name(info.end);
}

/* What was read of the prompt stays for the next time. */
static ellm_status run_generator(generation *g, ellm_error *err) {
  ellm_status status = ellm_generator_run(g->generator, cli_goes_on, NULL, err);
  if (status == ELLM_INTERRUPTED) { /* one more step ends it, and hands out the text that was held back */
    g->interrupted = true;
    ellm_answer_cancel(g->answer);
    status = ellm_generator_step(g->generator, NULL, err);
  }
  if (status == ELLM_OK) status = ellm_answer_error(g->answer, err);
  take_results(g);
  if (status == ELLM_OK && !g->interrupted) save_prompt(g); /* of an answer without tokens */
  if (status == ELLM_OK && g->save_error.status != ELLM_OK) {
    *err = g->save_error;
    status = err->status;
  }
  return status;
}

ellm_status generate(generation *g, ellm_error *err) {
  ellm_generator_options options;
  ellm_generator_options_init(&options);
  options.most = 1;
  g->saved = g->prompt_cache == NULL;
  PROG_TRY(ellm_generator_create(g->model, &options, &g->generator, err));
  if (!g->sequence) {
    PROG_TRY(ellm_sequence_create(g->model, &g->own, err));
    g->sequence = g->own;
  }
  PROG_TRY(add_request(g, err));
  PROG_TRY(reserve(g, err));
  if (g->prompt_cache && cli_file_exists(g->prompt_cache)) {
    PROG_TRY(cli_sequence_restore(g->sequence, g->prompt_cache, g->prompt, g->n_prompt, err));
    g->saved = ellm_sequence_length(g->sequence) == g->n_prompt;
  }
  return run_generator(g, err);
}

void generation_free(generation *g) {
  ellm_generator_free(g->generator);
  ellm_sequence_free(g->own);
  g->generator = NULL;
  g->own = NULL;
}
