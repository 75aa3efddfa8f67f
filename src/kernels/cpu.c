/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x86: CPUID tells what the processor has, XCR0 which registers the system saves on
 * a task switch; a set is usable only where both agree. Bit numbers: Intel SDM
 * volume 2, CPUID leaves 1 and 7; volume 1, section 13.3 (XCR0).
 *
 * With KERNELS_SIMDE the "AVX-512" kernels are compiled for a lesser processor
 * by way of SIMDe (tests only), so they are usable where that processor is, and
 * so are those of AVX-VNNI. With KERNELS_EVEX (tests only) the latter have the
 * encoding of AVX-512.
 *
 * 64-bit Arm: NEON is always there; what came later the system tells.
 */
#include "kernels/cpu.h"

#if defined(KERNELS_X86)

#include <cpuid.h>

enum {
  LEAF1_ECX_FMA = 12, LEAF1_ECX_POPCNT = 23, LEAF1_ECX_OSXSAVE = 27, LEAF1_ECX_AVX = 28, LEAF1_ECX_F16C = 29,
  LEAF7_EBX_BMI1 = 3, LEAF7_EBX_AVX2 = 5, LEAF7_EBX_AVX512F = 16, LEAF7_EBX_AVX512DQ = 17, LEAF7_EBX_AVX512BW = 30,
  LEAF7_EBX_AVX512VL = 31,
  LEAF7_ECX_VBMI = 1, LEAF7_ECX_VBMI2 = 6, LEAF7_ECX_VNNI = 11,
  LEAF7_1_EAX_AVX_VNNI = 4,
  XCR0_YMM = 0x06,  /* xmm, ymm */
  XCR0_ZMM = 0xe6   /* and opmask, upper zmm, zmm16-31 */
};

static bool all_set(uint32_t word, const int *bits, int n) {
  for (int i = 0; i < n; i++)
    if (!(word >> bits[i] & 1)) return false;
  return true;
}
#define ALL_SET(word, ...) all_set(word, (const int[]){__VA_ARGS__}, (int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)))

static cpu_bits read_bits(void) {
  cpu_bits bits = {0, 0, 0, 0, 0};
  unsigned eax, ebx, ecx, edx;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx)) bits.leaf1_ecx = ecx;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) {
    bits.leaf7_ebx = ebx;
    bits.leaf7_ecx = ecx;
    if (eax >= 1 && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx)) bits.leaf7_1_eax = eax; /* eax: the last part */
  }
  if (bits.leaf1_ecx >> LEAF1_ECX_OSXSAVE & 1) {
    __asm__ volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
    bits.xcr0 = eax;
  }
  return bits;
}

bool cpu_bits_avx2(const cpu_bits *bits) {
  return (bits->xcr0 & XCR0_YMM) == XCR0_YMM &&
         ALL_SET(bits->leaf1_ecx, LEAF1_ECX_FMA, LEAF1_ECX_POPCNT, LEAF1_ECX_AVX, LEAF1_ECX_F16C) &&
         ALL_SET(bits->leaf7_ebx, LEAF7_EBX_BMI1, LEAF7_EBX_AVX2);
}

bool cpu_bits_avxvnni(const cpu_bits *bits) {
  return cpu_bits_avx2(bits) && ALL_SET(bits->leaf7_1_eax, LEAF7_1_EAX_AVX_VNNI);
}

bool cpu_bits_avx512(const cpu_bits *bits) {
  return cpu_bits_avx2(bits) && (bits->xcr0 & XCR0_ZMM) == XCR0_ZMM &&
         ALL_SET(bits->leaf7_ebx, LEAF7_EBX_AVX512F, LEAF7_EBX_AVX512DQ, LEAF7_EBX_AVX512BW, LEAF7_EBX_AVX512VL) &&
         ALL_SET(bits->leaf7_ecx, LEAF7_ECX_VBMI, LEAF7_ECX_VBMI2, LEAF7_ECX_VNNI);
}

bool cpu_has_avx2(void) {
  const cpu_bits bits = read_bits();
  return cpu_bits_avx2(&bits);
}

bool cpu_has_avxvnni(void) {
#if defined(KERNELS_SIMDE)
  return cpu_has_avx2();
#elif defined(KERNELS_EVEX)
  return cpu_has_avx512();
#else
  const cpu_bits bits = read_bits();
  return cpu_bits_avxvnni(&bits);
#endif
}

bool cpu_has_avx512(void) {
#if defined(KERNELS_SIMDE)
  return cpu_has_avx2();
#else
  const cpu_bits bits = read_bits();
  return cpu_bits_avx512(&bits);
#endif
}

#elif defined(KERNELS_ARM)

#if defined(__linux__)
#include <sys/auxv.h>

enum { HWCAP_DOTPROD_BIT = 20, HWCAP2_I8MM_BIT = 13 }; /* asm/hwcap.h: HWCAP_ASIMDDP, HWCAP2_I8MM */
bool cpu_has_dotprod(void) { return (getauxval(AT_HWCAP) >> HWCAP_DOTPROD_BIT & 1) != 0; }
bool cpu_has_i8mm(void) { return (getauxval(AT_HWCAP2) >> HWCAP2_I8MM_BIT & 1) != 0; }
#elif defined(__APPLE__)
bool cpu_has_dotprod(void) { return true; } /* every 64-bit Mac */
bool cpu_has_i8mm(void) { return false; }   /* M2 on; M1 has none */
#else
bool cpu_has_dotprod(void) { return false; }
bool cpu_has_i8mm(void) { return false; }
#endif

#else
/* Nothing to ask elsewhere. */
typedef int kernels_cpuid_unused;
#endif
