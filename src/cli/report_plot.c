/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pictures of the report, as SVG inside the page: colours come from the
 * page's style sheet, so that they follow a dark screen and print on paper.
 */
#include "cli/report_plot.h"

#include <math.h>

#include "cli/markup.h"

enum { WIDTH = 480, HEIGHT = 330, LEFT = 66, RIGHT = 18, TOP = 12, BOTTOM = 48 };

/* ---------------------------------------------------------------- scales */

typedef struct scale { double low, high, start, length; bool logarithmic; } scale;

static double place(const scale *s, double value) {
  const double share = s->logarithmic ? log(value / s->low) / log(s->high / s->low)
                                      : (value - s->low) / (s->high - s->low);
  return s->start + share * s->length;
}

static double round_step(double range) {
  double step = pow(10, floor(log10(range / 4)));
  while (range / step > 8) step *= range / step > 16 ? 5 : 2;
  return step;
}

static bool drawable(const report_point *p) { return isfinite(p->x) && isfinite(p->y) && p->y > 0; }

/* x from 0; y over the decades (or 1, 2, 5 steps) around the points. */
static void find_scales(const report_plot *plot, scale *x, scale *y) {
  double most_x = 1e-9, low = INFINITY, high = 0;
  for (size_t i = 0; i < plot->n_points; i++) {
    const report_point *p = &plot->points[i];
    if (!drawable(p)) continue;
    if (p->x > most_x) most_x = p->x;
    if (p->y < low) low = p->y;
    if (p->y > high) high = p->y;
  }
  if (high <= 0) low = high = 1;
  const double step = round_step(most_x);
  *x = (scale){0, ceil(most_x * 1.04 / step) * step, LEFT, WIDTH - LEFT - RIGHT, false};
  *y = (scale){low / 2.2, high * 1.6, HEIGHT - BOTTOM, -(HEIGHT - TOP - BOTTOM), true};
}

static bool add_line(prog_buffer *out, const char *class_name, double x1, double y1, double x2, double y2) {
  return prog_print(out, "<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", class_name, x1, y1,
                 x2, y2);
}

static bool add_axes(const report_plot *plot, const scale *x, const scale *y, prog_buffer *out) {
  const double step = round_step(x->high), bottom = HEIGHT - BOTTOM, right = WIDTH - RIGHT;
  bool good = true;
  for (int i = 0; good && i * step <= x->high * 1.0001; i++) {
    const double at = place(x, i * step);
    good = add_line(out, "grid", at, TOP, at, bottom) &&
           prog_print(out, "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%g</text>\n", at,
                   bottom + 20, i * step);
  }
  const bool wide = y->high / y->low > 300; /* decades only */
  for (int power = (int)floor(log10(y->low)); good && power <= (int)ceil(log10(y->high)); power++)
    for (int k = 0; good && k < 3; k++) {
      static const double steps[] = {1, 2, 5};
      const double value = steps[k] * pow(10, power);
      if (value < y->low || value > y->high || (wide && k > 0)) continue;
      const double at = place(y, value);
      good = add_line(out, "grid", LEFT, at, right, at) &&
             prog_print(out, "<text class=\"tick\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n", LEFT - 8,
                     at + 4, value);
    }
  good = good && add_line(out, "axis", LEFT, bottom, right, bottom) && add_line(out, "axis", LEFT, TOP, LEFT, bottom);
  good = good && prog_print(out, "<text class=\"name\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">",
                         (LEFT + right) / 2, HEIGHT - 10) &&
         cli_add_escaped(out, plot->x_name) && prog_print(out, "</text>\n");
  return good &&
         prog_print(out, "<text class=\"name\" transform=\"translate(14 %.1f) rotate(-90)\" text-anchor=\"middle\">",
                 (TOP + bottom) / 2) &&
         cli_add_escaped(out, plot->y_name) && prog_print(out, "</text>\n");
}

static bool add_point(const report_point *p, const scale *sx, const scale *sy, prog_buffer *out) {
  const double x = place(sx, p->x), y = place(sy, p->y), r = 6.5;
  bool good = prog_print(out, "<g class=\"point c%d%s\">", p->colour, p->filled ? "" : " hollow");
  if (p->shape == 0) { /* smaller and with an edge where it lies upon others */
    const bool inner = p->filled && p->colour < 2;
    good = good && prog_print(out, "<circle%s cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"/>",
                           inner ? " class=\"inner\"" : "", x, y, inner || !p->filled ? 5.0 : r);
  }
  if (p->shape == 1)
    good = good && prog_print(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>", x - r, y - r, 2 * r,
                           2 * r);
  if (p->shape == 2)
    good = good && prog_print(out, "<path d=\"M%.1f %.1fl8 8l-8 8l-8 -8z\"/>", x, y - 8);
  good = good && prog_print(out, "<title>") && cli_add_escaped(out, p->label) && prog_print(out, "</title></g>\n");
  if (!good || !p->tag[0]) return good;
  return prog_print(out, "<text class=\"tag\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">", x, y + 24) &&
         cli_add_escaped(out, p->tag) && prog_print(out, "</text>\n");
}

static bool add_curve(const report_plot *plot, const scale *sx, const scale *sy, prog_buffer *out) {
  bool good = plot->n_connected < 2 || prog_print(out, "<path class=\"axis\" d=\"");
  for (size_t i = 0, drawn = 0; good && i < plot->n_connected; i++)
    if (drawable(&plot->points[i]))
      good = prog_print(out, "%s%.1f %.1f", drawn++ > 0 ? "L" : "M", place(sx, plot->points[i].x),
                     place(sy, plot->points[i].y));
  return good && (plot->n_connected < 2 || prog_print(out, "\"/>\n"));
}

bool report_plot_svg(const report_plot *plot, prog_buffer *out) {
  scale x, y;
  find_scales(plot, &x, &y);
  bool good = prog_print(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\" viewBox=\"0 0 %d %d\" "
                              "role=\"img\" aria-label=\"", WIDTH, HEIGHT) &&
              cli_add_escaped(out, plot->title) && prog_print(out, "\">\n") && add_axes(plot, &x, &y, out) &&
              add_curve(plot, &x, &y, out);
  for (int circles = 0; circles < 2; circles++) /* above the others */
    for (size_t i = 0; good && i < plot->n_points; i++)
      if (drawable(&plot->points[i]) && (plot->points[i].shape == 0) == circles)
        good = add_point(&plot->points[i], &x, &y, out);
  return good && prog_print(out, "</svg>\n");
}

/* ------------------------------------------------------------------- bars */

bool report_bars_svg(const report_tensor *t, int bits, prog_buffer *out) {
  enum { BARS_WIDTH = 256, BARS_HEIGHT = 84, AXIS = 16 };
  const int n = 1 << bits, width = BARS_WIDTH / n;
  uint64_t most = 1;
  for (int i = 0; i < n; i++)
    if (t->counts[i] > most) most = t->counts[i];
  const double first = (0 - t->zero) * t->step, last = (n - 1 - t->zero) * t->step;
  bool good = prog_print(out,
                      "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"bars\" viewBox=\"0 0 %d %d\" role=\"img\" "
                      "aria-label=\"histogram of %d-bit codes\"><path class=\"c%d\" d=\"M0 %d",
                      BARS_WIDTH, BARS_HEIGHT + AXIS, bits, bits == 8 ? 0 : 1, BARS_HEIGHT);
  for (int i = 0; good && i < n; i++) {
    const double height = BARS_HEIGHT * (double)t->counts[i] / (double)most;
    good = prog_print(out, "V%.1fh%d", BARS_HEIGHT - height, width);
  }
  return good && prog_print(out,
                         "V%dz\"/><path class=\"axis\" d=\"M0 %dh%d\"/><text class=\"tick\" x=\"0\" y=\"%d\">"
                         "%.3g</text><text class=\"tick\" x=\"%d\" y=\"%d\" text-anchor=\"end\">%.3g</text></svg>",
                         BARS_HEIGHT, BARS_HEIGHT, BARS_WIDTH, BARS_HEIGHT + AXIS - 3, first, BARS_WIDTH,
                         BARS_HEIGHT + AXIS - 3, last);
}
