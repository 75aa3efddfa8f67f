/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: methods of lists, dicts and loops; views. */
#ifndef ELLM_TEMPLATE_CONTAINERS_H
#define ELLM_TEMPLATE_CONTAINERS_H

#include "template/library/builtins.h"
#include "template/run/run.h"

extern const tpl_builtin tpl_container_methods[];
/* d.items() and the like. */
bool tpl_new_view(tpl_run *run, const tpl_dict *dict, tpl_view_kind what, tpl_value *out);

#endif
