/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: order of values. */
#ifndef ELLM_TEMPLATE_COMPARE_H
#define ELLM_TEMPLATE_COMPARE_H

#include "template/value/value.h"

/* -1, 0, 1 or TPL_UNORDERED; values without an order are an error. */
bool tpl_order(tpl_limits *limits, tpl_value a, tpl_value b, int *order);
/* Sort, stable, by the keys (in the same order as the items). */
bool tpl_sort(tpl_limits *limits, tpl_value *items, tpl_value *keys, size_t count, bool descending);

#endif
