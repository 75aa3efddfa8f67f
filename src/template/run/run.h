/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: one rendering, as all that evaluates sees it. */
#ifndef ELLM_TEMPLATE_RUN_H
#define ELLM_TEMPLATE_RUN_H

#include "template/value/limits.h"

typedef struct tpl_run {
  tpl_limits limits;
  struct tpl_state *state; /* variables, output, the node at work (run/state.h) */
} tpl_run;

#endif
