/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The curve of this model: divergence over bits per weight, as the plan of compress predicts it. That is quick,
 * as nothing is compressed: one matrix of each kind is tried alone, and the damages are added.
 */
#include "cli/report_curve.h"

#include <stdlib.h>
#include <string.h>

#include "cli/report_plot.h"

enum { SEQUENCES = 8, LENGTH = 256 };
static const double standard_bits = 4.25;

static void take_curve(const char *text, report_data *data) {
  json_t *plan = json_loads(text, 0, NULL);
  const json_t *curve = json_object_get(plan, "curve");
  for (size_t i = 0; i < json_array_size(curve) && data->n_curve < REPORT_CURVE; i++) {
    const json_t *point = json_array_get(curve, i);
    data->curve[data->n_curve++] =
        (report_curve_point){json_number_value(json_object_get(point, "bits_per_weight")),
                             json_number_value(json_object_get(point, "divergence"))};
  }
  data->chosen = (report_curve_point){json_number_value(json_object_get(plan, "bits_per_weight")),
                                      json_number_value(json_object_get(plan, "divergence"))};
  json_decref(plan);
}

ellm_status report_curve_measure(const report_plan *plan, report_data *data, ellm_error *err) {
  ellm_compress_options options;
  cli_progress progress;
  ellm_report *report = NULL;
  ellm_compress_options_init(&options);
  cli_progress_init(&progress);
  options.target = ELLM_TARGET_BITS;
  options.target_value = standard_bits;
  options.effort = ELLM_EFFORT_QUICK;
  options.calibration_sequences = SEQUENCES;
  options.calibration_length = LENGTH;
  options.dry_run = true;
  options.threads = plan->threads;
  options.progress = cli_progress_update;
  options.progress_user = &progress;
  const ellm_status status = ellm_compress(plan->source, NULL, &options, &report, err);
  cli_progress_end(&progress);
  if (status == ELLM_OK && report->plan != NULL) take_curve(report->plan, data);
  ellm_report_free(report);
  if (status != ELLM_ERR_INPUT) return status;
  cli_note("no curve of sizes: %s", err->message); /* too small a model for the size, say */
  return ELLM_OK;
}

/* What was measured of a uniform step, as a square. */
static void add_uniform(const report_data *data, int bits, report_point *points, size_t *n) {
  const report_variant *v = report_find(data, bits, ELLM_SCHEME_MIXED, ELLM_CODE_HUFFMAN);
  if (v == NULL) return;
  report_point *p = &points[(*n)++];
  *p = (report_point){.x = v->coded_bits,
                      .y = v->quality[REPORT_FLOAT].kl.value,
                      .shape = 1,
                      .colour = bits == 8 ? 0 : 1,
                      .filled = true};
  snprintf(p->label, sizeof p->label, "%d bits, mixed, coded, measured: %.4g bits, %.4g", bits, p->x, p->y);
  snprintf(p->tag, sizeof p->tag, "%d bits, coded", bits);
}

bool report_curve_page(const report_data *data, prog_buffer *out) {
  report_point points[REPORT_CURVE + 3];
  size_t n = 0;
  if (data->n_curve == 0) return true;
  for (; n < data->n_curve; n++) {
    const report_curve_point *at = &data->curve[n];
    points[n] = (report_point){.x = at->bits, .y = at->divergence, .colour = 2};
    snprintf(points[n].label, sizeof points[n].label, "predicted: %.4g bits, %.4g", at->bits, at->divergence);
  }
  points[n] = (report_point){.x = data->chosen.bits, .y = data->chosen.divergence, .colour = 2, .filled = true};
  snprintf(points[n].label, sizeof points[n].label, "quality standard: %.4g bits, %.4g predicted", points[n].x,
           points[n].y);
  strcpy(points[n++].tag, "standard");
  add_uniform(data, 8, points, &n);
  add_uniform(data, 4, points, &n);
  const report_plot plot = {.title = "Bits and divergence to a size",
                            .x_name = "bits per weight",
                            .y_name = "mean KL, nats per token",
                            .points = points,
                            .n_points = n,
                            .n_connected = data->n_curve};
  return prog_print(out, "<h2>Any size</h2>\n<p>What <code>compress --target-bpw</code> or <code>--target-size</code> would "
                      "make of this model: its divergence over bits per weight, "
                      "as the plan with quick effort predicts it "
                      "on text that the model writes. Filled circle: the size that <code>compress</code> aims at without options. "
                      "Squares: one step a tensor, as in the table, measured on the text of this report.</p>\n"
                      "<div class=\"plots\">\n<figure><figcaption>%s</figcaption>\n", plot.title) &&
         report_plot_svg(&plot, out) && prog_print(out, "</figure>\n</div>\n");
}
