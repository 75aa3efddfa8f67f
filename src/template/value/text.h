/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: texts by character, and the text of values. */
#ifndef ELLM_TEMPLATE_TEXT_H
#define ELLM_TEMPLATE_TEXT_H

#include "template/value/value.h"

/* Append str(value) or repr(value). */
bool tpl_put_str(tpl_limits *limits, ellm_buffer *buffer, tpl_value value);
bool tpl_put_repr(tpl_limits *limits, ellm_buffer *buffer, tpl_value value);
/* str(value) as a string value; of a string: itself. */
bool tpl_str(tpl_limits *limits, tpl_value value, tpl_value *out);
size_t tpl_length(const tpl_string *text); /* characters */
/* Byte offset of a character; its number may be the length. */
size_t tpl_offset(const tpl_string *text, size_t character);
bool tpl_substring(tpl_limits *limits, const tpl_string *text, size_t from, size_t to, tpl_value *out); /* bytes */
/* Offset of `part` in text[from..to), SIZE_MAX if it is not there. Linear time. */
bool tpl_find(tpl_limits *limits, const tpl_string *text, size_t from, size_t to, const tpl_string *part,
              size_t *offset);
bool tpl_mark_up(tpl_limits *limits, tpl_value text, tpl_value *out); /* the same text, as markup; out may be &text */
bool tpl_escape(tpl_limits *limits, tpl_value value, tpl_value *out); /* for HTML; the result is markup */

#endif
