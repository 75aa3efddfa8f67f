/* SPDX-License-Identifier: Apache-2.0 */
/* From text to ids by pieces with scores. */
#ifndef ELLM_TEXT_SCORED_ENCODE_H
#define ELLM_TEXT_SCORED_ENCODE_H

#include "text/scored.h"

/* Append the ids of a text (valid UTF-8). */
ellm_status scored_encode(const scored_model *m, scored_scratch *scratch, const char *text, size_t bytes, id_list *ids,
                          ellm_error *err);

#endif
