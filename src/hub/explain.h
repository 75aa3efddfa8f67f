/* SPDX-License-Identifier: Apache-2.0 */
/* What went wrong with a request, in words that say what to do about it. */
#ifndef ELLM_HUB_EXPLAIN_H
#define ELLM_HUB_EXPLAIN_H

#include <curl/curl.h>
#include <stdbool.h>

#include "program/failure.h"

/* An answer that is no success. `code`: the hub's X-Error-Code, or "". */
ellm_status hub_explain_status(const char *endpoint, long status, const char *code, bool with_token, const char *what,
                               ellm_error *err);
/* No answer, or half of one. `why`: libcurl's words. *again: where a cut connection is likely, or the network was there
 * before (`reached`). */
ellm_status hub_explain_curl(CURLU *url, CURLcode code, const char *why, const char *what, bool reached, bool *again,
                             ellm_error *err);

#endif
