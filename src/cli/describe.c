/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors and totals as JSON and as a table: one place for compress and inspect. */
#include "cli/describe.h"

#include <string.h>

#include "cli/output.h"

/* Of a part of a model: by the weights that it has. */
static double coded_bits(const ellm_tensor_info *t) {
  return t->stored_elements ? 8.0 * (double)t->stored_bytes / (double)t->stored_elements : 0;
}

/* All in one call, so that one failed allocation makes the whole NULL. */
json_t *cli_tensor_json(const ellm_tensor_info *tensor) {
  json_t *shape = json_array();
  for (int i = 0; i < tensor->n_dims; i++) cli_json_append(&shape, json_integer((json_int_t)tensor->shape[i]));
  json_t *object = json_pack("{s:o, s:o, s:b, s:s, s:I}", "name", cli_json_text(tensor->name, strlen(tensor->name)),
                             "shape", shape, "kept", (int)tensor->kept, "dtype", ellm_dtype_name(tensor->dtype),
                             "stored_bytes", (json_int_t)tensor->stored_bytes);
  if (!object || tensor->kept) return object;
  const bool exact = tensor->exact;
  json_t *coded =
      json_pack("{s:b, s:i, s:o, s:o, s:o, s:b, s:b, s:I, s:o, s:o, s:o, s:s, s:i, s:i, s:i, s:I}", "exact", (int)exact,
                "bits", tensor->bits,
                "scheme", exact ? json_null() : json_string(ellm_scheme_name(tensor->scheme)),
                "step", exact ? json_null() : cli_json_real(tensor->step),
                "zero", exact ? json_null() : json_integer(tensor->zero),
                "row_scales", (int)tensor->row_scales, "column_scales", (int)tensor->column_scales, "outliers",
                (json_int_t)tensor->outliers, "entropy",
                cli_json_real(tensor->entropy), "huffman_bits_per_weight",
                cli_json_real(tensor->huffman_bits_per_weight), "coded_bits_per_weight",
                cli_json_real(coded_bits(tensor)),
                "layout", tensor->layout ? tensor->layout : "?", "raw_bits", tensor->raw_bits, "tuple", tensor->tuple,
                "symbols", tensor->symbols, "payload_bytes", (json_int_t)tensor->payload_bytes);
  const bool part = tensor->stored_elements != tensor->n_elements;
  if (!coded || json_object_update(object, coded) != 0 ||
      (part && json_object_set_new(object, "stored_elements", json_integer((json_int_t)tensor->stored_elements)) != 0)) {
    json_decref(object);
    object = NULL;
  }
  json_decref(coded);
  return object;
}

json_t *cli_totals_json(const ellm_totals *totals) {
  return json_pack("{s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "weights", (json_int_t)totals->weights, "parameters",
                   (json_int_t)totals->parameters, "file_bytes", (json_int_t)totals->file_bytes, "quantized_bytes",
                   (json_int_t)totals->quantized_bytes, "entropy", cli_json_real(totals->entropy),
                   "huffman_bits_per_weight", cli_json_real(totals->huffman_bits_per_weight), "coded_bits_per_weight",
                   cli_json_real(totals->coded_bits_per_weight));
}

static void shape_text(const ellm_tensor_info *tensor, char *text, size_t size) {
  size_t used = 0;
  text[0] = '\0';
  for (int i = 0; i < tensor->n_dims && used + 1 < size; i++)
    used += (size_t)snprintf(text + used, size - used, "%s%llu", i ? " x " : "", (unsigned long long)tensor->shape[i]);
  if (tensor->n_dims == 0) snprintf(text, size, "scalar");
}

void cli_print_tensors(const ellm_tensor_info *tensors, size_t n_tensors) {
  int width = 6;
  for (size_t i = 0; i < n_tensors; i++) {
    int length = (int)strlen(tensors[i].name);
    if (length > width) width = length > 60 ? 60 : length;
  }
  printf("%-*s  %-15s %-5s %-10s %-10s %4s %8s %8s\n", width, "tensor", "shape", "type", "stored as", "scheme", "bits",
         "entropy", "coded");
  for (size_t i = 0; i < n_tensors; i++) {
    const ellm_tensor_info *t = &tensors[i];
    char shape[200];
    shape_text(t, shape, sizeof shape);
    printf("%-*s  %-15s %-5s ", width, t->name, shape, ellm_dtype_name(t->dtype));
    if (t->kept) printf("%-10s\n", "kept");
    else
      printf("%-10s %-10s %4d %8.3f %8.3f\n", t->layout ? t->layout : "?",
             t->exact ? "exact" : ellm_scheme_name(t->scheme), t->exact ? 8 * (int)ellm_dtype_size(t->dtype) : t->bits,
             t->entropy, coded_bits(t));
  }
}

json_t *cli_assets_json(const ellm_asset_info *assets, size_t n_assets) {
  json_t *array = json_array();
  for (size_t i = 0; i < n_assets; i++)
    cli_json_append(&array, json_pack("{s:o, s:I}", "name", cli_json_text(assets[i].name, strlen(assets[i].name)),
                                      "bytes", (json_int_t)assets[i].bytes));
  return array;
}

void cli_print_assets(const ellm_asset_info *assets, size_t n_assets) {
  char size[24];
  printf("\n%-40s %10s\n", "file", "size");
  for (size_t i = 0; i < n_assets; i++) printf("%-40s %10s\n", assets[i].name, cli_size_text(assets[i].bytes, size));
}

const char *cli_size_text(uint64_t bytes, char text[24]) {
  static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
  double value = (double)bytes;
  size_t unit = 0;
  while (value >= 999.5 && unit < 5) {
    value /= 1000;
    unit++;
  }
  snprintf(text, 24,
           unit == 0       ? "%.0f %s"
           : value < 9.995 ? "%.2f %s"
           : value < 99.95 ? "%.1f %s"
                           : "%.0f %s",
           value, units[unit]);
  return text;
}
