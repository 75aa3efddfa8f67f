/* SPDX-License-Identifier: Apache-2.0 */
/* Names and fields that most architectures share. */
#ifndef ELLM_ARCH_USUAL_H
#define ELLM_ARCH_USUAL_H

#include "arch/family.h"

extern const arch_fields arch_usual_fields;
extern const arch_tensors arch_usual_tensors;

#endif
