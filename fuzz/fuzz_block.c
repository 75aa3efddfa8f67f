/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: code books and blocks, past all checksums. Input: u16 rows, u16
 * columns, a stored code book, a block. The block is decoded by the scalar
 * decoder and by every kernel of this machine: same verdict, same codes, none
 * beyond the width. What was accepted must survive encoding and decoding.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "coder/encode.h"
#include "kernels/kernels.h"
#include "want.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct buffers {
  coder_scratch scratch;
  uint8_t codes[CODER_MAX_CODES + CODER_SLACK], other[CODER_MAX_CODES + CODER_SLACK];
  uint8_t encoded[CODER_MAX_BLOCK_BYTES + CODER_SLACK];
} buffers;

/* A copy with exactly the promised slack behind it, so that a sanitizer sees every byte beyond. */
static uint8_t *exact_copy(const uint8_t *data, size_t bytes) {
  uint8_t *copy = malloc(bytes + CODER_SLACK);
  if (copy == NULL) return NULL;
  memcpy(copy, data, bytes);
  memset(copy + bytes, 0xff, CODER_SLACK);
  return copy;
}

static void check_block(buffers *b, const coder_codebook *book, const coder_block *block, const uint8_t *data,
                        size_t bytes) {
  const size_t n = (size_t)block->panels * block->tiles * CODER_TILE_COLUMNS * block->panel_rows;
  const bool good = coder_decode_block_scalar(book, block, data, bytes, &b->scratch, b->codes);
  for (size_t i = 0; good && i < n; i++) want(b->codes[i] >> book->bits == 0);
  for (size_t i = 0; kernels_at(i) != NULL; i++) {
    want(kernels_at(i)->decode_block(book, block, data, bytes, &b->scratch, b->other) == good);
    want(!good || memcmp(b->other, b->codes, n) == 0);
  }
  coder_encoder *encoder;
  if (!good || coder_encoder_create(&encoder, NULL) != ELLM_OK) return;
  const size_t again = coder_encode_block(encoder, book, block, b->codes, b->encoded);
  coder_encoder_free(encoder);
  if (again == CODER_NOT_CODABLE) return; /* the ignored half of a last pair need not be what an encoder writes there */
  want(again <= CODER_MAX_BLOCK_BYTES);
  want(coder_decode_block_scalar(book, block, b->encoded, again, &b->scratch, b->other));
  want(memcmp(b->other, b->codes, n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  coder_geometry geometry;
  coder_codebook book;
  size_t used;
  if (size < 4 || !coder_geometry_init(&geometry, load_u16(data), load_u16(data + 2))) return 0;
  uint8_t *stored = copy_of(data + 4, size - 4);
  if (stored == NULL) return 0;
  const bool loaded = coder_codebook_load(stored, size - 4, geometry.panel_rows, &book, &used);
  free(stored);
  if (!loaded) return 0;
  uint8_t again[CODER_BOOK_MAX_BYTES];
  want(coder_codebook_store(&book, again) == used && memcmp(again, data + 4, used) == 0);
  const size_t bytes = size - 4 - used;
  if (bytes > CODER_MAX_BLOCK_BYTES) return 0;
  uint8_t *copy = exact_copy(data + 4 + used, bytes);
  buffers *b = ellm_aligned_calloc(1, sizeof *b);
  if (copy != NULL && b != NULL) {
    const coder_block first = coder_geometry_block(&geometry, 0),
                      last = coder_geometry_block(&geometry, geometry.n_blocks - 1);
    check_block(b, &book, &first, copy, bytes);
    check_block(b, &book, &last, copy, bytes);
  }
  free(copy);
  ellm_aligned_free(b);
  return 0;
}
