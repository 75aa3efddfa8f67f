/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Header and directory records of docs/FORMAT.md as bytes and as values: the
 * one place that knows their layout, shared by writer and reader. Parsing
 * checks everything that can be checked without the section.
 */
#ifndef ELLM_CONTAINER_RECORD_H
#define ELLM_CONTAINER_RECORD_H

#include "container/container.h"

enum {
  FORMAT_MAJOR = 1,
  FORMAT_MINOR = 0,
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

enum { RECORD_ASSET = 1, RECORD_KEPT = 2, RECORD_CODED = 3, RECORD_METADATA = 4 };
enum { RECORD_REQUIRED = 1 };

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
  quant_params quant;
  coder_geometry geometry;
  uint64_t payload_bytes;
  double entropy_bits;
  uint64_t huffman_bits;
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
/* stored_bytes and all else of a tensor from its record; `name` is kept, the book copied. */
void container_tensor_from_record(const format_record *record, const char *name, const coder_codebook *book,
                                  container_tensor *tensor);
/* Bytes to the next multiple of FORMAT_ALIGN, 0..63. */
static inline unsigned format_padding(uint64_t bytes) { return (unsigned)(-bytes & (FORMAT_ALIGN - 1)); }

#endif
