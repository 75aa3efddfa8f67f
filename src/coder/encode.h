/* SPDX-License-Identifier: Apache-2.0 */
/* The block encoder. */
#ifndef ELLM_CODER_ENCODE_H
#define ELLM_CODER_ENCODE_H

#include "base/status.h"
#include "coder/codebook.h"
#include "coder/geometry.h"

typedef struct coder_encoder coder_encoder; /* scratch memory of one thread */
ellm_status coder_encoder_create(coder_encoder **encoder, ellm_error *err);
void coder_encoder_free(coder_encoder *encoder);
/* Encode tile-ordered codes; out has CODER_MAX_BLOCK_BYTES. Returns the bytes (0
 * is possible: a block of one symbol), CODER_NOT_CODABLE if a code is neither in
 * the book nor covered by an escape, or if the block would be larger than
 * CODER_MAX_BLOCK_BYTES (never with a book of coder_choose). */
#define CODER_NOT_CODABLE SIZE_MAX
size_t coder_encode_block(coder_encoder *encoder, const coder_codebook *book, const coder_block *block,
                          const uint8_t *codes, uint8_t *out);

#endif
