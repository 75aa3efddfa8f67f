/* SPDX-License-Identifier: Apache-2.0 */
/* Where the parts of kernel_activations are in memory. Each begins at a multiple of 64 bytes. */
#include "kernels/activations.h"

#include "base/memory.h"

/* Columns from token to token: whole groups, and a line more, so that the tokens' columns of one place do not all
 * compete for the same sets of a cache. */
static bool layout(kernel_activations *a, size_t columns, size_t n_tokens, unsigned digits) {
  size_t padded;
  if (!ellm_add_size(columns, KERNEL_GROUP_I16 - 1 + 64, &padded)) return false;
  padded = (padded - 64) / KERNEL_GROUP_I16 * KERNEL_GROUP_I16;
  a->digits = digits;
  a->group = digits == 2 ? KERNEL_GROUP_I16 : KERNEL_GROUP_I8;
  a->columns = columns;
  a->n_tokens = n_tokens;
  a->stride = padded + 64;
  a->n_groups = padded / a->group;
  return true;
}

static size_t group_bytes(const kernel_activations *a) { return (a->n_tokens * a->n_groups * 4 + 63) / 64 * 64; }

size_t kernel_activations_bytes(size_t columns, size_t n_tokens, unsigned digits) {
  kernel_activations a;
  size_t digit_bytes, bytes;
  if (!layout(&a, columns, n_tokens, digits)) return 0;
  /* the groups' bytes are fewer than a digit's, so four digits' worth would be enough for all */
  if (!ellm_mul_size(a.stride, n_tokens, &digit_bytes) || !ellm_mul_size(digit_bytes, 8, &bytes)) return 0;
  return digit_bytes * 4 + 2 * group_bytes(&a);
}

void kernel_activations_init(kernel_activations *a, void *memory, size_t columns, size_t n_tokens, unsigned digits) {
  layout(a, columns, n_tokens, digits);
  const size_t digit_bytes = a->stride * n_tokens;
  int8_t *at = memory;
  a->wide = (int16_t *)(void *)at;
  a->low = at + 2 * digit_bytes;
  a->high = digits == 2 ? a->low + digit_bytes : NULL;
  a->raised = digits == 1 ? (uint8_t *)(a->low + digit_bytes) : NULL;
  at = a->low + 2 * digit_bytes;
  a->sum = (int32_t *)(void *)at;
  a->scale = (float *)(void *)(at + group_bytes(a));
}
