/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metadata of a GGUF file: values by key. Strings and arrays are not copied: they stay where they are in the file,
 * and live as long as its bytes do. All of them were checked when the metadata was read, so that accessors only look at
 * types and ranges. Everything here is safe from several threads once it was read.
 */
#ifndef ELLM_GGUF_METADATA_H
#define ELLM_GGUF_METADATA_H

#include "gguf/cursor.h"

enum {
  GGUF_MAX_KEYS = 65536,
  GGUF_MAX_KEY = 65535,                /* bytes of a key, the format's limit */
  GGUF_MAX_STRING = 64 * 1024 * 1024,  /* bytes of a string value: tokenizer files have some 20 MB */
  GGUF_MAX_NESTING = 4                 /* arrays in each other */
};

/* The numbers are those that are in files. */
typedef enum gguf_value_type {
  GGUF_VALUE_U8 = 0,
  GGUF_VALUE_I8 = 1,
  GGUF_VALUE_U16 = 2,
  GGUF_VALUE_I16 = 3,
  GGUF_VALUE_U32 = 4,
  GGUF_VALUE_I32 = 5,
  GGUF_VALUE_F32 = 6,
  GGUF_VALUE_BOOL = 7,
  GGUF_VALUE_STRING = 8,
  GGUF_VALUE_ARRAY = 9,
  GGUF_VALUE_U64 = 10,
  GGUF_VALUE_I64 = 11,
  GGUF_VALUE_F64 = 12,
  GGUF_VALUE_TYPES = 13
} gguf_value_type;

typedef struct gguf_value {
  gguf_string key;         /* 1 to GGUF_MAX_KEY bytes without control characters */
  gguf_value_type type;
  gguf_value_type element; /* of an array */
  uint64_t n;              /* elements of an array; else 1 */
  const uint8_t *data;     /* the scalar, the first byte of a string, or the first element of an array */
  uint64_t bytes;          /* of all that */
} gguf_value;

typedef struct gguf_metadata {
  gguf_value *values; /* [n], in the file's order */
  size_t n;
  const gguf_value **by_key; /* the same, sorted */
  const char *path;          /* for messages; not owned */
} gguf_metadata;

/* Read n_keys values from the cursor on. ELLM_ERR_INPUT names file, key and value. Free with gguf_metadata_free, which
 * is not needed after an error. */
ellm_status gguf_metadata_read(gguf_cursor *c, uint64_t n_keys, gguf_metadata *out, ellm_error *err);
void gguf_metadata_free(gguf_metadata *metadata); /* also one that is all zero */

const gguf_value *gguf_find(const gguf_metadata *metadata, const char *key); /* NULL if absent */

/*
 * The value of a key. ELLM_ERR_INPUT with file, key and what is there where it is missing, of another type, or outside
 * the range: callers that can do without it ask gguf_find first.
 */
ellm_status gguf_get_string(const gguf_metadata *metadata, const char *key, gguf_string *out, ellm_error *err);
ellm_status gguf_get_bool(const gguf_metadata *metadata, const char *key, bool *out, ellm_error *err);
/* An integer of any type, least <= it <= most. */
ellm_status gguf_get_integer(const gguf_metadata *metadata, const char *key, int64_t least, int64_t most, int64_t *out,
                             ellm_error *err);
/* A finite number: F32, F64, or an integer. */
ellm_status gguf_get_number(const gguf_metadata *metadata, const char *key, double *out, ellm_error *err);
/* An array with elements of one type. */
ellm_status gguf_get_array(const gguf_metadata *metadata, const char *key, gguf_value_type element,
                           const gguf_value **out, ellm_error *err);

/* Elements of an array, index < array->n. */
/* of integers; those of U64 beyond 2^63 - 1: that */
int64_t gguf_array_integer(const gguf_value *array, uint64_t index);
double gguf_array_number(const gguf_value *array, uint64_t index);    /* of integers, F32 or F64; may not be finite */
/* All elements of an array of strings into out[array->n]. */
void gguf_array_strings(const gguf_value *array, gguf_string *out);

#endif
