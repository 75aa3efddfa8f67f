/* SPDX-License-Identifier: Apache-2.0 */
/* The choice of a code book from the counts of a tensor. */
#ifndef ELLM_CODER_COST_H
#define ELLM_CODER_COST_H

#include "base/status.h"
#include "coder/codebook.h"
#include "coder/statistics.h"

/* Books for size that may turn out smaller than the one of least expected size. */
enum { CODER_ALTERNATIVES = 3 };
typedef struct coder_alternatives { unsigned n; coder_codebook book[CODER_ALTERNATIVES]; } coder_alternatives;

/* What a book is chosen for. */
typedef struct coder_aim {
  ellm_prefer prefer;
  ellm_machine machine; /* for ELLM_PREFER_SPEED */
  ellm_code code;
  double most_loss;     /* for ELLM_PREFER_BALANCED: a book may exceed the entropy by this part; 0: by 0.06 */
} coder_aim;

/* The codes that are to be coded. */
typedef struct coder_codes {
  const coder_statistics *stats;
  const coder_geometry *geometry;
  int bits, zero;
  uint8_t pad;
} coder_codes;

typedef struct coder_choice {
  coder_codebook book;
  double bytes;       /* blocks with their patches, block table and book, about */
  double cost;        /* what the choice was made by; compares books of one tensor and aim */
  uint64_t outliers;  /* codes beyond the book's range, which need patches (coder_clip) */
  coder_alternatives alternatives; /* for size */
} coder_choice;

/* The book for a tensor; the rule is stated in coder/cost.c. Where no pairs were counted, none of pairs. With code NONE, or where nothing is gained, CODER_PLAIN. */
ellm_status coder_choose(const coder_codes *codes, coder_aim aim, coder_choice *choice, ellm_error *err);

/* Cycles of one core of a class of machine for decoding all these codes by a book, and multiplying them with one token,
 * where nothing waits for memory. ELLM_ERR_USAGE: there is no such class. */
ellm_status coder_cycles(const coder_codebook *book, const coder_codes *codes, uint64_t outliers, ellm_machine machine,
                         double *cycles, ellm_error *err);

/* What patches of n codes more add to the cost of a choice, and to its bytes. */
double coder_patches_cost(coder_aim aim, uint64_t n, const coder_geometry *geometry, double *bytes);

#endif
