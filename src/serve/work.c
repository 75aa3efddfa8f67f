/* SPDX-License-Identifier: Apache-2.0 */
/* See work.h. */
#include "serve/work.h"

#include <stdlib.h>

typedef struct work {
  pthread_cond_t wake;
  pthread_t threads[WORK_THREADS];
  size_t n;
  /* the lock's */
  job *first, **last;
  bool quit;
} work;

static void *run(void *user) {
  server *s = user;
  work *w = s->work;
  for (;;) {
    pthread_mutex_lock(&s->lock);
    while (!w->first && !w->quit) pthread_cond_wait(&w->wake, &s->lock);
    job *j = w->first;
    if (j) w->first = j->next_queued;
    if (!w->first) w->last = &w->first;
    const bool quit = w->quit, unwanted = j && j->gone;
    const work_fn what = j ? j->work : NULL;
    pthread_mutex_unlock(&s->lock);
    if (!j && quit) return NULL;
    if (!j) continue;
    if (quit) {
      problem p;
      problem_set(&p, 503, NULL, "the server is about to end");
      job_problem(j, &p);
    } else if (!unwanted) {
      what(j);
    }
    job_release(j);
  }
}

ellm_status work_start(server *s, ellm_error *err) {
  work *w = calloc(1, sizeof *w);
  s->work = w;
  if (!w) {
    *err = (ellm_error){.status = ELLM_ERR_IO, .message = "out of memory"};
    return ELLM_ERR_IO;
  }
  w->last = &w->first;
  pthread_cond_init(&w->wake, NULL);
  while (w->n < WORK_THREADS && pthread_create(&w->threads[w->n], NULL, run, s) == 0) w->n++;
  if (w->n == WORK_THREADS) return ELLM_OK;
  work_stop(s);
  *err = (ellm_error){.status = ELLM_ERR_IO, .message = "cannot start a thread"};
  return ELLM_ERR_IO;
}

void work_submit(server *s, job *j, work_fn what) {
  work *w = s->work;
  j->work = what;
  j->references++;
  j->next_queued = NULL;
  *w->last = j;
  w->last = &j->next_queued;
  pthread_cond_signal(&w->wake);
}

void work_stop(server *s) {
  work *w = s->work;
  if (!w) return;
  pthread_mutex_lock(&s->lock);
  w->quit = true;
  pthread_cond_broadcast(&w->wake);
  pthread_mutex_unlock(&s->lock);
  for (size_t i = 0; i < w->n; i++) pthread_join(w->threads[i], NULL);
  pthread_cond_destroy(&w->wake);
  free(w);
  s->work = NULL;
}
