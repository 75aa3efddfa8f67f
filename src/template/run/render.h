/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: a rendering from variables to text. */
#ifndef ELLM_TEMPLATE_RENDER_H
#define ELLM_TEMPLATE_RENDER_H

#include "template/syntax/syntax.h"

/* chat_template_render with fewer steps. */
ellm_status tpl_render(const chat_template *t, const json_t *variables, const struct tm *now, uint64_t max_steps,
                       char **text, size_t *bytes, ellm_error *err);

#endif
