/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the layer: the tables, the decoders they point at, and what the sources of all sets share. */
#ifndef ELLM_KERNELS_TABLES_H
#define ELLM_KERNELS_TABLES_H

#include "kernels/kernels.h"

/* Kernels are templates: one source, specialised by inlining constants. */
#define KERNEL_INLINE static inline __attribute__((always_inline))

#define KERNEL_ISA(name, usable) extern const kernel_table kernel_table_##name;
#include "kernels/isa_list.inc"
#undef KERNEL_ISA

bool decode_block_avx2(const coder_codebook *book, const coder_block *block, const uint8_t *data, size_t bytes,
                       coder_scratch *scratch, uint8_t *codes);
bool decode_block_avx512(const coder_codebook *book, const coder_block *block, const uint8_t *data, size_t bytes,
                         coder_scratch *scratch, uint8_t *codes);
bool decode_block_neon(const coder_codebook *book, const coder_block *block, const uint8_t *data, size_t bytes,
                       coder_scratch *scratch, uint8_t *codes);

#endif
