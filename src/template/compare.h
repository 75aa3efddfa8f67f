/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: comparison of values. */
#ifndef ELLM_TEMPLATE_COMPARE_H
#define ELLM_TEMPLATE_COMPARE_H

#include "template/run.h"

bool tpl_equal(tpl_run *run, tpl_value a, tpl_value b, bool *equal);
enum { TPL_UNORDERED = 2 }; /* a NaN */
/* -1, 0, 1 or TPL_UNORDERED; values without an order are an error. */
bool tpl_order(tpl_run *run, tpl_value a, tpl_value b, int *order);
bool tpl_compare(tpl_run *run, int op, tpl_value a, tpl_value b, bool *result); /* == != < > <= >= in not in */
bool tpl_contains(tpl_run *run, tpl_value container, tpl_value item, bool *result);
/* Sort, stable, by the keys (in the same order as the items). */
bool tpl_sort(tpl_run *run, tpl_value *items, tpl_value *keys, size_t count, bool descending);

#endif
