/* SPDX-License-Identifier: Apache-2.0 */
/* Sequences evaluated together, forked, shortened and freed at random, give the bits of each alone: with windows, with
 * longrope on both sides of its boundary, with F16 caches; and scoring several texts those of scoring one by one. */
#include <unistd.h>

#include "model/model_testing.h"
#include "model/random.h"
#include "model/score.h"
#include "model/scorer.h"
#include "model/sequence.h"
#include "sanitized.h"

enum { SEQUENCES = 6, MOST = 90, ROUNDS = 24 };

static uint32_t below(random_state *r, size_t n) { return (uint32_t)(random_next(r) % n); }

static void random_ids(random_state *r, uint32_t *ids, size_t n, uint32_t vocab_size) {
  for (size_t i = 0; i < n; i++) ids[i] = below(r, vocab_size);
}

/* The invariants of sequence.h and pages.h. */
static void check_invariants(ellm_model *model, ellm_sequence *const *all, size_t n) {
  const page_pool *pool = &model->pool;
  uint32_t *refs = calloc(pool->n_pages, sizeof *refs), n_free = 0;
  for (size_t k = 0; k < n; k++) {
    const ellm_sequence *s = all[k];
    if (s == NULL) continue;
    assert_int_equal(s->n_pages, pages_of(s->length));
    assert_true(s->cached <= s->length && s->room >= s->length && s->room % PAGE_POSITIONS == 0);
    assert_int_equal(atomic_load(&s->state), 0);
    for (uint32_t i = 0; i < s->n_pages; i++) {
      assert_true(s->pages[i] < pool->n_pages);
      if (s->cached > 0)
        assert_int_equal(pool->info[s->pages[i]].long_factors, pool->info[s->pages[0]].long_factors);
      refs[s->pages[i]]++;
    }
  }
  for (uint32_t i = 0; i < pool->n_pages; i++) {
    assert_int_equal(pool->info[i].refs, refs[i]);
    assert_int_equal(pool->info[i].leaving, 0);
    n_free += refs[i] == 0;
  }
  assert_int_equal(pool->n_free, n_free);
  free(refs);
}

/* Row `position` of the text that the sequence holds, by itself: longrope's factors are those of its whole length. */
static void compare_alone(ellm_model *model, const ellm_sequence *s, const float *got, size_t n_rows) {
  ellm_model_info info;
  ellm_model_get_info(model, &info);
  const size_t n = s->length, row = info.vocab_size;
  ellm_sequence *alone = NULL;
  float *expected = calloc(n_rows, row * sizeof *expected);
  ASSERT_OK(ellm_sequence_create(model, &alone, ERR));
  ASSERT_OK(append(model, alone, s->ids, n, expected, n_rows, ERR));
  assert_memory_equal(got, expected, n_rows * row * sizeof *got);
  ellm_sequence_free(alone);
  free(expected);
}

/* One batch of some of the sequences, of random lengths; logits of some positions. */
static void evaluate_some(ellm_model *model, ellm_sequence **all, random_state *r, uint32_t most) {
  ellm_model_info info;
  ellm_model_get_info(model, &info);
  ellm_batch_item items[SEQUENCES];
  static uint32_t ids[SEQUENCES][MOST];
  float *rows = calloc(SEQUENCES * MOST, info.vocab_size * sizeof *rows), *at = rows;
  size_t n = 0;
  const bool apart = below(r, 2) == 0; /* logits that do not adjoin are written by another way */
  for (size_t k = 0; k < SEQUENCES; k++) {
    if (all[k] == NULL || below(r, 4) == 0) continue;
    const uint32_t left = most - all[k]->length, wish = below(r, 3) == 0 ? below(r, 30) : 1;
    items[n] = (ellm_batch_item){all[k], ids[n], wish < left ? wish : left, at, 0};
    random_ids(r, ids[n], items[n].n_ids, info.vocab_size);
    items[n].n_logits = items[n].n_ids > 0 ? below(r, items[n].n_ids + 1) : 0;
    at += (items[n].n_logits + (apart && n + 1 < SEQUENCES)) * info.vocab_size;
    n++;
  }
  ASSERT_OK(ellm_evaluate(model, items, n, ERR));
  for (size_t k = 0; k < n; k++)
    if (items[k].n_logits > 0) compare_alone(model, items[k].sequence, items[k].logits, items[k].n_logits);
  free(rows);
}

static void play(ellm_model *model, uint64_t seed) {
  ellm_sequence *all[SEQUENCES] = {NULL};
  ellm_model_info info;
  random_state r;
  random_seed(&r, seed);
  ellm_model_get_info(model, &info);
  const uint32_t most = info.max_context < MOST ? info.max_context : MOST;
  ASSERT_OK(ellm_model_reserve(model, (SEQUENCES + 1) * (MOST + 16), ERR));
  for (int round = 0; round < ROUNDS; round++) {
    const size_t k = below(&r, SEQUENCES), from = below(&r, SEQUENCES);
    switch (below(&r, 4)) {
    case 0:
      ellm_sequence_free(all[k]);
      ASSERT_OK(ellm_sequence_create(model, &all[k], ERR));
      break;
    case 1:
      if (k == from || all[from] == NULL) break;
      ellm_sequence_free(all[k]);
      ASSERT_OK(ellm_sequence_fork(all[from], &all[k], ERR));
      break;
    case 2:
      if (all[k] != NULL) ASSERT_OK(ellm_sequence_truncate(all[k], below(&r, MOST), ERR));
      break;
    default: break;
    }
    evaluate_some(model, all, &r, most);
    check_invariants(model, all, SEQUENCES);
  }
  for (size_t k = 0; k < SEQUENCES; k++) ellm_sequence_free(all[k]);
  check_invariants(model, all, 0);
}

static void play_with(const char *path, ellm_activations activations, int games) {
  ellm_model *model = open_model(path, 2, activations);
  for (int game = 0; game < games; game++) play(model, (uint64_t)game + 7);
  ellm_model_close(model);
}

static void together_or_alone(void **state) {
  (void)state;
  play_with(STORIES_FOLDER, ELLM_ACTIVATIONS_F32, 2);
}

static void of_coded_files(void **state) {
  (void)state;
  char path[64];
  ellm_compress_options options;
  snprintf(path, sizeof path, "/tmp/ellm_batches_%ld", (long)getpid());
  ellm_compress_options_init(&options);
  options.bits = 4;
  ASSERT_OK(ellm_compress(STORIES_FOLDER, path, &options, NULL, ERR));
  play_with(path, ELLM_ACTIVATIONS_I16, 2);
  play_with(path, ELLM_ACTIVATIONS_I8, 1);
  unlink(path);
}

static void of_architectures(void **state) {
  (void)state;
  static const char *const names[] = {"mistral-window", "phi3-window", "phi3-longrope", "phi3-partial-rotary",
                                      "qwen3-qknorm", "llama-odd-shapes"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char path[512];
    if (!golden_model(names[i], path, sizeof path)) continue; /* lies in ../shared only */
    play_with(path, ELLM_ACTIVATIONS_F32, 4);
  }
}

/* Batches of more rows than a pass has, and more rows of logits than are staged. */
static void large_batches(void **state) {
  (void)state;
  enum { LONG = 300, N = 3 };
  static uint32_t ids[N][LONG];
  ellm_model *model = open_model(STORIES_FOLDER, 2, ELLM_ACTIVATIONS_F32);
  ellm_model_info info;
  random_state r;
  random_seed(&r, 3);
  ellm_model_get_info(model, &info);
  ASSERT_OK(ellm_model_reserve(model, (N + 1) * (LONG + 16), ERR));
  ellm_batch_item items[N];
  for (int k = 0; k < N; k++) {
    random_ids(&r, ids[k], LONG, info.vocab_size);
    const size_t wanted = (size_t)LONG - 7 * (size_t)k;
    items[k] = (ellm_batch_item){sequence_of(model, ids[k], 0), ids[k], LONG,
                                 malloc(wanted * info.vocab_size * sizeof(float)), wanted};
  }
  ASSERT_OK(ellm_evaluate(model, items, N, ERR));
  for (int k = 0; k < N; k++) {
    compare_alone(model, items[k].sequence, items[k].logits, items[k].n_logits);
    free(items[k].logits);
  }
  ellm_sequence *all[N] = {items[0].sequence, items[1].sequence, items[2].sequence};
  check_invariants(model, all, N);
  for (int k = 0; k < N; k++) ellm_sequence_free(items[k].sequence);
  ellm_model_close(model);
}

/* Texts with a common beginning; room for all of them, for some, for one. */
static void scoring_together(void **state) {
  (void)state;
  enum { TEXTS = 6, LONG = 120 };
  for (int round = 0; round < (SANITIZED ? 2 : 8); round++) {
    ellm_model_options options;
    ellm_model *model;
    ellm_model_info info;
    ellm_model_options_init(&options);
    options.cache_positions = 1; /* what the scorer reserves decides */
    options.threads = 2;
    ASSERT_OK(ellm_model_open(STORIES_FOLDER, &options, &model, ERR));
    ellm_model_get_info(model, &info);
    random_state r;
    random_seed(&r, (uint64_t)round);
    static uint32_t ids[TEXTS][LONG];
    static double one[TEXTS][LONG], all[TEXTS][LONG];
    scored_sequence texts[TEXTS];
    const size_t common = below(&r, 50);
    random_ids(&r, ids[0], LONG, info.vocab_size);
    for (size_t k = 0; k < TEXTS; k++) {
      const size_t n = common + 2 + below(&r, 60);
      memcpy(ids[k], ids[0], common * sizeof **ids);
      random_ids(&r, ids[k] + common, n - common, info.vocab_size);
      texts[k] = (scored_sequence){ids[k], n, 1 + below(&r, n - 1), all[k]};
    }
    const size_t more = scorer_more(texts, TEXTS), rooms[] = {0, more / 3, more};
    for (size_t i = 0; i < 3; i++) {
      scorer *s;
      ASSERT_OK(scorer_create(model, LONG, rooms[i], &s, ERR));
      for (size_t k = 0; k < TEXTS; k++)
        ASSERT_OK(scorer_run(s, ids[k], texts[k].n, texts[k].first, one[k], NULL, NULL, ERR));
      memset(all, 0, sizeof all);
      ASSERT_OK(scorer_run_all(s, texts, TEXTS, ERR));
      for (size_t k = 0; k < TEXTS; k++)
        assert_memory_equal(one[k], all[k], (texts[k].n - texts[k].first) * sizeof **one);
      scorer_free(s);
    }
    ellm_model_close(model);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(together_or_alone), cmocka_unit_test(of_coded_files),   cmocka_unit_test(of_architectures),
      cmocka_unit_test(large_batches),     cmocka_unit_test(scoring_together),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
