/* SPDX-License-Identifier: Apache-2.0 */
/* Is the model still the one that was opened? */
#ifndef ELLM_SERVE_WATCH_H
#define ELLM_SERVE_WATCH_H

#include "entrollm.h"

typedef struct watch watch;

/* Of the file at `path`, or of the files of weights in a folder. NULL: no memory. A file that is replaced by another of
 * its name goes on being watched, as it goes on being used. */
watch *watch_open(const char *path);
void watch_close(watch *w);
/* ELLM_ERR_INPUT where one of them was written to or cut since. */
ellm_status watch_look(const watch *w, ellm_error *err);

#endif
