/* SPDX-License-Identifier: Apache-2.0 */
/* Plots of a report. */
#ifndef ELLM_CLI_REPORT_PLOT_H
#define ELLM_CLI_REPORT_PLOT_H

#include "cli/report_measure.h"

/* A plot of points (x, y), y on a logarithmic axis. */
typedef struct report_point {
  double x, y;
  int shape;        /* 0 circle, 1 square, 2 diamond */
  int colour;       /* class c0 .. c3 */
  bool filled;
  char label[96];   /* tooltip; not escaped yet, nor is the tag */
  char tag[24];     /* written beside the point; may be empty */
} report_point;
typedef struct report_plot {
  const char *title, *x_name, *y_name;
  const report_point *points;
  size_t n_points;
  size_t n_connected; /* the first so many are joined by a line */
} report_plot;
/* Append to a buffer; false: no memory. */
bool report_plot_svg(const report_plot *plot, prog_buffer *out);
/* Bars of a tensor's codes; the axis is in weights. */
bool report_bars_svg(const report_tensor *tensor, int bits, prog_buffer *out);

#endif
