/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: numbers from and to text as Python has them. */
#ifndef ELLM_TEMPLATE_NUMBERS_H
#define ELLM_TEMPLATE_NUMBERS_H

#include "template/value/value.h"

void tpl_float_repr(double value, char text[32]);
/* The number in a text as Python's float() and int() read it; false: it is none. */
bool tpl_read_float(const tpl_string *text, double *out);
bool tpl_read_int(const tpl_string *text, int64_t *out);

enum { TPL_UNORDERED = 2 }; /* a NaN */
/* -1, 0, 1 or TPL_UNORDERED of two numbers, exactly. */
int tpl_order_numbers(tpl_value a, tpl_value b);

#endif
