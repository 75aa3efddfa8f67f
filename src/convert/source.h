/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What compressing and verifying have in common: passes over the tensors of a
 * checkpoint, spread over a team's threads, in bounded memory.
 */
#ifndef ELLM_CONVERT_SOURCE_H
#define ELLM_CONVERT_SOURCE_H

#include "checkpoint/checkpoint.h"
#include "convert/progress.h"
#include "convert/strips.h"
#include "convert/team.h"

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
bool source_is_matrix(const checkpoint_tensor *tensor);

/* D(data) of docs/FORMAT.md and, where range is not NULL, the range of a float
 * tensor. A weight that cannot be quantized is ELLM_ERR_INPUT naming it.
 * patterns (may be NULL): counts[65536] of the bit patterns of an F16 or BF16 tensor. */
ellm_status source_scan(const checkpoint *ckpt, const checkpoint_tensor *tensor, team *t, const pass_progress *progress,
                        uint8_t digest[16], quant_range *range, uint64_t *patterns, ellm_error *err);

/* All of a tensor's bytes, piece by piece in order, and D(data). */
typedef ellm_status (*source_piece_fn)(void *user, const uint8_t *data, size_t bytes, ellm_error *err);
ellm_status source_read(const checkpoint *ckpt, const checkpoint_tensor *tensor, team *t, const pass_progress *progress,
                        uint8_t digest[16], source_piece_fn take, void *user, ellm_error *err);

/* The codes of a strip. */
typedef struct source_coder {
  const checkpoint *ckpt;
  const checkpoint_tensor *tensor;
  quant_params params;
  uint8_t *table;           /* 65,536 codes of 16-bit patterns; NULL for F32 */
} source_coder;
ellm_status source_coder_init(source_coder *source, const checkpoint *ckpt, const checkpoint_tensor *tensor,
                              const quant_params *params, ellm_error *err);
void source_coder_free(source_coder *source);
/* Row-major into codes[rows * columns]; raw holds the strip's elements while reading. */
ellm_status source_codes(const source_coder *source, const strip *s, uint8_t *raw, uint8_t *codes, ellm_error *err);

/* The source identity of docs/FORMAT.md from the digests of all tensors, in the checkpoint's order. */
ellm_status source_identity(const checkpoint *ckpt, uint8_t (*digests)[16], uint8_t identity[16], ellm_error *err);

#endif
