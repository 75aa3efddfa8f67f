/* SPDX-License-Identifier: Apache-2.0 */
/* Prompt caches in a folder: what answers have left in the generator, over the end of the process. */
#ifndef ELLM_SERVE_PROMPTS_H
#define ELLM_SERVE_PROMPTS_H

#include "serve/options.h"

enum {
  PROMPTS_MOST = 256, /* files of which the ids are known */
  PROMPTS_KEPT = 64   /* sequences that the generator keeps */
};

typedef struct prompts prompts;

/*
 * Look through the folder that the options name, make it if it is not there, and hand the newest of what it holds for
 * this model to the generator. Files that are damaged or of another model are noted and left alone. For the generator's
 * thread, as everything here. ELLM_ERR_IO: the folder cannot be read or written.
 */
ellm_status prompts_open(const serve_options *options, ellm_model *model, ellm_generator *generator, prompts **out,
                         ellm_error *err);
/*
 * Write down one sequence that the generator has kept and no file holds, newest first; files that hold only its
 * beginning go, and the oldest ones where there is no room. False: nothing was to be written, or nothing can be.
 */
bool prompts_save_next(prompts *p);
void prompts_close(prompts *p);

#endif
