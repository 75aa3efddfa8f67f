/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matrices without loss (quant/exact.h): one reading counts codes, which gives the book, the next one codes block by
 * block; each block is decoded again and compared with its elements before it is written. Threads share strips; nothing
 * depends on their number.
 */
#ifndef ELLM_CONVERT_LOSSLESS_H
#define ELLM_CONVERT_LOSSLESS_H

#include "convert/compress_matrix.h"

/* The matrix into the writer, as compress_matrix; tensor->storage says whether it was coded. Where it would not become
 * smaller nothing is written, and it is CONTAINER_KEPT: the caller stores it. digest is set in any case. */
ellm_status lossless_matrix(matrix_writer *shared, const source_tensor *source, uint64_t done, uint8_t digest[16],
                            container_tensor *tensor, ellm_error *err);

#endif
