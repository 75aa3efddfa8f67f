/* SPDX-License-Identifier: Apache-2.0 */
/* Answers in completions, and questions through a model: state, threads, prompts that are too long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "eval/gsm8k.h"
#include "eval/gsm8k_extract.h"
#include "eval_testing.h"

/* expected NULL: no answer. */
static void check_answer(const char *completion, bool strict, const char *expected) {
  ellm_buffer out = {0};
  bool found;
  assert_int_equal(gsm8k_extract(completion, strlen(completion), strict, &out, &found, NULL), ELLM_OK);
  if (found != (expected != NULL) || (found && (out.size != strlen(expected) ||
                                                (out.size && memcmp(out.data, expected, out.size) != 0))))
    fail_msg("%s in '%s': %.*s, expected %s", strict ? "strict" : "flexible", completion, (int)out.size,
             out.data ? (char *)out.data : "", expected ? expected : "nothing");
  ellm_buffer_free(&out);
}

static void golden_answers(void **state) {
  (void)state;
  json_t *values = golden("gsm8k_answers");
  const json_t *rows = at(values, "rows");
  assert_true(json_array_size(rows) > 10);
  for (size_t i = 0; i < json_array_size(rows); i++) {
    const json_t *row = json_array_get(rows, i);
    check_answer(text_at(row, "completion"), true, json_string_value(at(row, "strict")));
    check_answer(text_at(row, "completion"), false, json_string_value(at(row, "flexible")));
  }
  json_decref(values);
}

static void corners(void **state) {
  (void)state;
  check_answer("", true, NULL);
  check_answer("", false, NULL);
  check_answer("The answer is 72", true, "7"); /* the point takes the last one */
  check_answer("The answer is 7\n", true, NULL);
  check_answer("The answer is 72\n", true, "7");
  check_answer("The answer is -", true, NULL);
  check_answer("The answer is --5.", true, NULL);
  check_answer("The answer is x. The answer is 5 x", true, "5");
  check_answer("The answer is ,.", true, "");
  check_answer("a-5-$6 $", false, "-6"); /* "-$6" is one hit, the lone $ none */
  check_answer("- 5", false, "5");
  check_answer("3, 4..", false, "4.");
  check_answer("$$", false, "");
}

static const char questions[] =
    "{\"question\": \"One day a girl had 2 cats. How many?\", \"answer\": \"She had 2.\\n#### 2\"}\n"
    "{\"question\": \"One day a girl had 3 cats. How many?\", \"answer\": \"#### 3\"}\n"
    "{\"question\": \"One day a boy had 4 dogs. How many?\", \"answer\": \"#### 4\"}\n";

static ellm_gsm8k_result measure(ellm_model *model, const char *examples, const char *state) {
  ellm_gsm8k_request request = {0, questions, sizeof questions - 1, "test", examples, examples ? strlen(examples) : 0, 24};
  ellm_eval_options options = {.state = state};
  ellm_gsm8k_result result;
  ellm_error err;
  check_ok(eval_gsm8k(model, &request, &options, &result, &err), &err);
  return result;
}

static void through_a_model(void **state) {
  (void)state;
  char path[64], text[2][1000], long_examples[9000] = "";
  size_t bytes;
  for (int run = 0; run < 2; run++) {
    snprintf(path, sizeof path, "/tmp/entrollm-test-gsm8k-%ld", (long)getpid());
    unlink(path);
    ellm_model *model = open_compressed("models/stories-4m", 8, run ? 3 : 1, ELLM_ACTIVATIONS_AUTO);
    ellm_gsm8k_result result = measure(model, "Q: 1?\nA: The answer is 1.\n\n", path);
    assert_int_equal(result.n_items, 3);
    assert_int_equal(result.n_cut, 0);
    assert_true(result.mean_tokens.value > 0 && result.mean_tokens.value <= 24);
    uint8_t *saved;
    ellm_error err;
    check_ok(file_read_all(path, sizeof text[0] - 1, &saved, &bytes, &err), &err);
    memcpy(text[run], saved, bytes + 1);
    free(saved);
    ellm_gsm8k_result again = measure(model, "Q: 1?\nA: The answer is 1.\n\n", path);
    assert_int_equal(again.n_resumed, 3);
    assert_true(again.mean_tokens.value == result.mean_tokens.value);
    if (run) {
      while (strlen(long_examples) < 8000) strcat(long_examples, "Q: one and one?\nA: The answer is 2.\n\n");
      result = measure(model, long_examples, NULL);
      assert_int_equal(result.n_cut, 3);
      assert_int_equal(result.max_new, 24);
    }
    ellm_model_close(model);
    unlink(path);
  }
  assert_string_equal(text[0], text[1]); /* 1 and 3 threads */
}

static void refused(void **state) {
  (void)state;
  static const char *const bad[] = {"", "{}", "{\"question\": \"a\"}", "{\"question\": 1, \"answer\": \"2\"}", "x"};
  ellm_model *model = open_model("models/stories-4m", 1);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    ellm_gsm8k_request request = {0, bad[i], strlen(bad[i]), "test", NULL, 0, 4};
    ellm_gsm8k_result result;
    ellm_error err;
    assert_int_equal(eval_gsm8k(model, &request, &all, &result, &err), ELLM_ERR_INPUT);
  }
  ellm_gsm8k_request request = {0, questions, sizeof questions - 1, "test", "a\0b", 3, 4};
  ellm_gsm8k_result result;
  assert_int_equal(eval_gsm8k(model, &request, &all, &result, NULL), ELLM_ERR_INPUT);
  ellm_model_close(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(golden_answers), cmocka_unit_test(corners),
                                     cmocka_unit_test(through_a_model), cmocka_unit_test(refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
