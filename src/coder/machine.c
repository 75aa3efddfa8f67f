/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables. Rates of
 *
 *   ENTROLLM_ISA=avx2 entrollm bench kernels --op dot -t 1     (and avx512, neon)
 *
 * from cache, i16, as cycles: clock / (G weights/s) * 64. `fields` and `plain` are such rows; `patch` is what rows of
 * fields lose by their patches; parts of levels and trees are fitted to the rows of several entropies. bits_a_cycle is what
 * the memory of a usual machine of the class delivers, divided among its cores: 40 GB/s for four or five, 5 GB/s for each of a
 * server, 17 GB/s for four small ones. Only ratios matter, which of two books is faster.
 */
#include "coder/machine.h"

#include <stddef.h>

/* AMD Zen 4. What is before `plain` decides about books for balance, too: files follow from it, whatever later
 * kernels take. */
static const coder_machine avx512 = {.leaves = 1.5, .expand = 3, .merge = 5, .node_start = 12,
                                     .level = {0, 2.5, 3.5, 4.5, 3.5}, .level_start = 20,
                                     .unpack = 0.75, .raw_list = 1.25, .dot = 2,
                                     .plain = {2.1, 2.6}, .fields = {0, 0, 2.4, 3.4, 2.2, 3.2, 3.1}, .patch = 5,
                                     .bits_a_cycle = 10};
/* The same processor with AVX2. */
static const coder_machine avx2 = {.leaves = 3, .expand = 6, .merge = 9, .node_start = 20,
                                   .level = {0, 9, 10.5, 15, 10.5}, .level_start = 30,
                                   .unpack = 1, .raw_list = 2, .dot = 3.6,
                                   .plain = {3.6, 4.4}, .fields = {0, 0, 3.6, 5.8, 3.7, 5.9, 6.3}, .patch = 5,
                                   .bits_a_cycle = 20};
/* Estimated, for a core with vectors of 16 bytes: twice the instructions of AVX2, merges by table. */
static const coder_machine neon = {.leaves = 6, .expand = 16, .merge = 20, .node_start = 30,
                                   .level = {0, 22, 26, 34, 26}, .level_start = 40,
                                   .unpack = 2, .raw_list = 4, .dot = 9,
                                   .plain = {9, 10}, .fields = {0, 0, 9, 13, 9, 13, 14}, .patch = 8,
                                   .bits_a_cycle = 20};

const coder_machine *coder_machine_of(ellm_machine machine) {
  switch (machine) {
    case ELLM_MACHINE_AVX2: return &avx2;
    case ELLM_MACHINE_AVX512: return &avx512;
    case ELLM_MACHINE_NEON: return &neon;
  }
  return NULL;
}
