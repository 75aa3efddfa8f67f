/* SPDX-License-Identifier: Apache-2.0 */
/* Joining by scores. */
#ifndef ELLM_TEXT_SCORED_BPE_H
#define ELLM_TEXT_SCORED_BPE_H

#include "text/scored.h"

ellm_status scored_bpe_encode(const scored_model *m, scored_scratch *scratch, const char *text, size_t bytes,
                              id_list *ids, ellm_error *err);

#endif
