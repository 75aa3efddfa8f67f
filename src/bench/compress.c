/* SPDX-License-Identifier: Apache-2.0 */
/* Compressing a shape: ellm_compress from a source that is nowhere. */
#include "base/sized.h"
#include "bench/shape_source.h"
#include "convert/compress.h"

void ellm_bench_shape_init_sized(ellm_bench_shape *given, size_t size) {
  const ellm_bench_shape own = {.size = size, .seed = 1};
  ellm_sized_init(given, &own, sizeof own);
}

ellm_status ellm_bench_compress(const ellm_bench_shape *shape, const char *out_path,
                                const ellm_compress_options *options, ellm_report **report, ellm_error *err) {
  if (report != NULL) *report = NULL;
  ELLM_SIZED(ellm_bench_shape, own_shape, shape, err);
  ELLM_SIZED(ellm_compress_options, own, options, err);
  ELLM_TRY(compress_check_options(&own, err));
  if (own.target != ELLM_TARGET_NONE)
    return ellm_fail(err, ELLM_ERR_USAGE, "random weights cannot be compressed to a size: they give no text");
  tensor_source *source;
  ELLM_TRY(shape_source_open(&own_shape, &source, err));
  return compress_from_source(source, out_path, &own, report, err);
}
