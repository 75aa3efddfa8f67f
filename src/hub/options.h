/* SPDX-License-Identifier: Apache-2.0 */
/* What a caller says about the hub, the cache and the network. This folder asks nobody else: no environment. */
#ifndef ELLM_HUB_OPTIONS_H
#define ELLM_HUB_OPTIONS_H

#include <stdbool.h>

#include "entrollm.h"

#define HUB_ENDPOINT "https://huggingface.co"

/* Strings are the caller's and are not changed meanwhile. */
typedef struct hub_options {
  const char *endpoint; /* NULL: HUB_ENDPOINT; https, or http where the caller says so */
  const char *token;    /* sent to the endpoint and to nobody else; NULL: none */
  const char *cache;    /* the folder that holds models--OWNER--NAME; is made when something is to be put into it */
  const char *ca_file;  /* certificates to trust instead of the system's; NULL: those */
  bool offline;         /* no network: what is in the cache, or an error */
  int retries;          /* tries after the first one that bring nothing, one after the other */
  int timeout;          /* seconds without a byte until a connection counts as cut */
  ellm_progress_fn progress; /* called often while bytes come; false stops; may be NULL */
  void *progress_user;
  bool (*goes_on)(void *user); /* asked, with NULL, while nothing comes; false stops; may be NULL */
  ellm_notes notes;
} hub_options;

#endif
