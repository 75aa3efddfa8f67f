/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What decoding and multiplying take on a named class of machine, as far as the
 * choice of a code book asks. Files follow from these figures, so they are
 * constants: the machine at hand has no say, and the same checkpoint gives the
 * same bytes everywhere.
 */
#ifndef ELLM_CODER_MACHINE_H
#define ELLM_CODER_MACHINE_H

#include "base/status.h"

/* Cycles of one core for 64 symbols or codes, where nothing else is stated. */
typedef struct coder_machine {
  double leaves, expand, merge; /* nodes of a Huffman tree: of two leaves, a leaf and a list, two lists */
  double node_start;            /* a node and block */
  double level[5];              /* fields of a level, by width */
  double level_start;           /* a level and block */
  double unpack, raw_list;      /* pairs taken apart; a list of raw bits added */
  double dot;                   /* the product of what was decoded */
  double plain[2];              /* CODER_PLAIN with product: nibbles, bytes */
  double fields[7];             /* CODER_FIELDS with product, by width */
  double patch;                 /* one patch */
  double bits_a_cycle;          /* that memory delivers to a core */
} coder_machine;

/* NULL where there is no such class. */
const coder_machine *coder_machine_of(ellm_machine machine);

#endif
