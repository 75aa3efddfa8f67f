/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: filters of lists. */
#ifndef ELLM_TEMPLATE_FILTERS_LISTS_H
#define ELLM_TEMPLATE_FILTERS_LISTS_H

#include "template/library/builtins.h"

extern const tpl_builtin tpl_list_filters[];

#endif
