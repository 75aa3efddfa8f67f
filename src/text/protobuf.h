/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading messages in the wire format of Protocol Buffers, field by field. A field is a varint of number << 3 | type
 * and a value: a varint (type 0), 8 bytes (1), a length and so many bytes (2), or 4 bytes (5). Groups (3 and 4), which
 * nobody writes any more, are refused. Values stay where they lie; messages in messages are read by a reader of their
 * own, so that nothing here nests.
 */
#ifndef ELLM_TEXT_PROTOBUF_H
#define ELLM_TEXT_PROTOBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum protobuf_type {
  PROTOBUF_VARINT = 0, PROTOBUF_I64 = 1, PROTOBUF_BYTES = 2, PROTOBUF_I32 = 5
} protobuf_type;

typedef struct protobuf_field {
  uint32_t number;    /* 1 to 2^29 - 1 */
  protobuf_type type;
  uint64_t value;     /* of a varint, or the bits of I32 and I64 */
  const uint8_t *data; /* [bytes], of BYTES */
  size_t bytes;
} protobuf_field;

typedef struct protobuf_reader {
  const uint8_t *begin, *at, *end;
  const char *problem; /* NULL while all is well; static */
} protobuf_reader;

static inline protobuf_reader protobuf_over(const void *data, size_t bytes) {
  const uint8_t *begin = data;
  return (protobuf_reader){begin, begin, begin + bytes, 0};
}

/* The next field. False at the end, and where the message is damaged: then reader->problem says what is wrong at
 * reader->at. */
bool protobuf_next(protobuf_reader *reader, protobuf_field *field);

#endif
