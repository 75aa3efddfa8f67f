/* SPDX-License-Identifier: Apache-2.0 */
/* See job.h. A suspended connection is not looked at by libmicrohttpd: job_wanted asks its socket. */
#include "serve/job.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "serve/request.h"

double job_clock(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

job *job_create(server *s, struct MHD_Connection *connection, int fd) {
  job *j = calloc(1, sizeof *j);
  if (!j) return NULL;
  j->server = s;
  j->connection = connection;
  j->fd = fd;
  j->references = 1;
  j->type = "application/json";
  j->received = job_clock();
  j->created = (int64_t)time(NULL);
  pthread_mutex_lock(&s->lock);
  j->id = s->next_id++;
  j->next = s->jobs;
  s->jobs = j;
  s->n_jobs++;
  pthread_mutex_unlock(&s->lock);
  return j;
}

void job_hold(job *j) {
  pthread_mutex_lock(&j->server->lock);
  j->references++;
  pthread_mutex_unlock(&j->server->lock);
}

void job_release(job *j) {
  server *s = j->server;
  pthread_mutex_lock(&s->lock);
  const bool last = --j->references == 0;
  pthread_mutex_unlock(&s->lock);
  if (!last) return;
  job_drop_body(j);
  prog_buffer_free(&j->out);
  request_free(j->request);
  free(j);
}

void job_left(job *j) {
  server *s = j->server;
  pthread_mutex_lock(&s->lock);
  job **at = &s->jobs;
  while (*at != j) at = &(*at)->next;
  *at = j->next;
  s->n_jobs--;
  j->connection = NULL;
  j->suspended = false;
  if (!j->ended && j->submitted) {
    j->gone = true;
    s->counts.left++;
  }
  pthread_cond_broadcast(&s->quiet);
  pthread_mutex_unlock(&s->lock);
  job_release(j);
}

/* -------------------------------------------------------------- connections */

void job_suspend(job *j) {
  j->suspended = true;
  MHD_suspend_connection(j->connection);
}

static void wake(job *j) {
  if (!j->suspended) return;
  j->suspended = false;
  MHD_resume_connection(j->connection);
}

bool job_wanted(job *j) {
  char byte;
  pthread_mutex_lock(&j->server->lock);
  bool wanted = j->connection && !j->gone && !j->ended;
  if (wanted && j->suspended) { /* else the connection's thread looks, and the socket may be closed any time */
    const ssize_t n = recv(j->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
      j->gone = true;
      j->ended = true;
      j->server->counts.left++;
      wake(j); /* it finds out by itself, and lets go */
      wanted = false;
    }
  }
  pthread_mutex_unlock(&j->server->lock);
  return wanted;
}

/* ------------------------------------------------------------------ answers */

/* With the lock held. */
static void leave_places(job *j) {
  j->server->admitted -= j->places;
  j->places = 0;
}

void job_leave_places(job *j) {
  pthread_mutex_lock(&j->server->lock);
  leave_places(j);
  pthread_mutex_unlock(&j->server->lock);
}

/* The text goes to the end of what the connection is to take. With the lock held. */
static void append(job *j, prog_buffer *out) {
  if (j->out.bytes == 0) {
    prog_buffer_free(&j->out);
    j->out = *out;
    *out = (prog_buffer){0};
    return;
  }
  if (j->sent > 0 && j->sent == j->out.bytes) j->sent = j->out.bytes = 0;
  prog_append(&j->out, out->data, out->bytes);
  j->out.failed = j->out.failed || out->failed;
  prog_buffer_free(out);
}

void job_answer(job *j, int status, const char *type, prog_buffer *out) {
  pthread_mutex_lock(&j->server->lock);
  if (!j->ended) {
    append(j, out);
    j->status = j->out.failed ? 503 : status;
    j->type = type;
    j->ready = j->ended = true;
    leave_places(j);
    wake(j);
  }
  pthread_mutex_unlock(&j->server->lock);
  prog_buffer_free(out);
}

void job_problem(job *j, const problem *p) {
  prog_buffer out = {0};
  problem_json(p, &out);
  pthread_mutex_lock(&j->server->lock);
  if (p->status == 429 || p->status == 503) j->retry_after = 1;
  if (p->status < 500) j->server->counts.refused++;
  else j->server->counts.failed++;
  const bool streamed = j->streamed;
  pthread_mutex_unlock(&j->server->lock);
  if (!streamed) {
    job_answer(j, p->status, "application/json", &out);
    return;
  }
  prog_buffer event = {0}; /* the status has gone out already */
  prog_print(&event, "data: ");
  prog_append(&event, out.data, out.bytes);
  prog_print(&event, "\n\n");
  prog_buffer_free(&out);
  job_stream(j, &event, true);
}

void job_stream(job *j, prog_buffer *out, bool end) {
  pthread_mutex_lock(&j->server->lock);
  if (!j->ended) {
    append(j, out);
    j->status = 200;
    j->type = "text/event-stream";
    j->streamed = j->ready = true;
    j->ended = end || j->out.failed;
    if (end) leave_places(j);
    wake(j);
  }
  pthread_mutex_unlock(&j->server->lock);
  prog_buffer_free(out);
}

bool job_count_body(job *j, size_t bytes, size_t most) {
  server *s = j->server;
  pthread_mutex_lock(&s->lock);
  const bool fits = s->body_bytes + bytes <= most;
  if (fits) s->body_bytes += bytes;
  pthread_mutex_unlock(&s->lock);
  return fits;
}

void job_drop_body(job *j) {
  pthread_mutex_lock(&j->server->lock);
  j->server->body_bytes -= j->body.bytes;
  pthread_mutex_unlock(&j->server->lock);
  prog_buffer_free(&j->body);
}
