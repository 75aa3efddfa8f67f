/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page of the report: one HTML file that loads nothing. Narrow screens get
 * one column and tables that scroll; print gets paper colours and no cut rows.
 */
#include "cli/report_page.h"

#include <math.h>
#include <string.h>

#include "cli/markup.h"
#include "cli/report_curve.h"
#include "cli/report_plot.h"

static const char style[] =
    ":root{--page:#fff;--ink:#1b1f24;--soft:#57606a;--line:#d8dee4;--card:#f6f8fa;--c0:#1f6fb5;--c1:#c2550a;--c2:#"
    "4b7a2b}\n"
    "@media screen and (prefers-color-scheme:dark){:root{--page:#14181d;--ink:#e6edf3;--soft:#9aa4af;--line:#2c333b;"
    "--card:#1b2128;--c0:#64a8ec;--c1:#f0934e;--c2:#8fc56b}}\n"
    "*{box-sizing:border-box}body{margin:0 auto;max-width:76rem;padding:1.2rem;background:var(--page);color:var(--ink);"
    "font:16px/1.5 system-ui,sans-serif}\n"
    "h1{font-size:1.7rem;line-height:1.2;margin:.4rem 0}h2{font-size:1.25rem;margin:2rem 0 .4rem}h3{font-size:.95rem;"
    "margin:0;overflow-wrap:anywhere}p{max-width:46rem;margin:.5rem 0}.soft{color:var(--soft)}\n"
    ".cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(15rem,1fr));gap:1rem;margin:1rem 0}\n"
    ".card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.8rem "
    "1rem;break-inside:avoid}\n"
    ".card b{display:block;font-size:1.5rem}.card dl{display:grid;grid-template-columns:auto auto;gap:0 "
    ".8rem;margin:.4rem 0 0;"
    "font-size:.9rem}.card dt{color:var(--soft)}.card dd{margin:0;text-align:right}small{color:var(--soft)}\n"
    ".plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,21rem),1fr));gap:1.2rem}figure{margin:0;"
    "break-inside:avoid}figcaption{font-weight:600;margin-bottom:.2rem}svg{display:block;width:100%;height:auto}\n"
    ".wide{overflow-x:auto}table{border-collapse:separate;border-spacing:0;font-size:.8rem;"
    "width:100%}th,td{padding:.3rem "
    ".45rem;text-align:"
    "right;white-space:nowrap;border-bottom:1px solid "
    "var(--line);vertical-align:top}thead tr:first-child th:first-child,td:first-child{text-align:left;position:sticky;"
    "left:0;background:var(--page)}td small{display:block}th{color:"
    "var(--soft);font-weight:600;vertical-align:bottom}tr{break-inside:avoid}\n"
    ".tick{font-size:12px;fill:var(--soft)}.name{font-size:13px;fill:var(--soft)}.tag{font-size:12.5px;fill:var(--ink)}"
    ".grid{stroke:var(--line)}.axis{stroke:var(--soft);fill:none}.c0{fill:var(--c0);stroke:var(--c0)}.c1{fill:var(--c1)"
    ";"
    "stroke:var(--c1)}.c2{fill:var(--c2);stroke:var(--c2)}.point{stroke-width:2}.hollow{fill:var(--page)}"
    ".inner{stroke:var(--page);stroke-width:1.5}.bars "
    "path{stroke:"
    "none}.bars .axis{stroke:var(--line)}\n"
    ".tensors{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,19rem),1fr));gap:1rem}.tensor{border:"
    "1px "
    "solid var(--line);border-radius:8px;padding:.6rem .8rem;break-inside:avoid;font-size:.8rem}.tensor "
    "svg{margin-top:.4rem}\n"
    "@page{margin:12mm}\n"
    "@media print{body{max-width:none;padding:0;font-size:9.5pt}h1{font-size:18pt}h2{font-size:13pt;"
    "margin:1rem 0 .3rem;break-after:avoid}p{max-width:none;"
    "break-after:avoid}.cards{grid-template-columns:repeat(3,1fr);gap:.6rem}.card{"
    "padding:.5rem .7rem}.card b{font-size:13pt}.card dl{font-size:8.5pt}table{font-size:7pt}th,td{padding:.12rem "
    ".2rem}.wide{overflow:visible}.tensors{grid-template-columns:repeat(4,1fr);gap:.5rem}.tensor{font-size:7pt;padding:"
    ".4rem .5rem}h3{font-size:8pt}.plots{grid-template-columns:repeat(3,1fr);gap:.6rem}"
    ".plot .tick,.plot .tag{font-size:16px}.plot .name{font-size:14px}}\n";

/* ------------------------------------------------------------------ words */

static const char *base_name(const char *path) {
  size_t n = strlen(path);
  while (n > 1 && path[n - 1] == '/') n--;
  while (n > 0 && path[n - 1] != '/') n--;
  return path + n;
}

static bool add_head(const report_data *d, prog_buffer *out) {
  const char *name = base_name(d->source);
  return prog_print(out,
                 "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
                 "content=\"width=device-width, initial-scale=1\">\n<title>") &&
         cli_add_escaped(out, name) &&
         prog_print(out,
                 " compressed: EntroLLM report</title>\n<style>\n%s</style>\n"
                 "</head>\n<body>\n<h1>",
                 style) &&
         cli_add_escaped(out, name) &&
         prog_print(out, ", compressed</h1>\n<p class=\"soft\">%.2f million parameters. Quality on ",
                 (double)d->parameters / 1e6) &&
         cli_add_escaped(out, base_name(d->text)) &&
         prog_print(out,
                 ": %zu chunks of %u tokens, %llu tokens scored (llama.cpp's protocol). Speed and memory with %d "
                 "thread%s, instruction set %s. EntroLLM %s.</p>\n",
                 d->n_chunks, (unsigned)d->n_ctx, (unsigned long long)d->scored, d->threads,
                 d->threads == 1 ? "" : "s", d->isa, ellm_version());
}

/* A figure and its standard error. */
static bool add_value(prog_buffer *out, const char *before, ellm_figure f, double scale, int decimals, const char *unit,
                      const char *after) {
  return prog_print(out, "%s%.*f%s <small>&#177; %.2g</small>%s", before, decimals, f.value * scale, unit,
                 f.error * scale, after);
}

/* A divergence spans decades: four digits. */
static bool add_divergence(prog_buffer *out, const char *before, ellm_figure f, const char *after) {
  return prog_print(out, "%s%.4g <small>&#177; %.1g</small>%s", before, f.value, f.error, after);
}

static bool add_card(const report_data *d, int bits, prog_buffer *out) {
  const report_variant *v = report_find(d, bits, ELLM_SCHEME_MIXED, ELLM_CODE_HUFFMAN);
  const report_variant *plain = report_find(d, bits, ELLM_SCHEME_MIXED, ELLM_CODE_NONE);
  if (!v || !plain) return true;
  const report_quality *q = &v->quality[REPORT_RUN];
  char size[24];
  return prog_print(out,
                 "<div class=\"card\"><span class=\"soft\">%d bits, mixed, coded</span><b>%.2f bits per weight</b>"
                 "<dl><dt>smaller than uncoded</dt><dd>%.1f %%</dd><dt>file</dt><dd>%s</dd>",
                 bits, v->coded_bits, 100 * (1 - (double)v->file_bytes / (double)plain->file_bytes),
                 cli_size_text(v->file_bytes, size)) &&
         add_divergence(out, "<dt>KL divergence</dt><dd>", q->kl, "</dd>") &&
         add_value(out, "<dt>same top token</dt><dd>", q->same_top, 100, 1, " %", "</dd>") &&
         add_value(out, "<dt>perplexity ratio</dt><dd>", q->ratio, 1, 4, "", "</dd>") &&
         prog_print(out, "<dt>tokens per second</dt><dd>%.0f</dd></dl></div>\n", v->generate_rate);
}

static bool add_original_card(const report_data *d, prog_buffer *out) {
  const report_variant *v = &d->variants[0];
  char size[24];
  return prog_print(out,
                 "<div class=\"card\"><span class=\"soft\">original, full precision</span><b>%.0f bits per weight</b>"
                 "<dl><dt>weights</dt><dd>%s</dd>",
                 v->coded_bits, cli_size_text(v->file_bytes, size)) &&
         add_value(out, "<dt>perplexity</dt><dd>", v->quality[REPORT_FLOAT].perplexity, 1, 2, "", "</dd>") &&
         prog_print(out, "<dt>tokens per second</dt><dd>%.0f</dd></dl></div>\n", v->generate_rate);
}

/* ------------------------------------------------------------------ plots */

typedef enum axis { BITS, MEGABYTES, WEIGHT_ERROR, KL, PERPLEXITY } axis;

static double coordinate(const report_variant *v, axis which) {
  switch (which) {
    case BITS: return v->coded_bits;
    case MEGABYTES: return (double)v->file_bytes / 1e6;
    case WEIGHT_ERROR: return v->error;
    case KL: return v->original ? NAN : v->quality[REPORT_FLOAT].kl.value; /* it is the reference */
    case PERPLEXITY: return v->quality[REPORT_RUN].perplexity.value;
  }
  return NAN;
}

static bool add_plot(const report_data *d, const char *title, axis x, const char *x_name, axis y, const char *y_name,
                     prog_buffer *out) {
  report_point points[REPORT_VARIANTS];
  for (size_t i = 0; i < d->n_variants; i++) {
    const report_variant *v = &d->variants[i];
    char label[48];
    points[i] = (report_point){.x = coordinate(v, x),
                               .y = coordinate(v, y),
                               .shape = v->original ? 0 : (int)v->scheme,
                               .colour = v->original ? 2 : v->bits == 8 ? 0 : 1,
                               .filled = v->original || v->code == ELLM_CODE_HUFFMAN};
    snprintf(points[i].label, sizeof points[i].label, "%s: %.4g, %.4g", report_label(v, label), points[i].x,
             points[i].y);
    if (v->original) strcpy(points[i].tag, "original");
    else if (v->scheme == ELLM_SCHEME_MIXED && v->code == ELLM_CODE_HUFFMAN)
      snprintf(points[i].tag, sizeof points[i].tag, "%d bits, coded", v->bits);
  }
  const report_plot plot = {title, x_name, y_name, points, d->n_variants, 0};
  return prog_print(out, "<figure><figcaption>%s</figcaption>\n", title) && report_plot_svg(&plot, out) &&
         prog_print(out, "</figure>\n");
}

static bool add_plots(const report_data *d, prog_buffer *out) {
  return prog_print(out, "<h2>Rate, distortion, quality</h2>\n<p>Blue: 8 bits, orange: 4 bits. Circles: mixed (per "
                         "tensor), squares: symmetric, diamonds: asymmetric. Filled: Huffman-coded, hollow: the same "
                         "codes as they are. Coding moves a point to the left and never up or down: it loses "
                         "nothing.</p>\n<div class=\"plots\">\n") &&
         add_plot(d, "Rate and distortion", BITS, "effective bits per weight", WEIGHT_ERROR,
                  "squared error / squared weight", out) &&
         add_plot(d, "Size and divergence", MEGABYTES, "file, MB", KL, "mean KL, nats per token (float activations)",
                  out) &&
         add_plot(d, "Size and perplexity", MEGABYTES, "file, MB", PERPLEXITY, "perplexity, as users run it", out) &&
         prog_print(out, "</div>\n");
}

/* ------------------------------------------------------------------ table */

static bool add_row(const report_variant *v, prog_buffer *out) {
  char label[48], size[24], peak[24];
  bool good = prog_print(out, "<tr><td>%s</td><td>%s</td><td>%.3f</td><td>%.3f</td>", report_label(v, label),
                      cli_size_text(v->file_bytes, size), v->coded_bits, v->entropy);
  for (int kind = 0; good && kind < REPORT_KINDS; kind++) {
    const report_quality *q = &v->quality[kind];
    good = add_value(out, "<td>", q->perplexity, 1, 2, "", "</td>") && add_divergence(out, "<td>", q->kl, "</td>") &&
           add_value(out, "<td>", q->same_top, 100, 2, " %", "</td>");
  }
  return good && prog_print(out, "<td>%.0f</td><td>%.0f</td><td>%s</td></tr>\n", v->prompt_rate, v->generate_rate,
                         cli_size_text(v->peak_bytes, peak));
}

static bool add_table(const report_data *d, prog_buffer *out) {
  bool good = prog_print(
      out,
      "<h2>All variants</h2>\n<p>Two errors are kept apart. With <b>float activations</b> only the rounding of the "
      "weights is at work: what the quantizer does to the model. <b>As users run it</b>, the fast integer kernels "
      "round activations as well. &#177; is one standard error; perplexities of variants are paired, so their "
      "divergences differ more surely than the perplexities' errors suggest. The original's own divergence is what "
      "the rounding of its saved logits leaves.</p>\n"
      "<div class=\"wide\"><table>\n<thead><tr><th rowspan=\"2\">variant</th><th rowspan=\"2\">file</th>"
      "<th rowspan=\"2\">bits a<br>weight</th><th rowspan=\"2\">entropy</th><th colspan=\"3\">float activations</th>"
      "<th colspan=\"3\">as users run it</th><th colspan=\"2\">tokens/s</th><th "
      "rowspan=\"2\">peak<br>memory</th></tr>\n"
      "<tr><th>perplexity</th><th>KL</th><th>same top</th><th>perplexity</th><th>KL</th><th>same top</th>"
      "<th>prompt</th><th>new</th></tr></thead>\n<tbody>\n");
  for (size_t i = 0; good && i < d->n_variants; i++) good = add_row(&d->variants[i], out);
  return good && prog_print(out, "</tbody></table></div>\n");
}

/* ---------------------------------------------------------------- tensors */

/* A tensor's name, which may be broken after a dot. */
static bool add_tensor_name(const char *name, prog_buffer *out) {
  bool good = true;
  for (const char *dot; good && (dot = strchr(name, '.')); name = dot + 1) {
    char part[256];
    const size_t n = (size_t)(dot - name) + 1;
    if (n >= sizeof part) break;
    memcpy(part, name, n);
    part[n] = '\0';
    good = cli_add_escaped(out, part) && prog_print(out, "<wbr>");
  }
  return good && cli_add_escaped(out, name);
}

static bool add_tensor(const report_tensor *eight, const report_tensor *four, prog_buffer *out) {
  return prog_print(out, "<div class=\"tensor\"><h3>") && add_tensor_name(eight->name, out) &&
         prog_print(out,
                 "</h3><span class=\"soft\">%llu &#215; %llu</span><br>8 bits: %s, entropy %.2f, stored %.2f bits",
                 (unsigned long long)eight->rows, (unsigned long long)eight->columns, ellm_scheme_name(eight->scheme),
                 eight->entropy, eight->coded_bits) &&
         report_bars_svg(eight, 8, out) &&
         prog_print(out, "4 bits: %s, entropy %.2f, stored %.2f bits, error %.1f %%", ellm_scheme_name(four->scheme),
                 four->entropy, four->coded_bits, 100 * four->error) &&
         report_bars_svg(four, 4, out) && prog_print(out, "</div>\n");
}

static bool add_tensors(const report_data *d, prog_buffer *out) {
  const report_variant *eight = report_find(d, 8, ELLM_SCHEME_MIXED, ELLM_CODE_HUFFMAN);
  const report_variant *four = report_find(d, 4, ELLM_SCHEME_MIXED, ELLM_CODE_HUFFMAN);
  if (!eight || !four || eight->n_tensors != four->n_tensors) return true;
  bool good =
      prog_print(out, "<h2>Tensors</h2>\n<p>The scheme that mixed chose, and how the weights fall: blue in 256 "
                      "steps over the tensor's range (its weights), orange in the 16 codes of 4 bits. The axis "
                      "is in weights. Error: squared error over squared weight.</p>\n<div class=\"tensors\">\n");
  for (size_t i = 0; good && i < eight->n_tensors; i++) good = add_tensor(&eight->tensors[i], &four->tensors[i], out);
  return good && prog_print(out, "</div>\n");
}

bool report_page(const report_data *d, prog_buffer *out) {
  return add_head(d, out) && prog_print(out, "<div class=\"cards\">\n") && add_original_card(d, out) &&
         add_card(d, 8, out) && add_card(d, 4, out) && prog_print(out, "</div>\n") && add_plots(d, out) &&
         report_curve_page(d, out) && add_table(d, out) && add_tensors(d, out) &&
         prog_print(out,
                 "<p class=\"soft\">The figures: <a href=\"report.csv\">report.csv</a>, <a href=\"tensors.csv\">"
                 "tensors.csv</a>. What each means: docs/EVALUATION.md of EntroLLM.</p>\n</body>\n</html>\n");
}
