/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Element types of GGUF tensors. Elements come in blocks: a block holds a number of elements of one row in a number of
 * bytes, with scales of its own. The types without blocks (F32, F16, ...) have blocks of one element.
 */
#ifndef ELLM_GGUF_TYPES_H
#define ELLM_GGUF_TYPES_H

#include "base/status.h"

/* The numbers are those that are in files. */
typedef enum gguf_type {
  GGUF_F32 = 0,
  GGUF_F16 = 1,
  GGUF_Q4_0 = 2,
  GGUF_Q4_1 = 3,
  GGUF_Q5_0 = 6,
  GGUF_Q5_1 = 7,
  GGUF_Q8_0 = 8,
  GGUF_Q8_1 = 9,
  GGUF_Q2_K = 10,
  GGUF_Q3_K = 11,
  GGUF_Q4_K = 12,
  GGUF_Q5_K = 13,
  GGUF_Q6_K = 14,
  GGUF_Q8_K = 15,
  GGUF_IQ2_XXS = 16,
  GGUF_IQ2_XS = 17,
  GGUF_IQ3_XXS = 18,
  GGUF_IQ1_S = 19,
  GGUF_IQ4_NL = 20,
  GGUF_IQ3_S = 21,
  GGUF_IQ2_S = 22,
  GGUF_IQ4_XS = 23,
  GGUF_I8 = 24,
  GGUF_I16 = 25,
  GGUF_I32 = 26,
  GGUF_I64 = 27,
  GGUF_F64 = 28,
  GGUF_IQ1_M = 29,
  GGUF_BF16 = 30,
  GGUF_TQ1_0 = 34,
  GGUF_TQ2_0 = 35,
  GGUF_MXFP4 = 39,
  GGUF_NVFP4 = 40,
  GGUF_Q1_0 = 41,
  GGUF_TYPES = 42 /* one more than the largest number that is known */
} gguf_type;

typedef struct gguf_type_facts {
  const char *name;
  uint32_t elements; /* of a block; 0: the format has given the type up, files with it are not read */
  uint32_t bytes;    /* of a block */
} gguf_type_facts;

/* NULL where the number is not known. Static. */
const gguf_type_facts *gguf_type_find(uint32_t number);

#endif
