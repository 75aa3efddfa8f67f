/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server of HTTP that speaks as OpenAI's does (docs/SERVER.md), for the
 * program: it prints nothing, reads no environment, looks at no signals.
 */
#ifndef ELLM_SERVE_SERVE_H
#define ELLM_SERVE_SERVE_H

#include "serve/options.h"

/*
 * Serve until the stop descriptor can be read. Answers at work then have SERVE_GRACE_SECONDS to end, and are ended
 * with a reason after that; it returns within SERVE_STOP_SECONDS. *busy: a step of the model was still at work; the
 * model must not be closed, the process should end. ELLM_ERR_USAGE, ELLM_ERR_IO: it cannot listen there; ELLM_ERR_INPUT: the
 * model's file was changed or cut while it served.
 */
ellm_status serve_run(ellm_model *model, const serve_options *options, bool *busy, ellm_error *err);

#endif
