/* SPDX-License-Identifier: Apache-2.0 */
/* What a report is made of: one checkpoint compressed in several ways, and measured. */
#ifndef ELLM_CLI_REPORT_MEASURE_H
#define ELLM_CLI_REPORT_MEASURE_H

#include "cli/cli.h"

enum { REPORT_CODES = 256, REPORT_FLOAT = 0, REPORT_RUN = 1, REPORT_KINDS = 2 };

typedef struct report_tensor {
  char *name;
  uint64_t rows, columns;
  ellm_scheme scheme;
  double step;
  int zero;
  double entropy, coded_bits; /* bits per weight */
  double error;               /* sum of squared weight errors / sum of squared weights */
  uint64_t counts[REPORT_CODES];
} report_tensor;

typedef struct report_quality {
  ellm_figure kl, same_top, perplexity, ratio;
} report_quality;

typedef struct report_variant {
  char name[32];  /* "8-mixed-huffman"; "original" */
  bool original;  /* the checkpoint itself: no tensors */
  int bits;
  ellm_scheme scheme;
  ellm_code code;
  uint64_t file_bytes;
  double coded_bits, entropy, error;
  report_quality quality[REPORT_KINDS]; /* float activations; those that users run */
  char fingerprint[REPORT_KINDS][33];
  double prompt_rate, generate_rate;    /* tokens per second */
  uint64_t peak_bytes;
  report_tensor *tensors;
  size_t n_tensors;
} report_variant;

enum { REPORT_VARIANTS = 13 }; /* the original, then 8 and 4 bits, three schemes, two codes */

enum { REPORT_CURVE = 32 };
typedef struct report_curve_point { double bits, divergence; } report_curve_point;

typedef struct report_data {
  const char *source;   /* folder */
  const char *text;     /* file of the evaluation */
  const char *isa;
  int threads;
  uint64_t parameters;
  uint32_t n_ctx;
  size_t n_chunks;
  uint64_t scored;
  report_variant variants[REPORT_VARIANTS];
  size_t n_variants;
  report_curve_point curve[REPORT_CURVE]; /* predicted, bits ascending (report_curve.h) */
  size_t n_curve;                         /* 0: there is none */
  report_curve_point chosen;              /* on it */
} report_data;

typedef struct report_plan {
  const char *source, *out, *text;
  int ctx, chunks, threads;
  bool keep_files;
} report_plan;

/* Make and measure all variants. Free with report_data_free, also after an error. */
ellm_status report_measure(const report_plan *plan, report_data *data, ellm_error *err);
void report_data_free(report_data *data);
const report_variant *report_find(const report_data *data, int bits, ellm_scheme scheme, ellm_code code);
/* "8 bits, mixed, coded" */
const char *report_label(const report_variant *v, char text[48]);

#endif
