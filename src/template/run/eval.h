/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: expressions. */
#ifndef ELLM_TEMPLATE_EVAL_H
#define ELLM_TEMPLATE_EVAL_H

#include "template/run/run.h"
#include "template/syntax/syntax.h"

bool tpl_eval(tpl_run *run, const tpl_node *node, tpl_value *out);

#endif
