/* SPDX-License-Identifier: Apache-2.0 */
/* Header and records, see record.h. */

#include "container/record.h"

#include <float.h>
#include <math.h>

#include "base/bytes.h"
#include "base/file_kind.h"
#include "base/memory.h"
#include "container/hash.h"

/* As PNG's: the first byte shows whether bit 7 survived, CR LF whether line ends were changed; 0x1A ends a listing on
 * DOS. */
const uint8_t format_magic[8] = {0x89, 'E', 'L', 'L', 'M', 0x0D, 0x0A, 0x1A};

enum { FIELDS_TENSOR = 8, FIELDS_CODED = 48, FIELDS_METADATA = 8, FIELDS_COLUMNS = 8, FIELDS_GROUPS = 32, FIELDS_PART = 32 };

/* ------------------------------------------------------------------ header */

void format_header_store(const format_header *header, uint8_t out[FORMAT_HEADER_BYTES]) {
  memcpy(out, format_magic, 8);
  store_u16(out + 8, header->major);
  store_u16(out + 10, header->minor);
  store_u32(out + 12, FORMAT_HEADER_BYTES);
  store_u64(out + 16, header->directory_offset);
  store_u64(out + 24, header->directory_bytes);
  store_u64(out + 32, header->directory_checksum);
  memcpy(out + 40, header->source, 16);
  store_u64(out + 56, hash64(out, 56));
}

/* The order of the checks decides what a user reads. Zeros come first: the header is written last, so they mean a file
 * that was never finished. The version comes before the checksum: a header of another major version may have its
 * checksum elsewhere, and "a newer program is needed" must not read as "damaged". */
ellm_status format_header_parse(const uint8_t *data, uint64_t file_bytes, const char *path, format_header *header,
                                ellm_error *err) {
  static const uint8_t zeros[8];
  if (file_bytes >= 8 && memcmp(data, zeros, 8) == 0)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: no header: the file was never finished", path);
  if (file_bytes < 8 || memcmp(data, format_magic, 8) != 0) {
    ELLM_TRY(file_kind_check(data, file_bytes < FILE_KIND_BYTES ? (size_t)file_bytes : FILE_KIND_BYTES, path, err));
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: not a .ellm file (wrong first 8 bytes)", path);
  }
  if (file_bytes < FORMAT_HEADER_BYTES)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: cut short: %llu bytes, the header alone has 64", path,
                     (unsigned long long)file_bytes);
  header->major = load_u16(data + 8);
  header->minor = load_u16(data + 10);
  if (header->major != FORMAT_MAJOR)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: version %u.%u of the format, this program reads %d.x%s", path,
                     header->major, header->minor, FORMAT_MAJOR,
                     header->major > FORMAT_MAJOR ? ": a newer one is needed" : "");
  if (load_u64(data + 56) != hash64(data, 56))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: header: wrong checksum, the file is damaged", path);
  if (load_u32(data + 12) != FORMAT_HEADER_BYTES)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: header: %u header bytes instead of 64", path, load_u32(data + 12));
  header->directory_offset = load_u64(data + 16);
  header->directory_bytes = load_u64(data + 24);
  header->directory_checksum = load_u64(data + 32);
  memcpy(header->source, data + 40, 16);
  uint64_t end;
  if (header->directory_offset % FORMAT_ALIGN != 0 || header->directory_offset < FORMAT_HEADER_BYTES ||
      header->directory_bytes < FORMAT_DIRECTORY_HEADER ||
      !ellm_add_u64(header->directory_offset, header->directory_bytes, &end))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: header: directory at %llu of %llu bytes makes no sense", path,
                     (unsigned long long)header->directory_offset, (unsigned long long)header->directory_bytes);
  if (end != file_bytes)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s: %llu bytes instead of %llu", path,
                     file_bytes < end ? "cut short" : "bytes after the end", (unsigned long long)file_bytes,
                     (unsigned long long)end);
  return ELLM_OK;
}

/* ------------------------------------------------------------------- names */

bool format_name_valid(const char *name, size_t bytes) {
  if (bytes < 1 || bytes > FORMAT_NAME_MAX) return false;
  const uint8_t *s = (const uint8_t *)name;
  for (size_t i = 0; i < bytes;) {
    uint8_t c = s[i];
    if (c < 0x80) {
      if (c < 32 || c == 127) return false;
      i++;
      continue;
    }
    unsigned length = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
    if (c < 0xC2 || c > 0xF4 || length > bytes - i) return false;
    for (unsigned k = 1; k < length; k++)
      if ((s[i + k] & 0xC0) != 0x80) return false;
    /* overlong forms, surrogates, beyond U+10FFFF */
    if ((c == 0xE0 && s[i + 1] < 0xA0) || (c == 0xED && s[i + 1] > 0x9F) || (c == 0xF0 && s[i + 1] < 0x90) ||
        (c == 0xF4 && s[i + 1] > 0x8F))
      return false;
    i += length;
  }
  return true;
}

bool format_asset_name_valid(const char *name, size_t bytes) {
  static const char templates[] = "additional_chat_templates/";
  const size_t n = sizeof templates - 1;
  if (!format_name_valid(name, bytes) || bytes > 255) return false;
  if (bytes > n && memcmp(name, templates, n) == 0) {
    name += n;
    bytes -= n;
  }
  return memchr(name, '/', bytes) == NULL && name[0] != '.';
}

/* ------------------------------------------------------------------ storing */

/* Bytes of the fields that a type has of its own, between the common ones and the name. */
static size_t fields_bytes(const format_record *record) {
  switch (record->type) {
    case RECORD_KEPT: return FIELDS_TENSOR + 8 * (size_t)record->n_dims;
    case RECORD_CODED: return FIELDS_CODED + 8 * (size_t)record->n_dims + (record->groups.some ? FIELDS_GROUPS : 0);
    case RECORD_METADATA: return FIELDS_METADATA;
    case RECORD_COLUMNS: return FIELDS_COLUMNS;
    case RECORD_PART: return FIELDS_PART + 4 * (size_t)record->part.n_parts;
    default: return 0;
  }
}

/* Rounded up to 8. */
size_t format_record_bytes(const format_record *record) {
  size_t bytes = FORMAT_RECORD_FIXED + fields_bytes(record) + record->name_bytes + record->value_bytes;
  return (bytes + 7) & ~(size_t)7;
}

/* Behind the shape of a tensor of which some row groups are stored. */
static void store_groups(const container_groups *groups, uint8_t *p) {
  store_u32(p, groups->n);
  for (uint32_t i = 0; i < groups->n; i++) {
    store_u32(p + 8 + 8 * i, groups->range[i].first);
    store_u32(p + 12 + 8 * i, groups->range[i].end);
  }
}

static void store_part(const format_record *record, uint8_t *p) {
  store_u32(p, record->part.number);
  store_u32(p + 4, record->part.n_parts);
  memcpy(p + 8, record->part.whole, 16);
  store_u64(p + 24, record->part.whole_bytes);
  memcpy(p + FIELDS_PART, record->share_bytes, 4 * (size_t)record->part.n_parts);
}

/* Reserved fields are zero, as readers demand. */
void format_record_store(const format_record *record, uint8_t *out) {
  size_t total = format_record_bytes(record), fields = fields_bytes(record);
  memset(out, 0, total);
  store_u32(out, record->type);
  store_u32(out + 4, (uint32_t)total);
  store_u32(out + 8, record->flags);
  store_u32(out + 12, record->name_bytes);
  store_u64(out + 16, record->offset);
  store_u64(out + 24, record->section_bytes);
  store_u64(out + 32, record->head_bytes);
  store_u64(out + 40, record->checksum);
  uint8_t *p = out + FORMAT_RECORD_FIXED, *shape = NULL;
  if (record->type == RECORD_KEPT || record->type == RECORD_CODED) {
    p[0] = (uint8_t)record->dtype;
    p[1] = (uint8_t)record->n_dims;
    shape = p + FIELDS_TENSOR;
  }
  if (record->type == RECORD_CODED) {
    uint64_t entropy;
    memcpy(&entropy, &record->entropy_bits, 8);
    p[2] = (uint8_t)record->quant.bits;
    p[3] = (uint8_t)record->quant.scheme;
    p[4] = record->exact.used ? QUANTIZER_EXACT : QUANTIZER_UNIFORM;
    p[5] = (uint8_t)record->granularity;
    p[6] = record->groups.some ? LAYOUT_SOME_PANELS : LAYOUT_PANELS;
    p[7] = (uint8_t)(record->exact.used ? record->exact.omitted : (unsigned)record->quant.scales.zero);
    store_u32(p + 8, float_bits(record->quant.scales.step));
    store_u32(p + 12, record->geometry.panels_per_block);
    store_u32(p + 16, record->geometry.block_columns);
    store_u32(p + 20, (uint32_t)record->n_blocks);
    store_u64(p + 24, record->payload_bytes);
    store_u64(p + 32, entropy);
    store_u64(p + 40, record->huffman_bits);
    shape = p + FIELDS_CODED;
    if (record->groups.some) store_groups(&record->groups, shape + 8 * record->n_dims);
  }
  if (record->type == RECORD_PART) store_part(record, p);
  if (record->type == RECORD_METADATA) store_u32(p, record->value_bytes);
  if (record->type == RECORD_COLUMNS) store_u64(p, record->n_columns);
  for (int i = 0; shape != NULL && i < record->n_dims; i++) store_u64(shape + 8 * i, record->shape[i]);
  memcpy(p + fields, record->name, record->name_bytes);
  if (record->value_bytes > 0) memcpy(p + fields + record->name_bytes, record->value, record->value_bytes);
}

/* ------------------------------------------------------------------ parsing */

/* What errors of one record share. */
typedef struct parse_context { const char *path; uint64_t index; ellm_error *err; } parse_context;

/* "FILE: directory record N: FIELD VALUE makes no sense" */
static ellm_status bad(const parse_context *at, const char *field, uint64_t value) {
  return ellm_fail(at->err, ELLM_ERR_INPUT, "%s: directory record %llu: %s %llu makes no sense", at->path,
                   (unsigned long long)at->index, field, (unsigned long long)value);
}

/* dtype, n_dims and shape; the shape must be readable. */
static ellm_status parse_shape(const uint8_t *fields, const uint8_t *shape, format_record *record,
                               const parse_context *at) {
  record->dtype = (ellm_dtype)fields[0];
  record->n_dims = fields[1];
  record->n_elements = 1;
  for (int i = 0; i < record->n_dims; i++) {
    record->shape[i] = load_u64(shape + 8 * i);
    /* A zero does not excuse other dimensions that overflow. */
    if (record->shape[i] > UINT64_MAX / 16 ||
        !ellm_mul_u64(record->n_elements, record->shape[i], &record->n_elements) ||
        record->n_elements > UINT64_MAX / 16)
      return bad(at, "shape: dimension", record->shape[i]);
  }
  return ELLM_OK;
}

/* Shape, type and the bytes of the section must agree. */
static ellm_status parse_kept(const uint8_t *p, format_record *record, const parse_context *at) {
  size_t size = ellm_dtype_size((ellm_dtype)p[0]);
  if (size == 0) return bad(at, "element type", p[0]);
  if ((load_u64(p) >> 16) != 0) return bad(at, "reserved field", load_u64(p) >> 16);
  ELLM_TRY(parse_shape(p, p + FIELDS_TENSOR, record, at));
  if (record->n_elements * size != record->head_bytes)
    return bad(at, "head bytes, shape and type: head of bytes", record->head_bytes);
  return ELLM_OK;
}

/* Fields of a tensor whose elements are stored exactly. */
static ellm_status parse_exact(const uint8_t *p, format_record *record, const parse_context *at) {
  const unsigned rest_bytes = (unsigned)ellm_dtype_size((ellm_dtype)p[0]) - 1;
  if (p[2] != 8) return bad(at, "bits", p[2]);
  if (p[3] != 0) return bad(at, "scheme", p[3]);
  if (p[5] != 0) return bad(at, "granularity", p[5]);
  if (p[7] > rest_bytes) return bad(at, "bytes left out", p[7]);
  if (load_u32(p + 8) != 0) return bad(at, "step, as bits,", load_u32(p + 8));
  record->quant = (quant_params){.bits = 8};
  record->exact = (exact_form){.used = true, .omitted = p[7], .planes = rest_bytes - p[7]};
  return ELLM_OK;
}

/* Fields of a quantized one. */
static ellm_status parse_uniform(const uint8_t *p, format_record *record, const parse_context *at) {
  if (p[3] != ELLM_SCHEME_SYMMETRIC && p[3] != ELLM_SCHEME_ASYMMETRIC) return bad(at, "scheme", p[3]);
  if (p[7] >> p[2] != 0) return bad(at, "zero", p[7]);
  record->quant = (quant_params){
      .bits = p[2],
      .scheme = (ellm_scheme)p[3],
      .scales = {.step = float_from_bits(load_u32(p + 8)), .zero = p[7]}};
  if (!isfinite(record->quant.scales.step)) return bad(at, "step, as bits,", load_u32(p + 8));
  return ELLM_OK;
}

/* Row groups of a tensor of which some are stored. */
static ellm_status parse_groups(const uint8_t *p, format_record *record, const parse_context *at) {
  container_groups *groups = &record->groups;
  groups->n = load_u32(p);
  if (groups->n > CONTAINER_MAX_RANGES) return bad(at, "ranges of row groups", groups->n);
  if (load_u32(p + 4) != 0) return bad(at, "reserved field", load_u32(p + 4));
  for (uint32_t i = 0; i < CONTAINER_MAX_RANGES; i++) {
    const container_range range = {load_u32(p + 8 + 8 * i), load_u32(p + 12 + 8 * i)};
    if (i >= groups->n && (range.first != 0 || range.end != 0)) return bad(at, "range of row groups", range.end);
    groups->range[i] = range;
  }
  if (record->geometry.n_blocks > UINT32_MAX) return bad(at, "blocks of the whole", record->geometry.n_blocks);
  if (!container_groups_valid(groups, &record->geometry))
    return ellm_fail(at->err, ELLM_ERR_INPUT, "%s: directory record %llu: its ranges of row groups make no sense",
                     at->path, (unsigned long long)at->index);
  return ELLM_OK;
}

/* Everything that later code relies on is checked here: number and shape of blocks, room for tables and scales. */
static ellm_status parse_coded(const uint8_t *p, format_record *record, const parse_context *at) {
  if (p[0] > ELLM_BF16) return bad(at, "element type", p[0]);
  if (p[1] != 2) return bad(at, "number of dimensions", p[1]);
  if (p[2] < 2 || p[2] > 8) return bad(at, "bits", p[2]);
  static const char *const room[] = {"quantizer", "granularity", "layout of blocks"};
  static const uint8_t known[] = {QUANTIZER_UNIFORM, GRANULARITY_ALL, LAYOUT_SOME_PANELS};
  const bool exact = p[4] == QUANTIZER_EXACT;
  for (int i = exact ? 1 : 0; i < 3; i++)
    if (p[4 + i] > known[i])
      return ellm_fail(at->err, ELLM_ERR_INPUT,
                       "%s: directory record %llu: %s %u is not known to this program (a newer version may read it)",
                       at->path, (unsigned long long)at->index, room[i], p[4 + i]);
  ELLM_TRY(exact ? parse_exact(p, record, at) : parse_uniform(p, record, at));
  ELLM_TRY(parse_shape(p, p + FIELDS_CODED, record, at));
  if (!coder_geometry_from(&record->geometry, record->shape[0], record->shape[1], load_u32(p + 12), load_u32(p + 16)))
    return ellm_fail(at->err, ELLM_ERR_INPUT,
                     "%s: directory record %llu: %u panels a block, %u block columns make no sense for %llu x %llu",
                     at->path, (unsigned long long)at->index, load_u32(p + 12), load_u32(p + 16),
                     (unsigned long long)record->shape[0], (unsigned long long)record->shape[1]);
  if (record->groups.some) ELLM_TRY(parse_groups(p + FIELDS_CODED + 16, record, at));
  record->n_blocks = container_groups_blocks(&record->groups, &record->geometry);
  if (record->n_blocks != load_u32(p + 20)) return bad(at, "number of blocks", load_u32(p + 20));
  record->payload_bytes = load_u64(p + 24);
  if (record->payload_bytes > UINT32_MAX) return bad(at, "payload bytes", record->payload_bytes);
  uint64_t entropy = load_u64(p + 32);
  memcpy(&record->entropy_bits, &entropy, 8);
  double most = 8.0 * (double)record->n_elements;
  if (!(record->entropy_bits >= 0 && record->entropy_bits <= most * 1.000001))
    return bad(at, "entropy, as bits,", entropy);
  record->huffman_bits = load_u64(p + 40);
  if (record->huffman_bits > 8 * record->n_elements) return bad(at, "Huffman bits", record->huffman_bits);
  record->granularity = p[5];
  if (record->head_bytes < FORMAT_TABLE_ENTRY * record->n_blocks + format_scales_bytes(record))
    return bad(at, "head bytes", record->head_bytes);
  return ELLM_OK;
}

static ellm_status parse_columns(const uint8_t *p, format_record *record, const parse_context *at) {
  record->n_columns = load_u64(p);
  if (record->n_columns == 0 || record->n_columns > UINT32_MAX) return bad(at, "columns", record->n_columns);
  if (record->head_bytes != 2 * record->n_columns) return bad(at, "head bytes", record->head_bytes);
  return ELLM_OK;
}

/* Number and shares of a part of a model. */
static ellm_status parse_part(const uint8_t *p, format_record *record, const parse_context *at) {
  container_part *part = &record->part;
  part->number = load_u32(p);
  if (part->number < 1 || part->number > part->n_parts) return bad(at, "number of the part", part->number);
  memcpy(part->whole, p + 8, sizeof part->whole);
  part->whole_bytes = load_u64(p + 24);
  record->share_bytes = p + FIELDS_PART;
  for (uint32_t i = 0; i < part->n_parts; i++)
    if (load_u32(record->share_bytes + 4 * i) == 0) return bad(at, "share", 0);
  if (record->section_bytes != 0) return bad(at, "section bytes of a part", record->section_bytes);
  if (record->name_bytes != strlen(FORMAT_PART_NAME) || memcmp(record->name, FORMAT_PART_NAME, record->name_bytes) != 0)
    return bad(at, "name bytes of a part", record->name_bytes);
  return ELLM_OK;
}

ellm_status format_record_parse(const uint8_t *data, uint64_t available, const char *path, uint64_t index,
                                format_record *record, size_t *used, ellm_error *err) {
  const parse_context at = {path, index, err};
  memset(record, 0, sizeof *record);
  if (available < FORMAT_RECORD_FIXED)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: directory ends inside record %llu", path, (unsigned long long)index);
  record->type = load_u32(data);
  uint32_t total = load_u32(data + 4);
  record->flags = load_u32(data + 8);
  record->name_bytes = load_u32(data + 12);
  record->offset = load_u64(data + 16);
  record->section_bytes = load_u64(data + 24);
  record->head_bytes = load_u64(data + 32);
  record->checksum = load_u64(data + 40);
  if (total < FORMAT_RECORD_FIXED || total > FORMAT_RECORD_MAX || total % 8 != 0 || total > available)
    return bad(&at, "size", total);
  *used = total;
  if ((record->flags & ~(uint32_t)RECORD_REQUIRED) != 0) return bad(&at, "flags", record->flags);
  if (record->section_bytes % FORMAT_ALIGN != 0) return bad(&at, "section bytes", record->section_bytes);
  if (record->head_bytes > record->section_bytes) return bad(&at, "head bytes", record->head_bytes);
  if (!format_type_known(record->type)) {
    if ((record->flags & RECORD_REQUIRED) != 0)
      return ellm_fail(
          err, ELLM_ERR_INPUT,
          "%s: directory record %llu has the required type %u, which this program (format %d.%d) does not know", path,
          (unsigned long long)index, record->type, FORMAT_MAJOR, FORMAT_MINOR);
    if (record->section_bytes - record->head_bytes != format_padding(record->head_bytes))
      return bad(&at, "section bytes", record->section_bytes);
    return ELLM_OK;
  }
  if (((record->flags & RECORD_REQUIRED) != 0) != (record->type != RECORD_METADATA))
    return bad(&at, "flags", record->flags);

  /* Fixed fields, then the sizes that follow from them. */
  const uint8_t *p = data + FORMAT_RECORD_FIXED;
  size_t fixed = record->type == RECORD_ASSET   ? 0
                 : record->type == RECORD_CODED ? FIELDS_CODED
                 : record->type == RECORD_PART  ? FIELDS_PART
                                                : FIELDS_TENSOR;
  if (total < FORMAT_RECORD_FIXED + fixed) return bad(&at, "size", total);
  if (record->type == RECORD_KEPT || record->type == RECORD_CODED) {
    if (p[1] > ELLM_MAX_DIMS) return bad(&at, "number of dimensions", p[1]);
    record->n_dims = p[1];
    record->groups.some = record->type == RECORD_CODED && p[6] == LAYOUT_SOME_PANELS;
  }
  if (record->type == RECORD_PART) {
    record->part.n_parts = load_u32(p + 4);
    if (record->part.n_parts < 2 || record->part.n_parts > CONTAINER_PARTS_MAX)
      return bad(&at, "number of parts", record->part.n_parts);
  }
  if (record->type == RECORD_METADATA) {
    record->value_bytes = load_u32(p);
    if (record->value_bytes > FORMAT_VALUE_MAX) return bad(&at, "value bytes", record->value_bytes);
    if (load_u32(p + 4) != 0) return bad(&at, "reserved field", load_u32(p + 4));
    if (record->section_bytes != 0) return bad(&at, "section bytes of metadata", record->section_bytes);
  }
  if (record->name_bytes < 1 || record->name_bytes > FORMAT_NAME_MAX) return bad(&at, "name bytes", record->name_bytes);
  if (format_record_bytes(record) != total) return bad(&at, "size", total);
  size_t text = FORMAT_RECORD_FIXED + fields_bytes(record);
  record->name = (const char *)data + text;
  record->value = record->name + record->name_bytes;
  for (size_t i = text + record->name_bytes + record->value_bytes; i < total; i++)
    if (data[i] != 0) return bad(&at, "padding", data[i]);
  bool valid = record->type == RECORD_ASSET ? format_asset_name_valid(record->name, record->name_bytes)
                                            : format_name_valid(record->name, record->name_bytes);
  if (!valid)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: directory record %llu: name \"%.*s\" is not allowed", path,
                     (unsigned long long)index, (int)(record->name_bytes < 100 ? record->name_bytes : 100),
                     record->name);
  uint64_t payload = 0;
  if (record->type == RECORD_KEPT) ELLM_TRY(parse_kept(p, record, &at));
  if (record->type == RECORD_CODED) {
    ELLM_TRY(parse_coded(p, record, &at));
    payload = record->payload_bytes;
  }
  if (record->type == RECORD_COLUMNS) ELLM_TRY(parse_columns(p, record, &at));
  if (record->type == RECORD_PART) ELLM_TRY(parse_part(p, record, &at));
  /* Head and payload fill the section but for the shortest padding. */
  uint64_t filled;
  if (!ellm_add_u64(record->head_bytes, payload, &filled) || filled > record->section_bytes ||
      record->section_bytes - filled != format_padding(filled))
    return bad(&at, "section bytes", record->section_bytes);
  return ELLM_OK;
}

/* ------------------------------------------------- what reader and writer share */

void container_tensor_from_record(const format_record *record, const char *name, const coder_codebook *book,
                                  container_tensor *tensor) {
  memset(tensor, 0, sizeof *tensor);
  tensor->name = name;
  tensor->dtype = record->dtype;
  tensor->n_dims = record->n_dims;
  memcpy(tensor->shape, record->shape, sizeof tensor->shape);
  tensor->n_elements = record->n_elements;
  tensor->stored_bytes = record->section_bytes + format_record_bytes(record);
  if (record->type == RECORD_KEPT) {
    tensor->storage = CONTAINER_KEPT;
    return;
  }
  tensor->storage = CONTAINER_CODED;
  tensor->quant = record->quant;
  tensor->exact = record->exact;
  tensor->geometry = record->geometry;
  tensor->groups = record->groups;
  tensor->entropy_bits = record->entropy_bits;
  tensor->huffman_bits = record->huffman_bits;
  tensor->payload_bytes = record->payload_bytes;
  tensor->columns_record = CONTAINER_NO_COLUMNS;
  if (book != NULL) tensor->book = *book;
}

void container_totals_add(ellm_totals *totals, const format_record *record) {
  const uint64_t stored_bytes = record->section_bytes + format_record_bytes(record);
  if (record->type == RECORD_COLUMNS) totals->quantized_bytes += stored_bytes;
  if (record->type != RECORD_KEPT && record->type != RECORD_CODED) return;
  if (record->type == RECORD_KEPT) {
    totals->parameters += record->n_elements;
    return;
  }
  const uint64_t n = format_stored_elements(record); /* of a part of a model; its share of what the whole takes */
  const double rests = 8.0 * record->exact.planes * (double)n, share = (double)n / (double)record->n_elements;
  totals->parameters += n;
  totals->weights += n;
  totals->quantized_bytes += stored_bytes;
  totals->entropy += record->entropy_bits * share + rests;
  totals->huffman_bits_per_weight += (double)record->huffman_bits * share + rests;
}

void container_totals_finish(ellm_totals *totals) {
  double weights = (double)totals->weights;
  if (totals->weights == 0) return;
  totals->entropy /= weights;
  totals->huffman_bits_per_weight /= weights;
  totals->coded_bits_per_weight = 8.0 * (double)totals->quantized_bytes / weights;
}

/* The scales in a coded tensor's head, between code book and block table (docs/FORMAT.md). */

void format_scales_store(const format_record *record, const container_tensor *tensor, uint8_t *out) {
  const quant_scales *scales = &tensor->quant.scales;
  memset(out, 0, format_scales_bytes(record));
  store_u32(out, scales->columns != NULL ? tensor->columns_record : CONTAINER_NO_COLUMNS);
  store_u64(out + 8, scales->outliers);
  for (uint64_t i = 0; scales->rows != NULL && i < record->shape[0]; i++)
    store_u16(out + FORMAT_SCALES_FIXED + 2 * i, scales->rows[i]);
}

bool format_factors_check(const uint16_t *factors, uint64_t n, uint16_t *largest) {
  uint16_t most = 0, least = UINT16_MAX;
  for (uint64_t i = 0; i < n; i++) {
    most = factors[i] > most ? factors[i] : most;
    least = factors[i] < least ? factors[i] : least;
  }
  *largest = most; /* of positive numbers the order is that of their bits */
  return quant_scale_valid(least) && quant_scale_valid(most);
}

bool format_scales_finite(const quant_scales *scales, uint16_t largest_row, uint16_t largest_column) {
  const double farthest = 0x1p24; /* codes with their differences: floats that are exact */
  const double most = fabs((double)scales->step) * (double)float_from_bf16(largest_row) *
                      (double)float_from_bf16(largest_column) * farthest;
  return most <= (double)FLT_MAX;
}
