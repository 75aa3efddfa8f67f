/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sampling: the generator against published numbers, every filter against a
 * plain full sort, edge cases, and that probabilities come out as they should.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/exact_math.h"
#include "entrollm.h"
#include "model/random.h"

enum { MOST = 600 };

static const ellm_sampling off = {.size = sizeof(ellm_sampling), .temperature = 1, .top_p = 1, .repeat_penalty = 1};

static ellm_sampler *make(ellm_sampling sampling, uint32_t n) {
  ellm_sampler *sampler;
  ellm_error err;
  assert_int_equal(ellm_sampler_create(&sampling, n, &sampler, &err), ELLM_OK);
  return sampler;
}

static uint32_t next(ellm_sampler *sampler, const float *logits) {
  uint32_t id;
  ellm_error err = {0};
  if (ellm_sampler_next(sampler, logits, &id, &err) != ELLM_OK) fail_msg("%s", err.message);
  return id;
}

static uint32_t once(ellm_sampling sampling, const float *logits, uint32_t n) {
  ellm_sampler *sampler = make(sampling, n);
  uint32_t id = next(sampler, logits);
  ellm_sampler_free(sampler);
  return id;
}

static void generator(void **state) {
  (void)state;
  random_state r = {{1, 2, 3, 4}};
  static const uint64_t published[] = {11520, 0, 1509978240, UINT64_C(1215971899390074240)};
  for (size_t i = 0; i < 4; i++) assert_true(random_next(&r) == published[i]);
  uint64_t x = 1234567;
  assert_true(random_split(&x) == UINT64_C(6457827717110365317));
  assert_true(random_split(&x) == UINT64_C(3203168211198807973));
  random_seed(&r, 0);
  double sum = 0;
  for (int i = 0; i < 10000; i++) {
    double u = random_unit(&r);
    assert_true(u >= 0 && u < 1);
    sum += u;
  }
  assert_true(fabs(sum / 10000 - 0.5) < 0.02);
}

static void greedy(void **state) {
  (void)state;
  ellm_sampling s = off;
  s.temperature = 0;
  const float equal[] = {1, 3, 2, 3}, low[] = {-INFINITY, -INFINITY}, one[] = {-INFINITY, -3};
  assert_int_equal(once(s, equal, 4), 1);
  assert_int_equal(once(s, low, 2), 0);
  assert_int_equal(once(s, one, 2), 1);
}

static void penalty(void **state) {
  (void)state;
  ellm_sampling s = off;
  s.temperature = 0;
  s.repeat_penalty = 2;
  const float positive[] = {4, 3, 1}, negative[] = {-1, -1.5f, -9};
  ellm_sampler *sampler = make(s, 3);
  assert_int_equal(next(sampler, positive), 0);
  ellm_sampler_accept(sampler, 0);
  ellm_sampler_accept(sampler, 0);  /* counts once: 4 / 2, not 4 / 4 */
  ellm_sampler_accept(sampler, 99); /* not of the vocabulary */
  assert_int_equal(next(sampler, positive), 1);
  assert_int_equal(next(sampler, negative), 1); /* -1 * 2 < -1.5 */
  ellm_sampler_accept(sampler, 1);
  assert_int_equal(next(sampler, positive), 0); /* 2, 1.5, 1 */
  ellm_sampler_free(sampler);
  s.repeat_penalty = 0.5f; /* below 1: encouraged */
  sampler = make(s, 3);
  ellm_sampler_accept(sampler, 1);
  assert_int_equal(next(sampler, positive), 1);
  ellm_sampler_free(sampler);
}

static void refused(void **state) {
  (void)state;
  ellm_sampling bad[9];
  for (size_t i = 0; i < 9; i++) bad[i] = off;
  bad[0].temperature = -1;
  bad[1].temperature = NAN;
  bad[2].temperature = INFINITY;
  bad[3].top_k = -1;
  bad[4].top_p = 1.5f;
  bad[5].top_p = NAN;
  bad[6].min_p = -0.1f;
  bad[7].repeat_penalty = 0;
  bad[8].repeat_penalty = INFINITY;
  for (size_t i = 0; i < 9; i++) {
    ellm_sampler *sampler;
    ellm_error err;
    assert_int_equal(ellm_sampler_create(&bad[i], 10, &sampler, &err), ELLM_ERR_USAGE);
    assert_null(sampler);
    assert_true(strlen(err.message) > 0);
  }
  ellm_sampler *sampler;
  assert_int_equal(ellm_sampler_create(&off, 0, &sampler, NULL), ELLM_ERR_USAGE);
  ellm_sampling no_size = off;
  no_size.size = 0;
  assert_int_equal(ellm_sampler_create(&no_size, 10, &sampler, NULL), ELLM_ERR_USAGE);
}

static void odd_logits(void **state) {
  (void)state;
  ellm_sampling filters = off, cold = off;
  filters.top_k = 3;
  filters.top_p = 0.9f;
  filters.min_p = 0.01f;
  cold.temperature = 1e-44f;
  const float masked[] = {-INFINITY, 1, -INFINITY, -INFINITY, -INFINITY}, two[] = {1, 1.0000001f, 1, 0, -3};
  const float none[][3] = {{1, NAN, 2}, {NAN, NAN, NAN}, {1, 2, INFINITY}, {-INFINITY, -NAN, 0}};
  for (uint64_t seed = 0; seed < 50; seed++) {
    const ellm_sampling *kinds[] = {&off, &filters, &cold};
    for (size_t k = 0; k < 3; k++) {
      ellm_sampling s = *kinds[k];
      s.seed = seed;
      assert_int_equal(once(s, masked, 5), 1);
    }
    cold.seed = seed;
    assert_int_equal(once(cold, two, 5), 1);
  }
  for (int k = 0; k < 8; k++) { /* what is no number ends sampling, and the place is told */
    ellm_sampling s = k < 4 ? off : filters;
    uint32_t id = 7;
    ellm_error err = {0};
    ellm_sampler *sampler = make(s, 3);
    for (uint32_t i = 0; i < 5; i++) ellm_sampler_accept(sampler, i);
    assert_int_equal(ellm_sampler_next(sampler, none[k % 4], &id, &err), ELLM_ERR_INPUT);
    assert_int_equal(id, 0);
    assert_non_null(strstr(err.message, "position 4"));
    ellm_sampler_free(sampler);
  }
}

/* ---------------------------------------- against a sort of all candidates */

typedef struct entry { float logit; uint32_t id; } entry;

static int by_logit(const void *a, const void *b) {
  const entry *x = a, *y = b;
  if (x->logit != y->logit) return x->logit > y->logit ? -1 : 1;
  return x->id < y->id ? -1 : 1;
}

/* Which ids may be chosen. */
static void keep_by_sort(const ellm_sampling *s, const float *logits, uint32_t n, bool *kept) {
  entry sorted[MOST];
  double weights[MOST], total = 0, above = 0;
  for (uint32_t i = 0; i < n; i++) sorted[i] = (entry){logits[i], i};
  qsort(sorted, n, sizeof *sorted, by_logit);
  memset(kept, 0, n * sizeof *kept);
  uint32_t most = s->top_k > 0 && (uint32_t)s->top_k < n ? (uint32_t)s->top_k : n;
  for (uint32_t i = 0; i < most; i++)
    total += weights[i] = exact_exp((double)(sorted[i].logit - sorted[0].logit) / (double)s->temperature);
  for (uint32_t i = 0; i < most; i++) {
    if (i > 0 && s->top_p < 1 && above >= (double)s->top_p * total) break;
    above += weights[i];
    kept[sorted[i].id] = weights[i] >= (double)s->min_p;
  }
}

static void filters_by_sort(void **state) {
  (void)state;
  random_state r;
  random_seed(&r, 7);
  for (int round = 0; round < 400; round++) {
    float logits[MOST];
    bool kept[MOST];
    uint32_t n = 1 + (uint32_t)(random_next(&r) % (round % 4 ? 40 : MOST)), different = 0, hits[MOST] = {0};
    for (uint32_t i = 0; i < n; i++) /* quarters: exact differences, many equal ones */
      logits[i] = (float)(int)(random_next(&r) % 32) / 4;
    ellm_sampling s = off;
    s.temperature = (float[]){0.5f, 1, 2, 8}[random_next(&r) % 4];
    if (random_next(&r) % 2) s.top_k = (int)(random_next(&r) % 30);
    if (random_next(&r) % 2) s.top_p = (float)random_unit(&r);
    if (random_next(&r) % 2) s.min_p = (float)random_unit(&r) / 4;
    s.seed = random_next(&r);
    keep_by_sort(&s, logits, n, kept);
    ellm_sampler *sampler = make(s, n);
    for (int draw = 0; draw < 2000; draw++) hits[next(sampler, logits)]++;
    ellm_sampler_free(sampler);
    double best = -INFINITY, total = 0;
    for (uint32_t i = 0; i < n; i++)
      if ((double)logits[i] > best) best = (double)logits[i];
    for (uint32_t i = 0; i < n; i++)
      if (kept[i]) total += exact_exp(((double)logits[i] - best) / (double)s.temperature);
    for (uint32_t i = 0; i < n; i++) {
      if (!kept[i]) {
        assert_int_equal(hits[i], 0);
        continue;
      }
      double p = exact_exp(((double)logits[i] - best) / (double)s.temperature) / total;
      double off_by = fabs((double)hits[i] - 2000 * p), deviation = sqrt(2000 * p * (1 - p));
      assert_true(off_by <= 6 * deviation + 3);
      different += hits[i] > 0;
    }
    assert_true(different > 0);
  }
}

/* Nothing depends on the order in which a heap happens to lie: large, all equal. */
static void ties(void **state) {
  (void)state;
  enum { N = 100000 };
  float *logits = calloc(N, sizeof *logits);
  assert_non_null(logits);
  for (uint64_t seed = 0; seed < 20; seed++) {
    ellm_sampling s = off;
    s.top_k = 5;
    s.seed = seed;
    assert_true(once(s, logits, N) < 5);
    s.top_k = 0;
    s.top_p = 0.0005f; /* the share of 50, and the one that passes it */
    assert_true(once(s, logits, N) <= 50);
    s.top_p = 0;
    assert_int_equal(once(s, logits, N), 0);
  }
  free(logits);
}

static void seeds(void **state) {
  (void)state;
  float logits[100];
  for (int i = 0; i < 100; i++) logits[i] = (float)(i % 7);
  ellm_sampling s = off;
  s.seed = 42;
  ellm_sampler *a = make(s, 100), *b = make(s, 100);
  s.seed = 43;
  ellm_sampler *c = make(s, 100);
  int same = 0;
  for (int i = 0; i < 200; i++) {
    uint32_t x = next(a, logits);
    assert_int_equal(x, next(b, logits));
    same += x == next(c, logits);
  }
  assert_true(same < 100);
  ellm_sampler_free(a);
  ellm_sampler_free(b);
  ellm_sampler_free(c);
  ellm_sampler_free(NULL);
}

/* Biases and penalties of occurrence are added to logits; what was accepted with the prompt does not occur. */
static void shifts(void **state) {
  (void)state;
  const float logits[4] = {1, 2, 3, 4};
  const ellm_bias ban = {3, -100}, force = {0, 100};
  ellm_sampling s = off;
  s.temperature = 0;
  s.biases = &ban;
  s.n_biases = 1;
  assert_int_equal(once(s, logits, 4), 2);
  s.biases = &force;
  assert_int_equal(once(s, logits, 4), 0);
  s.n_biases = 0;
  s.presence_penalty = 1.5f;
  s.n_prompt = 2;
  ellm_sampler *sampler = make(s, 4);
  for (int i = 0; i < 2; i++) ellm_sampler_accept(sampler, 3); /* the prompt */
  assert_int_equal(next(sampler, logits), 3);
  ellm_sampler_accept(sampler, 3); /* 2.5 now, and stays */
  assert_int_equal(next(sampler, logits), 2);
  ellm_sampler_accept(sampler, 3);
  ellm_sampler_accept(sampler, 2); /* 1.5 */
  assert_int_equal(next(sampler, logits), 3);
  ellm_sampler_free(sampler);
  s.presence_penalty = 0;
  s.frequency_penalty = 0.75f;
  s.n_prompt = 0;
  sampler = make(s, 4);
  ellm_sampler_accept(sampler, 3);
  assert_int_equal(next(sampler, logits), 3); /* 3.25 */
  ellm_sampler_accept(sampler, 3);
  assert_int_equal(next(sampler, logits), 2);
  ellm_sampler_free(sampler);
}

static void refused_shifts(void **state) {
  (void)state;
  ellm_sampler *sampler;
  ellm_error err;
  const ellm_bias beyond = {4, 1}, endless = {0, INFINITY};
  ellm_sampling bad[4] = {off, off, off, off};
  bad[0].biases = &beyond;
  bad[1].biases = &endless;
  bad[0].n_biases = bad[1].n_biases = 1;
  bad[2].presence_penalty = NAN;
  bad[3].frequency_penalty = -101;
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(ellm_sampler_create(&bad[i], 4, &sampler, &err), ELLM_ERR_USAGE);
    assert_null(sampler);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(generator), cmocka_unit_test(greedy),     cmocka_unit_test(penalty),
      cmocka_unit_test(refused),   cmocka_unit_test(odd_logits), cmocka_unit_test(filters_by_sort),
      cmocka_unit_test(ties),      cmocka_unit_test(seeds),
      cmocka_unit_test(shifts),    cmocka_unit_test(refused_shifts)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
