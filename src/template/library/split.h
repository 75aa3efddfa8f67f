/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: texts cut and joined. */
#ifndef ELLM_TEMPLATE_SPLIT_H
#define ELLM_TEMPLATE_SPLIT_H

#include "template/library/builtins.h"
#include "template/run/run.h"

extern const tpl_builtin tpl_split_methods[]; /* methods of strings as well */
enum { STRIP_LEFT = 1, STRIP_RIGHT = 2 };
/* `characters` NULL: white space. */
bool tpl_strip(tpl_run *run, const tpl_string *text, const tpl_string *characters, int sides, tpl_value *out);
/* `most` < 0: all. */
bool tpl_replace(tpl_run *run, const tpl_string *text, const tpl_string *old, const tpl_string *new_, int64_t most,
                 tpl_value *out);
/* Lines as str.splitlines gives them. */
bool tpl_split_lines(tpl_run *run, const tpl_string *text, bool keep_ends, tpl_list **out);
/* The items of an iterable as text, `separator` between them. */
bool tpl_join(tpl_run *run, const tpl_string *separator, tpl_value items, bool strings_only, tpl_value *out);

#endif
