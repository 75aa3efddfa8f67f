/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The evaluations through entrollm.h and the shared library alone, on the embedded model: each gives a result and frees
 * it; requests and options that are older than the library are accepted, those that make no sense are refused.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <entrollm.h>

#define MODEL ENTROLLM_SOURCE_DIR "/models/stories-4m"

static ellm_model *model;
static char *text;
static size_t text_bytes;

static void ok(ellm_status status, const ellm_error *err) {
  if (status != ELLM_OK) fail_msg("%d: %s", (int)status, err->message);
}

static int open_all(void **state) {
  (void)state;
  ellm_error err;
  FILE *file = fopen(MODEL "/unseen.txt", "rb");
  if (!file || !(text = malloc(20000))) return -1;
  text_bytes = fread(text, 1, 20000, file);
  fclose(file);
  ok(ellm_model_open(MODEL, NULL, &model, &err), &err);
  return 0;
}

static int close_all(void **state) {
  (void)state;
  ellm_model_close(model);
  free(text);
  return 0;
}

static ellm_perplexity_request perplexity_request(ellm_perplexity_protocol protocol) {
  ellm_perplexity_request request;
  ellm_perplexity_request_init(&request);
  request.protocol = protocol;
  request.text = text;
  request.bytes = text_bytes;
  request.n_ctx = 64;
  return request;
}

static void perplexities(void **state) {
  (void)state;
  for (int protocol = 'a'; protocol <= 'd'; protocol++) {
    ellm_error err;
    ellm_eval_options options;
    ellm_perplexity_result *result;
    const ellm_perplexity_request request = perplexity_request((ellm_perplexity_protocol)protocol);
    ellm_eval_options_init(&options);
    options.limit = 3;
    ok(ellm_eval_perplexity(model, &request, &options, &result, &err), &err);
    assert_true(result->n_chunks >= 1 && result->n_chunks <= 3 && result->scored > 0);
    assert_true(result->perplexity.value > 1 && isfinite(result->chunk_nll[result->n_chunks - 1]));
    assert_true(strlen(ellm_perplexity_protocol_name(request.protocol)) > 3);
    ellm_perplexity_result_free(result);
  }
}

/* A program built before: what its struct lacks has the default. */
static void older_structs(void **state) {
  (void)state;
  ellm_error err;
  ellm_eval_options options;
  ellm_perplexity_result *result;
  ellm_perplexity_request request = perplexity_request(ELLM_PERPLEXITY_LLAMA_CPP);
  ellm_eval_options_init(&options);
  options.limit = 1;
  options.progress = (ellm_progress_fn)(uintptr_t)1; /* beyond its size: must not be called */
  options.size = offsetof(ellm_eval_options, progress);
  request.stride = 1u << 31;
  request.size = offsetof(ellm_perplexity_request, stride);
  ok(ellm_eval_perplexity(model, &request, &options, &result, &err), &err);
  assert_int_equal(result->n_chunks, 1);
  ellm_perplexity_result_free(result);
}

static void refused(void **state) {
  (void)state;
  ellm_error err;
  ellm_eval_options options;
  ellm_perplexity_result *result;
  ellm_perplexity_request request = perplexity_request(ELLM_PERPLEXITY_LLAMA_CPP);
  ellm_eval_options_init(&options);
  options.size = 0;
  assert_int_equal(ellm_eval_perplexity(model, &request, &options, &result, &err), ELLM_ERR_USAGE);
  assert_non_null(strstr(err.message, "ellm_eval_options"));
  options.size = sizeof options + 8;
  assert_int_equal(ellm_eval_perplexity(model, &request, &options, &result, &err), ELLM_ERR_USAGE);
  request.protocol = (ellm_perplexity_protocol)'e';
  assert_int_equal(ellm_eval_perplexity(model, &request, NULL, &result, &err), ELLM_ERR_USAGE);
  assert_null(result);
  ellm_perplexity_request_init(&request);
  assert_int_equal(ellm_eval_perplexity(model, &request, NULL, &result, &err), ELLM_ERR_USAGE);
  request = perplexity_request(ELLM_PERPLEXITY_LLAMA_CPP);
  request.bytes = 10; /* fewer tokens than a chunk; a text without a name */
  assert_int_equal(ellm_eval_perplexity(model, &request, NULL, &result, NULL), ELLM_ERR_INPUT);
  ellm_perplexity_result_free(result);
}

typedef struct stopping { int calls, stop_at; } stopping;
static bool stop(void *user, const ellm_progress *step) {
  stopping *s = user;
  (void)step;
  return s->calls++ < s->stop_at;
}

/* An evaluation that was stopped goes on from its state file, with the same result. */
static void resumed(void **state) {
  (void)state;
  char path[80];
  ellm_error err;
  ellm_eval_options options;
  ellm_perplexity_result *whole, *result;
  stopping s = {0, 2};
  const ellm_perplexity_request request = perplexity_request(ELLM_PERPLEXITY_WINDOWS);
  snprintf(path, sizeof path, "/tmp/entrollm-test-api-%ld.state", (long)getpid());
  unlink(path);
  ellm_eval_options_init(&options);
  options.limit = 4;
  ok(ellm_eval_perplexity(model, &request, &options, &whole, &err), &err);
  options.state = path;
  options.progress = stop;
  options.progress_user = &s;
  assert_int_equal(ellm_eval_perplexity(model, &request, &options, &result, &err), ELLM_INTERRUPTED);
  assert_null(result);
  options.progress = NULL;
  ok(ellm_eval_perplexity(model, &request, &options, &result, &err), &err);
  assert_int_equal(result->n_resumed, 2);
  assert_true(result->perplexity.value == whole->perplexity.value);
  unlink(path);
  ellm_perplexity_result_free(whole);
  ellm_perplexity_result_free(result);
}

static void divergences(void **state) {
  (void)state;
  char path[80];
  ellm_error err;
  ellm_eval_options options;
  ellm_divergence_request request;
  ellm_divergence_result *itself, *saved;
  ellm_divergence_request_init(&request);
  request.text = text;
  request.bytes = text_bytes;
  request.origin = "unseen.txt";
  request.n_ctx = 32;
  ellm_eval_options_init(&options);
  options.limit = 2;
  ok(ellm_eval_divergence(model, model, &request, &options, &itself, &err), &err);
  assert_true(itself->kl.value == 0 && itself->same_top.value == 1 && itself->n_chunks == 2);
  snprintf(path, sizeof path, "/tmp/entrollm-test-api-%ld.logits", (long)getpid());
  unlink(path);
  ok(ellm_eval_save_reference(model, &request, path, false, &options, &err), &err);
  assert_true(ellm_eval_is_reference(path) && !ellm_eval_is_reference(MODEL) && !ellm_eval_is_reference("/no/file"));
  assert_int_equal(ellm_eval_save_reference(model, &request, path, false, &options, &err), ELLM_ERR_EXISTS);
  ok(ellm_eval_divergence_saved(model, path, &request, NULL, &saved, &err), &err);
  assert_true(saved->kl.value < 1e-6 && saved->n_chunks == 2 && saved->scored == itself->scored);
  unlink(path);
  ellm_divergence_result_free(itself);
  ellm_divergence_result_free(saved);
}

static void choices(void **state) {
  (void)state;
  static const char lines[] =
      "{\"query\": \"Once upon\", \"choices\": [\"a time\", \"the table zebra\", \"xqz\"], \"label\": 0}\n"
      "{\"query\": \"The dog\", \"choices\": [\"barked\", \"of of of\"], \"label\": 0}\n";
  ellm_error err;
  ellm_choice_set *set;
  ellm_choice_result *result;
  size_t n, label;
  ok(ellm_choice_set_read(lines, sizeof lines - 1, "lines", ELLM_CHOICE_LINES, &set, &err), &err);
  assert_int_equal(ellm_choice_set_count(set), 2);
  assert_true(ellm_choice_set_item(set, 0, &n, &label) && n == 3 && label == 0);
  assert_true(ellm_choice_set_item(set, 1, NULL, NULL) && !ellm_choice_set_item(set, 2, &n, &label));
  for (int protocol = 0; protocol < 2; protocol++) {
    ok(ellm_eval_choice(model, set, (ellm_choice_protocol)protocol, NULL, &result, &err), &err);
    assert_true(result->n_items == 2 && result->most == 3 && isnan(result->scores[5]) && result->scores[0] < 0);
    ellm_choice_result_free(result);
  }
  assert_int_equal(ellm_eval_choice(model, set, (ellm_choice_protocol)9, NULL, &result, &err), ELLM_ERR_USAGE);
  ellm_choice_set_free(set);
  assert_int_equal(ellm_choice_set_read("{", 1, NULL, ELLM_CHOICE_LINES, &set, &err), ELLM_ERR_INPUT);
  assert_null(set);
  assert_int_equal(ellm_choice_set_read("", 0, NULL, (ellm_choice_format)7, &set, &err), ELLM_ERR_USAGE);
}

static void gsm8k(void **state) {
  (void)state;
  static const char lines[] = "{\"question\": \"What is one?\", \"answer\": \"#### 1\"}\n";
  ellm_error err;
  ellm_gsm8k_request request;
  ellm_gsm8k_result *result;
  ellm_gsm8k_request_init(&request);
  request.text = lines;
  request.bytes = sizeof lines - 1;
  request.examples_bytes = 7; /* of no examples */
  request.max_new = 8;
  ok(ellm_eval_gsm8k(model, &request, NULL, &result, &err), &err);
  assert_true(result->n_items == 1 && result->mean_tokens.value >= 1 && result->mean_tokens.value <= 8);
  ellm_gsm8k_result_free(result);
}

static void fingerprints(void **state) {
  (void)state;
  char one[33], two[33];
  ellm_error err;
  ellm_model *other;
  ellm_model_options options;
  ellm_model_options_init(&options);
  options.threads = 1;
  ok(ellm_model_open(MODEL, &options, &other, &err), &err);
  ok(ellm_eval_fingerprint(model, one, &err), &err);
  ok(ellm_eval_fingerprint(other, two, &err), &err);
  assert_string_equal(one, two);
  assert_int_equal(strlen(one), 32);
  ellm_model_close(other);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(perplexities), cmocka_unit_test(older_structs),
                                     cmocka_unit_test(refused),      cmocka_unit_test(resumed),
                                     cmocka_unit_test(divergences),  cmocka_unit_test(choices),
                                     cmocka_unit_test(gsm8k),        cmocka_unit_test(fingerprints)};
  return cmocka_run_group_tests(tests, open_all, close_all);
}
