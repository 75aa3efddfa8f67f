/* SPDX-License-Identifier: Apache-2.0 */
/* What answers ask of a sampler beside what entrollm.h has. */
#ifndef ELLM_GENERATE_SAMPLER_H
#define ELLM_GENERATE_SAMPLER_H

#include "base/status.h"

/* From now on only ids whose bits are set in allowed[ceil(vocab_size / 64)] are candidates, before any of the filters;
 * at least one must be set. The bits stay the caller's and may change between calls. NULL: all ids. */
void sampler_allow(ellm_sampler *sampler, const uint64_t *allowed);

#endif
