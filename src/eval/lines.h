/* SPDX-License-Identifier: Apache-2.0 */
/* JSON lines: one object a line, lines of white space skipped. */
#ifndef ELLM_EVAL_LINES_H
#define ELLM_EVAL_LINES_H

#include <jansson.h>

#include "base/status.h"

typedef struct json_lines {
  const char *text;
  size_t bytes;
  const char *origin; /* for errors */
  size_t at, line;    /* zero at first; line: number of the last one read, from 1 */
} json_lines;

/* The next object, which the caller json_decref's; NULL at the end. */
ellm_status json_lines_next(json_lines *lines, json_t **object, ellm_error *err);

#endif
