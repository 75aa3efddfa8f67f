/* SPDX-License-Identifier: Apache-2.0 */
/* From the syntax of Oniguruma to that of PCRE2. */
#ifndef ELLM_TEXT_REGEX_TRANSLATE_H
#define ELLM_TEXT_REGEX_TRANSLATE_H

#include "base/memory.h"
#include "base/status.h"

/* PCRE2 syntax appended to `out`. */
ellm_status regex_translate(const char *pattern, size_t bytes, const char *where, ellm_buffer *out, ellm_error *err);

#endif
