/* SPDX-License-Identifier: Apache-2.0 */
/* What the server says of itself and of the model: /health, /v1/models, /props, /metrics. */
#ifndef ELLM_SERVE_ABOUT_H
#define ELLM_SERVE_ABOUT_H

#include "serve/job.h"

/* Look at the model's file once, before anything is served. */
void about_prepare(server *s);

void about_health(job *j);
void about_models(job *j);
void about_model(job *j); /* the one there is */
void about_props(job *j);
void about_metrics(job *j);

#endif
