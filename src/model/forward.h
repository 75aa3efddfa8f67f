/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ELLM_MODEL_FORWARD_H
#define ELLM_MODEL_FORWARD_H

#include "model/model.h"

/* Computes rows[n], 1 .. BACKEND_MAX_ROWS of them, with the invariants of backend.h: their keys and values go to their
 * pages, logits where they are wanted. */
ellm_status forward(ellm_model *model, const batch_row *rows, size_t n, ellm_error *err);

#endif
