/* SPDX-License-Identifier: Apache-2.0 */
/* See report.h. */
#include "convert/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the caller sees, and the names that its tensors point to. */
typedef struct owned_report {
  ellm_report report; /* first: one is the other's address */
  char **names;       /* [n_tensors], in the order of `tensors` */
} owned_report;

ellm_report *report_create(void) {
  owned_report *owned = calloc(1, sizeof *owned);
  return owned != NULL ? &owned->report : NULL;
}

ellm_status report_start(ellm_report *report, size_t n_tensors, ellm_error *err) {
  char **names = calloc(n_tensors + 1, sizeof *names);
  ((owned_report *)report)->names = names;
  report->tensors = calloc(n_tensors + 1, sizeof *report->tensors);
  return report->tensors != NULL && names != NULL
             ? ELLM_OK
             : ellm_fail_memory(err, n_tensors * sizeof *report->tensors, "a report");
}

void ellm_report_free(ellm_report *report) {
  if (report == NULL) return;
  owned_report *owned = (owned_report *)report;
  for (size_t i = 0; owned->names != NULL && i < report->n_tensors; i++) free(owned->names[i]);
  for (size_t i = 0; i < report->n_assets; i++) free((char *)report->assets[i].name);
  for (size_t i = 0; i < report->n_warnings; i++) free((char *)report->warnings[i]);
  free(owned->names);
  free((char *)report->quality);
  free((char *)report->plan);
  free(report->assets);
  free(report->tensors);
  free(report->warnings);
  free(owned);
}

ellm_status report_tensor(ellm_report *report, const container_tensor *tensor, ellm_error *err) {
  size_t bytes = strlen(tensor->name) + 1;
  char *name = malloc(bytes);
  if (name == NULL) return ellm_fail_memory(err, bytes, "a report");
  memcpy(name, tensor->name, bytes);
  ((owned_report *)report)->names[report->n_tensors] = name;
  ellm_tensor_info *info = &report->tensors[report->n_tensors++];
  container_tensor_describe(tensor, info);
  info->name = name;
  return ELLM_OK;
}

void report_drop_tensors(ellm_report *report, size_t n) {
  char **names = ((owned_report *)report)->names;
  while (report->n_tensors > n) free(names[--report->n_tensors]);
}

ellm_status report_asset(ellm_report *report, const char *name, uint64_t bytes, ellm_error *err) {
  ellm_asset_info *grown = realloc(report->assets, (report->n_assets + 1) * sizeof *grown);
  if (grown == NULL) return ellm_fail_memory(err, (report->n_assets + 1) * sizeof *grown, "a report");
  report->assets = grown;
  char *copy = strdup(name);
  if (copy == NULL) return ellm_fail_memory(err, strlen(name) + 1, "a report");
  grown[report->n_assets++] = (ellm_asset_info){.name = copy, .bytes = bytes};
  return ELLM_OK;
}

ellm_status report_quality(ellm_report *report, const char *json, ellm_error *err) {
  report->quality = strdup(json);
  return report->quality != NULL ? ELLM_OK : ellm_fail_memory(err, strlen(json) + 1, "a report");
}

ellm_status report_warn(ellm_report *report, ellm_error *err, const char *format, ...) {
  ellm_error line; /* a tensor's name may be long and hold anything: cut, and made printable */
  char text[sizeof line.message];
  const char **grown = realloc(report->warnings, (report->n_warnings + 1) * sizeof *grown);
  if (grown == NULL) return ellm_fail_memory(err, sizeof *grown, "a warning");
  report->warnings = grown;
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  ellm_error_set(&line, ELLM_OK, "%s", text);
  grown[report->n_warnings] = strdup(line.message);
  if (grown[report->n_warnings] == NULL) return ellm_fail_memory(err, sizeof text, "a warning");
  report->n_warnings++;
  return ELLM_OK;
}
