/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the layer: the tables, the decoders they point at, and what the sources of all sets share. */
#ifndef ELLM_KERNELS_TABLES_H
#define ELLM_KERNELS_TABLES_H

#include "coder/levels.h"
#include "kernels/kernels.h"

/* Kernels are templates: one source, specialised by inlining constants. */
#define KERNEL_INLINE static inline __attribute__((always_inline))

/* A name put together of the values of two macros; the value of a macro as a string. */
#define KERNEL_PASTE_(a, b) a##b
#define KERNEL_PASTE(a, b) KERNEL_PASTE_(a, b)
#define KERNEL_STRING_(a) #a
#define KERNEL_STRING(a) KERNEL_STRING_(a)

/* The next loop, whose count is a constant of at most n wherever it is inlined, without a loop. */
#define KERNEL_PRAGMA(text) _Pragma(#text)
#if defined(KERNELS_SIMDE)
#define KERNEL_UNROLL(n) /* each instruction is many there, and unrolled they take minutes a file */
#elif defined(__clang__)
#if __has_feature(address_sanitizer) || __has_feature(undefined_behavior_sanitizer) || \
    __has_feature(memory_sanitizer) || __has_feature(thread_sanitizer)
#define KERNEL_UNROLL(n) /* with the checks of every access clang would take minutes a file */
#else
#define KERNEL_UNROLL(n) KERNEL_PRAGMA(clang loop unroll(full))
#endif
#else
#define KERNEL_UNROLL(n) KERNEL_PRAGMA(GCC unroll n)
#endif

/* Kinds of books that the sets decode themselves. Blocks of another go through the scalar decoder, on every set. */
static inline bool kernel_knows(const coder_codebook *book) { return book->kind <= CODER_FIELDS; }

#define KERNEL_DECODER(name)                                                                                         \
  bool decode_block_##name(const coder_codebook *book, const coder_block *block, const uint8_t *data, size_t bytes, \
                           coder_scratch *scratch, uint8_t *codes);                                                  \
  bool decode_symbols_##name(const coder_codebook *book, const coder_block *block, const uint8_t *data,             \
                             size_t bytes, coder_scratch *scratch, uint8_t *out, uint32_t raw_offset[3]);           \
  bool decode_levels_##name(const coder_codebook *book, const uint8_t *data, const levels_parts *parts,             \
                            coder_scratch *scratch, size_t ahead, unsigned first, uint8_t *out);
/* dot_block without a pass that makes codes, for the blocks that a set has such a kernel for. */
typedef enum kernel_fused_result { KERNEL_NOT_FUSED, KERNEL_FUSED_GOOD, KERNEL_FUSED_DAMAGED } kernel_fused_result;
#define KERNEL_DOT(name)                                                                                             \
  bool dot_block_##name(const coder_codebook *book, const coder_block *block, const uint8_t *data, size_t bytes,    \
                        kernel_scratch *scratch, const kernel_activations *a, size_t token, int32_t *sums);          \
  void multiply_codes_##name(const uint8_t *panel_codes, const coder_block *block, const kernel_activations *a,     \
                             size_t token, size_t n_tokens, int32_t *sums);                                          \
  kernel_fused_result dot_fused_##name(const coder_codebook *book, const coder_block *block, const uint8_t *data,    \
                                       size_t bytes, kernel_scratch *scratch, const kernel_activations *a,           \
                                       size_t token, int32_t *sums);
/* multiply_block without a pass that makes codes, for the blocks that the set has such a kernel for. */
#define KERNEL_MULTIPLIES(name)                                                                                      \
  kernel_fused_result multiply_fused_##name(                                                                         \
      const coder_codebook *book, const coder_block *block, const uint8_t *data, size_t bytes,                       \
      const coder_patches *patches, kernel_scratch *scratch, const kernel_activations *a, size_t token,              \
      size_t n_tokens, const quant_scales *scales, float *y, size_t y_stride);
/* Declared for every set of the list; a set defines its table, and of the functions those that it has of its own. */
#define KERNEL_ISA(name, usable) \
  extern const kernel_table kernel_table_##name; \
  KERNEL_DECODER(name) \
  KERNEL_DOT(name) \
  KERNEL_MULTIPLIES(name)
#include "kernels/isa_list.inc"
#undef KERNEL_ISA
/* multiply_finish for panels of 16 rows; false, nothing done, for others. */
#define KERNEL_FINISHES(name)                                                                                        \
  bool multiply_finish_##name(const uint8_t *panel_codes, const coder_block *block, const kernel_activations *a,      \
                              size_t token, size_t n_tokens, const quant_scales *scales, const int32_t *added,        \
                              size_t n_rows, float *y, size_t y_stride);
KERNEL_FINISHES(avx2)
KERNEL_FINISHES(avxvnni)
KERNEL_FINISHES(avx512)
#undef KERNEL_FINISHES
/* Attention with halves, for a set that has no faster way of its own. */
void attention_scores_half_avx2(const float *const *queries, size_t n_queries, const void *keys, size_t n_tiles,
                                size_t dim, float scale, float *const *scores);
void attention_mix_half_avx2(const float *const *weights, size_t n_queries, const void *values, size_t n, size_t dim,
                             float *const *out);
#undef KERNEL_DECODER
#undef KERNEL_DOT
#undef KERNEL_MULTIPLIES

#endif
