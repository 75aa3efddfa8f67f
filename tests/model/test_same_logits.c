/* SPDX-License-Identifier: Apache-2.0 */
/* Logits are the same bits for every number of threads, cut into batches and
 * instruction set, in every mode of activations; and a .ellm file run with f32
 * activations gives those of the folder that it decompresses to. */
#include <sys/stat.h>
#include <unistd.h>

#include "kernels/kernels.h"
#include "model/model_testing.h"

enum { N_IDS = 72 };

typedef struct fixture { char folder[64], file[2][96]; } fixture;
static fixture fix;

static const int widths[2] = {8, 4};

static int set_up(void **state) {
  (void)state;
  snprintf(fix.folder, sizeof fix.folder, "/tmp/ellm_logits_XXXXXX");
  if (mkdtemp(fix.folder) == NULL) return -1;
  for (int i = 0; i < 2; i++) {
    ellm_compress_options options;
    ellm_error err;
    ellm_compress_options_init(&options);
    options.bits = widths[i];
    options.prefer = i == 0 ? ELLM_PREFER_SPEED : ELLM_PREFER_SIZE;
    snprintf(fix.file[i], sizeof fix.file[i], "%s/%d.ellm", fix.folder, widths[i]);
    if (ellm_compress(STORIES_FOLDER, fix.file[i], &options, NULL, &err) != ELLM_OK) {
      print_error("%s\n", err.message);
      return -1;
    }
  }
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  char command[128];
  kernels_force(NULL);
  snprintf(command, sizeof command, "rm -rf %s", fix.folder);
  return system(command);
}

static void make_ids(uint32_t *ids, uint32_t vocab_size) {
  uint32_t state = 12345;
  for (int i = 0; i < N_IDS; i++) {
    state = state * 1664525u + 1013904223u;
    ids[i] = (state >> 8) % vocab_size;
  }
}

static float *logits_of(const char *path, int threads, ellm_activations activations, size_t piece, size_t *count) {
  ellm_model *model = open_model(path, threads, activations);
  ellm_model_info info;
  uint32_t ids[N_IDS];
  ellm_model_get_info(model, &info);
  make_ids(ids, info.vocab_size);
  float *logits = all_logits(model, ids, N_IDS, piece);
  *count = (size_t)N_IDS * info.vocab_size;
  ellm_model_close(model);
  return logits;
}

static void expect_equal(const float *expected, float *got, size_t n, const char *what) {
  for (size_t i = 0; i < n; i++) {
    if (memcmp(expected + i, got + i, sizeof *got) != 0)
      fail_msg("%s: logit %zu is %.9g instead of %.9g", what, i, got[i], expected[i]);
    if (!isfinite(got[i])) fail_msg("%s: logit %zu is %g", what, i, got[i]);
  }
  free(got);
}

/* The reference: scalar kernels, one thread, all ids at once. */
static void check_path(const char *path, ellm_activations activations) {
  static const struct { int threads; size_t piece; } ways[] = {{1, N_IDS}, {2, N_IDS}, {3, 1}, {2, 7}, {1, 64}};
  size_t n, m;
  assert_true(kernels_force("scalar"));
  float *expected = logits_of(path, 1, activations, N_IDS, &n);
  for (size_t isa = 0; kernels_at(isa) != NULL; isa++) {
    assert_true(kernels_force(kernels_at(isa)->isa));
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
      if (isa == 0 && ways[i].piece < 7) continue; /* slow */
      char what[128];
      snprintf(what, sizeof what, "%s, activations %d, %s, %d threads, %zu at a time", path, activations,
               kernels_at(isa)->isa, ways[i].threads, ways[i].piece);
      expect_equal(expected, logits_of(path, ways[i].threads, activations, ways[i].piece, &m), n, what);
      assert_int_equal(m, n);
    }
  }
  kernels_force(NULL);
  free(expected);
}

static void of_a_folder(void **state) {
  (void)state;
  check_path(STORIES_FOLDER, ELLM_ACTIVATIONS_F32);
}

static void of_files(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++) {
    check_path(fix.file[i], ELLM_ACTIVATIONS_F32);
    check_path(fix.file[i], ELLM_ACTIVATIONS_I8);
    check_path(fix.file[i], ELLM_ACTIVATIONS_I16);
  }
}

static void of_expanded_files(void **state) {
  (void)state;
  static const ellm_activations modes[] = {ELLM_ACTIVATIONS_F32, ELLM_ACTIVATIONS_I8, ELLM_ACTIVATIONS_I16};
  for (int i = 0; i < 2; i++)
    for (int mode = 0; mode < 3; mode++)
      for (size_t piece = 1; piece <= N_IDS; piece += N_IDS - 1) { /* one token, or many */
        ellm_model_options options;
        ellm_model *model = NULL;
        ellm_model_info info;
        uint32_t ids[N_IDS];
        size_t n;
        float *expected = logits_of(fix.file[i], 2, modes[mode], piece, &n);
        ellm_model_options_init(&options);
        options.threads = 2;
        options.activations = modes[mode];
        options.expand = true;
        ASSERT_OK(ellm_model_open(fix.file[i], &options, &model, ERR));
        ellm_model_get_info(model, &info);
        make_ids(ids, info.vocab_size);
        expect_equal(expected, all_logits(model, ids, N_IDS, piece), n, "expanded");
        ellm_model_close(model);
        free(expected);
      }
}

/* Expanding looks at every block. */
static void a_damaged_file_is_not_expanded(void **state) {
  (void)state;
  char path[128];
  ellm_model_options options;
  ellm_model *model = NULL;
  ellm_error err;
  FILE *from = fopen(fix.file[0], "rb");
  assert_non_null(from);
  snprintf(path, sizeof path, "%s/damaged.ellm", fix.folder);
  FILE *to = fopen(path, "wb");
  assert_non_null(to);
  for (long at = 0, c; (c = fgetc(from)) != EOF; at++) fputc(at == 2000000 ? (int)c ^ 1 : (int)c, to);
  fclose(from);
  fclose(to);
  ellm_model_options_init(&options);
  ASSERT_OK(ellm_model_open(path, &options, &model, ERR)); /* blocks are checked on first use */
  ellm_model_close(model);
  options.expand = true;
  assert_int_equal(ellm_model_open(path, &options, &model, &err), ELLM_ERR_INPUT);
  assert_non_null(strstr(err.message, "wrong checksum"));
  assert_null(model);
}

static void of_the_decompressed_folder(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++) {
    char folder[128];
    size_t n, m;
    snprintf(folder, sizeof folder, "%s/folder%d", fix.folder, widths[i]);
    ASSERT_OK(ellm_decompress(fix.file[i], folder, ELLM_F32, false, 2, NULL, NULL, ERR));
    float *expected = logits_of(folder, 2, ELLM_ACTIVATIONS_F32, N_IDS, &n);
    expect_equal(expected, logits_of(fix.file[i], 2, ELLM_ACTIVATIONS_F32, N_IDS, &m), n, folder);
    free(expected);
  }
}

/* Mean divergence from float activations, the same weights: what integers cost. */
static void integers_cost_little(void **state) {
  (void)state;
  static const struct { ellm_activations activations; double limit; } modes[] = {{ELLM_ACTIVATIONS_I16, 1e-6},
                                                                                 {ELLM_ACTIVATIONS_I8, 5e-3}};
  for (int i = 0; i < 2; i++) {
    for (int mode = 0; mode < 2; mode++) {
      size_t n;
      float *p = logits_of(fix.file[i], 2, ELLM_ACTIVATIONS_F32, N_IDS, &n);
      float *q = logits_of(fix.file[i], 2, modes[mode].activations, N_IDS, &n);
      const size_t vocab = n / N_IDS;
      double sum = 0;
      for (size_t row = 0; row < N_IDS; row++) {
        const float *a = p + row * vocab, *b = q + row * vocab;
        double za = 0, zb = 0, kl = 0;
        for (size_t j = 0; j < vocab; j++) za += exp(a[j]), zb += exp(b[j]);
        for (size_t j = 0; j < vocab; j++) kl += exp(a[j]) / za * (a[j] - log(za) - (b[j] - log(zb)));
        sum += kl;
      }
      print_message("%d bits, activations %s: mean divergence %.2g\n", widths[i], mode == 0 ? "i16" : "i8",
                    sum / N_IDS);
      assert_true(sum / N_IDS < modes[mode].limit);
      free(p);
      free(q);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(of_a_folder),
      cmocka_unit_test(of_files),
      cmocka_unit_test(of_expanded_files),
      cmocka_unit_test(a_damaged_file_is_not_expanded),
      cmocka_unit_test(of_the_decompressed_folder),
      cmocka_unit_test(integers_cost_little),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
