/* SPDX-License-Identifier: Apache-2.0 */
#include "model/cpu/cpu_activate.h"

#include <string.h>

#include "model/cpu/cpu_team.h"

void cpu_activate(const cpu_backend *c, arch_activation activation, const float *gate_up, uint32_t n, float *inner) {
  const row_range own = cpu_own(c, n);
  const float *gate = gate_up + own.first, *up = gate + n;
  if (activation == ARCH_GELU_TANH) c->k->gelu_tanh_mul(gate, up, inner + own.first, own.end - own.first);
  else c->k->silu_mul(gate, up, inner + own.first, own.end - own.first);
  memset(inner + n, 0, (cpu_round_up(n) - n) * sizeof *inner); /* a wider layer may have been here */
}
