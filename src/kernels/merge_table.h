/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Controls of byte shuffles (pshufb, tbl) that merge two lists 8 symbols a
 * step. The shuffle's 16 source bytes are the next 8 of list 0 and the next 8
 * of list 1; merge_controls[m][j] is the source of output j when bit j of m
 * tells its list.
 */
#ifndef ELLM_KERNELS_MERGE_TABLE_H
#define ELLM_KERNELS_MERGE_TABLE_H

#include <stdint.h>

extern const uint8_t merge_controls[256][8];

#endif
