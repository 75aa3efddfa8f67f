/* SPDX-License-Identifier: Apache-2.0 */
/* Connections: libmicrohttpd and the one thread that it runs. */
#ifndef ELLM_SERVE_HTTP_H
#define ELLM_SERVE_HTTP_H

#include "serve/server.h"

struct MHD_Daemon;

enum {
  HTTP_HEADER_BYTES = 16384,   /* of a request line and its headers; a connection takes as much */
  HTTP_IDLE_SECONDS = 60,      /* a connection on which nothing moves */
  HTTP_BODY_SECONDS = 60,      /* from the headers of a request to its end */
  HTTP_BODIES = 8              /* bodies of the greatest size that are held at once */
};

/* Serve connections of the listening socket, which stays the caller's until http_stop_listening. */
ellm_status http_start(server *s, int listener, struct MHD_Daemon **daemon, ellm_error *err);
/* No new connections; closes the socket. */
void http_stop_listening(struct MHD_Daemon *daemon);
/* Close all connections. None may be suspended: every job has been answered. */
void http_stop(struct MHD_Daemon *daemon);

#endif
