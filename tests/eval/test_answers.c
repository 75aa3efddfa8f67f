/* SPDX-License-Identifier: Apache-2.0 */
/* Greedy answers: together the same as alone, whatever the prompts have in common; ends at stop strings, also those
 * that are special tokens; interruption. The embedded model is enough. */
#include <unistd.h>

#include "eval/answers.h"
#include "model/model_testing.h"
#include "model/random.h"

enum { PROMPTS = 6, LONGEST = 330, NEW = 20, LENGTH = 400 };

static const char *const no_stops[1] = {0};

static bool count_down(void *user) { return (*(int *)user)-- > 0; }

static answers_request request_of(ellm_model *model) {
  const ellm_tokenizer *tokenizer;
  ASSERT_OK(ellm_model_tokenizer(model, &tokenizer, ERR));
  return (answers_request){tokenizer, NEW, no_stops, 0, NULL, NULL};
}

static void together_as_alone(void **state) {
  (void)state;
  static uint32_t ids[PROMPTS][LONGEST], one[PROMPTS][NEW], all[PROMPTS][NEW];
  static const size_t commons[] = {0, 1, 15, 16, 40, 300};
  ellm_model *model = open_model(STORIES_FOLDER, 2, ELLM_ACTIVATIONS_F32);
  answers_request request = request_of(model);
  ellm_model_info info;
  ellm_model_get_info(model, &info);
  random_state r;
  random_seed(&r, 5);
  answerer *a, *b;
  ASSERT_OK(answerer_create(model, &a, ERR));
  ASSERT_OK(answerer_create(model, &b, ERR));
  for (size_t round = 0; round < sizeof commons / sizeof *commons; round++) {
    greedy_answer alone[PROMPTS], together[PROMPTS];
    for (size_t i = 0; i < LONGEST; i++) ids[0][i] = (uint32_t)(random_next(&r) % info.vocab_size);
    for (size_t k = 0; k < PROMPTS; k++) {
      const size_t n = commons[round] + 1 + random_next(&r) % 29;
      memcpy(ids[k], ids[0], commons[round] * sizeof **ids);
      for (size_t i = commons[round]; i < n; i++) ids[k][i] = (uint32_t)(random_next(&r) % info.vocab_size);
      alone[k] = (greedy_answer){.prompt = ids[k], .n_prompt = n, .generated = one[k]};
      together[k] = (greedy_answer){.prompt = ids[k], .n_prompt = n, .generated = all[k]};
      ASSERT_OK(answers_run(a, &request, &alone[k], 1, ERR));
    }
    ASSERT_OK(answers_run(b, &request, together, PROMPTS, ERR));
    for (size_t k = 0; k < PROMPTS; k++) {
      assert_int_equal(alone[k].n_generated, together[k].n_generated);
      assert_memory_equal(one[k], all[k], alone[k].n_generated * sizeof **one);
      assert_string_equal(alone[k].text, together[k].text);
      free(alone[k].text);
      free(together[k].text);
    }
  }
  answerer_free(a);
  answerer_free(b);
  ellm_model_close(model);
}

/* Prompts that have little in common need more than the pool has: some wait, with equal answers. */
static void fewer_together(void **state) {
  (void)state;
  static uint32_t ids[ANSWERS_MOST][LENGTH], one[NEW], all[ANSWERS_MOST][NEW];
  greedy_answer together[ANSWERS_MOST];
  ellm_model *model = open_model(STORIES_FOLDER, 2, ELLM_ACTIVATIONS_F32);
  answers_request request = request_of(model);
  ellm_model_info info;
  ellm_model_get_info(model, &info);
  random_state r;
  random_seed(&r, 9);
  answerer *a, *b;
  ASSERT_OK(answerer_create(model, &a, ERR));
  ASSERT_OK(answerer_create(model, &b, ERR));
  for (size_t k = 0; k < ANSWERS_MOST; k++) {
    for (size_t i = 0; i < LENGTH; i++) ids[k][i] = (uint32_t)(random_next(&r) % info.vocab_size);
    if (k > 6) memcpy(ids[k], ids[6], LENGTH / 2 * sizeof **ids);
    else ids[k][0] = (uint32_t)k;
    together[k] = (greedy_answer){.prompt = ids[k], .n_prompt = LENGTH - k, .generated = all[k]};
  }
  ASSERT_OK(answers_run(b, &request, together, ANSWERS_MOST, ERR));
  for (size_t k = 0; k < ANSWERS_MOST; k++) {
    greedy_answer alone = {.prompt = ids[k], .n_prompt = LENGTH - k, .generated = one};
    ASSERT_OK(answers_run(a, &request, &alone, 1, ERR));
    assert_int_equal(alone.n_generated, together[k].n_generated);
    assert_memory_equal(one, all[k], alone.n_generated * sizeof *one);
    assert_string_equal(alone.text, together[k].text);
    free(alone.text);
    free(together[k].text);
  }
  answerer_free(a);
  answerer_free(b);
  ellm_model_close(model);
}

static void ends(void **state) {
  (void)state;
  ellm_model *model = open_model(STORIES_FOLDER, 1, ELLM_ACTIVATIONS_F32);
  answers_request request = request_of(model);
  uint32_t *ids, generated[NEW];
  size_t n;
  answerer *a;
  ASSERT_OK(answerer_create(model, &a, ERR));
  static const char begin[] = "Once upon a time there was a";
  ASSERT_OK(ellm_tokenizer_encode(request.tokenizer, begin, sizeof begin - 1, ELLM_ENCODE_NO_POST, &ids, &n, ERR));
  greedy_answer w = {.prompt = ids, .n_prompt = n, .generated = generated};
  ASSERT_OK(answers_run(a, &request, &w, 1, ERR));
  assert_int_equal(w.n_generated, NEW);
  assert_true(w.bytes > 8 && w.bytes == strlen(w.text));
  char stop[4] = {w.text[4], w.text[5], w.text[6], 0}, before[8] = {0};
  memcpy(before, w.text, (size_t)(strstr(w.text, stop) - w.text));
  free(w.text);
  const char *const stops[] = {"\x01not there", stop};
  request.stops = stops;
  request.n_stops = 2;
  ASSERT_OK(answers_run(a, &request, &w, 1, ERR));
  assert_true(w.n_generated < NEW);
  assert_string_equal(w.text, before);
  free(w.text);
  int left = 3;
  request.go_on = count_down;
  request.user = &left;
  request.n_stops = 0;
  ellm_error err;
  assert_int_equal(answers_run(a, &request, &w, 1, &err), ELLM_INTERRUPTED);
  free(w.text);
  free(ids);
  answerer_free(a);
  ellm_model_close(model);
}

/* A special token that is no end-of-sequence token ends the answer all the same when it is a stop string. */
static void special_stops(void **state) {
  (void)state;
  enum { LONG = 400, IM_END = 2 };
  char folder[64], command[700];
  snprintf(folder, sizeof folder, "/tmp/ellm_answers_%ld", (long)getpid());
  snprintf(command, sizeof command,
           "cp -r %s %s && rm %s/tokenizer_config.json && echo '{\"eos_token_id\": 0}' > %s/generation_config.json",
           STORIES_FOLDER, folder, folder, folder);
  assert_int_equal(system(command), 0);
  ellm_model *model = open_model(folder, 1, ELLM_ACTIVATIONS_F32);
  answers_request request = request_of(model);
  uint32_t generated[LONG], *ids;
  size_t n;
  answerer *a;
  ASSERT_OK(answerer_create(model, &a, ERR));
  static const char text[] = "<|im_start|>user\nHello!<|im_end|>\n<|im_start|>assistant\n";
  static const char *const stops[] = {"<|im_end|>"};
  ASSERT_OK(ellm_tokenizer_encode(request.tokenizer, text, sizeof text - 1, ELLM_ENCODE_NO_POST, &ids, &n, ERR));
  greedy_answer w = {.prompt = ids, .n_prompt = n, .generated = generated};
  request.max_new = LONG;
  request.stops = stops;
  request.n_stops = 1;
  ASSERT_OK(answers_run(a, &request, &w, 1, ERR));
  assert_true(w.n_generated < LONG);
  assert_int_equal(generated[w.n_generated - 1], IM_END);
  assert_null(strstr(w.text, stops[0]));
  free(w.text);
  free(ids);
  answerer_free(a);
  ellm_model_close(model);
  snprintf(command, sizeof command, "rm -rf %s", folder);
  assert_int_equal(system(command), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(together_as_alone), cmocka_unit_test(fewer_together),
                                     cmocka_unit_test(ends), cmocka_unit_test(special_stops)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
