/* SPDX-License-Identifier: Apache-2.0 */
/* The options of compress that ask for a size, and how a model is calibrated for it. */
#ifndef ELLM_CLI_TARGET_H
#define ELLM_CLI_TARGET_H

#include "cli/cli.h"

typedef struct cli_target {
  const char *size, *memory, *calibrate, *plan;
  double bits, max_kl; /* 0: not given */
  int quality, effort; /* quality: index of a name, 0: not given */
} cli_target;

extern const option_choice cli_qualities[], cli_efforts[];

#define CLI_OPTIONS_TARGET(t) \
  OPT_TEXT("target-size", 0, &(t).size, "SIZE", \
           "quantize to a file of this size or a little less: 1.9GiB, 750MB, ..."), \
  OPT_REAL("target-bpw", 0, &(t).bits, 0.5, 16, "BITS", \
           "quantize to this many bits per weight, counting everything that\nbelongs to quantized matrices"), \
  OPT_REAL("max-kl", 0, &(t).max_kl, 1e-6, 10, "NATS", \
           "make the smallest file whose divergence from the source is at most\nthis, on text that the model writes"), \
  OPT_CHOICE("quality", 0, &(t).quality, cli_qualities, "NAME", \
             "bits per weight by name: tiny 2.75, small 3.25, standard 4.25\n(default), fine 5.5"), \
  OPT_CHOICE("effort", 0, &(t).effort, cli_efforts, "KIND", \
             "with these: quick (uses mean squares of activations) or full (uses\n" \
             "second moments, so that later columns make up for errors); default:\n" \
             "full below a billion weights"), \
  OPT_SUGGEST("calibrate", 0, &(t).calibrate, "TEXT", "self none *", \
              "with these: self (default: the model writes the text), none, or a\nfile of UTF-8 text"), \
  OPT_TEXT("plan", 0, &(t).plan, "FILE", \
           "keep what was measured in FILE, or read it from there: another size of\nthe same model then takes a " \
           "fraction "\
           "of the time"), \
  OPT_TEXT("memory", 0, &(t).memory, "SIZE", "with these: memory to use, without mapped files (default 2.5GB)")

/* "1.9GiB", "750 MB", "123456": bytes; 0: no size. */
double cli_parse_size(const char *text);

/* Was any of them given? */
bool cli_target_given(const cli_target *t);
/* Into the options of compressing. Returns the exit status. */
int cli_target_apply(const cli_target *t, const option_table *table, ellm_compress_options *options);

/* What is expected of a file (ellm_report.plan): `tensors`: also the step of each matrix. */
void cli_print_plan(const char *json, bool tensors);
/* What a file that was made to a size says of its quality ("entrollm.quality"), in words. */
void cli_print_quality(const char *json);
/* After quick effort at so many bits per weight: what full effort would gain. */
void cli_print_full_gain(const char *quality_json, double bits);

#endif
