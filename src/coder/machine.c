/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables. They are made from
 *
 *   ENTROLLM_ISA=avx2 entrollm bench kernels --op dot --threads 1     (and avx512, neon)
 *
 * in cycles: clock / (G weights/s) * 64, from cache. The parts of levels and trees are fitted to rows of several
 * entropies. Only ratios matter, which of two books is faster.
 */
#include "coder/machine.h"

#include <stddef.h>

/* AMD Zen 4, one core of two on a memory of 25 GB/s. What stands before `plain` decides about books of
 * ELLM_PREFER_BALANCED and SIZE, too: files follow from it, whatever later kernels take. */
static const coder_machine avx512 = {.leaves = 1.5, .expand = 3, .merge = 5, .node_start = 12,
                                     .level = {0, 2.5, 3.5, 4.5, 3.5}, .level_start = 20,
                                     .unpack = 0.75, .raw_list = 1.25, .dot = 2,
                                     .plain = {3, 4}, .fields = {0, 0, 3, 3.5, 3, 4, 4}, .patch = 5,
                                     .bits_a_cycle = 27};
static const coder_machine avx2 = {.leaves = 3, .expand = 12, .merge = 18, .node_start = 20,
                                   .level = {0, 12, 14, 17, 14}, .level_start = 30,
                                   .unpack = 2, .raw_list = 3, .dot = 5,
                                   .plain = {6, 9}, .fields = {0, 0, 6, 7, 6, 9, 10}, .patch = 5,
                                   .bits_a_cycle = 27};
static const coder_machine neon = {.leaves = 6, .expand = 24, .merge = 32, .node_start = 30,
                                   .level = {0, 24, 28, 34, 28}, .level_start = 40,
                                   .unpack = 4, .raw_list = 6, .dot = 10,
                                   .plain = {12, 14}, .fields = {0, 0, 13, 15, 12, 16, 17}, .patch = 6,
                                   .bits_a_cycle = 20};

const coder_machine *coder_machine_of(ellm_machine machine) {
  switch (machine) {
    case ELLM_MACHINE_AVX2: return &avx2;
    case ELLM_MACHINE_AVX512: return &avx512;
    case ELLM_MACHINE_NEON: return &neon;
  }
  return NULL;
}
