/* SPDX-License-Identifier: Apache-2.0 */
/*
 * continuations MODEL TEXT N: several continuations of one text, without a generator. The text is computed once; each
 * continuation is a fork of its sequence, which shares its pages of keys and values, with a sampler and a seed of its
 * own. A step computes all of them in one batch.
 */
#include <entrollm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 16, LENGTH = 24 };

typedef struct branch {
  ellm_sequence *sequence;
  ellm_sampler *sampler;
  uint32_t ids[LENGTH];
} branch;

static ellm_status open_branch(branch *b, const ellm_sequence *trunk, uint32_t vocab_size, uint64_t seed,
                               ellm_error *err) {
  ellm_sampling sampling;
  ellm_sampling_init(&sampling);
  sampling.temperature = 1;
  sampling.top_p = 0.9;
  sampling.seed = seed;
  ellm_status status = ellm_sampler_create(&sampling, vocab_size, &b->sampler, err);
  return status == ELLM_OK ? ellm_sequence_fork(trunk, &b->sequence, err) : status;
}

/* LENGTH ids for each: logits[n][vocab_size] are those of the text's last position at first. */
static ellm_status grow(ellm_model *model, branch *branches, size_t n, float *logits, uint32_t vocab_size,
                        ellm_error *err) {
  ellm_status status = ELLM_OK;
  for (int step = 0; status == ELLM_OK && step < LENGTH; step++) {
    ellm_batch_item items[MOST];
    for (size_t i = 0; status == ELLM_OK && i < n; i++) {
      branch *b = &branches[i];
      float *row = logits + i * vocab_size;
      status = ellm_sampler_next(b->sampler, row, &b->ids[step], err);
      if (status == ELLM_OK) ellm_sampler_accept(b->sampler, b->ids[step]);
      items[i] = (ellm_batch_item){b->sequence, &b->ids[step], 1, row, 1};
    }
    if (status == ELLM_OK && step + 1 < LENGTH) status = ellm_evaluate(model, items, n, err);
  }
  return status;
}

static ellm_status print_all(const ellm_tokenizer *tokenizer, const branch *branches, size_t n, ellm_error *err) {
  ellm_status status = ELLM_OK;
  for (size_t i = 0; status == ELLM_OK && i < n; i++) {
    char *text = NULL;
    size_t bytes;
    status = ellm_tokenizer_decode(tokenizer, branches[i].ids, LENGTH, true, &text, &bytes, err);
    if (status == ELLM_OK) printf("--- %zu\n%s\n", i + 1, text);
    free(text);
  }
  return status;
}

static ellm_status run(ellm_model *model, const char *text, size_t n, ellm_error *err) {
  ellm_model_info info;
  const ellm_tokenizer *tokenizer;
  ellm_sequence *trunk = NULL;
  branch branches[MOST] = {{0}};
  uint32_t *ids = NULL;
  size_t n_ids = 0;
  ellm_model_get_info(model, &info);
  float *logits = malloc(n * info.vocab_size * sizeof *logits);
  ellm_status status = logits != NULL ? ellm_model_tokenizer(model, &tokenizer, err) : ELLM_ERR_IO;
  if (status == ELLM_OK)
    status = ellm_tokenizer_encode(tokenizer, text, strlen(text), ELLM_ENCODE_DEFAULT, &ids, &n_ids, err);
  /* the pool: the text's pages once, and for each branch its own and a copy of the text's last one */
  const uint32_t each = (LENGTH / ELLM_PAGE_POSITIONS + 2) * ELLM_PAGE_POSITIONS;
  if (status == ELLM_OK) status = ellm_model_reserve(model, (uint32_t)n_ids + ((uint32_t)n + 1) * each, err);
  if (status == ELLM_OK) status = ellm_sequence_create(model, &trunk, err);
  if (status == ELLM_OK)
    status = ellm_evaluate(model, &(ellm_batch_item){trunk, ids, n_ids, logits, 1}, 1, err);
  for (size_t i = 0; status == ELLM_OK && i < n; i++) {
    if (i > 0) memcpy(logits + i * info.vocab_size, logits, info.vocab_size * sizeof *logits);
    status = open_branch(&branches[i], trunk, info.vocab_size, i, err);
  }
  if (status == ELLM_OK) status = grow(model, branches, n, logits, info.vocab_size, err);
  if (status == ELLM_OK) status = print_all(tokenizer, branches, n, err);
  for (size_t i = 0; i < n; i++) {
    ellm_sequence_free(branches[i].sequence);
    ellm_sampler_free(branches[i].sampler);
  }
  ellm_sequence_free(trunk);
  free(ids);
  free(logits);
  return status;
}

int main(int argc, char **argv) {
  ellm_error err = {ELLM_ERR_IO, "out of memory"};
  ellm_model *model;
  const int n = argc == 4 ? atoi(argv[3]) : 0;
  if (n < 1 || n > MOST) {
    fprintf(stderr, "usage: continuations MODEL TEXT N   (N from 1 to %d)\n", MOST);
    return ELLM_ERR_USAGE;
  }
  ellm_status status = ellm_model_open(argv[1], NULL, &model, &err); /* NULL: the default options */
  if (status == ELLM_OK) {
    status = run(model, argv[2], (size_t)n, &err);
    ellm_model_close(model);
  }
  if (status != ELLM_OK) fprintf(stderr, "%s\n", err.message);
  return (int)status;
}
