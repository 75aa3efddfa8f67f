/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: statements and macros. */
#ifndef ELLM_TEMPLATE_EXEC_H
#define ELLM_TEMPLATE_EXEC_H

#include "template/run/run.h"
#include "template/run/state.h"

bool tpl_exec(tpl_run *run, const tpl_node *statements);
bool tpl_assign(tpl_run *run, const tpl_node *target, tpl_value value);
bool tpl_call_macro(tpl_run *run, const struct tpl_macro *macro, const tpl_arguments *arguments, tpl_value *out);

#endif
