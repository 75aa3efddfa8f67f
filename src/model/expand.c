/* SPDX-License-Identifier: Apache-2.0 */
/* See expand.h. */
#include "model/expand.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/work_failure.h"
#include "coder/encode.h"
#include "coder/raw_bits.h"
#include "kernels/exact.h"

typedef struct share { /* of one thread */
  coder_scratch scratch;
  uint8_t codes[CODER_MAX_CODES + CODER_SLACK];
  coder_encoder *encoder;
} share;

typedef struct expansion {
  const ellm_file *file;
  const container_tensor *tensor;
  coder_decode_fn decode;
  expanded_matrix *out;
  share **shares;
  work_failure failure; /* by block */
} expansion;

/* The elements of a block whose codes are there. */
static ellm_status join_block(const expansion *e, uint64_t index, const coder_block *block, const share *s,
                              ellm_error *err) {
  const container_tensor *t = e->tensor;
  const size_t size = ellm_dtype_size(t->dtype), stride = (size_t)t->geometry.columns * size;
  container_block coded;
  ELLM_TRY(container_checked_block(e->file, t, index, &coded, err));
  exact_join_block(block, t->dtype, &t->exact, s->codes, coded.rests,
                   e->out->data + block->first_row * stride + block->first_column * size, stride);
  return ELLM_OK;
}

static ellm_status decode_into(const expansion *e, uint64_t index, share *s, ellm_error *err) {
  const coder_block block = coder_geometry_block(&e->tensor->geometry, index);
  coder_patches patches;
  if (!container_has_block(e->tensor, index)) return ELLM_OK; /* of another part: nobody asks for it here */
  ELLM_TRY(container_decode_block(e->file, e->tensor, index, e->decode, &s->scratch, s->codes, &patches, err));
  if (e->tensor->exact.used) return join_block(e, index, &block, s, err);
  coder_encode_block(s->encoder, &e->out->book, &block, s->codes, e->out->data + e->out->offset[index]);
  if (e->out->patches == NULL) return ELLM_OK;
  const uint64_t at = e->out->patches_offset[index], bytes = e->out->patches_offset[index + 1] - at;
  if (bytes != coder_patches_size(patches.n)) /* changed since it was looked at */
    return container_undecodable(e->file, e->tensor, index, err);
  memcpy(e->out->patches + at, patches.data - CODER_PATCHES_HEAD, (size_t)bytes);
  return ELLM_OK;
}

static void expand_block(void *user, size_t index, int thread) {
  expansion *e = user;
  ellm_error err;
  if (work_failed_before(&e->failure, index)) return;
  if (decode_into(e, index, e->shares[thread], &err) != ELLM_OK) work_fail(&e->failure, index, &err);
}

/* Places for the patches of all blocks. */
static ellm_status allocate_patches(expanded_matrix *m, const ellm_file *file, const container_tensor *tensor,
                                    ellm_error *err) {
  const uint64_t n_blocks = tensor->geometry.n_blocks;
  m->patches_offset = calloc(n_blocks + 1, sizeof *m->patches_offset);
  if (m->patches_offset == NULL) return ellm_fail_memory(err, n_blocks * sizeof *m->patches_offset, "patches");
  for (uint64_t i = 0; i < n_blocks; i++) {
    const uint8_t *data;
    size_t bytes;
    coder_patches patches;
    m->patches_offset[i + 1] = m->patches_offset[i];
    if (!container_has_block(tensor, i)) continue;
    ELLM_TRY(container_block_at(file, tensor, i, &data, &bytes, NULL, err));
    if (!coder_patches_take(&data, &bytes, &patches)) return container_undecodable(file, tensor, i, err);
    m->patches_offset[i + 1] += coder_patches_size(patches.n);
  }
  m->patches = malloc(m->patches_offset[n_blocks] + 1); /* of a part there may be none */
  return m->patches != NULL ? ELLM_OK : ellm_fail_memory(err, m->patches_offset[n_blocks], "patches");
}

static ellm_status allocate(expanded_matrix *m, const container_tensor *tensor, ellm_error *err) {
  const coder_geometry *geometry = &tensor->geometry;
  if (tensor->exact.used) {
    const uint64_t bytes = tensor->n_elements * ellm_dtype_size(tensor->dtype);
    m->data = ellm_aligned_calloc((size_t)bytes, 1);
    return m->data != NULL ? ELLM_OK : ellm_fail_memory(err, (size_t)bytes, "decoded weights");
  }
  /* of nibbles or bytes, whatever the width: kernels then need not look for codes beyond it */
  const int bits = tensor->book.bits <= 4 ? 4 : 8;
  if (!coder_codebook_plain(bits, tensor->book.pad, geometry->panel_rows, &m->book))
    return ellm_fail(err, ELLM_ERR_INTERNAL, "no plain code of %d bits", bits);
  m->offset = calloc(geometry->n_blocks + 1, sizeof *m->offset);
  if (m->offset == NULL) return ellm_fail_memory(err, geometry->n_blocks * sizeof *m->offset, "the blocks of a matrix");
  for (uint64_t i = 0; i < geometry->n_blocks; i++) {
    const coder_block block = coder_geometry_block(geometry, i);
    m->offset[i + 1] = m->offset[i];
    if (container_has_block(tensor, i)) m->offset[i + 1] += coder_plain_bytes(m->book.bits, coder_block_codes(&block));
  }
  m->data = ellm_aligned_calloc(m->offset[geometry->n_blocks], 1);
  return m->data != NULL ? ELLM_OK : ellm_fail_memory(err, m->offset[geometry->n_blocks], "decoded weights");
}

static ellm_status expand_all(expansion *e, thread_pool *pool, ellm_error *err) {
  const int n = thread_pool_size(pool);
  ellm_status status = ELLM_OK;
  e->shares = calloc((size_t)n, sizeof *e->shares);
  if (e->shares == NULL) return ellm_fail_memory(err, (size_t)n * sizeof *e->shares, "threads");
  for (int i = 0; i < n && status == ELLM_OK; i++) {
    e->shares[i] = ellm_aligned_calloc(1, sizeof **e->shares);
    status = e->shares[i] == NULL ? ellm_fail_memory(err, sizeof **e->shares, "scratch memory of a thread")
                                  : coder_encoder_create(&e->shares[i]->encoder, err);
  }
  work_failure_init(&e->failure);
  if (status == ELLM_OK) {
    pool_for(pool, (size_t)e->tensor->geometry.n_blocks, expand_block, e);
    status = work_failure_take(&e->failure, err);
  }
  for (int i = 0; i < n && e->shares[i] != NULL; i++) {
    coder_encoder_free(e->shares[i]->encoder);
    ellm_aligned_free(e->shares[i]);
  }
  free(e->shares);
  return status;
}

ellm_status expand_matrix(thread_pool *pool, coder_decode_fn decode, const ellm_file *file,
                          const container_tensor *tensor, expanded_matrix **out, ellm_error *err) {
  *out = NULL;
  expanded_matrix *m = calloc(1, sizeof *m);
  if (m == NULL) return ellm_fail_memory(err, sizeof *m, "a matrix");
  expansion e = {.file = file, .tensor = tensor, .decode = decode, .out = m};
  ellm_status status = allocate(m, tensor, err);
  if (status == ELLM_OK && tensor->quant.scales.outliers != 0) status = allocate_patches(m, file, tensor, err);
  if (status == ELLM_OK) status = expand_all(&e, pool, err);
  if (status == ELLM_OK) {
    container_drop_blocks(file, tensor);
    *out = m;
  } else {
    expanded_matrix_free(m);
  }
  return status;
}

void expanded_matrix_free(expanded_matrix *m) {
  if (m == NULL) return;
  free(m->offset);
  free(m->patches_offset);
  free(m->patches);
  ellm_aligned_free(m->data);
  free(m);
}
