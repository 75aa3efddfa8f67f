/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: where a problem of a source is told. */
#ifndef ELLM_TEMPLATE_PLACE_H
#define ELLM_TEMPLATE_PLACE_H

#include <stdint.h>

#include "base/status.h"

typedef struct tpl_place { uint32_t line, column; } tpl_place; /* from 1, in characters */

/* ELLM_ERR_INPUT, "ORIGIN: chat template: line L column C: ..." */
ellm_status tpl_syntax_error(const char *origin, uint32_t line, uint32_t column, ellm_error *err, const char *format,
                             ...) ELLM_PRINTF(5, 6);

#endif
