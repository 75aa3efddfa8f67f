/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: attributes and items of values. */
#ifndef ELLM_TEMPLATE_ACCESS_H
#define ELLM_TEMPLATE_ACCESS_H

#include "template/run/run.h"
#include "template/value/value.h"

bool tpl_attribute(tpl_run *run, tpl_value value, const tpl_string *name, tpl_value *out); /* value.name */
bool tpl_item(tpl_run *run, tpl_value value, tpl_value key, tpl_value *out);               /* value[key] */
/* value[start:stop:step], each None if absent. */
bool tpl_slice(tpl_run *run, tpl_value value, tpl_value start, tpl_value stop, tpl_value step, tpl_value *out);
/* "a.b.0" as the filters take it: items first, then attributes. */
bool tpl_attribute_path(tpl_run *run, tpl_value value, tpl_value path, tpl_value *out);

#endif
