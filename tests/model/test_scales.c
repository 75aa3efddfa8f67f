/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model with scales of rows and columns and with outliers computes what the
 * weights say that its codes stand for: with float activations the logits of a
 * folder that holds these weights, bit by bit; with integers nearly so, and the
 * same for every instruction set, number of threads and way to evaluate.
 */
#include <unistd.h>

#include "kernels/kernels.h"
#include "model/model_testing.h"
#include "scaled_model.h"

static char folder[] = "/tmp/ellm-scales-XXXXXX";
static char file[64], weights[64];
static const uint32_t ids[] = {1, 40, 300, 25, 77,   1024, 8,  9,  512, 33, 2,
                               700, 61, 5, 90, 1000, 12, 11, 10, 64, 3, 128};
enum { N_IDS = sizeof ids / sizeof *ids };

static int setup(void **state) {
  (void)state;
  ellm_error err = {0};
  ellm_decompress_options options;
  if (mkdtemp(folder) == NULL) return -1;
  ellm_decompress_options_init(&options);
  options.dtype = ELLM_F32;
  snprintf(file, sizeof file, "%s/scaled.ellm", folder);
  snprintf(weights, sizeof weights, "%s/weights", folder);
  if (scaled_model_write(STORIES_FOLDER, file, 0.3, ELLM_PREFER_BALANCED, 2, &err) != ELLM_OK ||
      ellm_decompress(file, weights, &options, &err) != ELLM_OK) {
    print_message("%s\n", err.message);
    return -1;
  }
  return 0;
}

static int teardown(void **state) {
  (void)state;
  char command[128];
  snprintf(command, sizeof command, "rm -r %s", folder);
  return system(command) == 0 ? 0 : -1;
}

static float *logits_of(const char *path, ellm_activations activations, bool expand, int threads, size_t piece,
                        size_t *n) {
  ellm_model_options options;
  ellm_model *model = NULL;
  ellm_model_info info;
  ellm_model_options_init(&options);
  options.threads = threads;
  options.activations = activations;
  options.expand = expand;
  ASSERT_OK(ellm_model_open(path, &options, &model, ERR));
  ellm_model_get_info(model, &info);
  float *logits = all_logits(model, ids, N_IDS, piece);
  *n = N_IDS * info.vocab_size;
  ellm_model_close(model);
  return logits;
}

static void test_file(void **state) {
  (void)state;
  ellm_file *f;
  ellm_error err = {0};
  uint64_t outliers = 0, matrices = 0;
  assert_int_equal(ellm_file_open(file, &f, &err), ELLM_OK);
  ellm_tensor_info info;
  for (size_t i = 0; ellm_file_tensor(f, i, &info); i++) {
    if (info.kept) continue;
    matrices++;
    outliers += info.outliers;
    assert_true(info.row_scales && info.column_scales);
  }
  assert_true(matrices > 10 && outliers > 0);
  ellm_file_close(f);
}

static void test_float(void **state) {
  (void)state;
  size_t n;
  float *want = logits_of(weights, ELLM_ACTIVATIONS_F32, false, 2, N_IDS, &n);
  for (int way = 0; way < 3; way++) {
    float *have = logits_of(file, ELLM_ACTIVATIONS_F32, way == 2, 2, way == 1 ? 1 : N_IDS, &n);
    assert_memory_equal(have, want, n * sizeof *want);
    free(have);
  }
  free(want);
}

/* The root mean square of what a differs from b, over that of b. */
static double distance(const float *a, const float *b, size_t n) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < n; i++) {
    difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    size += (double)b[i] * b[i];
  }
  return sqrt(difference / size);
}

static void test_integers(void **state) {
  (void)state;
  size_t n;
  float *exact = logits_of(file, ELLM_ACTIVATIONS_F32, false, 2, N_IDS, &n);
  for (int digits = 1; digits <= 2; digits++) {
    const ellm_activations activations = digits == 2 ? ELLM_ACTIVATIONS_I16 : ELLM_ACTIVATIONS_I8;
    float *first = NULL;
    for (size_t isa = 0; kernels_at(isa) != NULL; isa++) {
      assert_true(kernels_force(kernels_at(isa)->isa));
      for (int way = 0; way < (isa == 0 ? 1 : 3); way++) { /* together; one by one; from memory, on one thread */
        float *have = logits_of(file, activations, way == 2, way == 2 ? 1 : 2, way == 1 ? 1 : N_IDS, &n);
        if (first == NULL) first = have;
        else assert_memory_equal(have, first, n * sizeof *have);
        if (have != first) free(have);
      }
    }
    kernels_force(NULL);
    const double off = distance(first, exact, n);
    print_message("%d digits: logits are off by %.2g of their size\n", digits, off);
    assert_true(off < (digits == 2 ? 3e-3 : 5e-2)); /* the KV cache is of halves here */
    free(first);
  }
  free(exact);
}

typedef struct heard { int calls; uint64_t done, total; const char *stage; bool go_on; } heard;

static bool hear(void *user, const ellm_progress *progress) {
  heard *h = user;
  assert_true(progress->done >= h->done && progress->done <= progress->total);
  h->calls++;
  h->done = progress->done;
  h->total = progress->total;
  h->stage = progress->stage;
  return h->go_on;
}

/* Opening that reads all weights says how far it is, and can be stopped. */
static void test_progress(void **state) {
  (void)state;
  static const char *const stages[] = {"check", "expand", "load", "lock"};
  for (int way = 0; way < 4; way++) {
    for (int go_on = 0; go_on < 2; go_on++) {
      ellm_model_options options;
      ellm_model *model = NULL;
      ellm_error err;
      heard h = {.go_on = go_on != 0};
      ellm_model_options_init(&options);
      options.check_all = way == 0;
      options.expand = way == 1;
      options.load = way == 2;
      options.lock_memory = way == 3;
      options.progress = hear;
      options.progress_user = &h;
      const ellm_status status = ellm_model_open(file, &options, &model, &err);
      assert_string_equal(h.stage, stages[way]);
      if (way == 3 && go_on && status == ELLM_ERR_IO) continue; /* a machine that locks no memory */
      assert_int_equal(status, go_on ? ELLM_OK : ELLM_INTERRUPTED);
      assert_true(go_on ? h.done == h.total && h.total > 0 : h.calls == 1 && model == NULL);
      ellm_model_close(model);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_file), cmocka_unit_test(test_float),
                                     cmocka_unit_test(test_integers), cmocka_unit_test(test_progress)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
