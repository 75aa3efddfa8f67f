/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing a .ellm file: sections in the order in which they are given, then the
 * directory, then the header.
 */
#ifndef ELLM_CONTAINER_WRITER_H
#define ELLM_CONTAINER_WRITER_H

#include "base/file_writer.h"
#include "container/tensor.h"

/* One thread at a time. */
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
/* Makes the file a part of a model: of its coded tensors those groups are stored that they name (container_tensor.groups). */
ellm_status container_writer_part(container_writer *writer, const container_part *part, ellm_error *err);
/* Make what is written so far a whole file, under the name of the partial one, that can be opened: *path, valid until
 * the writer is closed. container_writer_retract takes directory and header away again, and writing continues; whoever
 * has opened the file has closed it by then. A dry writer has no file: *path is NULL. */
ellm_status container_writer_publish(container_writer *writer, const uint8_t source_identity[16], const char **path,
                                     ellm_error *err);
ellm_status container_writer_retract(container_writer *writer, ellm_error *err);
/* Bytes that the file would have if it were committed now. */
uint64_t container_writer_bytes(const container_writer *writer);
/* Directory, header, fsync, rename. Frees the writer, also on error. `totals` may be NULL. */
ellm_status container_writer_commit(container_writer *writer, const uint8_t source_identity[16], ellm_totals *totals,
                                    ellm_error *err);
void container_writer_abort(container_writer *writer);
/* Text for people and tools; decoding does not need it. */
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
/* Append the section of a tensor that another writer has finished, and that refers to no other record: its record as
 * container_writer_last_record of that writer gave it, its bytes by `fill`, in order, in pieces of at most
 * CONTAINER_PIECE. ELLM_ERR_INPUT where it is none, or its checksums do not hold. `tensor` as above. */
enum { CONTAINER_PIECE = 65536 };
typedef ellm_status (*container_fill_fn)(void *user, void *data, size_t bytes, ellm_error *err);
ellm_status container_writer_take(container_writer *writer, const uint8_t *record, size_t bytes, container_fill_fn fill,
                                  void *user, container_tensor *tensor, ellm_error *err);
/* Bytes of a finished section, by their place in the file. */
ellm_status container_writer_read(container_writer *writer, uint64_t offset, void *data, size_t bytes, ellm_error *err);
/* How far a file is, between two sections; rewinding to a mark takes away what was written after it. */
typedef struct container_mark {
  uint64_t end;
  size_t directory, last_record;
  uint32_t n_records;
  bool scales, part;
  ellm_totals totals;
} container_mark;
container_mark container_writer_mark(const container_writer *writer);
ellm_status container_writer_rewind(container_writer *writer, const container_mark *mark, ellm_error *err);
/* Records so far: the number of the next one. */
uint32_t container_writer_records(const container_writer *writer);
/* Payload and stored bytes (section and directory record) of the section last ended. */
void container_writer_last_sizes(const container_writer *writer, uint64_t *payload_bytes, uint64_t *stored_bytes);
/* Where that section is in the file. */
void container_writer_last_place(const container_writer *writer, uint64_t *offset, uint64_t *section_bytes);

#endif
