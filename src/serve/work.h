/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that prepare requests: what takes longer than moving bytes, and needs no generator. */
#ifndef ELLM_SERVE_WORK_H
#define ELLM_SERVE_WORK_H

#include "serve/job.h"

enum { WORK_THREADS = 2 };

/* What is done with a job whose body is whole: it ends with an answer, a problem, or at the engine. */
typedef void (*work_fn)(job *j);

ellm_status work_start(server *s, ellm_error *err);
/* Hand in a job, with the lock of the server held. */
void work_submit(server *s, job *j, work_fn what);
/* End the threads; what still waits is answered with 503. */
void work_stop(server *s);

#endif
