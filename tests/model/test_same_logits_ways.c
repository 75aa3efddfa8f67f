/* SPDX-License-Identifier: Apache-2.0 */
/* Logits of a file do not depend on how it is opened, a .ellm file run with f32 activations gives those of the folder
 * that it decompresses to, and integer activations cost next to nothing. */
#include "model/same_logits.h"

static void of_expanded_files(void **state) {
  (void)state;
  static const ellm_activations modes[] = {ELLM_ACTIVATIONS_F32, ELLM_ACTIVATIONS_I8, ELLM_ACTIVATIONS_I16};
  for (int i = 0; i < N_FILES; i++)
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
  for (int i = 0; i < N_FILES; i++) {
    char folder[128];
    size_t n, m;
    snprintf(folder, sizeof folder, "%s/folder%d", fix.folder, widths[i]);
    ellm_decompress_options how;
    ellm_decompress_options_init(&how);
    how.dtype = ELLM_F32;
    ASSERT_OK(ellm_decompress(fix.file[i], folder, &how, ERR));
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
      cmocka_unit_test(of_expanded_files),
      cmocka_unit_test(a_damaged_file_is_not_expanded),
      cmocka_unit_test(of_the_decompressed_folder),
      cmocka_unit_test(integers_cost_little),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
