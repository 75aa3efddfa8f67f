/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: filters by name, and those of texts. */
#ifndef ELLM_TEMPLATE_FILTERS_H
#define ELLM_TEMPLATE_FILTERS_H

#include "template/library/builtins.h"
#include "template/run/run.h"

/* Number of a filter, -1 if there is none of this name. */
int tpl_find_filter(const char *name, size_t bytes);
bool tpl_apply_filter(tpl_run *run, unsigned which, tpl_value value, const tpl_arguments *arguments, tpl_value *out);
extern const tpl_builtin tpl_text_filters[];

#endif
