/* SPDX-License-Identifier: Apache-2.0 */
/* Shares of several processes as a text: "2:1:1", how much of a model each computes. */
#ifndef ELLM_CLI_SHARES_H
#define ELLM_CLI_SHARES_H

#include <stddef.h>
#include <stdint.h>

/* shares[n] from a text with n numbers; `what` counts them in errors ("ranks"). The status of the process when it has to
 * end, having said why; else ELLM_OK. */
int cli_shares_parse(const char *text, const char *what, uint32_t *shares, uint32_t n);
/* The text of shares[n], NULL: all 1, cut off with "..." where it is long. Returns text. */
const char *cli_shares_text(const uint32_t *shares, uint32_t n, char text[96]);

#endif
