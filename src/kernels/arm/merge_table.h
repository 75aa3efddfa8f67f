/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Controls of byte shuffles (tbl) that merge two lists 8 symbols a
 * step. The shuffle's 16 source bytes are the next 8 of list 0 and the next 8
 * of list 1; merge_controls[m][j] is the source of output j when bit j of m
 * tells its list. fill_controls[0][m][j] is the place of output j among 8 of a list
 * that goes to the set bits of m, 0x80 (a zero byte) where bit j is not set;
 * fill_controls[1] the same with the list in the upper 8 source bytes.
 */
#ifndef ELLM_KERNELS_ARM_MERGE_TABLE_H
#define ELLM_KERNELS_ARM_MERGE_TABLE_H

#include <stdint.h>

extern const uint8_t merge_controls[257][8]; /* a row of 8 bytes more, so that 16 may be loaded */
extern const uint8_t fill_controls[2][256][8];

#endif
