/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See serve.h: how a server begins, waits and ends. The thread that calls waits
 * for the descriptor that says stop, and looks at the model's file each second.
 */
#include "serve/serve.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "serve/about.h"
#include "serve/engine.h"
#include "serve/grammars.h"
#include "serve/http.h"
#include "serve/listen.h"
#include "serve/watch.h"
#include "serve/work.h"

enum { LOOK_MS = 1000 };

static ellm_status open_server(server *s, ellm_error *err) {
  ellm_error ignored;
  uint64_t id = 0;
  pthread_mutex_init(&s->lock, NULL);
  pthread_cond_init(&s->quiet, NULL);
  ellm_model_get_info(s->model, &s->info);
  ellm_sampling_init(&s->sampling);
  ellm_model_sampling(s->model, &s->sampling);
  if (ellm_model_tokenizer(s->model, &s->tokenizer, &ignored) != ELLM_OK) s->tokenizer = NULL;
  if (ellm_chat_open(s->model, NULL, &s->chat, &s->chat_error) != ELLM_OK) s->chat = NULL;
  if (getrandom(&id, sizeof id, 0) == sizeof id) s->instance = id;
  s->started = (int64_t)time(NULL);
  about_prepare(s);
  ellm_status status = engine_start(s, err);
  if (status == ELLM_OK) status = work_start(s, err);
  return status;
}

/* Wait with the lock held, not longer than until the clock shows `until`. */
static void wait_a_little(server *s, double until) {
  const double left = until - job_clock();
  struct timespec at;
  if (left <= 0) return;
  clock_gettime(CLOCK_REALTIME, &at);
  const double seconds = left < 0.05 ? left : 0.05; /* the clocks may differ: not at once to the end */
  at.tv_nsec += (long)(seconds * 1e9);
  if (at.tv_nsec >= 1000000000) {
    at.tv_nsec -= 1000000000;
    at.tv_sec++;
  }
  pthread_cond_timedwait(&s->quiet, &s->lock, &at);
}

/* Until no answer is at work, or the clock shows `until`. */
static void wait_for_answers(server *s, double until) {
  pthread_mutex_lock(&s->lock);
  while (s->admitted > 0 && job_clock() < until) wait_a_little(s, until);
  pthread_mutex_unlock(&s->lock);
}

/* Answer what has none: a step takes too long. */
static void answer_the_rest(server *s) {
  problem p;
  problem_set(&p, 503, NULL, "the server ends");
  for (;;) {
    pthread_mutex_lock(&s->lock);
    job *j = s->jobs;
    while (j && !(j->submitted && !j->ended)) j = j->next;
    if (j) j->references++;
    pthread_mutex_unlock(&s->lock);
    if (!j) return;
    job_problem(j, &p);
    job_release(j);
  }
}

/* Until what was said has gone out. */
static void wait_for_connections(server *s, double until) {
  pthread_mutex_lock(&s->lock);
  while (s->n_jobs > 0 && job_clock() < until) wait_a_little(s, until);
  pthread_mutex_unlock(&s->lock);
}

/* Wait until it shall end, or the model has failed. */
static void wait_for_stop(server *s, const watch *w) {
  struct pollfd stop = {.fd = s->options->stop_descriptor, .events = POLLIN};
  ellm_error err;
  for (;;) {
    const int n = poll(&stop, 1, LOOK_MS);
    pthread_mutex_lock(&s->lock);
    const bool failed = s->failed;
    pthread_mutex_unlock(&s->lock);
    if (n > 0 || failed) return;
    if (w && watch_look(w, &err) != ELLM_OK) {
      engine_fail(s, &err);
      return;
    }
  }
}

/* False: the engine is still in a step. */
static bool end(server *s, struct MHD_Daemon *daemon) {
  const double begun = job_clock();
  pthread_mutex_lock(&s->lock);
  s->stopping = true;
  const bool failed = s->failed;
  pthread_mutex_unlock(&s->lock);
  http_stop_listening(daemon);
  if (!failed) wait_for_answers(s, begun + SERVE_GRACE_SECONDS);
  engine_cut(s);
  wait_for_answers(s, begun + SERVE_GRACE_SECONDS + 1);
  work_stop(s);
  answer_the_rest(s);
  wait_for_connections(s, begun + SERVE_GRACE_SECONDS + 1.3);
  http_stop(daemon);
  return engine_stop(s, begun + SERVE_STOP_SECONDS - 0.3);
}

static void close_server(server *s) {
  ellm_chat_free(s->chat);
  prog_buffer_free(&s->file_props);
  grammars_free(s);
  pthread_cond_destroy(&s->quiet);
  pthread_mutex_destroy(&s->lock);
  free(s);
}

ellm_status serve_run(ellm_model *model, const serve_options *options, bool *busy, ellm_error *err) {
  int listener = -1;
  char place[256], line[320];
  struct MHD_Daemon *daemon = NULL;
  *busy = false;
  server *s = calloc(1, sizeof *s);
  watch *w = watch_open(options->model_path);
  if (!s || !w) {
    free(s);
    watch_close(w);
    *err = (ellm_error){.status = ELLM_ERR_IO, .message = "out of memory"};
    return ELLM_ERR_IO;
  }
  s->options = options;
  s->model = model;
  ellm_status status = open_server(s, err);
  if (status == ELLM_OK) status = listen_open(options, &listener, place, err);
  if (status == ELLM_OK) status = http_start(s, listener, &daemon, err);
  if (status == ELLM_OK) {
    snprintf(line, sizeof line, "listening at %s", place);
    options->log(line);
    wait_for_stop(s, w);
    *busy = !end(s, daemon);
    pthread_mutex_lock(&s->lock);
    if (s->failed) {
      *err = s->failure;
      status = err->status;
    }
    pthread_mutex_unlock(&s->lock);
  } else {
    if (listener >= 0) close(listener);
    if (s->work) work_stop(s);
    if (s->engine) engine_stop(s, job_clock() + SERVE_STOP_SECONDS);
  }
  if (options->unix_path && listener >= 0) unlink(options->unix_path);
  watch_close(w);
  if (!*busy) close_server(s);
  return status;
}
