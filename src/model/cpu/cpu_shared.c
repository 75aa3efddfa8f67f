/* SPDX-License-Identifier: Apache-2.0 */
#include "model/cpu/cpu_shared.h"

void cpu_for_rows(const cpu_backend *c, size_t n, cpu_row_fn fn, void *user) {
  if (n > 1) {
    pool_for(compute_pool(c->compute), n, fn, user);
    return;
  }
  for (size_t row = 0; row < n; row++) fn(user, row, 0);
}
