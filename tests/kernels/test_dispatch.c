/* SPDX-License-Identifier: Apache-2.0 */
/* The list of tables: order, names, forcing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/cpu.h"
#include "kernels/kernels.h"

static const char *const all_names[] = {
#define KERNEL_ISA(name, usable) #name,
#include "kernels/isa_list.inc"
#undef KERNEL_ISA
};
enum { N_NAMES = sizeof all_names / sizeof all_names[0] };

static void test_list(void **state) {
  (void)state;
  size_t n = 0, listed = 0;
  for (const kernel_table *table; (table = kernels_at(n)); n++) {
    while (listed < N_NAMES && strcmp(all_names[listed], table->isa) != 0) listed++;
    assert_true(listed < N_NAMES); /* in the order of the list, hence without repetition */
    assert_true(kernels_find(table->isa) == table);
    printf("# usable: %s\n", table->isa);
  }
  assert_true(n >= 1);
  assert_int_equal(strcmp(kernels_at(0)->isa, "scalar"), 0);
  assert_true(kernels_at(n + 1) == NULL);
  assert_true(kernels_best() == kernels_at(n - 1));
}

static void test_unusable_is_not_found(void **state) {
  (void)state;
  assert_true(kernels_find("") == NULL);
  assert_true(kernels_find("AVX2") == NULL);
  assert_true(kernels_find("vax") == NULL);
  for (size_t i = 0; i < N_NAMES; i++) {
    bool usable = false;
    for (size_t j = 0; kernels_at(j); j++) usable = usable || strcmp(kernels_at(j)->isa, all_names[i]) == 0;
    assert_true((kernels_find(all_names[i]) != NULL) == usable);
    assert_true(kernels_force(all_names[i]) == usable);
    assert_true(kernels_force(NULL));
  }
}

static void test_force(void **state) {
  (void)state;
  const kernel_table *best = kernels_best();
  for (size_t i = 0; kernels_at(i); i++) {
    assert_true(kernels_force(kernels_at(i)->isa));
    assert_true(kernels_best() == kernels_at(i));
    assert_true(!kernels_force("vax"));
    assert_true(kernels_best() == kernels_at(i));
  }
  assert_true(kernels_force(NULL));
  assert_true(kernels_best() == best);
}

#if defined(KERNELS_X86)
/* CPUID and XCR0 as processors give them (Intel SDM, AMD APM); only the bits that matter are kept. */
enum { LEAF1 = 1 << 12 | 1 << 23 | 1 << 27 | 1 << 28 | 1 << 29, AVX2 = 1 << 3 | 1 << 5, VBMI = 1 << 1, VBMI2 = 1 << 6,
       VNNI = 1 << 11, AVX_VNNI = 1 << 4, YMM = 7, ZMM = 0xe7 };
#define AVX512_BITS (1u << 16 | 1u << 17 | 1u << 30 | 1u << 31) /* F, DQ, BW, VL */

static void test_processors(void **state) {
  (void)state;
  static const struct { const char *name; cpu_bits bits; bool avx2, avxvnni, avx512; } processors[] = {
    {"Nehalem", {1 << 23, 0, 0, 0, 0}, false, false, false},
    {"Sandy Bridge", {1 << 23 | 1 << 27 | 1 << 28, 0, 0, YMM, 0}, false, false, false},
    {"Haswell", {LEAF1, AVX2, 0, YMM, 0}, true, false, false},
    {"Haswell, ymm not saved", {LEAF1, AVX2, 0, 3, 0}, false, false, false},
    {"Haswell without FMA", {LEAF1 & ~(1 << 12), AVX2, 0, YMM, 0}, false, false, false},
    {"Skylake-X", {LEAF1, AVX2 | AVX512_BITS, 0, ZMM, 0}, true, false, false},
    {"Cascade Lake", {LEAF1, AVX2 | AVX512_BITS, VNNI, ZMM, 0}, true, false, false},
    {"Cannon Lake", {LEAF1, AVX2 | AVX512_BITS, VBMI, ZMM, 0}, true, false, false},
    {"Ice Lake", {LEAF1, AVX2 | AVX512_BITS, VBMI | VBMI2 | VNNI, ZMM, 0}, true, false, true},
    {"Ice Lake, zmm not saved", {LEAF1, AVX2 | AVX512_BITS, VBMI | VBMI2 | VNNI, YMM, 0}, true, false, false},
    {"Alder Lake", {LEAF1, AVX2, 0, YMM, AVX_VNNI}, true, true, false},
    {"Alder Lake, ymm not saved", {LEAF1, AVX2, 0, 3, AVX_VNNI}, false, false, false},
    {"Zen 5", {LEAF1, AVX2 | AVX512_BITS, VBMI | VBMI2 | VNNI, ZMM, AVX_VNNI}, true, true, true},
    {"no xsave", {LEAF1 & ~(1 << 27), AVX2, 0, 0, 0}, false, false, false},
  };
  for (size_t i = 0; i < sizeof processors / sizeof processors[0]; i++) {
    if (cpu_bits_avx2(&processors[i].bits) != processors[i].avx2 ||
        cpu_bits_avxvnni(&processors[i].bits) != processors[i].avxvnni ||
        cpu_bits_avx512(&processors[i].bits) != processors[i].avx512)
      fail_msg("%s", processors[i].name);
  }
  /* every bit is needed */
  const cpu_bits all = {LEAF1, AVX2 | AVX512_BITS, VBMI | VBMI2 | VNNI, ZMM, 0};
  assert_true(cpu_bits_avx512(&all));
  for (unsigned bit = 0; bit < 32; bit++) {
    cpu_bits less = all;
    less.leaf7_ebx &= ~(1u << bit);
    less.leaf7_ecx &= ~(1u << bit);
    if (less.leaf7_ebx != all.leaf7_ebx || less.leaf7_ecx != all.leaf7_ecx) assert_false(cpu_bits_avx512(&less));
  }
}
#endif

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_list),
    cmocka_unit_test(test_unusable_is_not_found),
    cmocka_unit_test(test_force),
#if defined(KERNELS_X86)
    cmocka_unit_test(test_processors),
#endif
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
