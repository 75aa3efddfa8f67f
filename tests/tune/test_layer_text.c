/* SPDX-License-Identifier: Apache-2.0 */
/* Second moments of a text, layer by layer: their diagonal is what evaluating the text at once sees. */
#include <math.h>
#include <unistd.h>

#include "model/model_testing.h"
#include "tune/layer_text.h"

enum { SEQUENCES = 2, LENGTH = 48 };

static void moments_are_those_of_an_evaluation(void **state) {
  (void)state;
  ellm_model *model = open_model(STORIES_FOLDER, 2, ELLM_ACTIVATIONS_F32);
  ellm_model_info info;
  ellm_model_get_info(model, &info);
  uint32_t ids[SEQUENCES * LENGTH];
  for (uint32_t i = 0; i < SEQUENCES * LENGTH; i++) ids[i] = (i * i + 5 * i + 1) % info.vocab_size;
  const corpus text = {.n = SEQUENCES, .length = LENGTH, .ids = ids};

  squares sums;
  ASSERT_OK(squares_create(model, SEQUENCES, &sums, ERR));
  const forward_watch watch = squares_watch(&sums);
  ellm_batch_item items[SEQUENCES];
  float *logits = malloc((size_t)SEQUENCES * LENGTH * info.vocab_size * sizeof *logits);
  for (size_t k = 0; k < SEQUENCES; k++) {
    items[k] = (ellm_batch_item){NULL, ids + k * LENGTH, LENGTH, logits + k * LENGTH * info.vocab_size, LENGTH};
    ASSERT_OK(ellm_sequence_create(model, &items[k].sequence, ERR));
  }
  ASSERT_OK(forward_set_watch(model, &watch, ERR));
  ASSERT_OK(ellm_evaluate(model, items, SEQUENCES, ERR));
  ASSERT_OK(forward_set_watch(model, NULL, ERR));
  squares_close(&sums, SEQUENCES);
  for (size_t k = 0; k < SEQUENCES; k++) ellm_sequence_free(items[k].sequence);

  layer_text layers;
  char folder[] = "/tmp/entrollm-test-XXXXXX";
  assert_non_null(mkdtemp(folder));
  char path[64];
  snprintf(path, sizeof path, "%s/out", folder);
  ASSERT_OK(layer_text_open(model, &text, SEQUENCES, path, &layers, ERR));
  for (uint32_t layer = 0; layer <= info.n_layers; layer++) {
    moments m[LAYER_INPUTS], *wanted[LAYER_INPUTS] = {NULL};
    const int first = layer == info.n_layers ? INPUT_HEAD : 0, last = layer == info.n_layers ? INPUT_HEAD : INPUT_DOWN;
    for (int i = first; i <= last; i++) {
      ASSERT_OK(moments_create(sums.columns[i], &m[i - first], ERR));
      if (i < LAYER_INPUTS) wanted[i] = &m[i];
    }
    if (layer < info.n_layers) ASSERT_OK(layer_text_moments(&layers, layer, wanted, ERR));
    else ASSERT_OK(layer_text_head(&layers, &m[0], ERR));
    for (int i = first; i <= last; i++) {
      uint64_t tokens;
      const double *expected = squares_of(&sums, layer, (forward_input)i, &tokens);
      const moments *found = &m[i - first];
      assert_int_equal(tokens, SEQUENCES * LENGTH);
      assert_int_equal(found->tokens, tokens);
      for (size_t k = 0; k < sums.columns[i]; k++)
        if (fabs(found->sum.at[k * found->sum.stride + k] - expected[k]) > 1e-4 * expected[k] + 1e-9)
          fail_msg("layer %u input %d column %zu: %g, not %g", (unsigned)layer, i, k,
                   (double)found->sum.at[k * found->sum.stride + k], expected[k]);
      moments_free(&m[i - first]);
    }
    if (layer < info.n_layers) ASSERT_OK(layer_text_advance(&layers, layer, NULL, ERR));
  }
  layer_text_close(&layers);
  assert_int_equal(rmdir(folder), 0); /* the scratch file has no name */
  squares_free(&sums);
  free(logits);
  ellm_model_close(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(moments_are_those_of_an_evaluation)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
