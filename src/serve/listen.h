/* SPDX-License-Identifier: Apache-2.0 */
/* The socket that is listened at. */
#ifndef ELLM_SERVE_LISTEN_H
#define ELLM_SERVE_LISTEN_H

#include "serve/options.h"

/* *place: "http://127.0.0.1:8080" or "unix:PATH". A socket file that nobody serves is replaced. */
ellm_status listen_open(const serve_options *options, int *listener, char place[256], ellm_error *err);

#endif
