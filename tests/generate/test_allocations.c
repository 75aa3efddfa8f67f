/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A generated token costs no allocation: not in the evaluation, on any thread,
 * nor in sampling. The linker leads every call of the allocator here
 * (cmake/tests.cmake, --wrap).
 */
#include <stdatomic.h>
#include <unistd.h>

#include "model/model_testing.h"

static atomic_int counted;
static atomic_bool counting;

static void count(void) {
  if (atomic_load(&counting)) atomic_fetch_add(&counted, 1);
}

#define WRAP(type, name, parameters, arguments) \
  type __real_##name parameters;                \
  type __wrap_##name parameters;                \
  type __wrap_##name parameters {               \
    count();                                    \
    return __real_##name arguments;             \
  }

WRAP(void *, malloc, (size_t bytes), (bytes))
WRAP(void *, calloc, (size_t n, size_t bytes), (n, bytes))
WRAP(void *, realloc, (void *old, size_t bytes), (old, bytes))
WRAP(void *, aligned_alloc, (size_t alignment, size_t bytes), (alignment, bytes))
WRAP(int, posix_memalign, (void **out, size_t alignment, size_t bytes), (out, alignment, bytes))
WRAP(char *, strdup, (const char *text), (text))

static void the_count_works(void **state) {
  (void)state;
  atomic_store(&counting, true);
  void *volatile block = malloc(10);
  atomic_store(&counting, false);
  free(block);
  assert_int_equal(atomic_exchange(&counted, 0), 1);
}

static void generate(ellm_model *model, float temperature) {
  ellm_model_info info;
  ellm_sampler *sampler;
  const uint32_t prompt[] = {1, 50, 60, 70, 80, 90};
  ellm_sampling sampling = {.size = sizeof sampling, .temperature = temperature, .top_k = 40, .top_p = 0.9f,
                            .min_p = 0.01f, .repeat_penalty = 1.1f, .seed = 1};
  ellm_model_get_info(model, &info);
  float *logits = malloc(info.vocab_size * sizeof *logits);
  assert_non_null(logits);
  ellm_sequence *s = sequence_of(model, prompt, 0);
  ASSERT_OK(ellm_sampler_create(&sampling, info.vocab_size, &sampler, ERR));
  ASSERT_OK(append(model, s, prompt, 6, logits, 1, ERR));
  atomic_store(&counting, true);
  ellm_status status = ELLM_OK;
  for (int i = 0; i < 58 && status == ELLM_OK; i++) {
    uint32_t id;
    status = ellm_sampler_next(sampler, logits, &id, NULL);
    ellm_sampler_accept(sampler, id);
    if (status == ELLM_OK) status = append(model, s, &id, 1, logits, 1, NULL);
  }
  atomic_store(&counting, false);
  assert_int_equal(status, ELLM_OK);
  assert_int_equal(ellm_sequence_length(s), 64);
  assert_int_equal(atomic_exchange(&counted, 0), 0);
  free(logits);
  ellm_sampler_free(sampler);
  ellm_sequence_free(s);
}

static void no_token_allocates(void **state) {
  (void)state;
  char path[] = "/tmp/ellm-allocations-XXXXXX";
  const int file = mkstemp(path);
  assert_true(file >= 0);
  close(file);
  ellm_compress_options options;
  ellm_compress_options_init(&options);
  options.overwrite = true;
  options.bits = 4;
  ASSERT_OK(ellm_compress(STORIES_FOLDER, path, &options, NULL, ERR));
  const ellm_activations modes[] = {ELLM_ACTIVATIONS_F32, ELLM_ACTIVATIONS_I8, ELLM_ACTIVATIONS_I16};
  for (int mode = -1; mode < 3; mode++) {
    for (int threads = 1; threads <= 3; threads++) {
      ellm_model *model = mode < 0 ? open_model(STORIES_FOLDER, threads, ELLM_ACTIVATIONS_F32)
                                   : open_model(path, threads, modes[mode]);
      generate(model, 0);
      generate(model, 0.8f);
      ellm_model_close(model);
    }
  }
  unlink(path);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(the_count_works), cmocka_unit_test(no_token_allocates)};
  return cmocka_run_group_tests_name("allocations", tests, NULL, NULL);
}
