/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a .ellm file in place. Opening checks, in this order: header,
 * directory checksum, every record and that their sections fill the file
 * without gaps, names, then each coded tensor's head (checksum, code book,
 * scales, block table), scales of columns and each asset. What is left for first use are blocks and kept
 * tensors: one byte a block says that its checksum was found right. Two threads
 * may check the same block at once, which does no harm.
 *
 * After opening, an ellm_file is constant but for those flags.
 */
#include "container/reader.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/memory.h"
#include "container/hash.h"
#include "container/record.h"

typedef struct section {
  uint64_t offset, bytes, head_bytes, checksum;
} section;

typedef struct tensor_entry {
  container_tensor tensor;     /* first: container_tensor_at hands out its address */
  section where;
  const uint8_t *data;         /* kept: the bytes; coded: the payload */
  const uint8_t *table;        /* coded: block table */
  atomic_uchar *checked;       /* coded: one a block; kept: one */
  const ellm_file *file;
  bool usable;
} tensor_entry;

typedef struct asset_entry {
  const char *name;
  section where;
  bool usable;
} asset_entry;

typedef struct columns_entry { /* factors of columns */
  const char *name;
  section where;
  uint32_t record;             /* its number in the directory: ascending */
  uint64_t n;
  const uint16_t *factors;
  uint16_t largest;
  bool usable;
} columns_entry;

typedef struct metadata_entry { const char *name, *value; } metadata_entry;

struct ellm_file {
  file_map map;                /* path NULL: memory of the caller's */
  const uint8_t *data;
  uint64_t size;
  char *path;
  format_header header;
  uint8_t self[16];
  tensor_entry *tensors;
  const tensor_entry **by_name;
  asset_entry *assets;
  metadata_entry *metadata;
  columns_entry *columns;
  size_t n_tensors, n_assets, n_metadata, n_columns;
  container_part part;         /* number 0: a whole model */
  uint32_t *shares;            /* part.shares */
  char *text;                  /* all names and values, NUL-terminated */
  atomic_uchar *checked;
  ellm_totals totals;
};

static const tensor_entry *entry_of(const container_tensor *tensor) {
  return (const tensor_entry *)(const void *)tensor;
}

/* ------------------------------------------------------------------ sections */

/* Checksum of head and tail, `payload` bytes are between them; and the tail is zero. */
static ellm_status check_section(const ellm_file *file, const section *where, uint64_t payload, const char *what,
                                 const char *name, ellm_error *err) {
  const uint8_t *head = file->data + where->offset;
  uint64_t sum;
  if (payload == 0) {
    sum = hash64(head, (size_t)where->bytes);
  } else {
    hash_stream *hash = hash_stream_create();
    if (hash == NULL) return ellm_fail_memory(err, 1024, "a checksum");
    hash_stream_add(hash, head, (size_t)where->head_bytes);
    hash_stream_add(hash, head + where->head_bytes + payload, (size_t)(where->bytes - where->head_bytes - payload));
    sum = hash_stream_value(hash);
    hash_stream_free(hash);
  }
  if (sum != where->checksum)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s %s: wrong checksum of the section at %llu, the file is damaged",
                     file->path, what, name, (unsigned long long)where->offset);
  for (uint64_t i = where->head_bytes + payload; i < where->bytes; i++)
    if (head[i] != 0)
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s %s: padding of the section at %llu is not zero", file->path, what,
                       name, (unsigned long long)where->offset);
  return ELLM_OK;
}

static ellm_status load_columns(const ellm_file *file, columns_entry *columns, ellm_error *err) {
  ELLM_TRY(check_section(file, &columns->where, 0, "scales of columns", columns->name, err));
  /* sections begin at multiples of 64 bytes: aligned, and readable beyond the last factor to a multiple of 4 */
  columns->factors = (const uint16_t *)(const void *)(file->data + columns->where.offset);
  if (!format_factors_check(columns->factors, columns->n, &columns->largest))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: scales of columns %s: a factor is not positive and finite", file->path,
                     columns->name);
  columns->usable = true;
  return ELLM_OK;
}

static const columns_entry *find_columns(const ellm_file *file, uint32_t record) {
  size_t low = 0, high = file->n_columns;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (file->columns[middle].record == record) return &file->columns[middle];
    if (file->columns[middle].record < record) low = middle + 1;
    else high = middle;
  }
  return NULL;
}

/* The scales of a tensor with a granularity: `data` is where they begin in its head. Scales of columns are found among
 * the records before the tensor's; those after it are not loaded yet. */
static ellm_status load_scales(const ellm_file *file, const format_record *record, const uint8_t *data,
                               container_tensor *tensor, ellm_error *err) {
  quant_scales *scales = &tensor->quant.scales;
  uint16_t largest_row = QUANT_SCALE_ONE, largest_column = QUANT_SCALE_ONE;
  tensor->columns_record = load_u32(data);
  scales->outliers = load_u64(data + 8);
  const bool patches = (record->granularity & GRANULARITY_PATCHES) != 0;
  if (load_u32(data + 4) != 0 || (scales->outliers != 0) != patches || scales->outliers > tensor->n_elements)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: scales: %llu outliers make no sense", file->path,
                     tensor->name, (unsigned long long)scales->outliers);
  if ((record->granularity & GRANULARITY_COLUMNS) != 0) {
    const columns_entry *columns = find_columns(file, tensor->columns_record);
    if (columns == NULL || columns->n != tensor->shape[1])
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: record %u does not hold scales of its %llu columns",
                       file->path, tensor->name, tensor->columns_record, (unsigned long long)tensor->shape[1]);
    if (!columns->usable)
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: its scales of columns %s are damaged", file->path,
                       tensor->name, columns->name);
    scales->columns = columns->factors;
    largest_column = columns->largest;
  } else if (tensor->columns_record != CONTAINER_NO_COLUMNS) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: scales of columns in record %u, but none are announced",
                     file->path, tensor->name, tensor->columns_record);
  }
  if ((record->granularity & GRANULARITY_ROWS) != 0) {
    const uint8_t *rows = data + FORMAT_SCALES_FIXED;
    for (uint64_t i = FORMAT_SCALES_FIXED + 2 * tensor->shape[0]; i < format_scales_bytes(record); i++)
      if (data[i] != 0)
        return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: padding of the scales of rows is not zero", file->path,
                         tensor->name);
    scales->rows = (const uint16_t *)(const void *)rows; /* at a multiple of 4 */
    if (!format_factors_check(scales->rows, tensor->shape[0], &largest_row))
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: a scale of a row is not positive and finite", file->path,
                       tensor->name);
  }
  if (!format_scales_finite(scales, largest_row, largest_column))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: its scales give weights beyond float32", file->path,
                     tensor->name);
  return ELLM_OK;
}

static ellm_status load_coded(const ellm_file *file, const format_record *record, tensor_entry *entry,
                              ellm_error *err) {
  container_tensor *tensor = &entry->tensor;
  ELLM_TRY(check_section(file, &entry->where, tensor->payload_bytes, "tensor", tensor->name, err));
  const uint8_t *head = file->data + entry->where.offset;
  const uint64_t n_blocks = record->n_blocks;
  const uint64_t scales_bytes = format_scales_bytes(record);
  /* not negative: format_record_parse */
  uint64_t room = entry->where.head_bytes - FORMAT_TABLE_ENTRY * n_blocks - scales_bytes;
  size_t used = 0;
  if (!coder_codebook_load(head, (size_t)room, tensor->geometry.panel_rows, &tensor->book, &used))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: malformed code book", file->path, tensor->name);
  if (tensor->book.bits != tensor->quant.bits)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: code book of %d bits for codes of %d", file->path,
                     tensor->name, tensor->book.bits, tensor->quant.bits);
  bool padded = room - used < 4 && room % 4 == 0;
  for (uint64_t i = used; padded && i < room; i++) padded = head[i] == 0;
  if (!padded)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: %llu head bytes do not fit the code book of %zu", file->path,
                     tensor->name, (unsigned long long)entry->where.head_bytes, used);
  if (scales_bytes > 0) ELLM_TRY(load_scales(file, record, head + room, tensor, err));
  const uint8_t *table = head + room + scales_bytes;
  for (uint64_t b = 0; b < n_blocks; b++) {
    uint64_t first = load_u32(table + FORMAT_TABLE_ENTRY * b);
    uint64_t last = b + 1 < n_blocks ? load_u32(table + FORMAT_TABLE_ENTRY * (b + 1)) : tensor->payload_bytes;
    if ((b == 0 && first != 0) || last < first || last - first > CODER_MAX_BLOCK_BYTES || last > tensor->payload_bytes)
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: block table: block %llu at %llu to %llu", file->path,
                       tensor->name, (unsigned long long)b, (unsigned long long)first, (unsigned long long)last);
  }
  entry->table = table;
  entry->data = head + entry->where.head_bytes;
  entry->usable = true;
  return ELLM_OK;
}

/* ----------------------------------------------------------------- directory */

typedef struct directory_counts { size_t tensors, assets, metadata, columns, text; uint64_t flags; } directory_counts;

/* First walk over the directory: validates every record and the order of the
 * sections, so that the second one need not check again. */
static ellm_status walk_directory(const ellm_file *file, directory_counts *counts, ellm_error *err) {
  const uint8_t *directory = file->data + file->header.directory_offset;
  uint64_t bytes = file->header.directory_bytes, at = FORMAT_DIRECTORY_HEADER, end = FORMAT_HEADER_BYTES;
  uint32_t n = load_u32(directory);
  if (load_u32(directory + 4) != 0)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: directory: reserved field is not 0", file->path);
  if (n > FORMAT_RECORDS_MAX)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: directory: %u records, at most %d", file->path, n, FORMAT_RECORDS_MAX);
  for (uint32_t i = 0; i < n; i++) {
    format_record record;
    size_t used;
    ELLM_TRY(format_record_parse(directory + at, bytes - at, file->path, i, &record, &used, err));
    at += used;
    if (record.offset != end || !ellm_add_u64(end, record.section_bytes, &end) || end > file->header.directory_offset)
      return ellm_fail(err, ELLM_ERR_INPUT,
                       "%s: directory record %u: section of %llu bytes at %llu, expected at %llu and before %llu",
                       file->path, i, (unsigned long long)record.section_bytes, (unsigned long long)record.offset,
                       (unsigned long long)end, (unsigned long long)file->header.directory_offset);
    if (!format_type_known(record.type)) continue;
    counts->text += (size_t)record.name_bytes + record.value_bytes + 2;
    counts->assets += record.type == RECORD_ASSET;
    counts->metadata += record.type == RECORD_METADATA;
    counts->columns += record.type == RECORD_COLUMNS;
    counts->tensors += record.type == RECORD_KEPT || record.type == RECORD_CODED;
    counts->flags += record.type == RECORD_KEPT ? 1 : record.type == RECORD_CODED ? record.n_blocks : 0;
  }
  if (at != bytes)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: directory: %llu bytes after the last record", file->path,
                     (unsigned long long)(bytes - at));
  if (end != file->header.directory_offset)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: sections end at %llu, the directory starts at %llu", file->path,
                     (unsigned long long)end, (unsigned long long)file->header.directory_offset);
  return ELLM_OK;
}

static const char *keep_text(char **text, const char *from, size_t bytes) {
  char *kept = *text;
  memcpy(kept, from, bytes);
  kept[bytes] = '\0';
  *text += bytes + 1;
  return kept;
}

/* A problem with one section: fatal, or told to `problem` and gone on from. */
static ellm_status section_result(ellm_status status, container_problem_fn problem, void *user, ellm_error *err) {
  if (status != ELLM_ERR_INPUT || problem == NULL) return status;
  problem(user, err->message);
  return ELLM_OK;
}

static ellm_status load_tensor(ellm_file *file, const format_record *record, const char *name, atomic_uchar **checked,
                               container_problem_fn problem, void *user, ellm_error *err) {
  tensor_entry *entry = &file->tensors[file->n_tensors++];
  container_tensor_from_record(record, name, NULL, &entry->tensor);
  entry->where = (section){record->offset, record->section_bytes, record->head_bytes, record->checksum};
  entry->checked = *checked;
  entry->file = file;
  if (record->type == RECORD_KEPT) {
    *checked += 1;
    entry->data = file->data + record->offset;
    if (problem != NULL) {
      ellm_status status = check_section(file, &entry->where, 0, "tensor", name, err);
      entry->usable = status == ELLM_OK;
      return section_result(status, problem, user, err);
    }
    entry->usable = true;
    return ELLM_OK;
  }
  *checked += record->n_blocks;
  return section_result(load_coded(file, record, entry, err), problem, user, err);
}

static ellm_status load_part(ellm_file *file, const format_record *record, ellm_error *err) {
  const uint32_t n = record->part.n_parts;
  if (file->part.number != 0)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: the name %s occurs twice in the directory", file->path, FORMAT_PART_NAME);
  file->part = record->part;
  file->part.shares = file->shares = malloc(n * sizeof *file->shares);
  if (file->shares == NULL) return ellm_fail_memory(err, n * sizeof *file->shares, "the shares of a part");
  for (uint32_t i = 0; i < n; i++) file->shares[i] = load_u32(record->share_bytes + 4 * i);
  return ELLM_OK;
}

/* Only a part lacks row groups. */
static ellm_status check_groups(const ellm_file *file, ellm_error *err) {
  for (size_t i = 0; i < file->n_tensors && file->part.number == 0; i++)
    if (file->tensors[i].tensor.groups.some)
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: some of its row groups, but the file is no part", file->path,
                       file->tensors[i].tensor.name);
  return ELLM_OK;
}

static ellm_status load_records(ellm_file *file, container_problem_fn problem, void *user, ellm_error *err) {
  const uint8_t *directory = file->data + file->header.directory_offset;
  uint64_t bytes = file->header.directory_bytes, at = FORMAT_DIRECTORY_HEADER;
  char *text = file->text;
  atomic_uchar *checked = file->checked;
  for (uint32_t i = 0, n = load_u32(directory); i < n; i++) {
    format_record record;
    size_t used;
    ELLM_TRY(format_record_parse(directory + at, bytes - at, file->path, i, &record, &used, err));
    at += used;
    section where = {record.offset, record.section_bytes, record.head_bytes, record.checksum};
    ellm_status status = ELLM_OK;
    if (!format_type_known(record.type)) {
      if (problem != NULL)
        status = section_result(check_section(file, &where, 0, "unknown", "record", err), problem, user, err);
      if (status != ELLM_OK) return status;
      continue;
    }
    const char *name = keep_text(&text, record.name, record.name_bytes);
    container_totals_add(&file->totals, &record);
    if (record.type == RECORD_METADATA) {
      file->metadata[file->n_metadata++] = (metadata_entry){name, keep_text(&text, record.value, record.value_bytes)};
      status = section_result(check_section(file, &where, 0, "metadata", name, err), problem, user, err);
    } else if (record.type == RECORD_COLUMNS) {
      columns_entry *columns = &file->columns[file->n_columns++];
      *columns = (columns_entry){.name = name, .where = where, .record = i, .n = record.n_columns};
      status = section_result(load_columns(file, columns, err), problem, user, err);
    } else if (record.type == RECORD_PART) {
      status = load_part(file, &record, err);
      if (status == ELLM_OK)
        status = section_result(check_section(file, &where, 0, "the record", name, err), problem, user, err);
    } else if (record.type == RECORD_ASSET) {
      asset_entry *asset = &file->assets[file->n_assets++];
      *asset = (asset_entry){.name = name, .where = where};
      status = check_section(file, &where, 0, "asset", name, err);
      asset->usable = status == ELLM_OK;
      status = section_result(status, problem, user, err);
    } else {
      status = load_tensor(file, &record, name, &checked, problem, user, err);
    }
    if (status != ELLM_OK) return status;
  }
  return check_groups(file, err);
}

/* --------------------------------------------------------------------- names */

static int compare_tensors(const void *a, const void *b) {
  return strcmp((*(const tensor_entry *const *)a)->tensor.name, (*(const tensor_entry *const *)b)->tensor.name);
}

static int compare_assets(const void *a, const void *b) {
  return strcmp(((const asset_entry *)a)->name, ((const asset_entry *)b)->name);
}

static int compare_metadata(const void *a, const void *b) {
  return strcmp(((const metadata_entry *)a)->name, ((const metadata_entry *)b)->name);
}

static int compare_columns(const void *a, const void *b) {
  return strcmp((*(const columns_entry *const *)a)->name, (*(const columns_entry *const *)b)->name);
}

/* Names of scales of columns; their entries stay in the order of the directory. */
static ellm_status check_columns_names(const ellm_file *file, const char **twice, ellm_error *err) {
  const columns_entry **sorted = calloc(file->n_columns + 1, sizeof *sorted);
  if (sorted == NULL) return ellm_fail_memory(err, file->n_columns * sizeof *sorted, "the directory");
  for (size_t i = 0; i < file->n_columns; i++) sorted[i] = &file->columns[i];
  if (file->n_columns > 0) qsort(sorted, file->n_columns, sizeof *sorted, compare_columns);
  for (size_t i = 1; i < file->n_columns; i++)
    if (compare_columns(&sorted[i - 1], &sorted[i]) == 0) *twice = sorted[i]->name;
  free(sorted);
  return ELLM_OK;
}

static ellm_status sort_names(ellm_file *file, ellm_error *err) {
  for (size_t i = 0; i < file->n_tensors; i++) file->by_name[i] = &file->tensors[i];
  if (file->n_tensors > 0) qsort(file->by_name, file->n_tensors, sizeof *file->by_name, compare_tensors);
  if (file->n_assets > 0) qsort(file->assets, file->n_assets, sizeof *file->assets, compare_assets);
  if (file->n_metadata > 0) qsort(file->metadata, file->n_metadata, sizeof *file->metadata, compare_metadata);
  const char *twice = NULL;
  ELLM_TRY(check_columns_names(file, &twice, err));
  for (size_t i = 1; i < file->n_tensors; i++)
    if (compare_tensors(&file->by_name[i - 1], &file->by_name[i]) == 0) twice = file->by_name[i]->tensor.name;
  for (size_t i = 1; i < file->n_assets; i++)
    if (compare_assets(&file->assets[i - 1], &file->assets[i]) == 0) twice = file->assets[i].name;
  for (size_t i = 1; i < file->n_metadata; i++)
    if (compare_metadata(&file->metadata[i - 1], &file->metadata[i]) == 0) twice = file->metadata[i].name;
  if (twice != NULL)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: the name %s occurs twice in the directory", file->path, twice);
  return ELLM_OK;
}

/* ------------------------------------------------------------------- opening */

static ellm_status load(ellm_file *file, container_problem_fn problem, void *user, ellm_error *err) {
  ELLM_TRY(format_header_parse(file->data, file->size, file->path, &file->header, err));
  const uint8_t *directory = file->data + file->header.directory_offset;
  if (hash64(directory, (size_t)file->header.directory_bytes) != file->header.directory_checksum)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: directory: wrong checksum, the file is damaged", file->path);
  hash128(directory, (size_t)file->header.directory_bytes, file->self);

  directory_counts counts = {0};
  ELLM_TRY(walk_directory(file, &counts, err));
  /* Bounded by the size of the file: a record has at least 48 bytes, a block 8 in its table. */
  file->tensors = calloc(counts.tensors + 1, sizeof *file->tensors);
  file->by_name = calloc(counts.tensors + 1, sizeof *file->by_name);
  file->assets = calloc(counts.assets + 1, sizeof *file->assets);
  file->metadata = calloc(counts.metadata + 1, sizeof *file->metadata);
  file->columns = calloc(counts.columns + 1, sizeof *file->columns);
  file->text = malloc(counts.text + 1);
  file->checked = calloc((size_t)counts.flags + 1, sizeof *file->checked);
  if (file->tensors == NULL || file->by_name == NULL || file->assets == NULL || file->metadata == NULL ||
      file->columns == NULL || file->text == NULL || file->checked == NULL)
    return ellm_fail_memory(err, counts.tensors * sizeof *file->tensors + counts.text, "the directory");
  ELLM_TRY(load_records(file, problem, user, err));
  ELLM_TRY(sort_names(file, err));
  file->totals.file_bytes = file->size;
  container_totals_finish(&file->totals);
  return ELLM_OK;
}

void ellm_file_close(ellm_file *file) {
  if (file == NULL) return;
  free(file->tensors);
  free(file->by_name);
  free(file->assets);
  free(file->metadata);
  free(file->columns);
  free(file->text);
  free(file->shares);
  free((void *)file->checked);
  free(file->path);
  if (file->map.path != NULL) file_map_close(&file->map);
  free(file);
}

/* Over `map` (taken over) or, where it is NULL, over data. */
static ellm_status open_bytes(file_map *map, const void *data, uint64_t size, const char *path,
                              container_problem_fn problem, void *user, ellm_file **out, ellm_error *err) {
  ellm_error unused;
  if (err == NULL) err = &unused; /* section_result hands the text on */
  ellm_file *file = calloc(1, sizeof *file);
  char *copy = malloc(strlen(path) + 1);
  if (file == NULL || copy == NULL) {
    free(file);
    free(copy);
    if (map != NULL) file_map_close(map);
    return ellm_fail_memory(err, sizeof *file, "opening a .ellm file");
  }
  memcpy(copy, path, strlen(path) + 1);
  if (map != NULL) file->map = *map;
  file->data = data;
  file->size = size;
  file->path = copy;
  ellm_status status = load(file, problem, user, err);
  if (status != ELLM_OK) {
    ellm_file_close(file);
    return status;
  }
  *out = file;
  return ELLM_OK;
}

ellm_status container_open_lenient(const char *path, container_problem_fn problem, void *user, ellm_file **file,
                                   ellm_error *err) {
  *file = NULL;
  file_map map = {0};
  ELLM_TRY(file_map_open(path, &map, err));
  return open_bytes(&map, map.data, map.size, path, problem, user, file, err);
}

ellm_status ellm_file_open(const char *path, ellm_file **file, ellm_error *err) {
  return container_open_lenient(path, NULL, NULL, file, err);
}

ellm_status container_open_loaded(const char *path, ellm_progress_fn progress, void *user, ellm_file **file,
                                  ellm_error *err) {
  *file = NULL;
  file_map map = {0};
  ELLM_TRY(file_map_load(path, progress, user, &map, err));
  return open_bytes(&map, map.data, map.size, path, NULL, NULL, file, err);
}

ellm_status container_open_memory(const void *data, size_t bytes, const char *name, ellm_file **file, ellm_error *err) {
  *file = NULL;
  return open_bytes(NULL, data, bytes, name, NULL, NULL, file, err);
}

/* --------------------------------------------------------------- description */

size_t ellm_file_tensor_count(const ellm_file *file) { return file->n_tensors; }

const container_tensor *container_tensor_at(const ellm_file *file, size_t index) {
  return index < file->n_tensors ? &file->tensors[index].tensor : NULL;
}

const container_tensor *container_find(const ellm_file *file, const char *name) {
  size_t low = 0, high = file->n_tensors;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    int order = strcmp(name, file->by_name[middle]->tensor.name);
    if (order == 0) return &file->by_name[middle]->tensor;
    if (order < 0) high = middle;
    else low = middle + 1;
  }
  return NULL;
}

bool container_tensor_usable(const container_tensor *tensor) { return entry_of(tensor)->usable; }
const char *container_path(const ellm_file *file) { return file->path; }
uint64_t container_file_bytes(const ellm_file *file) { return file->size; }
ellm_status container_lock(const ellm_file *file, ellm_progress_fn progress, void *user, ellm_error *err) {
  return file->map.path != NULL ? file_map_lock(&file->map, progress, user, err) : ELLM_OK;
}
size_t ellm_file_asset_count(const ellm_file *file) { return file->n_assets; }

bool ellm_file_asset_at(const ellm_file *file, size_t index, ellm_asset_info *info) {
  if (index >= file->n_assets) return false;
  *info = (ellm_asset_info){.name = file->assets[index].name, .bytes = file->assets[index].where.head_bytes};
  return true;
}

const char *container_asset_name(const ellm_file *file, size_t index) {
  return index < file->n_assets ? file->assets[index].name : NULL;
}

const void *ellm_file_asset(const ellm_file *file, const char *name, size_t *bytes) {
  for (size_t i = 0; i < file->n_assets; i++) {
    const asset_entry *asset = &file->assets[i];
    if (!asset->usable || strcmp(asset->name, name) != 0) continue;
    if (bytes != NULL) *bytes = (size_t)asset->where.head_bytes;
    return file->data + asset->where.offset;
  }
  return NULL;
}

const char *container_metadata(const ellm_file *file, const char *name) {
  for (size_t i = 0; i < file->n_metadata; i++)
    if (strcmp(file->metadata[i].name, name) == 0) return file->metadata[i].value;
  return NULL;
}

const char *container_metadata_name(const ellm_file *file, size_t index) {
  return index < file->n_metadata ? file->metadata[index].name : NULL;
}

const uint16_t *container_columns(const ellm_file *file, uint32_t record, const char **name) {
  const columns_entry *columns = find_columns(file, record);
  if (columns == NULL || !columns->usable) return NULL;
  *name = columns->name;
  return columns->factors;
}

/* --------------------------------------------------------------------- parts */

const container_part *container_part_of(const ellm_file *file) { return file->part.number != 0 ? &file->part : NULL; }

ellm_status container_need_whole(const ellm_file *file, ellm_error *err) {
  char whole[33];
  if (file->part.number == 0) return ELLM_OK;
  hash_hex(file->part.whole, whole);
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: this is part %u of %u of model %s, and no whole one; entrollm-mpi runs it "
                   "together with the others", file->path, (unsigned)file->part.number, (unsigned)file->part.n_parts,
                   whole);
}

bool ellm_file_part(const ellm_file *file, ellm_part_info *info) {
  *info = (ellm_part_info){0};
  if (file->part.number == 0) return false;
  info->number = file->part.number;
  info->n_parts = file->part.n_parts;
  info->shares = file->part.shares;
  info->whole_bytes = file->part.whole_bytes;
  hash_hex(file->part.whole, info->whole);
  return true;
}

bool container_has_block(const container_tensor *tensor, uint64_t index) {
  uint64_t place;
  return container_groups_place(&tensor->groups, &tensor->geometry, index, &place);
}

uint64_t container_stored_blocks(const container_tensor *tensor) {
  return container_groups_blocks(&tensor->groups, &tensor->geometry);
}

uint64_t container_stored_block(const container_tensor *tensor, uint64_t i) {
  return container_groups_index(&tensor->groups, &tensor->geometry, i);
}

const char *ellm_file_metadata(const ellm_file *file, const char *name) { return container_metadata(file, name); }

void container_tensor_describe(const container_tensor *tensor, ellm_tensor_info *info) {
  const double rests = 8.0 * tensor->exact.planes;
  *info = (ellm_tensor_info){.name = tensor->name,
                             .n_dims = tensor->n_dims,
                             .n_elements = tensor->n_elements,
                             .dtype = tensor->dtype,
                             .kept = tensor->storage == CONTAINER_KEPT,
                             .stored_bytes = tensor->stored_bytes,
                             .layout = ""};
  memcpy(info->shape, tensor->shape, sizeof info->shape);
  info->stored_elements = info->kept ? tensor->n_elements : container_groups_elements(&tensor->groups, &tensor->geometry);
  if (info->kept) return;
  const coder_codebook *book = &tensor->book;
  info->exact = tensor->exact.used;
  info->bits = tensor->quant.bits;
  info->scheme = tensor->quant.scheme;
  info->step = tensor->quant.scales.step;
  info->zero = tensor->quant.scales.zero;
  info->row_scales = tensor->quant.scales.rows != NULL;
  info->column_scales = tensor->quant.scales.columns != NULL;
  info->outliers = tensor->quant.scales.outliers;
  info->layout = coder_codebook_layout(book);
  info->raw_bits = book->raw_bits;
  info->tuple = book->tuple;
  info->symbols = book->n_leaves;
  info->entropy = tensor->entropy_bits / (double)tensor->n_elements + rests;
  info->huffman_bits_per_weight = (double)tensor->huffman_bits / (double)tensor->n_elements + rests;
  info->payload_bytes = tensor->payload_bytes;
}

bool ellm_file_tensor(const ellm_file *file, size_t index, ellm_tensor_info *info) {
  if (index >= file->n_tensors) return false;
  container_tensor_describe(&file->tensors[index].tensor, info);
  return true;
}

void ellm_file_totals(const ellm_file *file, ellm_totals *totals) { *totals = file->totals; }

void container_identity(const ellm_file *file, uint8_t self[16]) { memcpy(self, file->self, 16); }
void container_source(const ellm_file *file, uint8_t source[16]) { memcpy(source, file->header.source, 16); }

void ellm_file_identity(const ellm_file *file, char source[33], char self[33]) {
  hash_hex(file->header.source, source);
  hash_hex(file->self, self);
}

/* ---------------------------------------------------------------------- data */

static ellm_status unusable(const tensor_entry *entry, ellm_error *err) {
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: its section is damaged", entry->file->path, entry->tensor.name);
}

ellm_status container_kept(const ellm_file *file, const container_tensor *tensor, const uint8_t **data,
                           ellm_error *err) {
  const tensor_entry *entry = entry_of(tensor);
  if (tensor->storage != CONTAINER_KEPT)
    return ellm_fail(err, ELLM_ERR_INTERNAL, "%s: tensor %s is not kept", file->path, tensor->name);
  if (!entry->usable) return unusable(entry, err);
  if (!atomic_load_explicit(entry->checked, memory_order_relaxed)) {
    ELLM_TRY(check_section(file, &entry->where, 0, "tensor", tensor->name, err));
    atomic_store_explicit(entry->checked, 1, memory_order_relaxed);
  }
  *data = entry->data;
  return ELLM_OK;
}

/* A block's bytes and checksum, and which of the stored blocks it is. */
static ellm_status find_block(const ellm_file *file, const container_tensor *tensor, uint64_t block, uint64_t *place,
                              const uint8_t **data, size_t *bytes, uint32_t *checksum, ellm_error *err) {
  const tensor_entry *entry = entry_of(tensor);
  const uint64_t n_blocks = container_stored_blocks(tensor);
  if (!entry->usable) return unusable(entry, err);
  if (tensor->storage != CONTAINER_CODED || block >= tensor->geometry.n_blocks)
    return ellm_fail(err, ELLM_ERR_INTERNAL, "%s: tensor %s has no block %llu", file->path, tensor->name,
                     (unsigned long long)block);
  if (!container_groups_place(&tensor->groups, &tensor->geometry, block, place))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: block %llu is in another part of the model", file->path,
                     tensor->name, (unsigned long long)block);
  const uint8_t *at = entry->table + FORMAT_TABLE_ENTRY * *place;
  uint64_t first = load_u32(at),
           last = *place + 1 < n_blocks ? load_u32(at + FORMAT_TABLE_ENTRY) : tensor->payload_bytes;
  /* Checked when opened; again because the file may have been changed under the mapping. */
  if (last < first || last > tensor->payload_bytes || last - first > CODER_MAX_BLOCK_BYTES)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: block %llu: the file changed while open", file->path,
                     tensor->name, (unsigned long long)block);
  *data = entry->data + first;
  *bytes = (size_t)(last - first);
  if (checksum != NULL) *checksum = load_u32(at + 4);
  return ELLM_OK;
}

ellm_status container_block_at(const ellm_file *file, const container_tensor *tensor, uint64_t block,
                               const uint8_t **data, size_t *bytes, uint32_t *checksum, ellm_error *err) {
  uint64_t place;
  return find_block(file, tensor, block, &place, data, bytes, checksum, err);
}

/* What is before the code of a block: its patches, or its rests; false if it is not there. */
static bool take_parts(const container_tensor *tensor, uint64_t index, const uint8_t *data, size_t bytes,
                       container_block *block) {
  *block = (container_block){.data = data, .bytes = bytes};
  if (tensor->quant.scales.outliers != 0) return coder_patches_take(&block->data, &block->bytes, &block->patches);
  if (!tensor->exact.used) return true;
  const coder_block where = coder_geometry_block(&tensor->geometry, index);
  const size_t rests = tensor->exact.planes * coder_block_codes(&where);
  if (rests > bytes) return false;
  block->rests = data;
  block->data += rests;
  block->bytes -= rests;
  return true;
}

bool container_block_from(const container_tensor *tensor, uint64_t index, const uint8_t *data, size_t bytes,
                          container_block *block) {
  if (!take_parts(tensor, index, data, bytes, block)) return false;
  if (tensor->quant.scales.outliers == 0) return true;
  const coder_block where = coder_geometry_block(&tensor->geometry, index);
  return coder_patches_valid(&block->patches, &where, &tensor->book, tensor->quant.scales.zero);
}

ellm_status container_checked_block(const ellm_file *file, const container_tensor *tensor, uint64_t index,
                                    container_block *block, ellm_error *err) {
  uint32_t checksum;
  const uint8_t *data;
  size_t bytes;
  uint64_t place;
  ELLM_TRY(find_block(file, tensor, index, &place, &data, &bytes, &checksum, err));
  atomic_uchar *checked = entry_of(tensor)->checked + place;
  if (atomic_load_explicit(checked, memory_order_relaxed)) {
    if (take_parts(tensor, index, data, bytes, block)) return ELLM_OK;
    return container_undecodable(file, tensor, index, err);
  }
  if (container_block_checksum(data, bytes) != checksum)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: block %llu: wrong checksum, the file is damaged", file->path,
                     tensor->name, (unsigned long long)index);
  if (!container_block_from(tensor, index, data, bytes, block))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: block %llu: its %s are malformed", file->path,
                     tensor->name, (unsigned long long)index, tensor->exact.used ? "rests" : "patches");
  atomic_store_explicit(checked, 1, memory_order_relaxed);
  return ELLM_OK;
}

void container_drop_blocks(const ellm_file *file, const container_tensor *tensor) {
  const tensor_entry *entry = entry_of(tensor);
  if (entry->usable) file_map_drop(&file->map, entry->data, (size_t)tensor->payload_bytes);
}

ellm_status container_undecodable(const ellm_file *file, const container_tensor *tensor, uint64_t block,
                                  ellm_error *err) {
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: block %llu cannot be decoded", file->path, tensor->name,
                   (unsigned long long)block);
}

ellm_status container_decode_block(const ellm_file *file, const container_tensor *tensor, uint64_t index,
                                   coder_decode_fn decode, coder_scratch *scratch, uint8_t *codes,
                                   coder_patches *patches, ellm_error *err) {
  container_block block;
  ELLM_TRY(container_checked_block(file, tensor, index, &block, err));
  const coder_block where = coder_geometry_block(&tensor->geometry, index);
  if (!decode(&tensor->book, &where, block.data, block.bytes, scratch, codes))
    return container_undecodable(file, tensor, index, err);
  if (patches != NULL) *patches = block.patches;
  return ELLM_OK;
}
