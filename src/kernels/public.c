/* SPDX-License-Identifier: Apache-2.0 */
/* Instruction sets as entrollm.h has them. */
#include "kernels/kernels.h"

const char *ellm_isa(void) { return kernels_best()->isa; }

const char *ellm_isa_at(size_t index) {
  const kernel_table *table = kernels_at(index);
  return table != NULL ? table->isa : NULL;
}

bool ellm_isa_force(const char *name) { return kernels_force(name); }
