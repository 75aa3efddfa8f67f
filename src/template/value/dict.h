/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: dicts, and equality of values, which they need and which needs them. */
#ifndef ELLM_TEMPLATE_DICT_H
#define ELLM_TEMPLATE_DICT_H

#include "template/value/value.h"

tpl_dict *tpl_new_dict(tpl_limits *limits, size_t capacity);
/* *found is NULL if there is no such key; a key that cannot be one is an error. */
bool tpl_dict_find(tpl_limits *limits, const tpl_dict *dict, tpl_value key, const tpl_value **found);
bool tpl_dict_find_text(tpl_limits *limits, const tpl_dict *dict, const tpl_string *key, const tpl_value **found);
bool tpl_dict_set(tpl_limits *limits, tpl_dict *dict, tpl_value key, tpl_value value);
bool tpl_is_hashable(tpl_value value); /* a tuple is, whatever its items are */
bool tpl_equal(tpl_limits *limits, tpl_value a, tpl_value b, bool *equal);

#endif
