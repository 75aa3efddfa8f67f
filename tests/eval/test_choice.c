/* SPDX-License-Identifier: Apache-2.0 */
/* Multiple choice: reading its forms, HellaSwag item by item against golden scores, both protocols. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "eval/choice.h"
#include "eval_testing.h"

static void check_cleaned(const char *text, const char *expected) {
  ellm_buffer out = {0};
  assert_int_equal(hellaswag_preprocess(text, strlen(text), &out, NULL), ELLM_OK);
  assert_int_equal(out.size, strlen(expected));
  if (out.size) assert_memory_equal(out.data, expected, out.size);
  ellm_buffer_free(&out);
}

static void preprocessing(void **state) {
  (void)state;
  check_cleaned("", "");
  check_cleaned(" \n a b\t", "a b");
  check_cleaned("Do it [title] Now [step] then [x", "Do it. Now then [x");
  check_cleaned("[a[b]c]", "c]");
  check_cleaned("a   b    c", "a  b  c"); /* three to two, four to two: one pass */
  check_cleaned("x [open\n] y", "x [open\n] y");
  check_cleaned("caf\xC3\xA9 []", "caf\xC3\xA9 ");
}

static ellm_status read_lines(const char *text, ellm_choice_set *set, ellm_error *err) {
  return choice_read_lines(text, strlen(text), "test", set, err);
}

static void json_lines_form(void **state) {
  (void)state;
  ellm_choice_set set;
  ellm_error err;
  check_ok(read_lines("{\"query\": \"Q\", \"choices\": [\"a\", \"b\xC3\xA9\", \"c\"], \"label\": 2}\n\n"
                      "{\"query\": [\"x\", \"yy\"], \"choices\": [\"z\", \"z\"], \"label\": 0, \"delimiter\": \"\"}",
                      &set, &err), &err);
  assert_int_equal(set.count, 2);
  assert_int_equal(set.most, 3);
  assert_int_equal(set.items[0].label, 2);
  assert_string_equal(set.items[0].choices[1].continuation, " b\xC3\xA9");
  assert_int_equal(set.items[0].choices[1].characters, 2);
  assert_string_equal(set.items[0].choices[2].query, "Q");
  assert_string_equal(set.items[1].choices[1].query, "yy");
  assert_string_equal(set.items[1].choices[1].continuation, "z");
  choice_set_free(&set);
}

static void refused(void **state) {
  (void)state;
  static const char *const bad[] = {
      "", "\n", "[]", "{", "{}", "{\"query\": 1, \"choices\": [\"a\", \"b\"], \"label\": 0}",
      "{\"query\": \"q\", \"choices\": [\"a\"], \"label\": 0}",
      "{\"query\": \"q\", \"choices\": [\"a\", \"\"], \"label\": 0}",
      "{\"query\": \"q\", \"choices\": [\"a\", 2], \"label\": 0}",
      "{\"query\": \"q\", \"choices\": \"ab\", \"label\": 0}",
      "{\"query\": \"q\", \"choices\": [\"a\", \"b\"], \"label\": 2}",
      "{\"query\": \"q\", \"choices\": [\"a\", \"b\"], \"label\": -1}",
      "{\"query\": \"q\", \"choices\": [\"a\", \"b\"]}",
      "{\"query\": [\"q\"], \"choices\": [\"a\", \"b\"], \"label\": 0}",
      "{\"query\": \"q\\u0000\", \"choices\": [\"a\", \"b\"], \"label\": 0}",
      "{\"query\": \"\xFF\", \"choices\": [\"a\", \"b\"], \"label\": 0}",
      "{\"query\": \"q\", \"choices\": [\"a\", \"b\"], \"label\": 0, \"delimiter\": 3}"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    ellm_choice_set set;
    ellm_error err;
    if (read_lines(bad[i], &set, &err) != ELLM_ERR_INPUT) fail_msg("accepted: %s", bad[i]);
    assert_null(set.items);
    assert_non_null(strstr(err.message, "test"));
  }
  char many[2000] = "{\"query\": \"q\", \"label\": 0, \"choices\": [\"x\"";
  for (int i = 0; i < CHOICE_MOST; i++) strcat(many, ", \"x\"");
  strcat(many, "]}");
  ellm_choice_set set;
  assert_int_equal(read_lines(many, &set, NULL), ELLM_ERR_INPUT);
}

static void hellaswag_forms(void **state) {
  (void)state;
  static const char text[] = "A man. he\n2\na.\nb.\nc.\nd.\nNext: she\r\n0\r\n1\r\n2\r\n3\r\n\r\n\n";
  static const char line[] = "{\"activity_label\": \"Act\", \"ctx_a\": \"One.\", \"ctx_b\": \"\xC3\xA9t\xC3\x89 X\", "
                             "\"endings\": [\"a [x]b\", \"c\"], \"label\": \"1\"}";
  ellm_choice_set set;
  ellm_error err;
  check_ok(choice_read_hellaswag(text, sizeof text - 1, "test", &set, &err), &err);
  assert_int_equal(set.count, 2);
  assert_int_equal(set.items[0].label, 2);
  assert_string_equal(set.items[1].choices[0].query, "Next: she");
  assert_string_equal(set.items[1].choices[2].continuation, " 3");
  assert_int_equal(set.items[1].choices[3].characters, 1); /* empty: scores are divided by it */
  choice_set_free(&set);
  for (size_t n = 1; n < 20; n++) /* cut anywhere within the first item */
    assert_int_equal(choice_read_hellaswag(text, n, "test", &set, &err), ELLM_ERR_INPUT);
  assert_int_equal(choice_read_hellaswag("c\n4\na\nb\nc\nd\n", 12, "test", &set, &err), ELLM_ERR_INPUT);
  assert_non_null(strstr(err.message, "line 1"));
  check_ok(choice_read_hellaswag(line, sizeof line - 1, "test", &set, &err), &err);
  assert_string_equal(set.items[0].choices[0].query, "Act: One. \xC3\x89t\xC3\xA9 x");
  assert_string_equal(set.items[0].choices[0].continuation, " a b");
  assert_int_equal(set.items[0].label, 1);
  choice_set_free(&set);
}

static ellm_choice_result measure(ellm_model *model, const ellm_choice_set *set, ellm_choice_protocol protocol,
                                  size_t limit) {
  ellm_eval_options options = {.limit = limit};
  ellm_choice_result result;
  ellm_error err;
  check_ok(eval_choice(model, set, protocol, &options, &result, &err), &err);
  return result;
}

static void check_items(const char *const *names, size_t n_models) {
  for (size_t m = 0; m < n_models; m++) {
    json_t *values = golden(names[m]);
    size_t bytes;
    char *text = (char *)read_input(
        name_at(values, "hellaswag", "eval/hellaswag/hellaswag_val_1000_activitynet.jsonl"), &bytes);
    const json_t *expected = at(values, "hellaswag_lm_eval"), *rows = at(expected, "items");
    const size_t n = json_array_size(rows);
    ellm_choice_set set;
    ellm_error err;
    check_ok(choice_read_hellaswag(text, bytes, "hellaswag", &set, &err), &err);
    assert_true(n > 0 && set.count >= n);
    ellm_model *model = open_model(text_at(values, "checkpoint"), 1);
    ellm_choice_result result = measure(model, &set, ELLM_CHOICE_LM_EVAL, n);
    for (size_t i = 0; i < n; i++) {
      const json_t *row = json_array_get(rows, i);
      const choice_item *item = &set.items[i];
      assert_int_equal(item->label, whole_at(row, "label"));
      for (size_t k = 0; k < item->n; k++) {
        assert_string_equal(item->choices[k].query, text_at(row, "query"));
        assert_string_equal(item->choices[k].continuation + 1,
                            json_string_value(json_array_get(at(row, "choices"), k)));
        close_to(result.scores[i * result.most + k], json_real_value(json_array_get(at(row, "sum_logprob"), k)), 1e-4);
      }
    }
    close_to(result.acc.value, real_at(expected, "acc"), 1e-9);
    close_to(result.acc_norm.value, real_at(expected, "acc_norm"), 1e-9);
    eval_choice_free(&result);
    ellm_model_close(model);
    choice_set_free(&set);
    json_decref(values);
    free(text);
  }
}

static void own_items(void **state) {
  (void)state;
  check_items((const char *const[]){"stories"}, 1);
}

static void golden_items(void **state) {
  (void)state;
  check_items((const char *const[]){"embedded", "tiny1m", "tinystories-656k"}, 3);
}

/* The same bits for 1 and 3 threads; and each choice alone, without a prefix computed before, scores the same. */
static void threads_and_prefixes(void **state) {
  (void)state;
  size_t bytes;
  char *text = (char *)read_input("tests/golden/eval/stories.choices.jsonl", &bytes);
  ellm_choice_set set, reversed = {0};
  ellm_error err;
  check_ok(choice_read_hellaswag(text, bytes, "hellaswag", &set, &err), &err);
  for (size_t i = 0; i < 8; i++) {
    const char *queries[4], *choices[4];
    for (size_t k = 0; k < 4; k++) {
      queries[k] = set.items[i].choices[3 - k].query;
      choices[k] = set.items[i].choices[3 - k].continuation;
    }
    check_ok(choice_set_add(&reversed, queries, "", choices, 4, 3 - set.items[i].label, &err), &err);
  }
  for (int protocol = ELLM_CHOICE_LM_EVAL; protocol <= ELLM_CHOICE_LLAMA_CPP; protocol++) {
    ellm_model *one = open_compressed("models/stories-4m", 4, 1, ELLM_ACTIVATIONS_AUTO);
    ellm_model *three = open_compressed("models/stories-4m", 4, 3, ELLM_ACTIVATIONS_AUTO);
    ellm_choice_result a = measure(one, &set, (ellm_choice_protocol)protocol, 8);
    ellm_choice_result b = measure(three, &reversed, (ellm_choice_protocol)protocol, 8);
    for (size_t i = 0; i < 8; i++)
      for (size_t k = 0; k < 4; k++) assert_true(a.scores[i * 4 + k] == b.scores[i * 4 + 3 - k]);
    assert_true(a.acc.value == b.acc.value);
    assert_true(a.acc.low < a.acc.value + 1e-12 && a.acc.value < a.acc.high + 1e-12);
    eval_choice_free(&a);
    eval_choice_free(&b);
    ellm_model_close(one);
    ellm_model_close(three);
  }
  choice_set_free(&set);
  choice_set_free(&reversed);
  free(text);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(preprocessing),   cmocka_unit_test(json_lines_form),
                                     cmocka_unit_test(refused),         cmocka_unit_test(hellaswag_forms),
                                     cmocka_unit_test(own_items),       cmocka_unit_test(golden_items),
                                     cmocka_unit_test(threads_and_prefixes)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
