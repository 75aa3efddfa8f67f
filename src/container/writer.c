/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing a .ellm file, front to back: 64 zero bytes, sections, directory; the
 * header last. Of a coded tensor only the block table is held in memory; its
 * place in the head is left free and filled when the last block is known.
 *
 * Sections are appended through a small buffer. `end` is the file's length,
 * buffered bytes included. A dry writer does all the same but has no file.
 */
#include "container/writer.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "container/hash.h"
#include "container/record.h"

enum { WRITE_BUFFER = 1 << 18 };

struct container_writer {
  char *path;
  file_writer *file;      /* NULL: dry */
  uint8_t *buffer;        /* WRITE_BUFFER bytes, `buffered` of them not yet written */
  size_t buffered;
  uint64_t end;
  bool sealed_tail;       /* nothing of an older partial file is beyond `end` */
  ellm_buffer directory;  /* records of finished sections */
  uint32_t n_records;
  size_t last_record;     /* offset of the last one in `directory` */
  /* the section being written */
  bool open;
  format_record record;
  char *name;
  hash_stream *hash;
  bool scales;            /* something needs minor version 1 (FORMAT_MINOR_SCALES) */
  bool part;              /* ... minor version 2 (FORMAT_MINOR_PART) */
  ellm_buffer fixed;      /* what is before the block table: code book, padding, scales */
  ellm_buffer table;      /* block table so far */
  uint64_t payload;
  ellm_totals totals;
};

/* Books that no program of minor version 0 reads. */
static bool is_newer(const coder_codebook *book) { return book->kind >= CODER_FIELDS; }

/* ---------------------------------------------------------------- appending */

static ellm_status flush(container_writer *writer, ellm_error *err) {
  if (writer->buffered == 0) return ELLM_OK;
  size_t bytes = writer->buffered;
  writer->buffered = 0;
  return file_writer_append(writer->file, writer->buffer, bytes, err);
}

static ellm_status append(container_writer *writer, const void *data, size_t bytes, ellm_error *err) {
  if (writer->file == NULL) {
    writer->end += bytes;
    return ELLM_OK;
  }
  if (!writer->sealed_tail) {
    ELLM_TRY(file_writer_truncate(writer->file, writer->end, err));
    writer->sealed_tail = true;
  }
  writer->end += bytes;
  if (bytes > WRITE_BUFFER - writer->buffered) {
    ELLM_TRY(flush(writer, err));
    if (bytes >= WRITE_BUFFER) return file_writer_append(writer->file, data, bytes, err);
  }
  if (bytes > 0) memcpy(writer->buffer + writer->buffered, data, bytes);
  writer->buffered += bytes;
  return ELLM_OK;
}

/* Into a place left free before. */
static ellm_status write_at(container_writer *writer, uint64_t offset, const void *data, size_t bytes,
                            ellm_error *err) {
  return writer->file != NULL ? file_writer_write_at(writer->file, offset, data, bytes, err) : ELLM_OK;
}

static ellm_status append_zeros(container_writer *writer, uint64_t bytes, ellm_error *err) {
  static const uint8_t zeros[4096];
  while (bytes > 0) {
    size_t piece = bytes < sizeof zeros ? (size_t)bytes : sizeof zeros;
    ELLM_TRY(append(writer, zeros, piece, err));
    bytes -= piece;
  }
  return ELLM_OK;
}

/* ------------------------------------------------------------ opening, closing */

static void writer_free(container_writer *writer) {
  free(writer->path);
  free(writer->buffer);
  free(writer->name);
  ellm_buffer_free(&writer->directory);
  ellm_buffer_free(&writer->fixed);
  ellm_buffer_free(&writer->table);
  hash_stream_free(writer->hash);
  free(writer);
}

void container_writer_abort(container_writer *writer) {
  if (writer == NULL) return;
  file_writer_abort(writer->file);
  writer_free(writer);
}

/* A writer without a file. */
static ellm_status writer_create(const char *path, container_writer **out, ellm_error *err) {
  container_writer *writer = calloc(1, sizeof *writer);
  if (writer == NULL) return ellm_fail_memory(err, sizeof *writer, "writing a .ellm file");
  size_t length = strlen(path) + 1;
  writer->path = malloc(length);
  writer->buffer = malloc(WRITE_BUFFER);
  writer->hash = hash_stream_create();
  if (writer->path == NULL || writer->buffer == NULL || writer->hash == NULL) {
    writer_free(writer);
    return ellm_fail_memory(err, WRITE_BUFFER, "writing a .ellm file");
  }
  memcpy(writer->path, path, length);
  *out = writer;
  return ELLM_OK;
}

ellm_status container_writer_open(const char *path, const file_writer_options *options, container_writer **out,
                                  ellm_error *err) {
  *out = NULL;
  container_writer *writer;
  ELLM_TRY(writer_create(path, &writer, err));
  ellm_status status = file_writer_open(path, options, &writer->file, err);
  if (status != ELLM_OK) {
    writer_free(writer);
    return status;
  }
  if (options->resume && file_writer_size(writer->file) >= FORMAT_HEADER_BYTES) {
    /* Sections of an earlier run may be adopted; the header becomes zeros again. */
    static const uint8_t zeros[FORMAT_HEADER_BYTES];
    writer->end = FORMAT_HEADER_BYTES;
    status = file_writer_write_at(writer->file, 0, zeros, sizeof zeros, err);
  } else {
    status = append_zeros(writer, FORMAT_HEADER_BYTES, err);
  }
  if (status != ELLM_OK) {
    container_writer_abort(writer);
    return status;
  }
  *out = writer;
  return ELLM_OK;
}

ellm_status container_writer_open_dry(container_writer **out, ellm_error *err) {
  *out = NULL;
  container_writer *writer;
  ELLM_TRY(writer_create("(dry run)", &writer, err));
  writer->end = FORMAT_HEADER_BYTES;
  *out = writer;
  return ELLM_OK;
}

/* ----------------------------------------------------------------- sections */

static ellm_status begin(container_writer *writer, uint32_t type, const char *name, ellm_error *err) {
  if (writer->open)
    return ellm_fail(err, ELLM_ERR_INTERNAL, "%s: section \"%s\" begun inside another", writer->path, name);
  size_t bytes = strlen(name);
  bool valid = type == RECORD_ASSET ? format_asset_name_valid(name, bytes) : format_name_valid(name, bytes);
  if (!valid)
    return ellm_fail(err, ELLM_ERR_INPUT,
                     "%s: the name \"%.100s\" cannot be stored (at most %d bytes, no control characters)", writer->path,
                     name, FORMAT_NAME_MAX);
  free(writer->name);
  writer->name = malloc(bytes + 1);
  if (writer->name == NULL) return ellm_fail_memory(err, bytes + 1, "a name");
  memcpy(writer->name, name, bytes + 1);
  writer->record = (format_record){.type = type,
                                   .flags = type == RECORD_METADATA ? 0 : RECORD_REQUIRED,
                                   .name = writer->name,
                                   .name_bytes = (uint32_t)bytes,
                                   .offset = writer->end};
  hash_stream_reset(writer->hash);
  writer->payload = 0;
  writer->table.size = 0;
  writer->fixed.size = 0;
  writer->open = true;
  return ELLM_OK;
}

static ellm_status add_record(container_writer *writer, ellm_error *err) {
  size_t bytes = format_record_bytes(&writer->record);
  if (bytes > FORMAT_RECORD_MAX || writer->n_records == FORMAT_RECORDS_MAX)
    return ellm_fail(err, ELLM_ERR_INPUT,
                     "%s: no room in the directory for \"%s\": a record of %zu bytes, %u records before it",
                     writer->path, writer->name, bytes, writer->n_records);
  if (!ellm_buffer_reserve(&writer->directory, bytes)) return ellm_fail_memory(err, bytes, "the directory");
  writer->last_record = writer->directory.size;
  writer->part = writer->part || writer->record.type == RECORD_PART;
  writer->scales = writer->scales || writer->record.granularity != 0 || writer->record.exact.used ||
                   writer->record.type == RECORD_COLUMNS;
  format_record_store(&writer->record, writer->directory.data + writer->directory.size);
  writer->directory.size += bytes;
  writer->n_records++;
  container_totals_add(&writer->totals, &writer->record);
  return ELLM_OK;
}

ellm_status container_writer_asset(container_writer *writer, const char *name, const void *data, size_t bytes,
                                   ellm_error *err) {
  ELLM_TRY(begin(writer, RECORD_ASSET, name, err));
  ELLM_TRY(container_writer_kept_bytes(writer, data, bytes, err));
  return container_writer_end(writer, err);
}

ellm_status container_writer_metadata(container_writer *writer, const char *name, const char *value, ellm_error *err) {
  ELLM_TRY(begin(writer, RECORD_METADATA, name, err));
  size_t bytes = strlen(value);
  if (bytes > FORMAT_VALUE_MAX)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: metadata \"%s\": %zu bytes, at most %d", writer->path, name, bytes,
                     FORMAT_VALUE_MAX);
  writer->record.value = value;
  writer->record.value_bytes = (uint32_t)bytes;
  return container_writer_end(writer, err);
}

ellm_status container_writer_part(container_writer *writer, const container_part *part, ellm_error *err) {
  uint8_t shares[4 * CONTAINER_PARTS_MAX];
  if (part->n_parts < 2 || part->n_parts > CONTAINER_PARTS_MAX || part->number < 1 || part->number > part->n_parts)
    return ellm_fail(err, ELLM_ERR_INTERNAL, "%s: part %u of %u", writer->path, part->number, part->n_parts);
  ELLM_TRY(begin(writer, RECORD_PART, FORMAT_PART_NAME, err));
  for (uint32_t i = 0; i < part->n_parts; i++) store_u32(shares + 4 * i, part->shares[i]);
  writer->record.part = *part;
  writer->record.share_bytes = shares;
  const ellm_status status = container_writer_end(writer, err);
  writer->record.share_bytes = NULL;
  return status;
}

static void take_shape(format_record *record, const container_tensor *tensor) {
  record->dtype = tensor->dtype;
  record->n_dims = tensor->n_dims;
  record->n_elements = tensor->n_elements;
  memcpy(record->shape, tensor->shape, sizeof record->shape);
}

ellm_status container_writer_begin_kept(container_writer *writer, const container_tensor *tensor, ellm_error *err) {
  ELLM_TRY(begin(writer, RECORD_KEPT, tensor->name, err));
  take_shape(&writer->record, tensor);
  return ELLM_OK;
}

ellm_status container_writer_kept_bytes(container_writer *writer, const void *data, size_t bytes, ellm_error *err) {
  if (!writer->open || writer->record.type == RECORD_CODED)
    return ellm_fail(err, ELLM_ERR_INTERNAL, "%s: data outside a kept tensor", writer->path);
  writer->record.head_bytes += bytes;
  hash_stream_add(writer->hash, data, bytes);
  return append(writer, data, bytes, err);
}

ellm_status container_writer_columns(container_writer *writer, const char *name, const uint16_t *factors,
                                     uint64_t n_columns, uint32_t *number, ellm_error *err) {
  uint16_t largest;
  if (n_columns == 0 || n_columns > UINT32_MAX || !format_factors_check(factors, n_columns, &largest))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: scales of columns %s: %llu factors, each to be positive and finite",
                     writer->path, name, (unsigned long long)n_columns);
  ELLM_TRY(begin(writer, RECORD_COLUMNS, name, err));
  writer->record.n_columns = n_columns;
  for (uint64_t i = 0; i < n_columns; i++) {
    uint8_t bytes[2];
    store_u16(bytes, factors[i]);
    ELLM_TRY(container_writer_kept_bytes(writer, bytes, sizeof bytes, err));
  }
  *number = writer->n_records;
  return container_writer_end(writer, err);
}

/* What the scales of a tensor ask for, checked. */
static ellm_status take_scales(container_writer *writer, const container_tensor *tensor, ellm_error *err) {
  const quant_scales *scales = &tensor->quant.scales;
  uint16_t largest = QUANT_SCALE_ONE;
  if (scales->rows != NULL) writer->record.granularity |= GRANULARITY_ROWS;
  if (scales->columns != NULL) writer->record.granularity |= GRANULARITY_COLUMNS;
  if (scales->outliers != 0) writer->record.granularity |= GRANULARITY_PATCHES;
  if (scales->columns != NULL && tensor->columns_record >= writer->n_records)
    return ellm_fail(err, ELLM_ERR_INTERNAL, "%s: tensor %s: its scales of columns are not those of a record",
                     writer->path, tensor->name);
  if (scales->rows != NULL && !format_factors_check(scales->rows, tensor->shape[0], &largest))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: a scale of a row is not positive and finite", writer->path,
                     tensor->name);
  return ELLM_OK;
}

ellm_status container_writer_begin_coded(container_writer *writer, const container_tensor *tensor, ellm_error *err) {
  if (tensor->geometry.n_blocks > UINT32_MAX)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: %llu blocks, at most 2^32 - 1", writer->path, tensor->name,
                     (unsigned long long)tensor->geometry.n_blocks);
  ELLM_TRY(begin(writer, RECORD_CODED, tensor->name, err));
  take_shape(&writer->record, tensor);
  writer->record.quant = tensor->quant;
  writer->record.exact = tensor->exact;
  writer->record.geometry = tensor->geometry;
  writer->record.groups = tensor->groups;
  writer->record.n_blocks = container_groups_blocks(&tensor->groups, &tensor->geometry);
  writer->record.entropy_bits = tensor->entropy_bits;
  writer->record.huffman_bits = tensor->huffman_bits;
  writer->scales = writer->scales || is_newer(&tensor->book);
  ELLM_TRY(take_scales(writer, tensor, err));
  const size_t scales_bytes = (size_t)format_scales_bytes(&writer->record), most = CODER_BOOK_MAX_BYTES + 3;
  if (!ellm_buffer_reserve(&writer->fixed, most + scales_bytes))
    return ellm_fail_memory(err, most + scales_bytes, "the head of a tensor");
  memset(writer->fixed.data, 0, most);
  const size_t book_bytes = (coder_codebook_store(&tensor->book, writer->fixed.data) + 3) & ~(size_t)3;
  if (scales_bytes > 0) format_scales_store(&writer->record, tensor, writer->fixed.data + book_bytes);
  writer->fixed.size = book_bytes + scales_bytes;
  writer->record.head_bytes = writer->fixed.size + FORMAT_TABLE_ENTRY * writer->record.n_blocks;
  return append_zeros(writer, writer->record.head_bytes, err);
}

ellm_status container_writer_block(container_writer *writer, const void *data, size_t bytes, uint32_t checksum,
                                   ellm_error *err) {
  if (!writer->open || writer->record.type != RECORD_CODED || bytes > CODER_MAX_BLOCK_BYTES)
    return ellm_fail(err, ELLM_ERR_INTERNAL, "%s: misplaced block of %zu bytes", writer->path, bytes);
  if (writer->payload + bytes > UINT32_MAX)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: its coded data exceed the format's limit of 4 GiB",
                     writer->path, writer->name);
  uint8_t entry[FORMAT_TABLE_ENTRY];
  store_u32(entry, (uint32_t)writer->payload);
  store_u32(entry + 4, checksum);
  if (!ellm_buffer_append(&writer->table, entry, sizeof entry))
    return ellm_fail_memory(err, writer->table.size, "a block table");
  writer->payload += bytes;
  return append(writer, data, bytes, err);
}

/* The head of a coded tensor, into the place left free for it. */
static ellm_status write_head(container_writer *writer, ellm_error *err) {
  if (writer->table.size != FORMAT_TABLE_ENTRY * writer->record.n_blocks)
    return ellm_fail(err, ELLM_ERR_INTERNAL, "%s: tensor %s: %zu blocks written instead of %llu", writer->path,
                     writer->name, writer->table.size / FORMAT_TABLE_ENTRY,
                     (unsigned long long)writer->record.n_blocks);
  const ellm_buffer *fixed = &writer->fixed;
  hash_stream_add(writer->hash, fixed->data, fixed->size);
  hash_stream_add(writer->hash, writer->table.data, writer->table.size);
  ELLM_TRY(flush(writer, err));
  ELLM_TRY(write_at(writer, writer->record.offset, fixed->data, fixed->size, err));
  return write_at(writer, writer->record.offset + fixed->size, writer->table.data, writer->table.size, err);
}

ellm_status container_writer_end(container_writer *writer, ellm_error *err) {
  static const uint8_t zeros[FORMAT_ALIGN];
  if (!writer->open) return ellm_fail(err, ELLM_ERR_INTERNAL, "%s: no section to end", writer->path);
  format_record *record = &writer->record;
  if (record->type == RECORD_KEPT && record->head_bytes != record->n_elements * ellm_dtype_size(record->dtype))
    return ellm_fail(err, ELLM_ERR_INTERNAL, "%s: tensor %s: wrong number of bytes", writer->path, writer->name);
  if (record->type == RECORD_CODED) ELLM_TRY(write_head(writer, err));
  record->payload_bytes = writer->payload;
  unsigned tail = format_padding(record->head_bytes + writer->payload);
  ELLM_TRY(append(writer, zeros, tail, err));
  hash_stream_add(writer->hash, zeros, tail);
  record->checksum = hash_stream_value(writer->hash);
  record->section_bytes = writer->end - record->offset;
  ELLM_TRY(add_record(writer, err));
  writer->open = false;
  return flush(writer, err); /* a finished section is in the file: a journal may name it now */
}

const uint8_t *container_writer_last_record(const container_writer *writer, size_t *bytes) {
  *bytes = writer->directory.size - writer->last_record;
  return writer->n_records > 0 ? writer->directory.data + writer->last_record : NULL;
}

void container_writer_last_sizes(const container_writer *writer, uint64_t *payload_bytes, uint64_t *stored_bytes) {
  *payload_bytes = writer->record.payload_bytes;
  *stored_bytes = writer->record.section_bytes + format_record_bytes(&writer->record);
}

void container_writer_last_place(const container_writer *writer, uint64_t *offset, uint64_t *section_bytes) {
  *offset = writer->record.offset;
  *section_bytes = writer->record.section_bytes;
}

/* --------------------------------------------------------------- going back */

container_mark container_writer_mark(const container_writer *writer) {
  return (container_mark){.end = writer->end,
                          .directory = writer->directory.size,
                          .last_record = writer->last_record,
                          .n_records = writer->n_records,
                          .scales = writer->scales,
                          .part = writer->part,
                          .totals = writer->totals};
}

ellm_status container_writer_rewind(container_writer *writer, const container_mark *mark, ellm_error *err) {
  if (writer->open || mark->end > writer->end)
    return ellm_fail(err, ELLM_ERR_INTERNAL, "%s: cannot go back from here", writer->path);
  writer->end = mark->end;
  writer->directory.size = mark->directory;
  writer->last_record = mark->last_record;
  writer->n_records = mark->n_records;
  writer->scales = mark->scales;
  writer->part = mark->part;
  writer->totals = mark->totals;
  if (writer->file == NULL) return ELLM_OK;
  writer->sealed_tail = true;
  return file_writer_truncate(writer->file, writer->end, err); /* nothing is buffered between sections */
}

uint32_t container_writer_records(const container_writer *writer) { return writer->n_records; }

/* ---------------------------------------------------------------- resuming */

/* Do the bytes of the section, as they are in the partial file, have the
 * record's checksums? Reads in pieces of at most CODER_MAX_BLOCK_BYTES. */
static ellm_status check_section(container_writer *writer, const format_record *record, uint8_t *head, bool *ok,
                                 ellm_error *err) {
  *ok = false;
  uint8_t *piece = writer->buffer; /* empty while sections are being adopted */
  hash_stream_reset(writer->hash);
  for (uint64_t done = 0; done < record->head_bytes;) {
    size_t bytes = record->head_bytes - done < CODER_MAX_BLOCK_BYTES ? (size_t)(record->head_bytes - done)
                                                                     : CODER_MAX_BLOCK_BYTES;
    ELLM_TRY(file_writer_read_at(writer->file, record->offset + done, piece, bytes, err));
    hash_stream_add(writer->hash, piece, bytes);
    if (head != NULL) memcpy(head + done, piece, bytes);
    done += bytes;
  }
  uint64_t payload = record->offset + record->head_bytes, tail = payload + record->payload_bytes;
  size_t tail_bytes = (size_t)(record->offset + record->section_bytes - tail);
  ELLM_TRY(file_writer_read_at(writer->file, tail, piece, tail_bytes, err));
  hash_stream_add(writer->hash, piece, tail_bytes);
  if (hash_stream_value(writer->hash) != record->checksum) return ELLM_OK;
  uint64_t n_blocks = record->type == RECORD_CODED ? record->n_blocks : 0;
  const uint8_t *table = n_blocks > 0 ? head + record->head_bytes - FORMAT_TABLE_ENTRY * n_blocks : NULL;
  for (uint64_t b = 0; b < n_blocks; b++) {
    uint64_t first = load_u32(table + FORMAT_TABLE_ENTRY * b);
    uint64_t last = b + 1 < n_blocks ? load_u32(table + FORMAT_TABLE_ENTRY * (b + 1)) : record->payload_bytes;
    if (last < first || last > record->payload_bytes || last - first > CODER_MAX_BLOCK_BYTES) return ELLM_OK;
    ELLM_TRY(file_writer_read_at(writer->file, payload + first, piece, (size_t)(last - first), err));
    if (container_block_checksum(piece, (size_t)(last - first)) != load_u32(table + FORMAT_TABLE_ENTRY * b + 4))
      return ELLM_OK;
  }
  *ok = true;
  return ELLM_OK;
}

/* A section whose bytes are at the end of the file becomes one of this file, if they have the record's checksums. */
static ellm_status take_over(container_writer *writer, const format_record *record, container_tensor *tensor, bool *taken,
                             ellm_error *err) {
  *taken = false;
  uint8_t *head = NULL;
  if (record->type == RECORD_CODED) {
    head = malloc((size_t)record->head_bytes);
    if (head == NULL) return ellm_fail_memory(err, (size_t)record->head_bytes, "a block table");
  }
  bool ok = false;
  ellm_status status = check_section(writer, record, head, &ok, err);
  coder_codebook book = {0};
  size_t book_bytes;
  if (status == ELLM_OK && ok && record->type == RECORD_CODED)
    ok = coder_codebook_load(head, (size_t)record->head_bytes, record->geometry.panel_rows, &book, &book_bytes);
  free(head);
  if (status != ELLM_OK || !ok) return status;

  free(writer->name);
  writer->name = malloc(record->name_bytes + 1);
  if (writer->name == NULL) return ellm_fail_memory(err, record->name_bytes + 1, "a name");
  memcpy(writer->name, record->name, record->name_bytes);
  writer->name[record->name_bytes] = '\0';
  writer->record = *record;
  writer->record.name = writer->name;
  writer->scales = writer->scales || is_newer(&book);
  ELLM_TRY(add_record(writer, err));
  writer->end = record->offset + record->section_bytes;
  if (tensor != NULL) container_tensor_from_record(record, writer->name, &book, tensor);
  *taken = true;
  return ELLM_OK;
}

ellm_status container_writer_adopt(container_writer *writer, const uint8_t *data, size_t bytes,
                                   container_tensor *tensor, bool *adopted, ellm_error *err) {
  *adopted = false;
  format_record record;
  size_t used;
  if (writer->sealed_tail || writer->open || writer->file == NULL) return ELLM_OK;
  if (format_record_parse(data, bytes, writer->path, writer->n_records, &record, &used, NULL) != ELLM_OK ||
      used != bytes || !format_type_known(record.type)) /* of others neither name nor fields are known */
    return ELLM_OK;
  uint64_t end;
  if (record.offset != writer->end || !ellm_add_u64(record.offset, record.section_bytes, &end) ||
      end > file_writer_size(writer->file))
    return ELLM_OK;
  return take_over(writer, &record, tensor, adopted, err);
}

/* ------------------------------------------------------- sections of other files */

ellm_status container_writer_read(container_writer *writer, uint64_t offset, void *data, size_t bytes, ellm_error *err) {
  return file_writer_read_at(writer->file, offset, data, bytes, err); /* a finished section is flushed */
}

ellm_status container_writer_take(container_writer *writer, const uint8_t *data, size_t bytes, container_fill_fn fill,
                                  void *user, container_tensor *tensor, ellm_error *err) {
  static const char damaged[] = "%s: a section that was made elsewhere was damaged on its way";
  format_record record;
  size_t used;
  bool taken;
  uint64_t end;
  if (writer->open || writer->file == NULL)
    return ellm_fail(err, ELLM_ERR_INTERNAL, "%s: misplaced section", writer->path);
  ELLM_TRY(format_record_parse(data, bytes, writer->path, writer->n_records, &record, &used, err));
  if (used != bytes || (record.type != RECORD_KEPT && record.type != RECORD_CODED) ||
      (record.granularity & GRANULARITY_COLUMNS) != 0 ||
      !ellm_add_u64(writer->end, record.section_bytes, &end))
    return ellm_fail(err, ELLM_ERR_INPUT, damaged, writer->path);
  uint8_t *piece = malloc(CONTAINER_PIECE);
  if (piece == NULL) return ellm_fail_memory(err, CONTAINER_PIECE, "a section");
  ellm_status status = ELLM_OK;
  record.offset = writer->end;
  for (uint64_t left = record.section_bytes; left > 0 && status == ELLM_OK;) {
    const size_t n = left < CONTAINER_PIECE ? (size_t)left : CONTAINER_PIECE;
    status = fill(user, piece, n, err);
    if (status == ELLM_OK) status = append(writer, piece, n, err);
    left -= n;
  }
  free(piece);
  if (status == ELLM_OK) status = flush(writer, err);
  ELLM_TRY(status);
  ELLM_TRY(take_over(writer, &record, tensor, &taken, err));
  return taken ? ELLM_OK : ellm_fail(err, ELLM_ERR_INPUT, damaged, writer->path);
}

/* ------------------------------------------------------------------- commit */

uint64_t container_writer_bytes(const container_writer *writer) {
  return writer->end + FORMAT_DIRECTORY_HEADER + writer->directory.size;
}

static ellm_status write_directory(container_writer *writer, const uint8_t source[16], ellm_error *err) {
  if (writer->open)
    return ellm_fail(err, ELLM_ERR_INTERNAL, "%s: section \"%s\" was not ended", writer->path, writer->name);
  uint8_t count[FORMAT_DIRECTORY_HEADER] = {0};
  store_u32(count, writer->n_records);
  format_header header = {.major = FORMAT_MAJOR,
                          .minor = writer->part ? FORMAT_MINOR_PART : writer->scales ? FORMAT_MINOR_SCALES : 0,
                          .directory_offset = writer->end,
                          .directory_bytes = FORMAT_DIRECTORY_HEADER + writer->directory.size};
  memcpy(header.source, source, 16);
  hash_stream_reset(writer->hash);
  hash_stream_add(writer->hash, count, sizeof count);
  hash_stream_add(writer->hash, writer->directory.data, writer->directory.size);
  header.directory_checksum = hash_stream_value(writer->hash);
  ELLM_TRY(append(writer, count, sizeof count, err));
  ELLM_TRY(append(writer, writer->directory.data, writer->directory.size, err));
  if (writer->file == NULL) return ELLM_OK;
  ELLM_TRY(flush(writer, err));
  ELLM_TRY(file_writer_sync(writer->file, err)); /* the header must not reach the disk before what it describes */
  uint8_t bytes[FORMAT_HEADER_BYTES];
  format_header_store(&header, bytes);
  return file_writer_write_at(writer->file, 0, bytes, sizeof bytes, err);
}

ellm_status container_writer_publish(container_writer *writer, const uint8_t source_identity[16], const char **path,
                                     ellm_error *err) {
  *path = NULL;
  if (writer->file == NULL) return ELLM_OK;
  const uint64_t end = writer->end;
  const ellm_status status = write_directory(writer, source_identity, err);
  writer->end = end;
  if (status == ELLM_OK) *path = file_writer_partial(writer->file);
  return status;
}

ellm_status container_writer_retract(container_writer *writer, ellm_error *err) {
  static const uint8_t zeros[FORMAT_HEADER_BYTES];
  if (writer->file == NULL) return ELLM_OK;
  ELLM_TRY(file_writer_write_at(writer->file, 0, zeros, sizeof zeros, err));
  return file_writer_truncate(writer->file, writer->end, err);
}

ellm_status container_writer_commit(container_writer *writer, const uint8_t source_identity[16], ellm_totals *totals,
                                    ellm_error *err) {
  ellm_status status = write_directory(writer, source_identity, err);
  if (status == ELLM_OK) {
    if (writer->file != NULL) status = file_writer_commit(writer->file, err);
    if (status == ELLM_OK && totals != NULL) {
      *totals = writer->totals;
      totals->file_bytes = writer->end;
      container_totals_finish(totals);
    }
  } else {
    file_writer_abort(writer->file);
  }
  writer_free(writer);
  return status;
}
