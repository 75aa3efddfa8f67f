/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What compressing and verifying have in common: passes over the tensors of a
 * source, spread over the threads of workers, in bounded memory.
 */
#ifndef ELLM_CONVERT_PASSES_H
#define ELLM_CONVERT_PASSES_H

#include "base/progress.h"
#include "convert/strips.h"
#include "convert/workers.h"
#include "source/source.h"

/* Bytes of a tensor's data that passes have gone through, scaled: a tensor's
 * passes together count its bytes once. */
typedef struct pass_progress {
  progress_meter *meter;
  const char *stage, *tensor;
  uint64_t base;            /* bytes of the tensors before */
  double from, to;          /* this pass's part of the tensor's bytes */
  uint64_t bytes;           /* of the tensor */
} pass_progress;
ellm_status pass_report(const pass_progress *progress, double share_done, ellm_error *err);

/* Matrices that can be quantized: two dimensions, elements, F32, F16 or BF16. */
bool pass_takes_matrix(const source_tensor *tensor);

/* D(data) of docs/FORMAT.md and, where range is not NULL, the range of a float
 * tensor. A weight that cannot be quantized is ELLM_ERR_INPUT naming it.
 * patterns (may be NULL): counts[65536] of the bit patterns of an F16 or BF16 tensor. */
ellm_status pass_scan(const tensor_source *input, const source_tensor *tensor, convert_workers *workers,
                      const pass_progress *progress, uint8_t digest[16], quant_range *range, uint64_t *patterns,
                      ellm_error *err);

/* D(data), counts of the codes of an F32, F16 or BF16 tensor whose elements are to be stored exactly (quant/exact.h), and
 * all their rests, one or the other bit by bit: what is 0 there is 0 in each. */
ellm_status pass_scan_exact(const tensor_source *input, const source_tensor *tensor, convert_workers *workers,
                            const pass_progress *progress, uint8_t digest[16], uint64_t counts[256], uint32_t *rests,
                            ellm_error *err);

/* All of a tensor's bytes, piece by piece in order, and D(data). */
typedef ellm_status (*pass_piece_fn)(void *user, const uint8_t *data, size_t bytes, ellm_error *err);
ellm_status pass_read(const tensor_source *input, const source_tensor *tensor, convert_workers *workers,
                      const pass_progress *progress, uint8_t digest[16], pass_piece_fn take, void *user,
                      ellm_error *err);

/* The elements of a strip, row-major: raw[rows * columns * element size]. */
ellm_status strip_read(const tensor_source *input, const source_tensor *tensor, const strip *s, uint8_t *raw,
                       ellm_error *err);

/* The codes of a strip. */
typedef struct strip_quantizer {
  const tensor_source *input;
  const source_tensor *tensor;
  quant_params params;
  uint8_t *table;           /* 65,536 codes of 16-bit patterns; NULL for F32 */
} strip_quantizer;
ellm_status strip_quantizer_init(strip_quantizer *q, const tensor_source *input, const source_tensor *tensor,
                                 const quant_params *params, ellm_error *err);
void strip_quantizer_free(strip_quantizer *q);
/* Row-major into codes[rows * columns]; raw holds the strip's elements while reading. */
ellm_status strip_quantize(const strip_quantizer *q, const strip *s, uint8_t *raw, uint8_t *codes, ellm_error *err);

#endif
