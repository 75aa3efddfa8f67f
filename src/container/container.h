/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The .ellm file: docs/FORMAT.md is the specification. Payload sections first,
 * the directory after them, the fixed header at offset 0 written last. Every
 * byte lies in exactly one checksummed range. Opening validates header and
 * directory completely; section heads (code book, block table) are validated
 * when opened too; blocks are checked when first decoded.
 */
#ifndef ELLM_CONTAINER_CONTAINER_H
#define ELLM_CONTAINER_CONTAINER_H

#include "base/file.h"
#include "coder/coder.h"
#include "quant/quantize.h"

typedef enum container_storage {
  CONTAINER_KEPT = 0,   /* the source's bytes, verbatim */
  CONTAINER_CODED = 1   /* quantized; blocks of a coder_codebook (CODER_PLAIN included) */
} container_storage;

/* A tensor as the directory describes it. */
typedef struct container_tensor {
  const char *name;
  ellm_dtype dtype;            /* of the source */
  int n_dims;
  uint64_t shape[ELLM_MAX_DIMS];
  uint64_t n_elements;
  container_storage storage;
  /* CODED: */
  quant_params quant;
  coder_codebook book;
  coder_geometry geometry;
  double entropy_bits;         /* of the codes, in total */
  uint64_t huffman_bits;       /* unlimited single-symbol optimum, in total */
  uint64_t payload_bytes;      /* blocks only */
  uint64_t stored_bytes;       /* all that belongs to it: section with padding, directory record */
} container_tensor;

/* ------------------------------------------------------------------ writing */

typedef struct container_writer container_writer;

/* source_identity: 16 bytes. */
ellm_status container_writer_open(const char *path, const file_writer_options *options, container_writer **writer, ellm_error *err);
ellm_status container_writer_asset(container_writer *writer, const char *name, const void *data, size_t bytes, ellm_error *err);
/* A kept tensor: begin, its bytes in pieces, end. */
ellm_status container_writer_begin_kept(container_writer *writer, const container_tensor *tensor, ellm_error *err);
ellm_status container_writer_kept_bytes(container_writer *writer, const void *data, size_t bytes, ellm_error *err);
/* A coded tensor: begin, blocks in order, end. */
ellm_status container_writer_begin_coded(container_writer *writer, const container_tensor *tensor, ellm_error *err);
/* checksum: container_block_checksum of the bytes, so that threads can compute it. */
ellm_status container_writer_block(container_writer *writer, const void *data, size_t bytes, uint32_t checksum, ellm_error *err);
ellm_status container_writer_end(container_writer *writer, ellm_error *err);
uint32_t container_block_checksum(const void *data, size_t bytes);
/* Directory, header, fsync, rename. Frees the writer, also on error. `totals` may be NULL. */
ellm_status container_writer_commit(container_writer *writer, const uint8_t source_identity[16], ellm_totals *totals, ellm_error *err);
void container_writer_abort(container_writer *writer);
/* Bytes that a coded tensor takes beyond its blocks (for dry runs): head, padding, directory record. */
uint64_t container_coded_overhead(const container_tensor *tensor);

/* ------------------------------------------------------------------ reading */

/* ellm_file of the public header; ellm_file_open, _close, _tensor, ... live here. */
const container_tensor *container_tensor_at(const ellm_file *file, size_t index);
const container_tensor *container_find(const ellm_file *file, const char *name); /* NULL if absent */
const char *container_path(const ellm_file *file);
size_t container_asset_count(const ellm_file *file);
const char *container_asset_name(const ellm_file *file, size_t index);

/* Bytes of a kept tensor; the section's checksum is verified on first use. */
ellm_status container_kept(const ellm_file *file, const container_tensor *tensor, const uint8_t **data, ellm_error *err);

/* One block: its checksum is verified on first use (thread-safe), then it is
 * decoded by `decode` to tile-ordered codes. ELLM_ERR_INPUT names file, tensor
 * and block when it is damaged. */
ellm_status container_decode_block(const ellm_file *file, const container_tensor *tensor, uint64_t block, coder_decode_fn decode,
                                   coder_scratch *scratch, uint8_t *codes, ellm_error *err);
/* Coded bytes of blocks [first, last): for balancing work. */
uint64_t container_blocks_bytes(const container_tensor *tensor, uint64_t first, uint64_t last);
/* Raw access for verify: block bytes and stored checksum. */
ellm_status container_block_at(const ellm_file *file, const container_tensor *tensor, uint64_t block, const uint8_t **data, size_t *bytes,
                               uint32_t *checksum, ellm_error *err);

/* True when the first bytes are those of a .ellm file. */
bool container_probe(const char *path);

#endif
