/* SPDX-License-Identifier: Apache-2.0 */
/* The list of families. */
#ifndef ELLM_ARCH_FAMILIES_H
#define ELLM_ARCH_FAMILIES_H

#include "arch/family.h"

/* The class by the first of `architectures`, else by model_type; both must agree. */
ellm_status arch_class_find(const json_t *root, const char *origin, const arch_class **found, ellm_error *err);

#endif
