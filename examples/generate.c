/* SPDX-License-Identifier: Apache-2.0 */
/*
 * generate MODEL PROMPT...: continue several texts at once. The first is shown as it comes, whole characters at a time;
 * the others are printed when all have ended. Each is the text that its prompt alone would give.
 */
#include <entrollm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_PROMPTS = 16, LENGTH = 48 };

/* An answer has grown. False would end it. */
static bool take(void *user, const ellm_answer *answer, const ellm_answer_part *part) {
  (void)user;
  (void)answer;
  fwrite(part->text, 1, part->bytes, stdout);
  fflush(stdout);
  return true;
}

static ellm_status add(ellm_generator *generator, const ellm_tokenizer *tokenizer, const char *prompt, bool show,
                       ellm_answer **answer, ellm_error *err) {
  ellm_request request;
  uint32_t *ids = NULL;
  size_t n_ids = 0;
  ellm_status status =
      ellm_tokenizer_encode(tokenizer, prompt, strlen(prompt), ELLM_ENCODE_DEFAULT, &ids, &n_ids, err);
  if (status != ELLM_OK) return status;
  ellm_request_init(&request); /* sets the size and the defaults: always first */
  request.prompt = ids;
  request.n_prompt = n_ids;
  request.limit = LENGTH;
  if (show) request.take = take;
  status = ellm_generator_add(generator, &request, answer, err); /* copies what it needs */
  free(ids);
  return status;
}

static ellm_status run(ellm_model *model, char **prompts, size_t n, ellm_error *err) {
  ellm_generator *generator;
  ellm_answer *answers[MOST_PROMPTS];
  const ellm_tokenizer *tokenizer;
  ellm_status status = ellm_model_tokenizer(model, &tokenizer, err);
  if (status != ELLM_OK) return status;
  status = ellm_generator_create(model, NULL, &generator, err);
  if (status != ELLM_OK) return status;
  for (size_t i = 0; status == ELLM_OK && i < n; i++)
    status = add(generator, tokenizer, prompts[i], i == 0, &answers[i], err);
  if (status == ELLM_OK) printf("%s", prompts[0]);
  if (status == ELLM_OK) status = ellm_generator_run(generator, NULL, NULL, err);
  for (size_t i = 0; status == ELLM_OK && i < n; i++) {
    ellm_answer_info info;
    ellm_answer_get_info(answers[i], &info);
    size_t bytes;
    const char *text = ellm_answer_text(answers[i], &bytes);
    if (i > 0) printf("%s%s", prompts[i], text);
    printf("\n(%zu tokens, ended by: %s)\n\n", info.n_ids, ellm_end_name(info.end));
    if (info.end == ELLM_END_FAILED) status = ellm_answer_error(answers[i], err);
  }
  ellm_generator_free(generator); /* with its answers */
  return status;
}

int main(int argc, char **argv) {
  ellm_error err;
  ellm_model *model;
  ellm_model_options options;
  if (argc < 3 || argc > 2 + MOST_PROMPTS) {
    fprintf(stderr, "usage: generate MODEL PROMPT...   (up to %d prompts)\n", MOST_PROMPTS);
    return ELLM_ERR_USAGE;
  }
  ellm_model_options_init(&options);
  options.cache_positions = 2048; /* room for all of them together; more would wait for each other */
  ellm_status status = ellm_model_open(argv[1], &options, &model, &err);
  if (status == ELLM_OK) {
    status = run(model, argv + 2, (size_t)(argc - 2), &err);
    ellm_model_close(model);
  }
  if (status != ELLM_OK) fprintf(stderr, "%s\n", err.message);
  return status;
}
