/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to the hub, by libcurl. One request is several when the hub sends elsewhere: each hop is looked at before it
 * is taken. The token goes to the endpoint's scheme, host and port only; other hosts must speak https (a hub on the
 * loopback address may send to the loopback address). Answers of 408, 429 and 5xx and cut connections are tried again,
 * after the time that the server asks for or one that doubles; every byte gained begins the count anew.
 */
#ifndef ELLM_HUB_HTTP_H
#define ELLM_HUB_HTTP_H

#include <curl/curl.h>
#include <stdint.h>

#include "hub/answers.h"
#include "hub/options.h"

/* Where a body goes. */
typedef struct hub_sink {
  uint64_t (*have)(void *user); /* bytes that are there already: the request asks for what follows */
  /* Before the first byte of an answer of 200 or 206; also of 416, when what is there is of no use. */
  ellm_status (*begin)(void *user, const hub_response *response, ellm_error *err);
  ellm_status (*take)(void *user, const void *data, size_t bytes, ellm_error *err);
  bool (*whole)(void *user); /* nothing is missing */
  void *user;
} hub_sink;

typedef struct hub_request {
  const char *url;
  const char *what;     /* of what messages speak: "OWNER/NAME: config.json" */
  const hub_sink *sink; /* NULL: HEAD */
} hub_request;

typedef struct hub_http {
  const hub_options *options;
  CURL *curl;
  CURLU *endpoint;
  char base[HUB_MAX_URL / 2];  /* the endpoint without a last slash */
  bool reached;                /* the hub has answered once: what fails from now on may be a moment's */
  bool (*tick)(void *user);    /* called several times a second; false stops */
  void *tick_user;
} hub_http;

/* For one thread. ELLM_ERR_USAGE for an endpoint or a token that is none. Close what was opened, failed or not. */
ellm_status hub_http_open(hub_http *http, const hub_options *options, ellm_error *err);
void hub_http_close(hub_http *http);

/* ELLM_OK: an answer of 2xx, or for HEAD also one that sends to another host; its body, if any, is with the sink. */
ellm_status hub_http_run(hub_http *http, const hub_request *request, hub_response *response, ellm_error *err);

#endif
