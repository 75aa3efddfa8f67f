/* SPDX-License-Identifier: Apache-2.0 */
/* How the hub is reached: what the environment says about it, which the folder hub does not read itself. */
#ifndef ELLM_CLI_HUB_ACCESS_H
#define ELLM_CLI_HUB_ACCESS_H

#include "cli/progress.h"
#include "hub/hub.h"

typedef struct cli_hub {
  hub_options options; /* strings are below, or the environment's */
  char *cache, *token;
  cli_progress progress; /* end with cli_progress_end before anything is printed */
} cli_hub;

/* For the help of commands that bring models. */
#define CLI_HUB_VARIABLES \
  "environment variables, as other programs for the hub use them: HF_TOKEN (else the file HF_HOME/token) is sent\n" \
  "to the hub and to nobody else. HF_ENDPOINT names another hub. The cache is the folder hub in HF_HOME (default\n" \
  "~/.cache/huggingface), or HF_HUB_CACHE. HF_HUB_OFFLINE=1 forbids the network. HF_HUB_DOWNLOAD_TIMEOUT is the\n" \
  "number of seconds to wait for a byte (default 30). CURL_CA_BUNDLE or SSL_CERT_FILE names the certificates to\n" \
  "trust. https_proxy and no_proxy name proxies.\n"

/* After an error that says so (`several`): the models to choose from, a line each on standard error, and by what. */
void cli_print_candidates(const hub_result *result, const char *by);

/* With a bar and notes on standard error; the hub stays where it is. Free in any case. */
ellm_status cli_hub_init(cli_hub *hub, ellm_error *err);
void cli_hub_free(cli_hub *hub);

#endif
