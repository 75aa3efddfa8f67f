/* SPDX-License-Identifier: Apache-2.0 */
/* See protobuf.h. */
#include "text/protobuf.h"

#include "base/bytes.h"

enum { MAX_FIELD = (1 << 29) - 1 };

static bool fail(protobuf_reader *reader, const char *problem) {
  reader->problem = problem;
  return false;
}

static bool varint(protobuf_reader *reader, uint64_t *value) {
  *value = 0;
  for (unsigned shift = 0; shift < 70; shift += 7) {
    if (reader->at == reader->end) return fail(reader, "ends in a number");
    const uint8_t byte = *reader->at++;
    if (shift == 63 && byte > 1) return fail(reader, "has a number of more than 64 bits");
    *value |= (uint64_t)(byte & 0x7F) << shift;
    if (byte < 0x80) return true;
  }
  return fail(reader, "has a number of more than 64 bits");
}

bool protobuf_next(protobuf_reader *reader, protobuf_field *field) {
  uint64_t tag, length;
  if (reader->problem != 0 || reader->at == reader->end) return false;
  *field = (protobuf_field){0};
  if (!varint(reader, &tag)) return false;
  if (tag >> 3 == 0 || tag >> 3 > MAX_FIELD) return fail(reader, "has a field of no number");
  field->number = (uint32_t)(tag >> 3);
  field->type = (protobuf_type)(tag & 7);
  const size_t left = (size_t)(reader->end - reader->at);
  switch ((unsigned)(tag & 7)) {
    case PROTOBUF_VARINT: return varint(reader, &field->value);
    case PROTOBUF_I64:
      if (left < 8) return fail(reader, "ends in a field");
      field->value = load_u64(reader->at);
      reader->at += 8;
      return true;
    case PROTOBUF_I32:
      if (left < 4) return fail(reader, "ends in a field");
      field->value = load_u32(reader->at);
      reader->at += 4;
      return true;
    case PROTOBUF_BYTES:
      if (!varint(reader, &length)) return false;
      if (length > (size_t)(reader->end - reader->at)) return fail(reader, "ends in a field");
      field->data = reader->at;
      field->bytes = (size_t)length;
      reader->at += length;
      return true;
    default: return fail(reader, "has a field of a type that is not known");
  }
}
