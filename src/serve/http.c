/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See http.h. Everything here runs on the one thread of libmicrohttpd, so that
 * a thousand idle connections cost their memory and nothing else; nothing here
 * takes long. A request goes through three calls of `handle`: with its headers,
 * where what is wrong with them is found; with pieces of its body; and when it
 * is whole. Then it is handed on and its connection suspended, and `handle` is
 * called once more when there is an answer.
 */
#include "serve/http.h"

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "serve/endpoints.h"
#include "serve/page.h"
#include "serve/work.h"

static const char *header(const job *j, const char *name) {
  return MHD_lookup_connection_value(j->connection, MHD_HEADER_KIND, name);
}

/* -------------------------------------------------------------------- refusal */

/* As many steps for every key, whether it is right or not. */
static bool same_key(const char *given, const char *key) {
  const size_t n = strlen(given), m = strlen(key);
  unsigned different = n != m;
  for (size_t i = 0; i < m; i++) different |= (unsigned char)key[i] ^ (unsigned char)(i < n ? given[i] : 0);
  return different == 0;
}

static bool has_key(const job *j) {
  const serve_options *o = j->server->options;
  const char *given = header(j, "Authorization");
  bool good = false;
  if (!given || strncmp(given, "Bearer ", 7) != 0) return false;
  for (size_t i = 0; i < o->n_keys; i++) good |= same_key(given + 7, o->keys[i]);
  return good;
}

/* A page of another origin may not use the server, not even without seeing what it answers. */
static bool origin_allowed(const job *j) {
  const char *origin = header(j, "Origin"), *host = header(j, "Host"), *cors = j->server->options->cors;
  if (!origin) return true;
  if (cors && (strcmp(cors, "*") == 0 || strcmp(cors, origin) == 0)) return true;
  const char *after = strstr(origin, "://");
  return after && host && strcmp(after + 3, host) == 0;
}

static bool check_body(const job *j, problem *p) {
  const char *length = header(j, "Content-Length");
  const size_t most = j->server->options->body_bytes;
  if (!length) return true;
  char *end;
  const unsigned long long n = strtoull(length, &end, 10); /* libmicrohttpd has refused what is not a number */
  if (n <= most && strlen(length) < 20) return true;
  return problem_set(p, 413, NULL, "the body has %.24s bytes, more than %zu", length, most);
}

/* What is wrong with a request by its headers. */
static bool check_headers(job *j, const char *path, const char *method, problem *p) {
  const char *allowed;
  const bool page = strcmp(path, "/") == 0 || strcmp(path, "/index.html") == 0;
  if (!origin_allowed(j))
    return problem_set(p, 403, NULL, "pages of another origin may not use this server");
  if (strcmp(method, "OPTIONS") == 0) return true;
  j->route = endpoints_find(j->server, path, method, &allowed);
  if (page) allowed = "GET";
  const bool get = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
  if (!j->route && !(page && get)) {
    if (allowed) return problem_set(p, 405, NULL, "%.80s takes %s, not %.20s", path, allowed, method);
    return problem_set(p, 404, NULL, "there is no %.200s here", path);
  }
  if (j->server->options->n_keys > 0 && j->route && !j->route->open && !has_key(j)) {
    problem_set(p, 401, NULL, "a valid API key is needed: Authorization: Bearer KEY");
    p->code = "invalid_api_key";
    return false;
  }
  return check_body(j, p);
}

/* ------------------------------------------------------------------- answers */

static void add_headers(const job *j, struct MHD_Response *r) {
  const serve_options *o = j->server->options;
  char number[16];
  MHD_add_response_header(r, "Content-Type", j->type);
  MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
  if (j->streamed) MHD_add_response_header(r, "Cache-Control", "no-cache");
  if (j->status == 401) MHD_add_response_header(r, "WWW-Authenticate", "Bearer");
  if (j->status == 405) MHD_add_response_header(r, "Allow", j->allowed);
  if (j->retry_after > 0) {
    snprintf(number, sizeof number, "%d", j->retry_after);
    MHD_add_response_header(r, "Retry-After", number);
  }
  if (o->cors && header(j, "Origin")) {
    MHD_add_response_header(r, "Access-Control-Allow-Origin", o->cors);
    MHD_add_response_header(r, "Access-Control-Allow-Headers", "Authorization, Content-Type");
    MHD_add_response_header(r, "Access-Control-Allow-Methods", "GET, POST, OPTIONS");
    MHD_add_response_header(r, "Vary", "Origin");
  }
}

static enum MHD_Result queue(const job *j, struct MHD_Response *response) {
  if (!response) return MHD_NO;
  add_headers(j, response);
  const enum MHD_Result result = MHD_queue_response(j->connection, (unsigned)j->status, response);
  MHD_destroy_response(response);
  return result;
}

/* More of a stream: what there is, or wait for it. */
static ssize_t read_stream(void *user, uint64_t position, char *buffer, size_t most) {
  job *j = user;
  ssize_t result = 0;
  (void)position;
  pthread_mutex_lock(&j->server->lock);
  const size_t there = j->out.bytes - j->sent, n = there < most ? there : most;
  if (n > 0) {
    memcpy(buffer, j->out.data + j->sent, n);
    j->sent += n;
    result = (ssize_t)n;
  } else if (j->out.failed) {
    result = MHD_CONTENT_READER_END_WITH_ERROR;
  } else if (j->ended) {
    result = MHD_CONTENT_READER_END_OF_STREAM;
  } else {
    job_suspend(j);
  }
  pthread_mutex_unlock(&j->server->lock);
  return result;
}

static void end_stream(void *user) { job_release(user); }

/* There is an answer, or the beginning of one: a whole one is not touched any more, a stream only with the lock. */
static enum MHD_Result respond(job *j) {
  pthread_mutex_lock(&j->server->lock);
  const bool ready = j->ready, streamed = j->streamed;
  pthread_mutex_unlock(&j->server->lock);
  if (!ready) return MHD_NO; /* the client is gone */
  if (streamed) {
    job_hold(j);
    struct MHD_Response *r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 8192, read_stream, j, end_stream);
    if (!r) job_release(j);
    return queue(j, r);
  }
  if (!j->out.data) return MHD_NO;
  struct MHD_Response *r = MHD_create_response_from_buffer(j->out.bytes, j->out.data, MHD_RESPMEM_MUST_FREE);
  if (!r) return MHD_NO;
  j->out = (prog_buffer){0};
  return queue(j, r);
}

static enum MHD_Result respond_page(job *j) {
  j->status = 200;
  j->type = "text/html; charset=utf-8";
  j->ready = j->ended = true;
  struct MHD_Response *r =
      MHD_create_response_from_buffer(serve_page_bytes, (void *)serve_page, MHD_RESPMEM_PERSISTENT);
  if (!r) return MHD_NO;
  MHD_add_response_header(r, "Content-Security-Policy", serve_page_policy);
  MHD_add_response_header(r, "Referrer-Policy", "no-referrer");
  MHD_add_response_header(r, "Cache-Control", "no-cache"); /* a newer program may have a newer page */
  return queue(j, r);
}

static enum MHD_Result respond_options(job *j) {
  j->status = 204;
  j->ready = j->ended = true;
  return queue(j, MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT));
}

/* ------------------------------------------------------------------- requests */

/* Of a body that nobody reads, as its request was refused by its headers. */
static size_t swallowed_at_most(const server *s) { return 4 * s->options->body_bytes; }

static enum MHD_Result begin(server *s, struct MHD_Connection *connection, const char *path, const char *method,
                             job **made) {
  problem p;
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  job *j = *made = job_create(s, connection, info ? info->connect_fd : -1);
  if (!j) return MHD_NO;
  if (check_headers(j, path, method, &p)) return MHD_YES;
  endpoints_find(s, path, method, &j->allowed);
  if (!j->allowed) j->allowed = "GET";
  job_problem(j, &p);
  /* a client reads the answer when it has sent all: that is waited for, unless it is very long */
  const char *length = header(j, "Content-Length");
  const bool long_one = p.status == 413 && (strlen(length) > 12 || strtoull(length, NULL, 10) > swallowed_at_most(s));
  return long_one ? respond(j) : MHD_YES;
}

/* The answer must be made by hand: libmicrohttpd takes none while a body comes. Its connection is closed. */
static enum MHD_Result refuse_body(job *j, int status, const char *line) {
  problem p;
  prog_buffer body = {0}, all = {0};
  problem_set(&p, status, NULL, "%s", line);
  problem_json(&p, &body);
  prog_print(&all, "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nConnection: close\r\n"
                   "Content-Length: %zu\r\n\r\n",
             status, status == 413 ? "Content Too Large" : status == 408 ? "Request Timeout" : "Service Unavailable",
             body.bytes);
  prog_append(&all, body.data ? body.data : "", body.bytes);
  if (!all.failed) (void)!send(j->fd, all.data, all.bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
  shutdown(j->fd, SHUT_WR);
  prog_buffer_free(&body);
  prog_buffer_free(&all);
  return MHD_NO;
}

static enum MHD_Result take_body(job *j, const char *data, size_t *bytes) {
  const size_t most = j->server->options->body_bytes;
  const size_t n = *bytes;
  *bytes = 0;
  if (job_clock() - j->received > HTTP_BODY_SECONDS)
    return refuse_body(j, 408, "the body did not come to an end in time");
  j->swallowed += n;
  const size_t bound = j->ready ? swallowed_at_most(j->server) : most;
  if (j->swallowed > bound) return refuse_body(j, 413, "the body is too large");
  if (j->ready || !j->route || !j->route->body) return MHD_YES; /* nobody reads it */
  if (!job_count_body(j, n, HTTP_BODIES * most)) return refuse_body(j, 503, "too many bodies are being received");
  const size_t before = j->body.bytes;
  prog_append(&j->body, data, n);
  if (j->body.bytes == before + n) return MHD_YES;
  j->body.bytes += n; /* so that it is counted off again */
  return MHD_NO;
}

static enum MHD_Result take_whole(job *j, const char *method) {
  server *s = j->server;
  if (j->submitted || j->ready) return respond(j);
  j->received = job_clock();
  if (strcmp(method, "OPTIONS") == 0) return respond_options(j);
  pthread_mutex_lock(&s->lock);
  s->counts.requests++;
  pthread_mutex_unlock(&s->lock);
  if (!j->route) return respond_page(j);
  j->submitted = true;
  if (!j->route->body) {
    j->route->answer(j);
    return respond(j);
  }
  pthread_mutex_lock(&s->lock);
  work_submit(s, j, j->route->answer);
  job_suspend(j);
  pthread_mutex_unlock(&s->lock);
  return MHD_YES;
}

static enum MHD_Result handle(void *user, struct MHD_Connection *connection, const char *path, const char *method,
                              const char *version, const char *data, size_t *bytes, void **own) {
  job *j = *own;
  (void)version;
  if (!j) return begin(user, connection, path, method, (job **)own);
  if (*bytes > 0) return take_body(j, data, bytes);
  return take_whole(j, method);
}

static void completed(void *user, struct MHD_Connection *connection, void **own, enum MHD_RequestTerminationCode code) {
  (void)user;
  (void)connection;
  (void)code;
  if (*own) job_left(*own);
  *own = NULL;
}

/* ----------------------------------------------------------------------- daemon */

ellm_status http_start(server *s, int listener, struct MHD_Daemon **daemon, ellm_error *err) {
  const unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME;
  *daemon = MHD_start_daemon(flags, 0, NULL, NULL, handle, s, MHD_OPTION_LISTEN_SOCKET, listener,
                             MHD_OPTION_NOTIFY_COMPLETED, completed, s, MHD_OPTION_CONNECTION_LIMIT,
                             (unsigned)s->options->connections, MHD_OPTION_CONNECTION_TIMEOUT,
                             (unsigned)HTTP_IDLE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_HEADER_BYTES,
                             MHD_OPTION_END);
  if (*daemon) return ELLM_OK;
  *err = (ellm_error){.status = ELLM_ERR_IO, .message = "cannot start to serve: no threads, or no descriptors"};
  return ELLM_ERR_IO;
}

void http_stop_listening(struct MHD_Daemon *daemon) {
  const int listener = MHD_quiesce_daemon(daemon);
  if (listener >= 0) close(listener);
}

void http_stop(struct MHD_Daemon *daemon) { MHD_stop_daemon(daemon); }
