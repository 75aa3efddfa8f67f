/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compress FOLDER FILE [BITS]: make a .ellm file of a checkpoint folder and say what is in it, tensor by tensor.
 */
#include <entrollm.h>
#include <stdio.h>
#include <stdlib.h>

/* A few times a second; false would stop, and leave nothing behind. */
static bool progress(void *user, const ellm_progress *step) {
  (void)user;
  if (step->total > 0) fprintf(stderr, "\r%s %3.0f %%", step->stage, 100.0 * (double)step->done / (double)step->total);
  return true;
}

static int describe(const char *path) {
  ellm_error err;
  ellm_file *file;
  ellm_totals totals;
  ellm_tensor_info tensor;
  if (ellm_file_open(path, &file, &err) != ELLM_OK) {
    fprintf(stderr, "%s\n", err.message);
    return err.status;
  }
  for (size_t i = 0; ellm_file_tensor(file, i, &tensor); i++) {
    if (tensor.kept) printf("%-48s %s, as it is\n", tensor.name, ellm_dtype_name(tensor.dtype));
    else
      printf("%-48s %d bits, coded in %.3f (entropy %.3f)\n", tensor.name, tensor.bits,
             8.0 * (double)tensor.stored_bytes / (double)tensor.n_elements, tensor.entropy);
  }
  ellm_file_totals(file, &totals);
  printf("%llu weights in %llu bytes, %.3f bits per weight\n", (unsigned long long)totals.weights,
         (unsigned long long)totals.file_bytes, totals.coded_bits_per_weight);
  ellm_file_close(file);
  return 0;
}

int main(int argc, char **argv) {
  ellm_error err;
  ellm_report *report;
  ellm_compress_options options;
  if (argc < 3) {
    fprintf(stderr, "usage: compress FOLDER FILE [BITS]\n");
    return ELLM_ERR_USAGE;
  }
  ellm_compress_options_init(&options); /* sets the size and the defaults: always first */
  if (argc > 3) options.bits = atoi(argv[3]);
  options.progress = progress;
  const ellm_status status = ellm_compress(argv[1], argv[2], &options, &report, &err);
  fprintf(stderr, "\r            \r");
  if (status != ELLM_OK) {
    fprintf(stderr, "%s\n", err.message);
    return status;
  }
  for (size_t i = 0; i < report->n_warnings; i++) fprintf(stderr, "%s\n", report->warnings[i]);
  ellm_report_free(report);
  return describe(argv[2]);
}
