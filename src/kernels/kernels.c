/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which table runs: the last usable one of isa_list.inc, unless forced. The
 * processor is asked once; threads that ask at the same time find the same.
 */
#include <stdatomic.h>
#include <string.h>

#include "kernels/cpu.h"
#include "kernels/kernels.h"
#include "kernels/tables.h"

typedef struct isa_entry { const kernel_table *table; bool (*usable)(void); } isa_entry;

static const isa_entry isa_entries[] = {
#define KERNEL_ISA(name, usable) {&kernel_table_##name, usable},
#include "kernels/isa_list.inc"
#undef KERNEL_ISA
};
enum { N_ISAS = sizeof isa_entries / sizeof isa_entries[0] };

static _Atomic(const kernel_table *) forced_table, best_table; /* NULL: none, not looked for yet */

const kernel_table *kernels_at(size_t index) {
  for (size_t i = 0; i < N_ISAS; i++) {
    if (!isa_entries[i].usable()) continue;
    if (index-- == 0) return isa_entries[i].table;
  }
  return NULL;
}

const kernel_table *kernels_find(const char *isa) {
  for (size_t i = 0; i < N_ISAS; i++)
    if (strcmp(isa, isa_entries[i].table->isa) == 0) return isa_entries[i].usable() ? isa_entries[i].table : NULL;
  return NULL;
}

static const kernel_table *look_for_best(void) {
  for (size_t i = N_ISAS; i-- > 1;)
    if (isa_entries[i].usable()) return isa_entries[i].table;
  return isa_entries[0].table; /* scalar runs everywhere */
}

const kernel_table *kernels_best(void) {
  const kernel_table *table = atomic_load_explicit(&forced_table, memory_order_acquire);
  if (table == NULL) table = atomic_load_explicit(&best_table, memory_order_acquire);
  if (table == NULL) { /* CPUID leaves a virtual machine, which takes microseconds */
    table = look_for_best();
    atomic_store_explicit(&best_table, table, memory_order_release);
  }
  return table;
}

bool kernels_force(const char *isa) {
  const kernel_table *table = isa ? kernels_find(isa) : NULL;
  if (isa && !table) return false;
  atomic_store_explicit(&forced_table, table, memory_order_release);
  return true;
}
