/* SPDX-License-Identifier: Apache-2.0 */
/* Unigram. */
#ifndef ELLM_TEXT_UNIGRAM_H
#define ELLM_TEXT_UNIGRAM_H

#include "text/scored.h"

ellm_status unigram_encode(const scored_model *m, scored_scratch *scratch, const char *text, size_t bytes, id_list *ids,
                           ellm_error *err);

#endif
