/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Header and directory records of docs/FORMAT.md as bytes and as values: the
 * one place that knows their layout, shared by writer and reader. Parsing
 * checks everything that can be checked without the section.
 */
#ifndef ELLM_CONTAINER_RECORD_H
#define ELLM_CONTAINER_RECORD_H

#include "container/tensor.h"

enum {
  FORMAT_MAJOR = 1,
  FORMAT_MINOR = 2,         /* what this program knows */
  FORMAT_MINOR_PART = 2,    /* written to parts of a model */
  FORMAT_MINOR_SCALES = 1,  /* written to files that use scales of rows or columns, patches, fields, or exact tensors; else 0 */
  FORMAT_HEADER_BYTES = 64,
  FORMAT_DIRECTORY_HEADER = 8,
  FORMAT_ALIGN = 64,
  FORMAT_RECORD_FIXED = 48,
  FORMAT_RECORD_MAX = 65536,
  FORMAT_RECORDS_MAX = 1 << 18,
  FORMAT_NAME_MAX = 1024,
  FORMAT_VALUE_MAX = CONTAINER_METADATA_MAX,
  FORMAT_TABLE_ENTRY = 8
};

enum { RECORD_ASSET = 1, RECORD_KEPT = 2, RECORD_CODED = 3, RECORD_METADATA = 4, RECORD_COLUMNS = 5, RECORD_PART = 6 };
static inline bool format_type_known(uint32_t type) { return type >= RECORD_ASSET && type <= RECORD_PART; }
enum { RECORD_REQUIRED = 1 };
/* Quantizer of a coded tensor: uniform, or none at all: its elements are stored exactly. */
enum { QUANTIZER_UNIFORM = 0, QUANTIZER_EXACT = 255 };
/* Granularity of a coded tensor: which scales it has beside step and zero, and whether its blocks have patches. */
enum { GRANULARITY_ROWS = 1, GRANULARITY_COLUMNS = 2, GRANULARITY_PATCHES = 4, GRANULARITY_ALL = 7 };

/* Layout of the blocks of a coded tensor: panels of 16 rows; the same, of some row groups. */
enum { LAYOUT_PANELS = 0, LAYOUT_SOME_PANELS = 1 };
/* The name of the record of a part. */
#define FORMAT_PART_NAME "part"

extern const uint8_t format_magic[8];

typedef struct format_header {
  uint16_t major, minor;
  uint64_t directory_offset, directory_bytes, directory_checksum;
  uint8_t source[16];
} format_header;

void format_header_store(const format_header *header, uint8_t out[FORMAT_HEADER_BYTES]);
/* Checks magic, checksum, version and that the directory ends at file_bytes;
 * data holds min(file_bytes, 64) bytes. */
ellm_status format_header_parse(const uint8_t *data, uint64_t file_bytes, const char *path, format_header *header,
                                ellm_error *err);

/* name and value point into the bytes that were parsed; no NUL follows them. */
typedef struct format_record {
  uint32_t type, flags;
  const char *name, *value;
  uint32_t name_bytes, value_bytes; /* value: METADATA */
  uint64_t offset, section_bytes, head_bytes, checksum;
  /* KEPT, CODED */
  ellm_dtype dtype;
  int n_dims;
  uint64_t shape[ELLM_MAX_DIMS];
  uint64_t n_elements;
  /* CODED */
  unsigned granularity;
  quant_params quant;        /* scales.rows and .columns NULL: they are in sections */
  exact_form exact;
  coder_geometry geometry;
  container_groups groups;
  uint64_t n_blocks;         /* that are stored */
  uint64_t payload_bytes;
  double entropy_bits;
  uint64_t huffman_bits;
  /* COLUMNS */
  uint64_t n_columns;
  /* PART: shares NULL, they are at share_bytes */
  container_part part;
  const uint8_t *share_bytes; /* part.n_parts integers of 32 bits */
} format_record;

size_t format_record_bytes(const format_record *record);
/* out has format_record_bytes. */
void format_record_store(const format_record *record, uint8_t *out);
/* Parse the record at data, *used bytes of the `available`. Unknown optional
 * types parse with their fixed part only. `path` and `index` name it in errors. */
ellm_status format_record_parse(const uint8_t *data, uint64_t available, const char *path, uint64_t index,
                                format_record *record, size_t *used, ellm_error *err);

/* 1..1,024 bytes of UTF-8 without control characters. */
bool format_name_valid(const char *name, size_t bytes);
/* The name of an asset: that of a file of a folder, at most 255 bytes, no '/', no leading '.'; before it
 * "additional_chat_templates/" may stand. */
bool format_asset_name_valid(const char *name, size_t bytes);
/* Bytes of the scales in a coded tensor's head, a multiple of 4: fixed fields and 2 a row; 0 without granularity. */
enum { FORMAT_SCALES_FIXED = 16 };
static inline uint64_t format_scales_bytes(const format_record *record) {
  if (record->granularity == 0) return 0;
  return FORMAT_SCALES_FIXED + ((record->granularity & GRANULARITY_ROWS) != 0 ? (2 * record->shape[0] + 3) / 4 * 4 : 0);
}
void format_scales_store(const format_record *record, const container_tensor *tensor, uint8_t *out);
/* Are all n > 0 factors allowed? *largest: of them. */
bool format_factors_check(const uint16_t *factors, uint64_t n, uint16_t *largest);
/* Is every weight that these scales can give finite? */
bool format_scales_finite(const quant_scales *scales, uint16_t largest_row, uint16_t largest_column);
/* stored_bytes and all else of a tensor from its record; `name` is kept, the book copied. Scales of rows and columns
 * are NULL. */
void container_tensor_from_record(const format_record *record, const char *name, const coder_codebook *book,
                                  container_tensor *tensor);
/* A record in the totals; container_totals_finish makes means of its sums: entropy and huffman_bits_per_weight hold bits
 * in total before. */
void container_totals_add(ellm_totals *totals, const format_record *record);
void container_totals_finish(ellm_totals *totals);
/* Elements of a coded tensor that are stored. */
static inline uint64_t format_stored_elements(const format_record *record) {
  return container_groups_elements(&record->groups, &record->geometry);
}
/* Bytes to the next multiple of FORMAT_ALIGN, 0..63. */
static inline unsigned format_padding(uint64_t bytes) { return (unsigned)(-bytes & (FORMAT_ALIGN - 1)); }

#endif
