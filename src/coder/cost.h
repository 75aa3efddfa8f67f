/* SPDX-License-Identifier: Apache-2.0 */
/* The choice of a code book from the counts of a tensor. */
#ifndef ELLM_CODER_COST_H
#define ELLM_CODER_COST_H

#include "base/status.h"
#include "coder/codebook.h"
#include "coder/statistics.h"

/* Books for size that may turn out smaller than the one of least expected size. */
enum { CODER_RIVALS = 3 };
typedef struct coder_rivals { unsigned n; coder_codebook book[CODER_RIVALS]; } coder_rivals;

/* The book for a tensor under `prefer`; the rule is stated in coder/cost.c. Where
 * no pairs were counted, none of pairs. With code NONE, or where nothing is
 * gained, CODER_PLAIN. `estimated_bytes`: blocks, block table and book together;
 * `rivals`: none for speed. Both may be NULL. */
ellm_status coder_choose(const coder_statistics *stats, const coder_geometry *geometry, int bits, uint8_t pad,
                         ellm_prefer prefer, ellm_code code, coder_codebook *book, double *estimated_bytes,
                         coder_rivals *rivals, ellm_error *err);

#endif
