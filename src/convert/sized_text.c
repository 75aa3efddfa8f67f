/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/sized_text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

/* A name holds no control characters and is UTF-8 (container/record.h). */
static bool add_name(ellm_buffer *b, const char *name) {
  bool fits = ellm_buffer_append(b, "\"", 1);
  for (; fits && *name != '\0'; name++)
    fits = (*name != '"' && *name != '\\' ? true : ellm_buffer_append(b, "\\", 1)) && ellm_buffer_append(b, name, 1);
  return fits && ellm_buffer_append(b, "\"", 1);
}

ellm_status sized_plan_text(const sized_matrices *s, const sized_expectation *e, char **text, ellm_error *err) {
  const bool measured = s->calibration.squares.sum != NULL;
  ellm_buffer b = {0};
  bool fits = ellm_buffer_print(&b, "{\"file_bytes\":%.0f,\"bits_per_weight\":%.6g,", e->file_bytes,
                                allocation_bits(s->plan.curves, s->matrices.n) / (double)s->matrices.weights) &&
              (measured ? ellm_buffer_print(&b, "\"divergence\":%.6g,", plan_damage(&s->plan))
                        : ellm_buffer_print(&b, "\"divergence\":null,")) &&
              ellm_buffer_print(&b, "\"memory_bytes\":%llu,\"measure_seconds\":%.3g,\"tensors\":[",
                                (unsigned long long)e->memory_bytes, e->seconds);
  for (size_t i = 0; fits && i < s->matrices.n; i++) {
    const weight_matrix *m = s->matrices.at[i].matrix;
    const allocation_curve *c = &s->plan.curves[i];
    fits = ellm_buffer_print(&b, "%s{\"name\":", i > 0 ? "," : "") && add_name(&b, m->name) &&
           ellm_buffer_print(&b, ",\"step\":%.6g,\"bits\":%.6g,\"damage\":%.6g}", plan_step(&s->plan, i),
                             c->bits / ((double)m->rows * m->columns), c->damage);
  }
  fits = fits && ellm_buffer_print(&b, "],\"curve\":[");
  for (size_t i = 0; fits && i < e->n_curve; i++)
    fits = ellm_buffer_print(&b, "%s{\"bits_per_weight\":%.6g,\"divergence\":%.6g}", i > 0 ? "," : "",
                             e->curve[i].bits, e->curve[i].divergence);
  fits = fits && ellm_buffer_print(&b, "]}") && ellm_buffer_append(&b, "", 1);
  if (!fits) {
    ellm_buffer_free(&b);
    return ellm_fail_memory(err, b.size, "a plan");
  }
  *text = (char *)b.data;
  return ELLM_OK;
}

void sized_quality_text(const sized_matrices *s, const sized_quality *q, char *text, size_t bytes) {
  static const char *const names[] = {"self", "self", "text", "none"};
  const calibration *c = &s->calibration;
  const bool calibrated = c->squares.sum != NULL;
  size_t used = (size_t)snprintf(text, bytes, "{\"calibration\":\"%s\",\"effort\":\"%s\"",
                                 calibrated ? names[s->options->calibrate] : "none",
                                 !calibrated ? "none" : c->size.full ? "full" : "quick");
  if (q != NULL) {
    used += (size_t)snprintf(text + used, bytes - used,
                             ",\"calibration_tokens\":%zu,\"tokens\":%llu,\"divergence_i16\":%.6g,\"equal_top_i16\":"
                             "%.6g,\"divergence_i8\":%.6g,\"equal_top_i8\":%.6g,\"divergence_i8_from_i16\":%.6g",
                             c->watched * c->text.length, (unsigned long long)q->i16.tokens, q->i16.divergence,
                             q->i16.equal_top, q->i8.divergence, q->i8.equal_top, q->i8_from_i16);
    if (q->conversation.tokens > 0)
      used += (size_t)snprintf(text + used, bytes - used,
                               ",\"conversation_tokens\":%llu,\"conversation_divergence_i16\":%.6g,"
                               "\"conversation_equal_top_i16\":%.6g",
                               (unsigned long long)q->conversation.tokens, q->conversation.divergence,
                               q->conversation.equal_top);
    if (q->predicted >= 0)
      used += (size_t)snprintf(text + used, bytes - used, ",\"predicted_divergence\":%.6g", q->predicted);
  }
  snprintf(text + used, bytes - used, "}");
}
