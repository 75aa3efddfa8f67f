/* SPDX-License-Identifier: Apache-2.0 */
/* Branches of a sequence computed together give the bits of each continuation alone: with windows, with longrope on
 * both sides of its boundary, with F16 caches; and scoring several sequences those of scoring one by one. */
#include <unistd.h>

#include "model/branches.h"
#include "model/model_testing.h"
#include "model/random.h"
#include "model/score.h"

enum { BRANCHES = 4, MOST = 90 };

static void random_ids(random_state *r, uint32_t *ids, size_t n, uint32_t vocab_size) {
  for (size_t i = 0; i < n; i++) ids[i] = (uint32_t)(random_next(r) % vocab_size);
}

/* One round: a prefix, branches of random lengths computed in two steps, each compared with itself alone. */
static void compare_branches(ellm_model *model, random_state *r, size_t prefix) {
  ellm_model_info info;
  ellm_context *context;
  context_branch branches[BRANCHES];
  uint32_t ids[BRANCHES][MOST];
  size_t length[BRANCHES], first[BRANCHES];
  ellm_model_get_info(model, &info);
  const size_t row = info.vocab_size, most = info.max_context < MOST ? info.max_context : MOST;
  ASSERT_OK(context_create(model, (uint32_t)most, BRANCHES * (MOST + 32), &context, ERR));
  float *got = malloc(BRANCHES * MOST * row * sizeof *got);
  random_ids(r, ids[0], MOST, info.vocab_size);
  ASSERT_OK(ellm_context_eval(context, ids[0], prefix, NULL, 0, ERR));
  uint32_t slot = (uint32_t)(most + 15) / 16 * 16;
  size_t n_rows = 0, n = 0;
  for (; n < BRANCHES; n++) {
    const size_t n_new = 2 + random_next(r) % 20;
    length[n] = prefix + n_new;
    if (length[n] > most || !context_can_branch(context, length[n])) break;
    memcpy(ids[n], ids[0], prefix * sizeof **ids);
    random_ids(r, ids[n] + prefix, n_new, info.vocab_size);
    context_branch_begin(context, slot, &branches[n]);
    slot += (uint32_t)context_branch_slots((uint32_t)prefix, n_new);
    branches[n].ids = ids[n] + prefix;
    branches[n].n = 1 + random_next(r) % (n_new - 1);
  }
  ASSERT_OK(context_branches_eval(context, branches, n, NULL, ERR));
  for (size_t b = 0; b < n; b++) {
    assert_int_equal(branches[b].length, prefix + branches[b].n);
    first[b] = branches[b].length;
    branches[b].ids += branches[b].n;
    branches[b].n = branches[b].n_logits = length[b] - first[b];
    n_rows += branches[b].n;
  }
  assert_true(n_rows <= BRANCHES * MOST);
  ASSERT_OK(context_branches_eval(context, branches, n, got, ERR));
  const float *at = got;
  for (size_t b = 0; b < n; b++) {
    float *alone = malloc(length[b] * row * sizeof *alone);
    ellm_context *own;
    ASSERT_OK(ellm_context_create(model, (uint32_t)length[b], &own, ERR));
    ASSERT_OK(ellm_context_eval(own, ids[b], length[b], alone, length[b], ERR));
    assert_memory_equal(at, alone + first[b] * row, (length[b] - first[b]) * row * sizeof *at);
    at += (length[b] - first[b]) * row;
    ellm_context_free(own);
    free(alone);
  }
  free(got);
  ellm_context_free(context);
}

static void compare_model(const char *path, ellm_activations activations) {
  ellm_model *model = open_model(path, 2, activations);
  random_state r;
  random_seed(&r, 7);
  for (size_t prefix = 0; prefix < 60; prefix += prefix < 18 ? 1 : 7) compare_branches(model, &r, prefix);
  ellm_model_close(model);
}

static void branches_alone(void **state) {
  (void)state;
  compare_model(STORIES_FOLDER, ELLM_ACTIVATIONS_F32);
}

static void branches_of_coded_files(void **state) {
  (void)state;
  char path[64];
  ellm_compress_options options;
  snprintf(path, sizeof path, "/tmp/ellm_branches_%ld", (long)getpid());
  ellm_compress_options_init(&options);
  options.bits = 4;
  ASSERT_OK(ellm_compress(STORIES_FOLDER, path, &options, NULL, ERR));
  compare_model(path, ELLM_ACTIVATIONS_I16);
  compare_model(path, ELLM_ACTIVATIONS_I8);
  unlink(path);
}

static void branches_of_architectures(void **state) {
  (void)state;
  static const char *const names[] = {"mistral-window", "phi3-window", "phi3-longrope", "phi3-partial-rotary",
                                      "qwen3-qknorm", "llama-odd-shapes"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char path[512];
    if (!golden_model(names[i], path, sizeof path)) continue; /* lies in ../shared only */
    compare_model(path, ELLM_ACTIVATIONS_F32);
  }
}

/* Sequences with a common beginning; room for all of them, for some, for one. */
static void scoring_together(void **state) {
  (void)state;
  enum { SEQUENCES = 6, LONG = 120 };
  ellm_model *model = open_model(STORIES_FOLDER, 2, ELLM_ACTIVATIONS_F32);
  ellm_model_info info;
  ellm_model_get_info(model, &info);
  random_state r;
  random_seed(&r, 11);
  static uint32_t ids[SEQUENCES][LONG];
  static double one[SEQUENCES][LONG], all[SEQUENCES][LONG];
  for (int round = 0; round < 12; round++) {
    scored_sequence sequences[SEQUENCES];
    const size_t common = random_next(&r) % 50;
    random_ids(&r, ids[0], LONG, info.vocab_size);
    for (size_t k = 0; k < SEQUENCES; k++) {
      const size_t n = common + 2 + random_next(&r) % 60;
      memcpy(ids[k], ids[0], common * sizeof **ids);
      random_ids(&r, ids[k] + common, n - common, info.vocab_size);
      sequences[k] = (scored_sequence){ids[k], n, 1 + random_next(&r) % (n - 1), all[k]};
    }
    const size_t more = scorer_more(sequences, SEQUENCES), rooms[] = {0, more / 3, more};
    for (size_t i = 0; i < 3; i++) {
      scorer *s;
      ASSERT_OK(scorer_create(model, LONG, rooms[i], &s, ERR));
      for (size_t k = 0; k < SEQUENCES; k++)
        ASSERT_OK(scorer_run(s, ids[k], sequences[k].n, sequences[k].first, one[k], NULL, NULL, ERR));
      memset(all, 0, sizeof all);
      ASSERT_OK(scorer_run_all(s, sequences, SEQUENCES, ERR));
      for (size_t k = 0; k < SEQUENCES; k++)
        assert_memory_equal(one[k], all[k], (sequences[k].n - sequences[k].first) * sizeof **one);
      scorer_free(s);
    }
  }
  ellm_model_close(model);
}

static void refused(void **state) {
  (void)state;
  ellm_model *model = open_model(STORIES_FOLDER, 1, ELLM_ACTIVATIONS_F32);
  ellm_model_info info;
  ellm_context *context;
  ellm_error err;
  context_branch branch;
  ellm_model_get_info(model, &info);
  const uint32_t ids[] = {1, 2, 3, info.vocab_size};
  ASSERT_OK(context_create(model, 20, 32, &context, ERR));
  ASSERT_OK(ellm_context_eval(context, ids, 3, NULL, 0, ERR));
  context_branch_begin(context, 32, &branch);
  branch.ids = ids + 3;
  branch.n = 1;
  assert_int_equal(context_branches_eval(context, &branch, 1, NULL, &err), ELLM_ERR_INPUT);
  assert_non_null(strstr(err.message, "beyond"));
  branch.slot = 64; /* of 64 slots */
  branch.ids = ids;
  assert_int_equal(context_branches_eval(context, &branch, 1, NULL, &err), ELLM_ERR_INTERNAL);
  branch.slot = 32;
  ASSERT_OK(context_branches_eval(context, &branch, 1, NULL, ERR));
  assert_int_equal(branch.length, 4);
  assert_false(context_can_branch(context, 21));
  ellm_context_free(context);
  ellm_model_close(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(branches_alone),   cmocka_unit_test(branches_of_coded_files),
      cmocka_unit_test(scoring_together), cmocka_unit_test(refused),
      cmocka_unit_test(branches_of_architectures),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
