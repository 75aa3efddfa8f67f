/* SPDX-License-Identifier: Apache-2.0 */
/* What evaluations know their data by. */
#ifndef ELLM_EVAL_IDENTITY_H
#define ELLM_EVAL_IDENTITY_H

#include <stddef.h>

/* Identity of data: 32 hex digits. */
void eval_data_identity(const void *data, size_t bytes, char text[33]);

#endif
