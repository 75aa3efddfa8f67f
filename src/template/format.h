/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: formatting as Python does it: % and str.format. */
#ifndef ELLM_TEMPLATE_FORMAT_H
#define ELLM_TEMPLATE_FORMAT_H

#include "template/value.h"

bool tpl_format_percent(tpl_run *run, const tpl_string *format, tpl_value arguments, tpl_value *out);
bool tpl_format_braces(tpl_run *run, const tpl_string *format, const tpl_arguments *arguments, tpl_value *out);

#endif
