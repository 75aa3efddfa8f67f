/* SPDX-License-Identifier: Apache-2.0 */
/* Saving the logits of a reference model (reference.h has the format). */
#ifndef ELLM_EVAL_SAVE_REFERENCE_H
#define ELLM_EVAL_SAVE_REFERENCE_H

#include "base/status.h"

/* ellm_eval_save_reference with a request and options of the full size. */
ellm_status eval_save_reference(ellm_model *reference, const ellm_divergence_request *request, const char *path,
                                bool overwrite, const ellm_eval_options *options, ellm_error *err);

#endif
