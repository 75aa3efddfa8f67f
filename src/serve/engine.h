/* SPDX-License-Identifier: Apache-2.0 */
/* The thread that computes answers. */
#ifndef ELLM_SERVE_ENGINE_H
#define ELLM_SERVE_ENGINE_H

#include "serve/job.h"

/* Make the generator, take the memory of the pool, start the thread. */
ellm_status engine_start(server *s, ellm_error *err);
/* Take a job whose request is read; the engine holds it until it is answered. Where too many wait, or the server is
 * about to end, the job is answered with that. */
void engine_submit(server *s, job *j);
/* End what is at work, with the reason that the server ends. */
void engine_cut(server *s);
/* The model cannot be trusted any more: all that is at work, or comes, fails with this. */
void engine_fail(server *s, const ellm_error *err);
/* End the thread, waiting for it until the clock shows `until` (job_clock). False: it is still in a step, and must be
 * left alone for ever. */
bool engine_stop(server *s, double until);

#endif
