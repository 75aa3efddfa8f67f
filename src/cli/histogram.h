/* SPDX-License-Identifier: Apache-2.0 */
/* How often each code occurs, as a self-contained SVG picture. */
#ifndef ELLM_CLI_HISTOGRAM_H
#define ELLM_CLI_HISTOGRAM_H

#include "program/buffer.h"

typedef struct histogram {
  const char *title; /* any bytes; shown with markup characters escaped */
  int bits;          /* codes are below 2^bits */
  uint64_t counts[256];
  uint64_t total;    /* > 0 */
} histogram;

/* Append the picture to svg. False when out of memory. */
bool histogram_svg(const histogram *h, prog_buffer *svg);

#endif
