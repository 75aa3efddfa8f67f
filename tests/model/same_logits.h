/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of equal logits share: two files made of the embedded model, its logits in every way to make them. */
#ifndef TESTS_SAME_LOGITS_H
#define TESTS_SAME_LOGITS_H

#include <sys/stat.h>
#include <unistd.h>

#include "kernels/kernels.h"
#include "model/model_testing.h"

enum { N_IDS = 72 };

typedef struct fixture { char folder[64], file[3][96]; } fixture;
static fixture fix;

/* Field books in the third. */
enum { N_FILES = 3 };
static const int widths[N_FILES] = {8, 4, 6};
static const ellm_prefer preferences[N_FILES] = {ELLM_PREFER_BALANCED, ELLM_PREFER_SIZE, ELLM_PREFER_SPEED};
static const ellm_code codes[N_FILES] = {ELLM_CODE_HUFFMAN, ELLM_CODE_HUFFMAN, ELLM_CODE_FIELDS};

static inline int set_up(void **state) {
  (void)state;
  snprintf(fix.folder, sizeof fix.folder, "/tmp/ellm_logits_XXXXXX");
  if (mkdtemp(fix.folder) == NULL) return -1;
  for (int i = 0; i < N_FILES; i++) {
    ellm_compress_options options;
    ellm_error err;
    ellm_compress_options_init(&options);
    options.bits = widths[i];
    options.prefer = preferences[i];
    options.code = codes[i];
    snprintf(fix.file[i], sizeof fix.file[i], "%s/%d.ellm", fix.folder, widths[i]);
    if (ellm_compress(STORIES_FOLDER, fix.file[i], &options, NULL, &err) != ELLM_OK) {
      print_error("%s\n", err.message);
      return -1;
    }
  }
  return 0;
}

static inline int tear_down(void **state) {
  (void)state;
  char command[128];
  kernels_force(NULL);
  snprintf(command, sizeof command, "rm -rf %s", fix.folder);
  return system(command);
}

static inline void make_ids(uint32_t *ids, uint32_t vocab_size) {
  uint32_t state = 12345;
  for (int i = 0; i < N_IDS; i++) {
    state = state * 1664525u + 1013904223u;
    ids[i] = (state >> 8) % vocab_size;
  }
}

static inline float *logits_cached(const char *path, int threads, ellm_activations activations, ellm_cache_type cache,
                                   size_t piece, size_t *count) {
  ellm_model_options options;
  ellm_model *model = NULL;
  ellm_model_options_init(&options);
  options.threads = threads;
  options.activations = activations;
  options.cache_type = cache;
  ASSERT_OK(ellm_model_open(path, &options, &model, ERR));
  ellm_model_info info;
  uint32_t ids[N_IDS];
  ellm_model_get_info(model, &info);
  make_ids(ids, info.vocab_size);
  float *logits = all_logits(model, ids, N_IDS, piece);
  *count = (size_t)N_IDS * info.vocab_size;
  ellm_model_close(model);
  return logits;
}

static inline float *logits_of(const char *path, int threads, ellm_activations activations, size_t piece,
                               size_t *count) {
  return logits_cached(path, threads, activations, ELLM_CACHE_DEFAULT, piece, count);
}

static inline void expect_equal(const float *expected, float *got, size_t n, const char *what) {
  for (size_t i = 0; i < n; i++) {
    if (memcmp(expected + i, got + i, sizeof *got) != 0)
      fail_msg("%s: logit %zu is %.9g instead of %.9g", what, i, got[i], expected[i]);
    if (!isfinite(got[i])) fail_msg("%s: logit %zu is %g", what, i, got[i]);
  }
  free(got);
}

/* The reference: scalar kernels, one thread, all ids at once. */
static inline void check_cached(const char *path, ellm_activations activations, ellm_cache_type cache) {
  static const struct { int threads; size_t piece; } ways[] = {{1, N_IDS}, {2, N_IDS}, {3, 1}, {2, 7}, {1, 64}};
  size_t n, m;
  assert_true(kernels_force("scalar"));
  float *expected = logits_cached(path, 1, activations, cache, N_IDS, &n);
  for (size_t isa = 0; kernels_at(isa) != NULL; isa++) {
    assert_true(kernels_force(kernels_at(isa)->isa));
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
      if (isa == 0 && ways[i].piece != 7) continue; /* slow, and the reference itself: one way of cutting is enough */
      char what[700];
      snprintf(what, sizeof what, "%s, activations %d, %s, %d threads, %zu at a time", path, activations,
               kernels_at(isa)->isa, ways[i].threads, ways[i].piece);
      expect_equal(expected, logits_cached(path, ways[i].threads, activations, cache, ways[i].piece, &m), n, what);
      assert_int_equal(m, n);
    }
  }
  kernels_force(NULL);
  free(expected);
}

static inline void check_path(const char *path, ellm_activations activations) {
  check_cached(path, activations, ELLM_CACHE_DEFAULT);
}

#endif
