/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Step, zero, codes and dequantized values of tiny tensors: some worked out by
 * hand from docs/format/quantizer.md, and golden ones. The
 * latter's JSON is laid out one value a line, which a few lines here can read;
 * this layer is linked without a JSON library.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/file.h"
#include "quant/quantize.h"

enum { MOST = 64 };

typedef struct edge {
  size_t n;
  float weights[MOST], dequantized[MOST], step;
  int bits, zero, codes[MOST];
  ellm_scheme scheme, used;
} edge;

/* Everything there is to know of a case, and by both ways to the codes. */
static void check(const edge *e) {
  uint8_t data[4 * MOST], codes[MOST];
  for (size_t i = 0; i < e->n; i++) store_u32(data + 4 * i, float_bits(e->weights[i]));
  quant_range range = QUANT_RANGE_EMPTY;
  quant_range_add(&range, ELLM_F32, data, e->n, 0);
  assert_false(range.bad);
  const quant_params p = quant_choose(range.lo, range.hi, e->bits, e->scheme);
  assert_int_equal(p.bits, e->bits);
  assert_int_equal(p.scheme, e->used);
  assert_int_equal(float_bits(p.scales.step), float_bits(e->step));
  assert_int_equal(p.scales.zero, e->zero);
  quant_encode_f32(data, e->n, &p, codes);
  for (size_t i = 0; i < e->n; i++) {
    assert_int_equal(codes[i], e->codes[i]);
    assert_int_equal(quant_code((double)e->weights[i], &p), e->codes[i]);
    assert_int_equal(float_bits(quant_weight(&p.scales, codes[i], 0, 0)), float_bits(e->dequantized[i]));
  }
}

static void by_hand(void **state) {
  (void)state;
  static const edge cases[] = {
      /* one sign: magnitudes, zero 0; 1.5 / 3 */
      {3, {0.0f, 0.5f, 1.5f}, {0.0f, 0.5f, 1.5f}, 0.5f, 2, 0, {0, 1, 3}, ELLM_SCHEME_MIXED, ELLM_SCHEME_SYMMETRIC},
      {3,
       {-0.5f, 0.0f, -1.5f},
       {-0.5f, -0.0f, -1.5f},
       -0.5f,
       2,
       0,
       {1, 0, 3},
       ELLM_SCHEME_MIXED,
       ELLM_SCHEME_SYMMETRIC},
      /* ties to even: 0.5 and 1.5 steps are 0 and 2 */
      {4,
       {0.5f, 1.5f, 2.5f, 3.0f},
       {0.0f, 2.0f, 2.0f, 3.0f},
       1.0f,
       2,
       0,
       {0, 2, 2, 3},
       ELLM_SCHEME_MIXED,
       ELLM_SCHEME_SYMMETRIC},
      /* both signs: (4 + 11) / 15, zero at 4 */
      {4,
       {-4.0f, 0.0f, 11.0f, 0.4f},
       {-4.0f, 0.0f, 11.0f, 0.0f},
       1.0f,
       4,
       4,
       {0, 4, 15, 4},
       ELLM_SCHEME_MIXED,
       ELLM_SCHEME_ASYMMETRIC},
      /* the same forced symmetric: 14 / 7, zero at 8 */
      {3,
       {-14.0f, 2.0f, 7.0f},
       {-14.0f, 2.0f, 8.0f},
       2.0f,
       4,
       8,
       {1, 9, 12},
       ELLM_SCHEME_SYMMETRIC,
       ELLM_SCHEME_SYMMETRIC},
      /* forced asymmetric on one sign: the range is widened to hold 0 */
      {2, {255.0f, 510.0f}, {256.0f, 510.0f}, 2.0f, 8, 0, {128, 255}, ELLM_SCHEME_ASYMMETRIC, ELLM_SCHEME_ASYMMETRIC},
      {2, {-510.0f, -2.0f}, {-510.0f, -2.0f}, 2.0f, 8, 255, {0, 254}, ELLM_SCHEME_ASYMMETRIC, ELLM_SCHEME_ASYMMETRIC},
      /* zeros, also negative ones: step 0 */
      {2, {0.0f, -0.0f}, {0.0f, 0.0f}, 0.0f, 8, 0, {0, 0}, ELLM_SCHEME_MIXED, ELLM_SCHEME_SYMMETRIC},
      {1, {0.0f}, {0.0f}, 0.0f, 3, 0, {0}, ELLM_SCHEME_ASYMMETRIC, ELLM_SCHEME_ASYMMETRIC},
      /* a step too small for float32 is 0 */
      {2, {0x1p-149f, -0x1p-149f}, {0.0f, 0.0f}, 0.0f, 8, 0, {0, 0}, ELLM_SCHEME_ASYMMETRIC, ELLM_SCHEME_ASYMMETRIC},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check(&cases[i]);
}

static void patterns(void **state) {
  (void)state;
  static uint64_t counts[65536];
  const uint16_t halves[] = {0x3c00, 0xc200, 0x3c00, 0x0000}; /* 1, -3, 1, 0 as F16 */
  uint8_t data[8];
  for (size_t i = 0; i < 4; i++) store_u16(data + 2 * i, halves[i]);
  quant_count_patterns(data, 4, counts);
  quant_count_patterns(data, 1, counts);
  assert_int_equal(counts[0x3c00], 3);
  assert_int_equal(counts[0xc200], 1);
  quant_range range = QUANT_RANGE_EMPTY;
  quant_range_from_patterns(counts, ELLM_F16, &range);
  assert_true(!range.bad && range.lo == -3.0 && range.hi == 1.0);
  counts[0x7c00] = 1; /* infinity */
  quant_range_from_patterns(counts, ELLM_F16, &range);
  assert_true(range.bad && range.bad_index == UINT64_MAX && range.bad_value > 1e30);
}

/* The value of the next line `"NAME": value` from *at on; NULL if there is none. */
static const char *field(const char **at, const char *name) {
  char key[40];
  snprintf(key, sizeof key, "\"%s\": ", name);
  const char *found = strstr(*at, key);
  if (found == NULL) return NULL;
  *at = found + strlen(key);
  return *at;
}

static size_t read_floats(const char *hex, float *out) { /* "00000000..." with the quotes */
  size_t n = 0;
  for (hex++; *hex != '"'; hex += 8) {
    uint8_t bytes[4];
    for (int b = 0; b < 4; b++) {
      unsigned value;
      assert_int_equal(sscanf(hex + 2 * b, "%2x", &value), 1);
      bytes[b] = (uint8_t)value;
    }
    assert_true(n < MOST);
    out[n++] = float_from_bits(load_u32(bytes));
  }
  return n;
}

static ellm_scheme read_scheme(const char *text) {
  if (strncmp(text, "\"mixed\"", 7) == 0) return ELLM_SCHEME_MIXED;
  if (strncmp(text, "\"symmetric\"", 11) == 0) return ELLM_SCHEME_SYMMETRIC;
  assert_memory_equal(text, "\"asymmetric\"", 12);
  return ELLM_SCHEME_ASYMMETRIC;
}

static void golden(void **state) {
  (void)state;
  uint8_t *text;
  size_t bytes, n_cases = 0;
  ellm_error err = {0};
  if (file_read_all(ENTROLLM_SOURCE_DIR "/tests/golden/quant/edges.json", 1 << 24, &text, &bytes, &err) != ELLM_OK)
    fail_msg("%s", err.message);
  const char *at = (const char *)text, *value;
  while ((value = field(&at, "weights_f32_hex")) != NULL) {
    edge e = {0};
    e.n = read_floats(value, e.weights);
    e.bits = atoi(field(&at, "bits"));
    e.scheme = read_scheme(field(&at, "scheme"));
    e.used = read_scheme(field(&at, "used"));
    assert_int_equal(read_floats(field(&at, "step_f32_hex"), &e.step), 1);
    e.zero = atoi(field(&at, "zero"));
    char *code = (char *)field(&at, "codes") + 1;
    for (size_t i = 0; i < e.n; i++, code++) e.codes[i] = (int)strtol(code, &code, 10);
    assert_int_equal(read_floats(field(&at, "dequantized_f32_hex"), e.dequantized), e.n);
    check(&e);
    n_cases++;
  }
  assert_int_equal(n_cases, 420);
  free(text);
}

/* What the golden file lists as refused: not finite, and 2e30. */
static void refused(void **state) {
  (void)state;
  const float values[] = {NAN, INFINITY, -INFINITY, 2e30f, -2e30f};
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    uint8_t data[12] = {0};
    store_u32(data + 4, float_bits(values[i]));
    quant_range range = QUANT_RANGE_EMPTY;
    quant_range_add(&range, ELLM_F32, data, 3, 100);
    assert_true(range.bad);
    assert_int_equal(range.bad_index, 101);
    assert_int_equal(float_bits((float)range.bad_value), float_bits(values[i]));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(by_hand), cmocka_unit_test(patterns), cmocka_unit_test(golden),
                                     cmocka_unit_test(refused)};
  return cmocka_run_group_tests_name("quantizer edges", tests, NULL, NULL);
}
