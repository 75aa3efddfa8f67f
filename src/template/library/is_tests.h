/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: tests by name (value is defined). */
#ifndef ELLM_TEMPLATE_IS_TESTS_H
#define ELLM_TEMPLATE_IS_TESTS_H

#include "template/run/run.h"
#include "template/value/value.h"

bool tpl_apply_test(tpl_run *run, unsigned which, tpl_value value, const tpl_arguments *arguments, bool *result);
/* Number of a test, -1 if there is none of this name. */
int tpl_find_test(const char *name, size_t bytes);

#endif
