/* SPDX-License-Identifier: Apache-2.0 */
#include "model/cpu/cpu_shared.h"

#include <string.h>

void cpu_for_rows(const cpu_backend *c, size_t n, cpu_row_fn fn, void *user) {
  if (n > 1) {
    pool_for(compute_pool(c->compute), n, fn, user);
    return;
  }
  for (size_t row = 0; row < n; row++) fn(user, row, 0);
}

void cpu_activate(const cpu_backend *c, arch_activation activation, const float *gate_up, size_t n, float *inner) {
  if (activation == ARCH_GELU_TANH) c->k->gelu_tanh_mul(gate_up, gate_up + n, inner, n);
  else c->k->silu_mul(gate_up, gate_up + n, inner, n);
  memset(inner + n, 0, (cpu_round_up(n) - n) * sizeof *inner); /* a wider layer may have been here */
}
