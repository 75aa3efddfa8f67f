/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request and what is answered to it.
 *
 * The connection's thread makes it and fills `body`; when the request is whole it
 * is handed on and the connection suspended. Who works on it ends with
 * job_answer, job_problem or, for a stream, job_stream and any number of
 * job_more. Each wakes the connection. Fields under "the lock's" are looked at
 * with server.lock held; the rest belongs to who works on it.
 */
#ifndef ELLM_SERVE_JOB_H
#define ELLM_SERVE_JOB_H

#include "serve/problem.h"
#include "serve/server.h"

struct MHD_Connection;
struct request;

struct job {
  server *server;
  const struct route *route;        /* NULL: there is none */
  uint64_t id;
  int64_t created;                  /* seconds since 1970 */
  double received;                  /* clock of the moment when it was whole */
  size_t swallowed;                 /* bytes of the body that came */
  const char *allowed;              /* the method that the path takes, after a wrong one */
  prog_buffer body;
  void (*work)(job *j);             /* see work.h */
  struct request *request;          /* of completions, once it is read; see request.h */

  /* the lock's */
  job *next;                        /* of server.jobs */
  job *next_queued;                 /* of the one queue that it is in */
  int references;
  size_t places;                    /* of server.admitted that its answers take */
  struct MHD_Connection *connection; /* NULL: the client is gone, or has all */
  int fd;                           /* its socket */
  bool submitted, suspended, gone, streamed, ready, ended;
  int status, retry_after;
  const char *type;                 /* Content-Type; static */
  prog_buffer out;
  size_t sent;                      /* bytes of `out` that the connection has taken */
};

double job_clock(void);             /* seconds, monotonic */

/* One reference, the connection's. NULL: no memory. */
job *job_create(server *s, struct MHD_Connection *connection, int fd);
void job_hold(job *j);
void job_release(job *j);
/* The connection is done with it, or the client gone: nobody may use the connection any more. */
void job_left(job *j);

/* Suspend the connection until there is something for it. With the lock held. */
void job_suspend(job *j);
/* Is the client still there? False also where all was said. */
bool job_wanted(job *j);

/* A whole answer; `out` is taken over and empty after it. */
void job_answer(job *j, int status, const char *type, prog_buffer *out);
void job_problem(job *j, const problem *p);
/* The beginning of a stream, or more of it; `out` is empty after it. `end`: nothing comes after this. */
void job_stream(job *j, prog_buffer *out, bool end);

/* Nothing is computed for it any more: its places are free. So they are before the last bytes of an answer go out, as a
 * client that has them may ask again at once. */
void job_leave_places(job *j);

/* Count bytes of bodies, of all jobs together; false, and nothing is counted, where there would be too many. */
bool job_count_body(job *j, size_t bytes, size_t most);
void job_drop_body(job *j); /* it has been read */

#endif
