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
#include "coder/codebook.h"
#include "coder/decode_scalar.h"
#include "coder/geometry.h"
#include "coder/patches.h"
#include "quant/exact.h"
#include "quant/quantize.h"

typedef enum container_storage {
  CONTAINER_KEPT = 0,   /* the source's bytes, verbatim */
  CONTAINER_CODED = 1   /* quantized, or exact; blocks of a coder_codebook (CODER_PLAIN included) */
} container_storage;

enum { CONTAINER_NO_COLUMNS = UINT32_MAX };

/* A tensor as the directory describes it. */
typedef struct container_tensor {
  const char *name;
  ellm_dtype dtype;            /* of the source */
  int n_dims;
  uint64_t shape[ELLM_MAX_DIMS];
  uint64_t n_elements;
  container_storage storage;
  /* CODED: */
  quant_params quant;          /* exact: bits is 8, all else 0 */
  exact_form exact;            /* its elements are stored exactly: codes and rests (quant/exact.h) */
  uint32_t columns_record;     /* of scales.columns, where these are not NULL */
  coder_codebook book;
  coder_geometry geometry;
  double entropy_bits;         /* of the codes, in total */
  uint64_t huffman_bits;       /* unlimited single-symbol optimum, in total */
  uint64_t payload_bytes;      /* blocks only */
  uint64_t stored_bytes;       /* all that belongs to it: section with padding, directory record */
} container_tensor;

/* ------------------------------------------------------------------ writing */

typedef struct container_writer container_writer;

ellm_status container_writer_open(const char *path, const file_writer_options *options, container_writer **writer,
                                  ellm_error *err);
/* A writer that takes everything and writes nothing, for sizes: commit gives exact totals. */
ellm_status container_writer_open_dry(container_writer **writer, ellm_error *err);
ellm_status container_writer_asset(container_writer *writer, const char *name, const void *data, size_t bytes,
                                   ellm_error *err);
/* A kept tensor: begin, its bytes in pieces, end. */
ellm_status container_writer_begin_kept(container_writer *writer, const container_tensor *tensor, ellm_error *err);
ellm_status container_writer_kept_bytes(container_writer *writer, const void *data, size_t bytes, ellm_error *err);
/* Factors of columns, stored once for the matrices that read the same input, before these. `name` is unique among
 * them; *record goes to container_tensor.columns_record, as
 * the factors go to its scales. */
ellm_status container_writer_columns(container_writer *writer, const char *name, const uint16_t *factors,
                                     uint64_t n_columns, uint32_t *record, ellm_error *err);
/* A coded tensor: begin, blocks in order, end. Of its scales, rows are stored with it where they are not NULL, columns
 * by the number of their record; where outliers is not 0 every block begins with its patches (coder/patches.h). Where the
 * tensor is exact every block begins with its rests (kernels/exact.h). */
ellm_status container_writer_begin_coded(container_writer *writer, const container_tensor *tensor, ellm_error *err);
/* checksum: container_block_checksum of the bytes, so that threads can compute it. */
ellm_status container_writer_block(container_writer *writer, const void *data, size_t bytes, uint32_t checksum,
                                   ellm_error *err);
ellm_status container_writer_end(container_writer *writer, ellm_error *err);
/* Make what is written so far a whole file, under the name of the partial one, that can be opened: *path, valid until
 * the writer is closed. container_writer_retract takes directory and header away again, and writing goes on; whoever
 * has opened the file has closed it by then. A dry writer has no file: *path is NULL. */
ellm_status container_writer_publish(container_writer *writer, const uint8_t source_identity[16], const char **path,
                                     ellm_error *err);
ellm_status container_writer_retract(container_writer *writer, ellm_error *err);
/* Bytes that the file would have if it were committed now. */
uint64_t container_writer_bytes(const container_writer *writer);
uint32_t container_block_checksum(const void *data, size_t bytes);
/* Directory, header, fsync, rename. Frees the writer, also on error. `totals` may be NULL. */
ellm_status container_writer_commit(container_writer *writer, const uint8_t source_identity[16], ellm_totals *totals,
                                    ellm_error *err);
void container_writer_abort(container_writer *writer);
/* Text for people and tools; decoding does not need it. */
enum { CONTAINER_METADATA_MAX = 16384 };
ellm_status container_writer_metadata(container_writer *writer, const char *name, const char *value, ellm_error *err);
/* The directory record of the section last ended, NULL if none; valid until the
 * next call. A journal of these lets a later run adopt finished sections. */
const uint8_t *container_writer_last_record(const container_writer *writer, size_t *bytes);
/* Take over a section that an earlier run wrote (writer opened with `resume`,
 * before anything else is written): its record as container_writer_last_record
 * gave it. *adopted is false where the partial file does not hold that section
 * with all its checksums; nothing is changed then. `tensor` (may be NULL) gets
 * its description; the name is valid until the next call. */
ellm_status container_writer_adopt(container_writer *writer, const uint8_t *record, size_t bytes,
                                   container_tensor *tensor, bool *adopted, ellm_error *err);
/* Payload and stored bytes (section and directory record) of the section last ended. */
void container_writer_last_sizes(const container_writer *writer, uint64_t *payload_bytes, uint64_t *stored_bytes);
/* Sums to means: entropy and huffman_bits_per_weight hold bits in total before. */
void container_totals_finish(ellm_totals *totals);

/* ------------------------------------------------------------------ reading */

/* ellm_file of the public header; ellm_file_open, _close, _tensor, ... live here. */
const container_tensor *container_tensor_at(const ellm_file *file, size_t index);
const container_tensor *container_find(const ellm_file *file, const char *name); /* NULL if absent */
const char *container_path(const ellm_file *file);
const char *container_asset_name(const ellm_file *file, size_t index);

/* Bytes of a kept tensor; the section's checksum is verified on first use. */
ellm_status container_kept(const ellm_file *file, const container_tensor *tensor, const uint8_t **data,
                           ellm_error *err);

/* A block: its coded bytes, CODER_SLACK readable ones after them, its patches (n is 0 where there are none), and, of an
 * exact tensor, its rests. */
typedef struct container_block {
  const uint8_t *data;
  size_t bytes;
  coder_patches patches;
  const uint8_t *rests;
} container_block;
/* One block: checksum and patches are verified on first use (thread-safe), then it
 * is decoded by `decode` to tile-ordered codes, patches not yet added. ELLM_ERR_INPUT
 * names file, tensor and block when it is damaged. `patches` may be NULL. */
ellm_status container_decode_block(const ellm_file *file, const container_tensor *tensor, uint64_t index,
                                   coder_decode_fn decode, coder_scratch *scratch, uint8_t *codes,
                                   coder_patches *patches, ellm_error *err);
/* The two halves of it, for kernels that decode and multiply at once: the bytes of
 * a block, checked on first use; and the error of a block that a kernel refused. */
ellm_status container_checked_block(const ellm_file *file, const container_tensor *tensor, uint64_t index,
                                    container_block *block, ellm_error *err);
ellm_status container_undecodable(const ellm_file *file, const container_tensor *tensor, uint64_t block,
                                  ellm_error *err);
/* The blocks of a coded tensor are not wanted for now: file_map_drop. */
void container_drop_blocks(const ellm_file *file, const container_tensor *tensor);
/* Raw access for verify: block bytes, patches and rests included, and stored checksum. */
ellm_status container_block_at(const ellm_file *file, const container_tensor *tensor, uint64_t block,
                               const uint8_t **data, size_t *bytes, uint32_t *checksum, ellm_error *err);
/* Those bytes as a block; false if the patches break a rule or the rests are not there. */
bool container_block_from(const container_tensor *tensor, uint64_t index, const uint8_t *data, size_t bytes,
                          container_block *block);

/* ellm_file_open over bytes in memory, which must outlive the file; `name` takes
 * the place of the path in errors. For tests and fuzzing. */
ellm_status container_open_memory(const void *data, size_t bytes, const char *name, ellm_file **file, ellm_error *err);
/* Open for verification: a damaged section does not stop the opening, but is
 * reported through `problem` (one line); its tensor or asset is then unusable.
 * Errors of header and directory are returned as ever. Kept tensors and the
 * sections of unknown optional records are checked as well. */
typedef void (*container_problem_fn)(void *user, const char *text);
ellm_status container_open_lenient(const char *path, container_problem_fn problem, void *user, ellm_file **file,
                                   ellm_error *err);
bool container_tensor_usable(const container_tensor *tensor);
uint64_t container_file_bytes(const ellm_file *file);
/* ellm_file_open over a copy in memory: file_map_load. */
ellm_status container_open_loaded(const char *path, ellm_file **file, ellm_error *err);
/* Keeps the whole file in memory: file_map_lock. */
ellm_status container_lock(const ellm_file *file, ellm_error *err);
/* The public description of a tensor; strings as those of `tensor`. */
void container_tensor_describe(const container_tensor *tensor, ellm_tensor_info *info);
/* Value of a metadata record, NUL-terminated, or NULL. */
const char *container_metadata(const ellm_file *file, const char *name);

/* True when the first bytes are those of a .ellm file. */
bool container_probe(const char *path);

#endif
