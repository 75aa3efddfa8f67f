/* SPDX-License-Identifier: Apache-2.0 */
/* /tokenize, /detokenize and /apply-template. */
#ifndef ELLM_SERVE_TOKENS_H
#define ELLM_SERVE_TOKENS_H

#include "serve/job.h"

void tokens_tokenize(job *j);
void tokens_detokenize(job *j);
void tokens_apply_template(job *j);

#endif
