/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See engine.h. A task is a job at work: some answers of the generator. Between
 * two steps new ones are taken, and those that nobody wants any more, or that
 * have taken too long, are cancelled. What answers have grown by is written to
 * the task while a step runs and handed out after it, once it is known that the
 * model's file could be read.
 *
 * The generator starts answers in the order of asking, as room becomes free.
 */
#include "serve/engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "serve/call_stream.h"
#include "serve/grammars.h"
#include "serve/prompts.h"
#include "serve/reply.h"
#include "serve/request.h"

enum {
  IDLE_SECONDS = 1, /* before what is kept is written down: requests that follow each other do not wait for it */
  SAVE_SECONDS = 1  /* before the end of the process: no file is begun any more */
};

typedef struct choice {
  struct task *task;
  size_t index;
  ellm_answer *answer;   /* NULL: it has ended, and what follows is set */
  ellm_answer_info info;
  const char *finish;
  prog_buffer all;       /* of a whole answer */
  size_t content;        /* bytes of it before the calls */
  prog_buffer calls;     /* JSON of them, or empty; of a whole answer */
  call_stream stream;    /* of a stream that may call tools */
  call_events events;
  chances chances;
} choice;

typedef struct task {
  struct task *next;
  job *job;
  choice *choices;       /* [n] */
  size_t n, n_ended;
  prog_buffer events;    /* of a stream, to be handed out */
  const char *reason;    /* why it was cancelled; NULL: it was not */
  bool lost;             /* nobody wants it any more */
} task;

struct engine {
  server *server;
  ellm_generator *generator;
  pthread_t thread;
  task *tasks;           /* the thread's own, as the next two */
  prompts *prompts;      /* NULL: none are kept on disk */
  bool unsaved;          /* there may be some that no file holds */
  /* the lock's */
  pthread_cond_t wake;
  job *first, **last;    /* that were handed in */
  bool cut, quit, done;
  double until;          /* the clock when all must be at its end; with `quit` */
};

/* -------------------------------------------------------------------- tasks */

static unsigned long long seed_of_calls(const choice *c) {
  const job *j = c->task->job;
  return j->server->instance ^ j->id ^ (uint64_t)c->index << 40;
}

/* What a stream finds becomes events; log-probabilities of tokens go with the next one. */
static void content_comes(void *user, const char *text, size_t bytes) {
  choice *c = user;
  reply_part(c->task->job, c->index, text, bytes, &c->chances, &c->task->events);
  chances_clear(&c->chances);
}

static void call_comes(void *user, size_t call, const char *id, const char *name) {
  choice *c = user;
  reply_call(c->task->job, c->index, call, id, name, &c->chances, &c->task->events);
  chances_clear(&c->chances);
}

static void arguments_come(void *user, size_t call, const char *piece, size_t bytes) {
  choice *c = user;
  reply_arguments(c->task->job, c->index, call, piece, bytes, &c->chances, &c->task->events);
  chances_clear(&c->chances);
}

static bool take(void *user, const ellm_answer *answer, const ellm_answer_part *part) {
  choice *c = user;
  const job *j = c->task->job;
  const request *r = j->request;
  (void)answer;
  const bool told = r->logprobs && part->has_id;
  if (told) chances_add(&c->chances, j->server, r->chat, r->top, part);
  if (!r->stream) return true;
  if (r->n_tool_names > 0) call_stream_add(&c->stream, part->text, part->bytes);
  else if (part->bytes > 0 || told) reply_part(j, c->index, part->text, part->bytes, &c->chances, &c->task->events);
  if (r->n_tool_names == 0) chances_clear(&c->chances);
  return true;
}

static ellm_status add_answer(engine *e, choice *c, ellm_error *err) {
  const request *r = c->task->job->request;
  const prompt *from = &r->prompts[c->index / r->n];
  ellm_sampling sampling = r->sampling;
  ellm_request q;
  ellm_request_init(&q);
  sampling.seed += c->index % r->n;
  q.prompt = from->ids;
  q.n_prompt = from->n;
  q.limit = r->limit;
  q.positions = e->server->options->context;
  q.sampling = &sampling;
  q.end_ids = r->end_ids;
  q.n_end_ids = r->n_end_ids;
  q.stops = (const char *const *)r->stops;
  q.n_stops = r->n_stops;
  q.no_text = e->server->tokenizer == NULL;
  q.n_chances = r->logprobs ? (r->top > 0 ? r->top : 1) : 0;
  q.grammar = grammars_of(r->grammar);
  q.take = take;
  q.user = c;
  return ellm_generator_add(e->generator, &q, &c->answer, err);
}

static void free_task(task *t) {
  for (size_t i = 0; i < t->n; i++) {
    ellm_answer_free(t->choices[i].answer);
    prog_buffer_free(&t->choices[i].all);
    prog_buffer_free(&t->choices[i].calls);
    call_stream_free(&t->choices[i].stream);
    chances_clear(&t->choices[i].chances);
  }
  prog_buffer_free(&t->events);
  free(t->choices);
  job_leave_places(t->job);
  job_release(t->job);
  free(t);
}

static void begin(engine *e, job *j) {
  problem p;
  ellm_error err = {0};
  const request *r = j->request;
  task *t = calloc(1, sizeof *t);
  choice *choices = calloc(request_answers(r), sizeof *choices);
  if (!t || !choices) {
    free(t);
    free(choices);
    problem_memory(&p);
    job_problem(j, &p);
    job_leave_places(j);
    job_release(j);
    return;
  }
  t->job = j;
  t->choices = choices;
  t->n = request_answers(r);
  for (size_t i = 0; i < t->n && err.status == ELLM_OK; i++) {
    choices[i].task = t;
    choices[i].index = i;
    choices[i].events = (call_events){content_comes, call_comes, arguments_come, &choices[i]};
    call_stream_init(&choices[i].stream, r->tool_names, r->n_tool_names, seed_of_calls(&choices[i]),
                     &choices[i].events);
    if (add_answer(e, &choices[i], &err) == ELLM_OK && r->stream && r->chat) reply_role(j, i, &t->events);
  }
  if (err.status != ELLM_OK) {
    problem_of(&p, r->chat ? "messages" : "prompt", &err);
    job_problem(j, &p);
    free_task(t);
    return;
  }
  task **last = &e->tasks;
  while (*last) last = &(*last)->next;
  *last = t;
}

/* ----------------------------------------------------------------------- ends */

static const char *finish_of(const task *t, ellm_end end) {
  switch (end) {
    case ELLM_END_GRAMMAR:
    case ELLM_END_ID:
    case ELLM_END_STOP: return "stop";
    case ELLM_END_CANCELLED: return t->reason ? t->reason : "cancelled";
    default: return "length";
  }
}

/* Which tools the text calls. Of a stream most of it has been told. */
static void settle_calls(choice *c) {
  task *t = c->task;
  const request *r = t->job->request;
  bool any;
  if (r->stream) {
    if (!call_stream_end(&c->stream)) t->events.failed = true;
    any = c->stream.n > 0;
    if (c->chances.any) content_comes(c, "", 0);
  } else {
    calls_find(c->all.data ? c->all.data : "", c->all.bytes, r->tool_names, r->n_tool_names, seed_of_calls(c),
               &c->calls, &c->content);
    any = c->calls.bytes > 0;
  }
  if (any && strcmp(c->finish, "stop") == 0) c->finish = "tool_calls";
}

/* Keep what is needed of an answer that has ended. False: it has failed, which is the job's problem. */
static bool settle_choice(choice *c, problem *p) {
  ellm_error err;
  size_t bytes;
  task *t = c->task;
  if (ellm_answer_error(c->answer, &err) != ELLM_OK) {
    problem_set(p, 500, NULL, "%s", err.message);
    return false;
  }
  c->finish = finish_of(t, c->info.end);
  const char *all = ellm_answer_text(c->answer, &bytes);
  const request *r = t->job->request;
  if (!r->stream) prog_append(&c->all, all, bytes);
  c->content = c->all.bytes;
  if (r->n_tool_names > 0) settle_calls(c);
  if (r->stream) reply_finish(t->job, c->index, c->finish, &t->events);
  ellm_answer_free(c->answer);
  c->answer = NULL;
  t->n_ended++;
  return true;
}

static reply_usage usage_of(const task *t) {
  reply_usage u = {0};
  const size_t n = t->job->request->n;
  for (size_t i = 0; i < t->n; i++) {
    const ellm_answer_info *info = &t->choices[i].info;
    if (i % n == 0) { /* a prompt counts once, however many choices it has */
      u.prompt += info->n_prompt;
      u.kept += info->n_kept;
      u.prompt_seconds += info->prompt_seconds;
    }
    u.tokens += info->n_ids;
    if (info->seconds > u.seconds) u.seconds = info->seconds;
    if (info->n_prompt + info->n_ids > u.context) u.context = info->n_prompt + info->n_ids;
  }
  return u;
}

static void count(server *s, const task *t) {
  pthread_mutex_lock(&s->lock);
  for (size_t i = 0; i < t->n; i++) {
    const ellm_answer_info *info = &t->choices[i].info;
    s->counts.prompt_tokens += info->n_prompt;
    s->counts.kept_tokens += info->n_kept;
    s->counts.tokens += info->n_ids;
    s->counts.prompt_seconds += info->prompt_seconds;
    s->counts.seconds += info->seconds;
  }
  pthread_mutex_unlock(&s->lock);
}

static void answer_whole(task *t) {
  problem p;
  prog_buffer out = {0};
  const reply_usage usage = usage_of(t);
  reply_choice *choices = calloc(t->n, sizeof *choices);
  bool good = choices != NULL;
  for (size_t i = 0; i < t->n && good; i++) {
    const choice *c = &t->choices[i];
    choices[i] = (reply_choice){.index = i,
                                .text = c->all.data ? c->all.data : "",
                                .bytes = c->content,
                                .calls = c->calls.bytes > 0 ? c->calls.data : NULL,
                                .finish = c->finish,
                                .chances = &c->chances};
    good = !c->all.failed;
  }
  if (good) reply_whole(t->job, choices, t->n, &usage, &out);
  free(choices);
  if (good && !out.failed) {
    job_answer(t->job, 200, "application/json", &out);
    return;
  }
  prog_buffer_free(&out);
  problem_memory(&p);
  job_problem(t->job, &p);
}

/* Hand out what there is. True: the task is at its end. */
static bool publish(engine *e, task *t) {
  problem p;
  const bool stream = t->job->request->stream;
  for (size_t i = 0; i < t->n; i++) {
    choice *c = &t->choices[i];
    if (!c->answer) continue;
    ellm_answer_get_info(c->answer, &c->info);
    if (c->info.end == ELLM_END_NOT) continue;
    if (settle_choice(c, &p)) continue;
    job_problem(t->job, &p);
    return true;
  }
  const bool end = t->n_ended == t->n;
  if (end) count(e->server, t);
  if (t->lost) return end;
  if (stream && end) {
    const reply_usage usage = usage_of(t);
    reply_end(t->job, &usage, &t->events);
  }
  if (stream && (t->events.bytes > 0 || t->events.failed)) job_stream(t->job, &t->events, end);
  else if (!stream && end) answer_whole(t);
  return end;
}

static void publish_all(engine *e) {
  for (task **at = &e->tasks; *at;) {
    task *t = *at;
    if (publish(e, t)) {
      *at = t->next;
      free_task(t);
    } else {
      at = &t->next;
    }
  }
}

static void fail_all(engine *e, const problem *p) {
  while (e->tasks) {
    task *t = e->tasks;
    e->tasks = t->next;
    job_problem(t->job, p);
    free_task(t);
  }
}

/* ---------------------------------------------------------------------- steps */

static void cancel(task *t, const char *reason) {
  if (!t->reason) t->reason = reason;
  for (size_t i = 0; i < t->n; i++)
    if (t->choices[i].answer) ellm_answer_cancel(t->choices[i].answer);
}

static void look_at_tasks(engine *e, bool cut) {
  const double now = job_clock(), timeout = e->server->options->timeout;
  for (task *t = e->tasks; t; t = t->next) {
    t->lost = t->lost || !job_wanted(t->job);
    if (t->lost) cancel(t, "cancelled");
    else if (cut) cancel(t, "shutdown");
    else if (now - t->job->received > timeout) cancel(t, "timeout");
  }
}

static bool damaged(const server *s) { return s->options->damaged && s->options->damaged(); }

/* The model's file has gone bad: nothing that was computed counts. */
static void fail_server(engine *e, const ellm_error *err) {
  server *s = e->server;
  problem p;
  pthread_mutex_lock(&s->lock);
  if (!s->failed) {
    s->failed = true;
    s->failure = *err;
  }
  problem_set(&p, 500, NULL, "%s", s->failure.message);
  pthread_cond_broadcast(&s->quiet);
  pthread_mutex_unlock(&s->lock);
  fail_all(e, &p);
}

static void step(engine *e) {
  ellm_error err = {0};
  problem p;
  const ellm_status status = ellm_generator_step(e->generator, NULL, &err);
  if (damaged(e->server)) {
    err = (ellm_error){.status = ELLM_ERR_INPUT, .message = "the file of the model was cut while it was in use"};
    fail_server(e, &err);
  } else if (status == ELLM_ERR_INPUT || status == ELLM_ERR_INTERNAL) {
    fail_server(e, &err);
  } else if (status != ELLM_OK) { /* no memory, mostly: those at work end, others may do better */
    problem_set(&p, status == ELLM_ERR_IO ? 503 : 500, NULL, "%s", err.message);
    fail_all(e, &p);
  } else {
    publish_all(e);
  }
}

static size_t count_running(const engine *e) {
  size_t n = 0;
  for (const task *t = e->tasks; t; t = t->next) n += t->n - t->n_ended;
  return n;
}

/* There is nothing to do. What answers have left is written down, a file at a time, once nothing has come for a while.
 * With the lock held, except that. */
static void wait_idle(engine *e, bool *rested) {
  server *s = e->server;
  struct timespec at;
  if (!e->unsaved) {
    pthread_cond_wait(&e->wake, &s->lock);
  } else if (!*rested) {
    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_sec += IDLE_SECONDS;
    *rested = pthread_cond_timedwait(&e->wake, &s->lock, &at) == ETIMEDOUT;
  } else {
    pthread_mutex_unlock(&s->lock);
    const bool more = !damaged(s) && prompts_save_next(e->prompts);
    pthread_mutex_lock(&s->lock);
    e->unsaved = more;
  }
}

/* Wait for work. What was handed in, in its order; NULL: nothing was. *quit: the end. */
static job *wait_for_work(engine *e, bool *cut, bool *quit, bool *failed) {
  server *s = e->server;
  pthread_mutex_lock(&s->lock);
  s->running = count_running(e);
  for (bool rested = false; !e->first && !e->tasks && !e->quit && !s->failed;) wait_idle(e, &rested);
  job *first = e->first;
  e->first = NULL;
  e->last = &e->first;
  *cut = e->cut;
  *quit = e->quit;
  *failed = s->failed;
  s->counts.steps++;
  pthread_mutex_unlock(&s->lock);
  return first;
}

static void *run(void *user) {
  engine *e = user;
  server *s = e->server;
  ellm_error failure = {0};
  for (bool cut, quit = false, failed; !quit;) {
    for (job *j = wait_for_work(e, &cut, &quit, &failed), *next; j; j = next) {
      next = j->next_queued;
      begin(e, j);
    }
    look_at_tasks(e, cut || quit);
    if (failed) fail_server(e, &failure);
    else if (e->tasks) step(e);
    e->unsaved = e->prompts != NULL;
    if (failed && !quit) { /* nothing can be computed any more: wait for the end */
      pthread_mutex_lock(&s->lock);
      while (!e->quit && !e->first) pthread_cond_wait(&e->wake, &s->lock);
      pthread_mutex_unlock(&s->lock);
    }
  }
  const problem end = {.status = 503, .message = "the server ends"};
  fail_all(e, &end);
  pthread_mutex_lock(&s->lock);
  bool more = e->prompts && !s->failed;
  const double until = e->until - SAVE_SECONDS;
  pthread_mutex_unlock(&s->lock);
  while (more && job_clock() < until && !damaged(s)) more = prompts_save_next(e->prompts);
  pthread_mutex_lock(&s->lock);
  e->done = true;
  pthread_cond_broadcast(&s->quiet);
  pthread_mutex_unlock(&s->lock);
  return NULL;
}

/* ------------------------------------------------------------------ from others */

void engine_submit(server *s, job *j) {
  const size_t n = request_answers(j->request), most = s->options->parallel + s->options->queue;
  engine *e = s->engine;
  problem p;
  pthread_mutex_lock(&s->lock);
  const bool ends = s->stopping || s->failed, full = s->admitted + n > most;
  const size_t admitted = s->admitted;
  if (!ends && !full) {
    s->admitted += n;
    j->places = n;
    j->references++;
    j->next_queued = NULL;
    *e->last = j;
    e->last = &j->next_queued;
    pthread_cond_signal(&e->wake);
  }
  pthread_mutex_unlock(&s->lock);
  if (!ends && !full) return;
  if (ends) problem_set(&p, 503, NULL, "the server is about to end");
  else if (n > most)
    problem_set(&p, 400, "n", "%zu answers are asked for, more than are computed and queued at once (%zu)", n, most);
  else problem_set(&p, 429, NULL, "%zu answers are already in progress or waiting: try again later", admitted);
  job_problem(j, &p);
}

ellm_status engine_start(server *s, ellm_error *err) {
  ellm_generator_options options;
  ellm_sequence *sequence;
  engine *e = calloc(1, sizeof *e);
  if (!e) {
    *err = (ellm_error){.status = ELLM_ERR_IO, .message = "out of memory"};
    return ELLM_ERR_IO;
  }
  e->server = s;
  e->last = &e->first;
  pthread_cond_init(&e->wake, NULL);
  s->engine = e;
  ellm_generator_options_init(&options);
  options.most = s->options->parallel;
  options.keep = PROMPTS_KEPT;
  ellm_status status = ellm_generator_create(s->model, &options, &e->generator, err);
  const uint32_t positions = s->options->context * (uint32_t)s->options->parallel;
  if (status == ELLM_OK) status = ellm_model_reserve(s->model, positions, err);
  if (status == ELLM_OK) status = ellm_sequence_create(s->model, &sequence, err); /* takes the pool's memory */
  if (status == ELLM_OK) ellm_sequence_free(sequence);
  if (status == ELLM_OK && s->options->prompt_folder)
    status = prompts_open(s->options, s->model, e->generator, &e->prompts, err);
  if (status == ELLM_OK && pthread_create(&e->thread, NULL, run, e) != 0) {
    *err = (ellm_error){.status = ELLM_ERR_IO, .message = "cannot start a thread"};
    status = ELLM_ERR_IO;
  }
  if (status == ELLM_OK) return status;
  prompts_close(e->prompts);
  ellm_generator_free(e->generator);
  pthread_cond_destroy(&e->wake);
  free(e);
  s->engine = NULL;
  return status;
}

void engine_cut(server *s) {
  pthread_mutex_lock(&s->lock);
  s->engine->cut = true;
  pthread_cond_signal(&s->engine->wake);
  pthread_mutex_unlock(&s->lock);
}

void engine_fail(server *s, const ellm_error *err) {
  pthread_mutex_lock(&s->lock);
  if (!s->failed) s->failure = *err;
  s->failed = true;
  pthread_cond_signal(&s->engine->wake);
  pthread_mutex_unlock(&s->lock);
}

bool engine_stop(server *s, double until) {
  engine *e = s->engine;
  pthread_mutex_lock(&s->lock);
  e->cut = e->quit = true;
  e->until = until;
  pthread_cond_signal(&e->wake);
  while (!e->done && job_clock() < until) {
    struct timespec soon;
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_nsec += 20000000;
    if (soon.tv_nsec >= 1000000000) {
      soon.tv_nsec -= 1000000000;
      soon.tv_sec++;
    }
    pthread_cond_timedwait(&s->quiet, &s->lock, &soon);
  }
  const bool done = e->done;
  pthread_mutex_unlock(&s->lock);
  if (!done) return false;
  pthread_join(e->thread, NULL);
  prompts_close(e->prompts);
  ellm_generator_free(e->generator);
  pthread_cond_destroy(&e->wake);
  free(e);
  s->engine = NULL;
  return true;
}
