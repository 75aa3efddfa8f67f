/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The n-th allocation fails, for every n: while a chat is opened and encoded,
 * requests are made and computed together. Each time that is an error that says
 * so, of a call or of an answer, nothing is leaked, and all is well when it is
 * done again.
 */
#include "failing_allocator.h"
#include "model/model_testing.h"

static ellm_model *model;

/* A conversation to two answers; the ids of both are joined in ids[64], their number returned. */
static ellm_status play(uint32_t *joined, size_t *n_joined, ellm_error *err) {
  static const char json[] = "[{\"role\": \"user\", \"content\": \"a<|im_end|>b\"}]";
  static const char *const stops[] = {"@@@"};
  ellm_chat *chat = NULL;
  ellm_generator *g = NULL;
  ellm_answer *answers[2];
  ellm_conversation c;
  ellm_request r;
  uint32_t *ids = NULL;
  size_t n = 0;
  *n_joined = 0;
  ellm_conversation_init(&c);
  c.json = json;
  c.bytes = sizeof json - 1;
  c.answer = true;
  ellm_status status = ellm_chat_open(model, NULL, &chat, err);
  if (status == ELLM_OK) status = ellm_chat_encode(chat, &c, &ids, &n, err);
  if (status == ELLM_OK) status = ellm_generator_create(model, NULL, &g, err);
  ellm_request_init(&r);
  r.prompt = ids;
  r.n_prompt = n;
  r.limit = 9;
  r.stops = stops;
  r.n_stops = 1;
  for (size_t k = 0; k < 2 && status == ELLM_OK; k++) status = ellm_generator_add(g, &r, &answers[k], err);
  if (status == ELLM_OK) status = ellm_generator_run(g, NULL, NULL, err);
  for (size_t k = 0; k < 2 && status == ELLM_OK; k++) {
    status = ellm_answer_error(answers[k], err);
    const uint32_t *own = ellm_answer_ids(answers[k], &n);
    memcpy(joined + *n_joined, own, n * sizeof *own);
    *n_joined += n;
  }
  free(ids);
  ellm_generator_free(g);
  ellm_chat_free(chat);
  return status;
}

/* Three more in a pool for one and a half: one is cancelled by who hears it, one makes room for itself, one gives way. */
static bool hear_three(void *user, const ellm_answer *answer, const ellm_answer_part *part) {
  int *heard = user;
  (void)answer;
  return !part->has_id || ++*heard < 3;
}

static ellm_status begin_anew(void *user, const ellm_answer *answer, uint32_t **prompt, size_t *n, ellm_error *err) {
  (void)user;
  (void)answer;
  *n = 4;
  *prompt = malloc(*n * sizeof **prompt);
  if (!*prompt) return ellm_fail_memory(err, *n * sizeof **prompt, "a prompt");
  for (uint32_t i = 0; i < *n; i++) (*prompt)[i] = 7 + i;
  return ELLM_OK;
}

static ellm_status play_crowded(uint32_t *joined, size_t *n_joined, ellm_error *err) {
  uint32_t prompt[20];
  ellm_generator *g = NULL;
  ellm_answer *answers[3];
  ellm_request r;
  int heard = 0;
  size_t n;
  *n_joined = 0;
  for (uint32_t i = 0; i < 20; i++) prompt[i] = (i * 37 + 5) % 500;
  ellm_status status = ellm_generator_create(model, NULL, &g, err);
  ellm_request_init(&r);
  r.prompt = prompt;
  r.no_text = true;
  r.ignore_end = true;
  for (size_t k = 0; k < 3 && status == ELLM_OK; k++) {
    r.n_prompt = 20 - k;
    r.limit = 12 + k;
    r.positions = k == 1 ? 24 : 0;
    r.take = k == 0 ? hear_three : NULL;
    r.make_room = k == 1 ? begin_anew : NULL;
    r.user = &heard;
    status = ellm_generator_add(g, &r, &answers[k], err);
  }
  if (status == ELLM_OK) status = ellm_generator_run(g, NULL, NULL, err);
  for (size_t k = 0; k < 3 && status == ELLM_OK; k++) {
    status = ellm_answer_error(answers[k], err);
    const uint32_t *own = ellm_answer_ids(answers[k], &n);
    memcpy(joined + *n_joined, own, n * sizeof *own);
    *n_joined += n;
  }
  ellm_generator_free(g);
  return status;
}

typedef ellm_status (*play_fn)(uint32_t *joined, size_t *n_joined, ellm_error *err);

static void fail_each(play_fn scene, long least) {
  uint32_t wanted[64], got[64];
  size_t n_wanted, n;
  long count = 0;
  ASSERT_OK(scene(wanted, &n_wanted, ERR));
  assert_true(n_wanted > 2);
  const long live = allocator.live;
  for (bool failed = true; failed; count++) {
    ellm_error err = {0};
    allocator_fail_after(count);
    const ellm_status status = scene(got, &n, &err);
    allocator_recover();
    failed = allocator.failed;
    if (allocator.live != live) fail_msg("allocation %ld fails: %ld blocks are left", count, allocator.live - live);
    if (status == ELLM_OK) { /* all that was asked for; it could do without */
      assert_int_equal(n, n_wanted);
      assert_memory_equal(got, wanted, n * sizeof *got);
      continue;
    }
    if (failed && status != ELLM_ERR_IO) fail_msg("allocation %ld: status %d: %s", count, (int)status, err.message);
    if (failed && !strstr(err.message, "memory")) fail_msg("allocation %ld: %s", count, err.message);
  }
  if (count < least) fail_msg("%ld allocations only", count);
  ASSERT_OK(scene(got, &n, ERR));
  assert_int_equal(n, n_wanted);
  assert_memory_equal(got, wanted, n * sizeof *got);
}

static void each_allocation_fails_once(void **state) {
  (void)state;
  model = open_model(STORIES_FOLDER, 1, ELLM_ACTIVATIONS_F32);
  fail_each(play, 60);
  ellm_model_close(model);
}

static void in_a_crowded_pool(void **state) {
  (void)state;
  ellm_model_options options;
  ellm_model_options_init(&options);
  options.threads = 1;
  options.cache_positions = 48;
  ASSERT_OK(ellm_model_open(STORIES_FOLDER, &options, &model, ERR));
  fail_each(play_crowded, 10);
  ellm_model_close(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(each_allocation_fails_once),
                                     cmocka_unit_test(in_a_crowded_pool)};
  return cmocka_run_group_tests_name("out of memory", tests, NULL, NULL);
}
