/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: arithmetic. */
#ifndef ELLM_TEMPLATE_OPERATORS_H
#define ELLM_TEMPLATE_OPERATORS_H

#include "template/value/value.h"

bool tpl_arith(tpl_limits *limits, int op, tpl_value a, tpl_value b, tpl_value *out);

#endif
