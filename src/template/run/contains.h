/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: comparison operators. */
#ifndef ELLM_TEMPLATE_CONTAINS_H
#define ELLM_TEMPLATE_CONTAINS_H

#include "template/run/run.h"
#include "template/syntax/syntax.h"

bool tpl_compare(tpl_run *run, int op, tpl_value a, tpl_value b, bool *result); /* == != < > <= >= in not in */
bool tpl_contains(tpl_run *run, tpl_value container, tpl_value item, bool *result);

#endif
