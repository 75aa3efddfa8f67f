/* SPDX-License-Identifier: Apache-2.0 */
/* Second moments of a text, layer by layer: their diagonal is what evaluating the text at once sees. */
#include <math.h>
#include <unistd.h>

#include "model/model_testing.h"
#include "tune/layer_text.h"

enum { SEQUENCES = 2, LENGTH = 48 };

/* All ids of a text, evaluated at once and watched. */
static void sum_squares(ellm_model *model, const corpus *text, squares *sums) {
  ellm_model_info info;
  ellm_model_get_info(model, &info);
  ASSERT_OK(squares_create(model, SEQUENCES, sums, ERR));
  const forward_watch watch = squares_watch(sums);
  ellm_batch_item items[SEQUENCES];
  float *logits = malloc((size_t)SEQUENCES * LENGTH * info.vocab_size * sizeof *logits);
  for (size_t k = 0; k < SEQUENCES; k++) {
    items[k] = (ellm_batch_item){NULL, text->ids + k * LENGTH, LENGTH, logits + k * LENGTH * info.vocab_size, LENGTH};
    ASSERT_OK(ellm_sequence_create(model, &items[k].sequence, ERR));
  }
  ASSERT_OK(forward_set_watch(model, &watch, ERR));
  ASSERT_OK(ellm_evaluate(model, items, SEQUENCES, ERR));
  ASSERT_OK(forward_set_watch(model, NULL, ERR));
  squares_close(sums, SEQUENCES);
  for (size_t k = 0; k < SEQUENCES; k++) ellm_sequence_free(items[k].sequence);
  free(logits);
}

static void assert_diagonal(const moments *found, const squares *sums, forward_place place) {
  uint64_t tokens;
  const double *expected = squares_of(sums, place, &tokens);
  assert_int_equal(found->tokens, tokens);
  assert_int_equal(found->sum.n, squares_columns(sums, place.layer, place.input));
  for (size_t k = 0; k < found->sum.n; k++)
    if (fabs((double)found->sum.at[k * found->sum.stride + k] - expected[k]) > 1e-4 * expected[k] + 1e-9)
      fail_msg("layer %u input %d expert %u column %zu: %g, not %g", (unsigned)place.layer, (int)place.input,
               (unsigned)place.expert, k, (double)found->sum.at[k * found->sum.stride + k], expected[k]);
}

/* The inputs of a layer that all tokens have. */
static void check_inputs(layer_text *layers, const squares *sums, uint32_t layer, int n) {
  moments m[LAYER_INPUTS];
  layer_moments wanted = {.n_experts = 0};
  for (int i = 0; i < n; i++) {
    ASSERT_OK(moments_create(squares_columns(sums, layer, (forward_input)i), &m[i], ERR));
    wanted.inputs[i] = &m[i];
  }
  ASSERT_OK(layer_text_moments(layers, layer, &wanted, ERR));
  for (int i = 0; i < n; i++) {
    assert_int_equal(m[i].tokens, SEQUENCES * LENGTH);
    assert_diagonal(&m[i], sums, (forward_place){layer, (forward_input)i, FORWARD_NO_EXPERT});
    moments_free(&m[i]);
  }
}

/* Those of experts, a few experts at a time; together they have as many tokens as choices were made. */
static void check_experts(layer_text *layers, const squares *sums, uint32_t layer, const layer_facts *facts) {
  enum { AT_A_TIME = 3 };
  for (int input = INPUT_GATE_UP; input <= INPUT_DOWN; input++) {
    const size_t columns = squares_columns(sums, layer, (forward_input)input);
    uint64_t tokens = 0;
    for (uint32_t first = 0; first < facts->n_experts; first += AT_A_TIME) {
      moments m[AT_A_TIME];
      double *together = calloc(columns, sizeof *together), sum = 0, expected = 0;
      layer_moments wanted = {
          .expert_input = (forward_input)input, .first_expert = first, .experts = m, .expert_squares = together};
      while (wanted.n_experts < AT_A_TIME && first + wanted.n_experts < facts->n_experts)
        ASSERT_OK(moments_create(columns, &m[wanted.n_experts++], ERR));
      ASSERT_OK(layer_text_moments(layers, layer, &wanted, ERR));
      assert_int_equal(wanted.expert_tokens, SEQUENCES * LENGTH * facts->n_experts_used);
      for (uint32_t i = 0; i < wanted.n_experts; i++) {
        assert_diagonal(&m[i], sums, (forward_place){layer, (forward_input)input, first + i});
        tokens += m[i].tokens;
        moments_free(&m[i]);
      }
      for (uint32_t i = 0; i < facts->n_experts; i++) {
        uint64_t ignored;
        const double *of = squares_of(sums, (forward_place){layer, (forward_input)input, i}, &ignored);
        for (size_t k = 0; k < columns; k++) expected += of[k];
      }
      for (size_t k = 0; k < columns; k++) sum += together[k];
      assert_true(fabs(sum - expected) <= 1e-9 * expected);
      free(together);
    }
    assert_int_equal(tokens, SEQUENCES * LENGTH * facts->n_experts_used);
  }
}

static void check_model(const char *path) {
  ellm_model *model = open_model(path, 2, ELLM_ACTIVATIONS_F32);
  ellm_model_info info;
  ellm_model_get_info(model, &info);
  uint32_t ids[SEQUENCES * LENGTH];
  for (uint32_t i = 0; i < SEQUENCES * LENGTH; i++) ids[i] = (i * i + 5 * i + 1) % info.vocab_size;
  const corpus text = {.n = SEQUENCES, .length = LENGTH, .ids = ids};
  squares sums;
  sum_squares(model, &text, &sums);

  layer_text layers;
  char folder[] = "/tmp/entrollm-test-XXXXXX";
  assert_non_null(mkdtemp(folder));
  char name[64];
  snprintf(name, sizeof name, "%s/out", folder);
  ASSERT_OK(layer_text_open(model, &text, SEQUENCES, name, &layers, ERR));
  for (uint32_t layer = 0; layer < info.n_layers; layer++) {
    const layer_facts *facts = &model->config.layers[layer];
    check_inputs(&layers, &sums, layer, facts->n_experts > 0 ? INPUT_DOWN : LAYER_INPUTS);
    if (facts->n_experts > 0) check_experts(&layers, &sums, layer, facts);
    ASSERT_OK(layer_text_advance(&layers, layer, NULL, ERR));
  }
  moments head;
  ASSERT_OK(moments_create(squares_columns(&sums, info.n_layers, INPUT_HEAD), &head, ERR));
  ASSERT_OK(layer_text_head(&layers, &head, ERR));
  assert_diagonal(&head, &sums, (forward_place){info.n_layers, INPUT_HEAD, FORWARD_NO_EXPERT});
  moments_free(&head);
  layer_text_close(&layers);
  assert_int_equal(rmdir(folder), 0); /* the scratch file has no name */
  squares_free(&sums);
  ellm_model_close(model);
}

static void moments_are_those_of_an_evaluation(void **state) {
  (void)state;
  check_model(STORIES_FOLDER);
}

static void experts_have_those_of_the_tokens_that_chose_them(void **state) {
  (void)state;
  static const char *const names[] = {"mixtral-window", "qwen3moe-mixed"};
  for (size_t i = 0; i < 2; i++) {
    char path[256];
    if (!golden_model(names[i], path, sizeof path)) skip();
    check_model(path);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(moments_are_those_of_an_evaluation),
                                     cmocka_unit_test(experts_have_those_of_the_tokens_that_chose_them)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
