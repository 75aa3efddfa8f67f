/* SPDX-License-Identifier: Apache-2.0 */
/* What the processor, and the system's saving of its registers, allow. */
#ifndef ELLM_KERNELS_CPU_H
#define ELLM_KERNELS_CPU_H

#include <stdbool.h>
#include <stdint.h>

static inline bool cpu_always(void) { return true; }

/* AVX2, FMA, F16C, BMI1 and POPCNT, with the upper halves of ymm saved: Haswell, Zen 1 on. */
bool cpu_has_avx2(void);
/* The above and AVX-VNNI: Alder Lake, Zen 5 on. */
bool cpu_has_avxvnni(void);
/* AVX2 and AVX-512 F, BW, DQ, VL, VBMI, VBMI2 and VNNI, with opmask and zmm
 * registers saved: Ice Lake, Zen 4 on. Skylake-X has no VBMI2 and runs AVX2. */
bool cpu_has_avx512(void);
/* Dot-product instructions of ARMv8.2, as the system tells. */
bool cpu_has_dotprod(void);
/* Those for matrices of bytes, I8MM of ARMv8.6 (Neoverse V1 and N2, Cortex-X2 and A510, Apple M2 on). */
bool cpu_has_i8mm(void);

/* What an x86 processor says: leaves 1 and 7 (7.1: its second part) of CPUID, and XCR0 (0 where the system does not use xsave). The
 * decisions above are these, of this processor. */
typedef struct cpu_bits { uint32_t leaf1_ecx, leaf7_ebx, leaf7_ecx, xcr0, leaf7_1_eax; } cpu_bits;
bool cpu_bits_avx2(const cpu_bits *bits);
bool cpu_bits_avxvnni(const cpu_bits *bits);
bool cpu_bits_avx512(const cpu_bits *bits);

#endif
