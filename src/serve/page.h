// SPDX-License-Identifier: Apache-2.0
/* The page at the server's root, as the build has joined it from page.html, page.css and the scripts beside them
   (cmake/page.cmake): one file that loads nothing else. All of it is constant and may be read by any thread. */
#ifndef SERVE_PAGE_H
#define SERVE_PAGE_H

#include <stddef.h>

/* UTF-8 text of type text/html; serve_page_bytes long, without a 0 at its end. */
extern const unsigned char serve_page[];
extern const size_t serve_page_bytes;

/* The value of Content-Security-Policy that goes with it: this script and this style by their hashes, requests to the
   server itself, nothing else; and no text may become markup (Trusted Types). */
extern const char serve_page_policy[];

#endif
