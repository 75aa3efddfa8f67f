/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/shares.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/messages.h"

int cli_shares_parse(const char *text, const char *what, uint32_t *shares, uint32_t n) {
  const char *at = text;
  uint32_t found = 0;
  for (;; at++) {
    char *end = NULL;
    errno = 0;
    const unsigned long value = *at >= '0' && *at <= '9' ? strtoul(at, &end, 10) : 0;
    if (value < 1 || value > 1000000 || errno != 0)
      return cli_error(ELLM_ERR_USAGE, "--shares %s: whole numbers from 1 to 1000000, as 1:1:2", text);
    if (found < n) shares[found] = (uint32_t)value;
    found++;
    at = end;
    if (*at == '\0') break;
    if (*at != ':') return cli_error(ELLM_ERR_USAGE, "--shares %s: '%s' is not ':'", text, at);
  }
  if (found != n)
    return cli_error(ELLM_ERR_USAGE, "--shares %s: %u shares for %u %s", text, (unsigned)found, (unsigned)n, what);
  return ELLM_OK;
}

const char *cli_shares_text(const uint32_t *shares, uint32_t n, char text[96]) {
  size_t used = 0;
  text[0] = '\0';
  for (uint32_t i = 0; i < n; i++) {
    if (used > 80) {
      snprintf(text + used, 96 - used, ":...");
      break;
    }
    used += (size_t)snprintf(text + used, 96 - used, "%s%u", i > 0 ? ":" : "", (unsigned)(shares != NULL ? shares[i] : 1));
  }
  return text;
}
