/* SPDX-License-Identifier: Apache-2.0 */
/* A progress bar. */
#ifndef ELLM_CLI_PROGRESS_H
#define ELLM_CLI_PROGRESS_H

#include "program/failure.h"

/* A bar on standard error when that is a terminal; always looks at the
 * interruption flag. Pass as ellm_progress_fn with a zeroed cli_progress. */
typedef struct cli_progress {
  double start, last;     /* of the counting, of the last drawing */
  uint64_t first, before; /* `done` at the start and at the last call */
  uint64_t total;         /* another one, or fewer done than before: counting starts again */
  bool shown;
} cli_progress;
void cli_progress_init(cli_progress *progress);
bool cli_progress_update(void *user, const ellm_progress *step);
void cli_progress_end(cli_progress *progress);

#endif
