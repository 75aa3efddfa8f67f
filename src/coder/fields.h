/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of n fields of 1, 2, 3 or 4 bits, laid out so that vectors of 64 bytes
 * unpack by shifts and masks (docs/format/blocks.md, "Level blocks"):
 *
 * 1 bit: field i is bit i % 8 of byte i / 8.
 * 2 and 4 bits: groups of 512 / width fields in 64 bytes; field f of a group is
 *   in byte f % 64 from bit width * (f / 64) on. A last group of m fields has
 *   h = ceil(m * width / 8) bytes: field f in byte f % h from bit width * (f / h).
 * 3 bits: the list of the low 2 bits, then the list of the high bits.
 */
#ifndef ELLM_CODER_FIELDS_H
#define ELLM_CODER_FIELDS_H

#include <stddef.h>
#include <stdint.h>

static inline size_t field_list_bytes(size_t n, unsigned width) {
  switch (width) {
    case 1: return (n + 7) / 8;
    case 3: return field_list_bytes(n, 2) + field_list_bytes(n, 1);
    default: return (n * width + 7) / 8; /* whole groups are 64 bytes, the last one h */
  }
}

/* Lane count of the group that starts at field `first` (a multiple of 512 / width): 64 or the h of the last one. */
static inline size_t field_list_lanes(size_t n, unsigned width, size_t first) {
  size_t in_group = n - first;
  return in_group >= 512 / width ? 64 : (in_group * width + 7) / 8;
}

static inline unsigned field_list_get(const uint8_t *list, size_t n, unsigned width, size_t i) {
  if (width == 1) return list[i / 8] >> (i % 8) & 1;
  if (width == 3) {
    return field_list_get(list, n, 2, i) | field_list_get(list + field_list_bytes(n, 2), n, 1, i) << 2;
  }
  const size_t group = 512 / width, first = i / group * group;
  const size_t lanes = field_list_lanes(n, width, first), f = i - first;
  return list[first * width / 8 + f % lanes] >> (width * (f / lanes)) & ((1u << width) - 1);
}

/* values[n] into a zeroed list. */
static inline void field_list_put(uint8_t *list, const uint8_t *values, size_t n, unsigned width) {
  if (width == 1) {
    for (size_t i = 0; i < n; i++) list[i / 8] |= (uint8_t)((values[i] & 1u) << (i % 8));
  } else if (width == 3) {
    uint8_t *high = list + field_list_bytes(n, 2);
    for (size_t first = 0; first < n; first += 256) {
      const size_t lanes = field_list_lanes(n, 2, first), end = n - first < 256 ? n - first : 256;
      for (size_t f = 0; f < end; f++)
        list[first / 4 + f % lanes] |= (uint8_t)((values[first + f] & 3u) << (2 * (f / lanes)));
    }
    for (size_t i = 0; i < n; i++) high[i / 8] |= (uint8_t)((values[i] >> 2 & 1u) << (i % 8));
  } else {
    const size_t group = 512 / width;
    for (size_t first = 0; first < n; first += group) {
      const size_t lanes = field_list_lanes(n, width, first), end = n - first < group ? n - first : group;
      uint8_t *bytes = list + first * width / 8;
      for (size_t lane = 0; lane < lanes; lane++) {
        unsigned packed = 0, shift = 0;
        for (size_t f = lane; f < end; f += lanes, shift += width) packed |= (unsigned)values[first + f] << shift;
        bytes[lane] = (uint8_t)packed;
      }
    }
  }
}

#endif
