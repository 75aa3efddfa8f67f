/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: JSON into values and values into JSON. */
#ifndef ELLM_TEMPLATE_JSON_H
#define ELLM_TEMPLATE_JSON_H

#include "json/json.h"
#include "template/value/value.h"

typedef struct tpl_json_style {
  const tpl_string *indent; /* NULL: on one line */
  const tpl_string *item_separator, *key_separator;
  bool ascii, sort_keys;
} tpl_json_style;

bool tpl_put_json(tpl_limits *limits, ellm_buffer *buffer, tpl_value value, const tpl_json_style *style);
bool tpl_from_json(tpl_limits *limits, const json_t *json, tpl_value *out);

#endif
