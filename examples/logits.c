/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logits MODEL TEXT...: the likeliest next tokens after each of several texts. All texts are computed in one batch:
 * each weight is decoded once for all of them, and the result is that of each text alone.
 */
#include <entrollm.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { TOP = 5, MOST_TEXTS = 16 };

static void print_top(const ellm_tokenizer *tokenizer, float *logits, uint32_t vocab_size) {
  double sum = 0;
  float most = logits[0];
  for (uint32_t i = 1; i < vocab_size; i++)
    if (logits[i] > most) most = logits[i];
  for (uint32_t i = 0; i < vocab_size; i++) sum += exp((double)(logits[i] - most));
  for (int k = 0; k < TOP; k++) {
    uint32_t best = 0;
    for (uint32_t i = 1; i < vocab_size; i++)
      if (logits[i] > logits[best]) best = i;
    const char *piece = ellm_tokenizer_piece(tokenizer, best);
    printf("  %5.1f %%  %-6u %s\n", 100 * exp((double)(logits[best] - most)) / sum, (unsigned)best,
           piece ? piece : "?");
    logits[best] = -INFINITY;
  }
}

static int run(ellm_model *model, char **texts, size_t n, ellm_error *err) {
  ellm_model_info info;
  const ellm_tokenizer *tokenizer;
  ellm_batch_item items[MOST_TEXTS] = {{0}};
  uint32_t *ids[MOST_TEXTS] = {NULL};
  ellm_model_get_info(model, &info);
  float *logits = malloc(n * info.vocab_size * sizeof *logits);
  ellm_status status = ellm_model_tokenizer(model, &tokenizer, err);
  if (logits == NULL) status = ELLM_ERR_IO;
  for (size_t i = 0; status == ELLM_OK && i < n; i++) {
    const char *text = texts[i];
    size_t bytes = 0;
    while (text[bytes]) bytes++;
    status = ellm_tokenizer_encode(tokenizer, text, bytes, ELLM_ENCODE_DEFAULT, &ids[i], &items[i].n_ids, err);
    if (status == ELLM_OK) status = ellm_sequence_create(model, &items[i].sequence, err);
    items[i].ids = ids[i];
    items[i].logits = logits + i * info.vocab_size; /* a row: those of the last position */
    items[i].n_logits = 1;
  }
  if (status == ELLM_OK) status = ellm_evaluate(model, items, n, err);
  for (size_t i = 0; i < n; i++) {
    if (status == ELLM_OK) {
      printf("%s\n", texts[i]);
      print_top(tokenizer, items[i].logits, info.vocab_size);
    }
    ellm_sequence_free(items[i].sequence);
    free(ids[i]);
  }
  free(logits);
  return status;
}

int main(int argc, char **argv) {
  ellm_error err = {ELLM_ERR_IO, "out of memory"};
  ellm_model *model;
  if (argc < 3 || argc > 2 + MOST_TEXTS) {
    fprintf(stderr, "usage: logits MODEL TEXT...   (up to %d texts)\n", MOST_TEXTS);
    return ELLM_ERR_USAGE;
  }
  int status = ellm_model_open(argv[1], NULL, &model, &err); /* NULL: the default options */
  if (status == ELLM_OK) {
    status = run(model, argv + 2, (size_t)(argc - 2), &err);
    ellm_model_close(model);
  }
  if (status != ELLM_OK) fprintf(stderr, "%s\n", err.message);
  return status;
}
