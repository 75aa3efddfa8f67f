/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: methods of strings. */
#ifndef ELLM_TEMPLATE_METHODS_H
#define ELLM_TEMPLATE_METHODS_H

#include "template/library/builtins.h"

extern const tpl_builtin tpl_string_methods[];

#endif
