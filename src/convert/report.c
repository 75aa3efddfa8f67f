/* SPDX-License-Identifier: Apache-2.0 */
/* See report.h. */
#include "convert/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* `owner` is an array of n_tensors names, in the order of `tensors`. */

ellm_status report_start(ellm_report *report, size_t n_tensors, ellm_error *err) {
  memset(report, 0, sizeof *report);
  report->tensors = calloc(n_tensors + 1, sizeof *report->tensors);
  report->owner = calloc(n_tensors + 1, sizeof(char *));
  if (report->tensors != NULL && report->owner != NULL) return ELLM_OK;
  ellm_report_free(report);
  return ellm_fail_memory(err, n_tensors * sizeof *report->tensors, "a report");
}

void ellm_report_free(ellm_report *report) {
  if (report == NULL) return;
  char **names = report->owner;
  for (size_t i = 0; names != NULL && i < report->n_tensors; i++) free(names[i]);
  free(names);
  for (size_t i = 0; i < report->n_assets; i++) free((char *)report->assets[i].name);
  free(report->assets);
  free(report->tensors);
  free(report->warnings);
  memset(report, 0, sizeof *report);
}

ellm_status report_tensor(ellm_report *report, const container_tensor *tensor, ellm_error *err) {
  size_t bytes = strlen(tensor->name) + 1;
  char *name = malloc(bytes);
  if (name == NULL) return ellm_fail_memory(err, bytes, "a report");
  memcpy(name, tensor->name, bytes);
  ((char **)report->owner)[report->n_tensors] = name;
  ellm_tensor_info *info = &report->tensors[report->n_tensors++];
  container_tensor_describe(tensor, info);
  info->name = name;
  return ELLM_OK;
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

ellm_status report_warn(ellm_report *report, ellm_error *err, const char *format, ...) {
  char(*grown)[256] = realloc(report->warnings, (report->n_warnings + 1) * sizeof *grown);
  if (grown == NULL) return ellm_fail_memory(err, sizeof *grown, "a warning");
  report->warnings = grown;
  va_list args;
  va_start(args, format);
  vsnprintf(grown[report->n_warnings++], sizeof *grown, format, args);
  va_end(args);
  return ELLM_OK;
}
