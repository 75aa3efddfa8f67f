/* SPDX-License-Identifier: Apache-2.0 */
/* What there is to ask for: paths, methods, and who answers. */
#ifndef ELLM_SERVE_ENDPOINTS_H
#define ELLM_SERVE_ENDPOINTS_H

#include "serve/job.h"

typedef struct route {
  const char *path, *method;
  bool open;                /* needs no key */
  bool body;                /* takes one; then `answer` runs on a thread that prepares, else on the connections' */
  void (*answer)(job *j);   /* ends with an answer or a problem, or with the job at the engine */
} route;

/* NULL: no such path; *allowed: the methods of the path, where only the method is wrong. */
const route *endpoints_find(const server *s, const char *path, const char *method, const char **allowed);

#endif
