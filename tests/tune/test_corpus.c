/* SPDX-License-Identifier: Apache-2.0 */
/* A calibration text that a model writes is the same however many sequences are written at a time. */
#include <math.h>

#include "model/model_testing.h"
#include "tune/corpus.h"

enum { SEQUENCES = 5, WATCHED = 4, LENGTH = 40 };

static const uint32_t start[] = {1}, chat[] = {1, 17, 23};

static corpus write_text(ellm_model *model, size_t together, squares *sums, token_chances *chances) {
  corpus text;
  progress_meter meter;
  progress_start(&meter, NULL, NULL, SEQUENCES * LENGTH);
  ASSERT_OK(squares_create(model, together, sums, ERR));
  ASSERT_OK(chances_create(model->config.vocab_size, chances, ERR));
  const corpus_request request = {.n = SEQUENCES,
                                  .length = LENGTH,
                                  .start = start,
                                  .n_start = 1,
                                  .chat = chat,
                                  .n_chat = 3,
                                  .together = together,
                                  .watched = WATCHED,
                                  .squares = sums,
                                  .chances = chances};
  ASSERT_OK(corpus_write(model, &request, &meter, &text, ERR));
  return text;
}

static void text_and_sums_do_not_depend_on_how_many_are_written_at_a_time(void **state) {
  (void)state;
  ellm_model *model = open_model(STORIES_FOLDER, 2, ELLM_ACTIVATIONS_F32);
  squares sums, others;
  token_chances chances, other_chances;
  corpus text = write_text(model, 1, &sums, &chances);
  for (size_t k = 0; k < SEQUENCES; k++)
    assert_memory_equal(text.ids + k * LENGTH, k % 2 ? chat : start, (k % 2 ? 3 : 1) * sizeof *start);
  assert_memory_not_equal(text.ids, text.ids + 2 * LENGTH, LENGTH * sizeof *text.ids); /* a seed each */
  uint64_t tokens;
  const double *first = squares_of(&sums, (forward_place){0, INPUT_QKV, FORWARD_NO_EXPERT}, &tokens);
  assert_int_equal(tokens, WATCHED * (LENGTH - 1)); /* the last id is not evaluated */
  assert_true(first[0] > 0 && isfinite(first[0]));
  assert_int_equal(chances.positions, WATCHED * LENGTH - 2 * 1 - 2 * 3); /* where an id was drawn */
  const size_t two = 2, many = 8;
  for (size_t together = two; together <= many; together += many - two) {
    corpus again = write_text(model, together, &others, &other_chances);
    assert_memory_equal(again.ids, text.ids, SEQUENCES * LENGTH * sizeof *text.ids);
    assert_memory_equal(others.sum, sums.sum, sums.total * sizeof *sums.sum);
    assert_int_equal(others.head_tokens, sums.head_tokens);
    assert_memory_equal(other_chances.sum, chances.sum, chances.n * sizeof *chances.sum);
    assert_int_equal(other_chances.positions, chances.positions);
    chances_free(&other_chances);
    squares_free(&others);
    corpus_free(&again);
  }
  squares_free(&sums);
  chances_free(&chances);
  corpus_free(&text);
  ellm_model_close(model);
}

static void a_text_is_cut_evenly(void **state) {
  (void)state;
  uint32_t ids[100];
  corpus c;
  ellm_error err;
  for (uint32_t i = 0; i < 100; i++) ids[i] = i;
  ASSERT_OK(corpus_cut(ids, 100, 3, 10, 1, "a text", &c, ERR));
  assert_int_equal(c.n, 3);
  assert_int_equal(c.ids[0], 0);
  assert_int_equal(c.ids[10], 30);
  assert_int_equal(c.ids[20], 60);
  corpus_free(&c);
  ASSERT_OK(corpus_cut(ids, 25, 3, 10, 1, "a text", &c, ERR));
  assert_int_equal(c.n, 2);
  corpus_free(&c);
  assert_int_equal(corpus_cut(ids, 5, 3, 10, 1, "a text", &c, &err), ELLM_ERR_INPUT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(text_and_sums_do_not_depend_on_how_many_are_written_at_a_time),
      cmocka_unit_test(a_text_is_cut_evenly),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
