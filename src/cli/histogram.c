/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The histogram of codes as SVG: bars in per cent of all weights, an axis of
 * codes, entropy in the subtitle, counts as tooltips. No scripts, no fonts and
 * no links: the file stands alone; colours follow a dark page.
 */
#include "cli/histogram.h"

#include <math.h>

#include "cli/cli.h"
#include "cli/markup.h"

enum { WIDTH = 900, HEIGHT = 440, LEFT = 70, RIGHT = 24, TOP = 76, BOTTOM = 58 };

/* A round step (1, 2 or 5 times a power of ten) that gives 3 to 7 lines. */
static double round_step(double top) {
  double step = pow(10, floor(log10(top / 3)));
  while (top / step > 7) step *= top / step > 14 ? 5 : 2;
  return step;
}

/* Of the codes, bits per weight. */
static double entropy_of(const histogram *h) {
  double bits = 0;
  for (int q = 0; q < 256; q++)
    if (h->counts[q] > 0) bits += (double)h->counts[q] * log2((double)h->total / (double)h->counts[q]);
  return bits / (double)h->total;
}

static bool add_head(const histogram *h, prog_buffer *svg) {
  const double entropy = entropy_of(h);
  return prog_print(svg,
             "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" role=\"img\" font-family=\"system-ui, "
             "sans-serif\">\n"
             "<style>.b{fill:#fff}.t{fill:#1b1f24}.s{fill:#57606a}.g{stroke:#d8dee4}.a{stroke:#57606a}.c{fill:#2f6fb2}"
             ".c:hover{fill:#d2691e}\n@media "
             "(prefers-color-scheme:dark){.b{fill:#14181d}.t{fill:#e6edf3}.s{fill:#9aa4af}"
             ".g{stroke:#2c333b}.a{stroke:#9aa4af}.c{fill:#5aa2e8}}</style>\n"
             "<rect class=\"b\" width=\"%d\" height=\"%d\"/>\n",
             WIDTH, HEIGHT, WIDTH, HEIGHT) &&
         prog_print(svg, "<text class=\"t\" x=\"%d\" y=\"32\" font-size=\"19\" font-weight=\"600\">", LEFT) &&
         cli_add_escaped(svg, h->title) &&
         prog_print(svg,
             "</text>\n<text class=\"s\" x=\"%d\" y=\"55\" font-size=\"14\">%llu weights, %d-bit codes, entropy %.3f "
             "bits per weight</text>\n",
             LEFT, (unsigned long long)h->total, h->bits, entropy);
}

static bool add_axes(const histogram *h, double top, double step, prog_buffer *svg) {
  int n = 1 << h->bits, every = n <= 16 ? 1 : n <= 64 ? 4 : n / 16;
  double slot = (double)(WIDTH - LEFT - RIGHT) / n, depth = HEIGHT - TOP - BOTTOM;
  for (double v = 0; v <= top * 1.0001; v += step) {
    double y = HEIGHT - BOTTOM - depth * v / top;
    if (!prog_print(svg,
             "<line class=\"%s\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/><text class=\"s\" x=\"%d\" y=\"%.1f\" "
             "font-size=\"12\" "
             "text-anchor=\"end\">%g %%</text>\n",
             v == 0 ? "a" : "g", LEFT, WIDTH - RIGHT, y, y, LEFT - 8, y + 4, v))
      return false;
  }
  for (int q = 0; q < n; q++) {
    if (q % every != 0 && q != n - 1) continue;
    if (q != n - 1 && n - 1 - q < every / 2) continue; /* room for the last one */
    if (!prog_print(svg, "<text class=\"s\" x=\"%.1f\" y=\"%d\" font-size=\"12\" text-anchor=\"middle\">%d</text>\n",
             LEFT + (q + 0.5) * slot, HEIGHT - BOTTOM + 18, q))
      return false;
  }
  return prog_print(svg, "<text class=\"s\" x=\"%d\" y=\"%d\" font-size=\"13\" text-anchor=\"middle\">code</text>\n",
             LEFT + (WIDTH - LEFT - RIGHT) / 2, HEIGHT - 14);
}

bool histogram_svg(const histogram *h, prog_buffer *svg) {
  int n = 1 << h->bits;
  uint64_t most = 1;
  for (int q = 0; q < n; q++)
    if (h->counts[q] > most) most = h->counts[q];
  double top = 100.0 * (double)most / (double)h->total, step = round_step(top);
  top = ceil(top / step - 1e-9) * step;
  if (!add_head(h, svg) || !add_axes(h, top, step, svg)) return false;
  double slot = (double)(WIDTH - LEFT - RIGHT) / n, gap = slot > 6 ? slot * 0.12 : slot * 0.06;
  for (int q = 0; q < n; q++) {
    double share = 100.0 * (double)h->counts[q] / (double)h->total, height = (HEIGHT - TOP - BOTTOM) * share / top;
    if (h->counts[q] == 0) continue;
    if (height < 0.5) height = 0.5; /* rare codes stay visible */
    if (!prog_print(svg,
             "<rect class=\"c\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\"><title>code %d: %llu weights, "
             "%.3g %%</title></rect>\n",
             LEFT + q * slot + gap, HEIGHT - BOTTOM - height, slot - 2 * gap, height, q,
             (unsigned long long)h->counts[q], share))
      return false;
  }
  return prog_print(svg, "</svg>\n");
}
