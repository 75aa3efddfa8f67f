/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers computed together are those of each request alone, bit for bit, also
 * where the pool has no room for all of them; and how they end.
 */
#include <unistd.h>

#include "model/model_testing.h"
#include "model/random.h"
#include "sanitized.h"

enum { REQUESTS = 8, LONGEST = 120 };

typedef struct asked {
  uint32_t prompt[LONGEST];
  size_t n, limit;
  ellm_sampling sampling;
} asked;

/* What a caller hears of an answer. */
typedef struct heard {
  uint32_t ids[512];
  size_t n_ids, stop_after; /* cancel after so many ids; 0: never */
  char text[4096];
} heard;

static bool hear(void *user, const ellm_answer *answer, const ellm_answer_part *part) {
  heard *h = user;
  (void)answer;
  if (part->has_id) h->ids[h->n_ids++] = part->id;
  assert_true(strlen(h->text) + part->bytes < sizeof h->text);
  strncat(h->text, part->text, part->bytes);
  return h->stop_after == 0 || h->n_ids < h->stop_after;
}

static const char *model_path = STORIES_FOLDER;

static ellm_model *open_pool(uint32_t positions) {
  ellm_model_options options;
  ellm_model *model;
  ellm_model_options_init(&options);
  options.threads = 2;
  options.cache_positions = positions;
  ASSERT_OK(ellm_model_open(model_path, &options, &model, ERR));
  return model;
}

static ellm_generator *generator_of(ellm_model *model, size_t most, size_t piece, size_t keep) {
  ellm_generator_options options;
  ellm_generator *g;
  ellm_generator_options_init(&options);
  options.most = most;
  options.piece = piece;
  options.keep = keep;
  ASSERT_OK(ellm_generator_create(model, &options, &g, ERR));
  return g;
}

static ellm_request request_of(const asked *a) {
  ellm_request r;
  ellm_request_init(&r);
  r.prompt = a->prompt;
  r.n_prompt = a->n;
  r.limit = a->limit;
  r.sampling = &a->sampling;
  return r;
}

static ellm_answer *add(ellm_generator *g, const ellm_request *r) {
  ellm_answer *answer;
  ASSERT_OK(ellm_generator_add(g, r, &answer, ERR));
  return answer;
}

static ellm_end end_of(const ellm_answer *answer) {
  ellm_answer_info info;
  ellm_answer_get_info(answer, &info);
  return info.end;
}

/* Requests that begin alike with `common` ids, greedy and sampled, of different lengths. */
static void make_requests(asked *all, size_t common, uint32_t vocab_size, uint64_t seed) {
  random_state r;
  random_seed(&r, seed);
  for (size_t k = 0; k < REQUESTS; k++) {
    asked *a = &all[k];
    a->n = common + 1 + random_next(&r) % 30;
    a->limit = 1 + random_next(&r) % 40;
    for (size_t i = 0; i < a->n; i++)
      a->prompt[i] = k > 0 && i < common ? all[0].prompt[i] : (uint32_t)(random_next(&r) % vocab_size);
    ellm_sampling_init(&a->sampling);
    if (k % 3 == 0) continue;
    a->sampling.temperature = 0.9f;
    a->sampling.top_k = 40;
    a->sampling.top_p = 0.95f;
    a->sampling.repeat_penalty = k % 3 == 2 ? 1.2f : 1;
    a->sampling.seed = k;
  }
}

/* The answer of a request alone, in a pool of its own. */
static ellm_answer *alone(ellm_generator *g, const asked *a) {
  const ellm_request r = request_of(a);
  ellm_answer *answer = add(g, &r);
  ASSERT_OK(ellm_generator_run(g, NULL, NULL, ERR));
  return answer;
}

static void expect_equal(const ellm_answer *got, const ellm_answer *want) {
  size_t n, m, bytes, more;
  const uint32_t *ids = ellm_answer_ids(got, &n), *wanted = ellm_answer_ids(want, &m);
  assert_int_equal(end_of(got), end_of(want));
  assert_int_equal(n, m);
  assert_memory_equal(ids, wanted, n * sizeof *ids);
  const char *text = ellm_answer_text(got, &bytes), *other = ellm_answer_text(want, &more);
  assert_int_equal(bytes, more);
  assert_string_equal(text, other);
}

static const struct { size_t common, most, piece, keep; uint32_t pool; } cases[] = {
    {40, 8, 5, 4, 160}, {80, 3, 7, 2, 0},  {0, 8, 0, 0, 0},    {40, 8, 0, 0, 0},  {17, 1, 1, 1, 0},
    {60, 5, 16, 8, 0},  {0, 8, 0, 0, 160}, {80, 4, 0, 8, 192}, {15, 8, 1, 3, 176}};
enum { N_CASES = sizeof cases / sizeof *cases };

static void together(size_t n_cases) {
  ellm_model *apart = open_pool(0);
  ellm_model_info info;
  ellm_model_get_info(apart, &info);
  for (size_t i = 0; i < n_cases; i++) {
    static asked all[REQUESTS];
    heard ears[REQUESTS] = {{{0}, 0, 0, ""}};
    ellm_answer *answers[REQUESTS];
    ellm_model *model = open_pool(cases[i].pool);
    ellm_generator *g = generator_of(model, cases[i].most, cases[i].piece, cases[i].keep);
    make_requests(all, cases[i].common, info.vocab_size, i);
    bool more = true;
    for (size_t k = 0; k < REQUESTS; k++) { /* they come one by one, between steps */
      ellm_request r = request_of(&all[k]);
      r.take = hear;
      r.user = &ears[k];
      answers[k] = add(g, &r);
      if (k % 2) ASSERT_OK(ellm_generator_step(g, &more, ERR));
    }
    ASSERT_OK(ellm_generator_run(g, NULL, NULL, ERR));
    for (size_t k = 0; k < REQUESTS; k++) {
      ellm_generator *own = generator_of(apart, 1, 0, 0);
      const ellm_answer *want = alone(own, &all[k]);
      size_t n, bytes;
      expect_equal(answers[k], want);
      const uint32_t *ids = ellm_answer_ids(want, &n);
      assert_int_equal(ears[k].n_ids, n);
      assert_memory_equal(ears[k].ids, ids, n * sizeof *ids);
      assert_string_equal(ears[k].text, ellm_answer_text(want, &bytes));
      ellm_generator_free(own);
    }
    ellm_generator_free(g);
    uint32_t positions, free_positions;
    ellm_model_cache_usage(model, &positions, &free_positions);
    assert_int_equal(positions, free_positions);
    ellm_model_close(model);
  }
  ellm_model_close(apart);
}

static void together_as_alone(void **state) {
  (void)state;
  together(SANITIZED ? 3 : N_CASES);
}

/* With coded weights and activations of 16 bits. */
static void coded_together_as_alone(void **state) {
  (void)state;
  char path[] = "/tmp/ellm-generator-XXXXXX";
  const int file = mkstemp(path);
  assert_true(file >= 0);
  close(file);
  ellm_compress_options options;
  ellm_compress_options_init(&options);
  options.overwrite = true;
  ASSERT_OK(ellm_compress(STORIES_FOLDER, path, &options, NULL, ERR));
  model_path = path;
  together(2);
  model_path = STORIES_FOLDER;
  unlink(path);
}

/* Answers that grow beyond what they were given room for: the pool becomes full, and the last one gives way. */
static void giving_way(void **state) {
  (void)state;
  enum { TOGETHER = 3, LENGTH = 400 };
  static asked all[REQUESTS];
  ellm_model *model = open_pool(912), *apart = open_pool(0);
  ellm_generator *g = generator_of(model, TOGETHER, 0, 0), *own = generator_of(apart, 1, 0, 0);
  ellm_answer *answers[TOGETHER];
  bool more = true;
  size_t n, least = SIZE_MAX;
  make_requests(all, 0, 1000, 7);
  for (size_t k = 0; k < TOGETHER; k++) {
    ellm_request r = request_of(&all[k]);
    r.limit = LENGTH;
    r.ignore_end = true;
    answers[k] = add(g, &r);
  }
  for (size_t steps = 0; more; steps++) {
    assert_true(steps < 3 * LENGTH);
    ASSERT_OK(ellm_generator_step(g, &more, ERR));
    ellm_answer_ids(answers[TOGETHER - 1], &n);
    ellm_answer_info info;
    ellm_answer_get_info(answers[0], &info);
    if (info.n_ids == LENGTH && n < least) least = n;
  }
  assert_true(least > 256 && least < LENGTH - 20); /* it had stood still meanwhile */
  for (size_t k = 0; k < TOGETHER; k++) {
    ellm_request r = request_of(&all[k]);
    r.limit = LENGTH;
    r.ignore_end = true;
    ellm_answer *want = add(own, &r);
    ASSERT_OK(ellm_generator_run(own, NULL, NULL, ERR));
    expect_equal(answers[k], want);
  }
  ellm_generator_free(g);
  ellm_generator_free(own);
  ellm_model_close(model);
  ellm_model_close(apart);
}

/* What a generator has kept is handed to another by way of a file: the answer is the same, and little is computed. */
static void handed_over(void **state) {
  (void)state;
  static const char path[] = "build/tests/handed-over.kv";
  static asked all[REQUESTS];
  char identity[33];
  ellm_error err;
  ellm_answer_info info;
  ellm_model *model = open_pool(0), *other = open_pool(0);
  make_requests(all, 80, 1000, 3);
  const ellm_request r = request_of(&all[0]);
  ellm_generator *g = generator_of(model, 1, 0, 2);
  assert_null(ellm_generator_kept(g, 0));
  ellm_answer *first = add(g, &r), *second;
  ASSERT_OK(ellm_generator_run(g, NULL, NULL, ERR));
  const ellm_sequence *kept = ellm_generator_kept(g, 0);
  assert_non_null(kept);
  assert_null(ellm_generator_kept(g, 1));
  assert_memory_equal(ellm_sequence_ids(kept), all[0].prompt, all[0].n * sizeof *all[0].prompt);
  ASSERT_OK(ellm_sequence_save(kept, path, NULL, NULL, ERR));
  ASSERT_OK(ellm_model_identity(model, identity, NULL, NULL, ERR));
  assert_int_equal(strlen(identity), 32);

  ellm_sequence *sequence;
  ellm_generator *later = generator_of(other, 1, 0, 2), *none = generator_of(other, 1, 0, 0);
  ASSERT_OK(ellm_sequence_create(other, &sequence, ERR));
  ASSERT_OK(ellm_sequence_restore(sequence, path, NULL, 0, NULL, NULL, ERR));
  assert_int_equal(ellm_generator_keep(g, sequence, &err), ELLM_ERR_USAGE); /* it stays the caller's */
  ASSERT_OK(ellm_generator_keep(later, sequence, ERR));
  assert_ptr_equal(ellm_generator_kept(later, 0), sequence);
  ASSERT_OK(ellm_sequence_create(other, &sequence, ERR));
  ASSERT_OK(ellm_generator_keep(none, sequence, ERR)); /* goes at once */
  assert_null(ellm_generator_kept(none, 0));
  second = add(later, &r);
  ASSERT_OK(ellm_generator_run(later, NULL, NULL, ERR));
  ellm_answer_get_info(second, &info);
  assert_int_equal(info.n_kept, all[0].n - 1);
  size_t n, m;
  const uint32_t *a = ellm_answer_ids(first, &n), *b = ellm_answer_ids(second, &m);
  assert_int_equal(n, m);
  assert_memory_equal(a, b, n * sizeof *a);
  ellm_generator_free(g);
  ellm_generator_free(later);
  ellm_generator_free(none);
  ellm_model_close(model);
  ellm_model_close(other);
  unlink(path);
}

/* What requests have in common is computed once: with others, in what was kept, in the caller's sequence. */
static void shared_beginnings(void **state) {
  (void)state;
  ellm_model *model = open_pool(0);
  ellm_generator *g = generator_of(model, 4, 0, 1);
  ellm_answer_info info;
  static asked all[REQUESTS];
  make_requests(all, 80, 1000, 3);
  ellm_answer *answers[4];
  for (size_t k = 0; k < 4; k++) {
    const ellm_request r = request_of(&all[k]);
    answers[k] = add(g, &r);
  }
  ASSERT_OK(ellm_generator_run(g, NULL, NULL, ERR));
  for (size_t k = 0; k < 4; k++) {
    ellm_answer_get_info(answers[k], &info);
    if (k == 0) assert_int_equal(info.n_kept, 0);
    else assert_in_range(info.n_kept, 80, all[k].n - 1);
    assert_int_equal(info.n_prompt, all[k].n);
    ellm_answer_free(answers[k]);
  }
  const ellm_request later = request_of(&all[5]);
  ellm_answer *answer = add(g, &later);
  ASSERT_OK(ellm_generator_run(g, NULL, NULL, ERR));
  ellm_answer_get_info(answer, &info);
  assert_in_range(info.n_kept, 80, all[5].n - 1);
  ellm_generator_free(g);

  g = generator_of(model, 1, 0, 0);
  ellm_sequence *own;
  ASSERT_OK(ellm_sequence_create(model, &own, ERR));
  ellm_request r = request_of(&all[0]);
  r.limit = 0;
  r.sequence = own;
  answer = add(g, &r);
  ASSERT_OK(ellm_generator_run(g, NULL, NULL, ERR));
  assert_int_equal(end_of(answer), ELLM_END_LIMIT);
  assert_int_equal(ellm_sequence_length(own), all[0].n); /* the prompt, no more */
  r.limit = 3;
  answer = add(g, &r);
  ASSERT_OK(ellm_generator_run(g, NULL, NULL, ERR));
  ellm_answer_get_info(answer, &info);
  assert_int_equal(info.n_kept, all[0].n - 1); /* the logits of the last are expected */
  assert_int_equal(ellm_sequence_length(own), all[0].n + 2);
  ellm_generator_free(g);
  ellm_sequence_free(own);
  ellm_model_close(model);
}

static ellm_answer *tell(ellm_model *model, ellm_generator *g, const char *begin, ellm_request *r) {
  const ellm_tokenizer *tokenizer;
  uint32_t *ids;
  ASSERT_OK(ellm_model_tokenizer(model, &tokenizer, ERR));
  ASSERT_OK(ellm_tokenizer_encode(tokenizer, begin, strlen(begin), ELLM_ENCODE_DEFAULT, &ids, &r->n_prompt, ERR));
  r->prompt = ids;
  ellm_answer *answer = add(g, r);
  free(ids);
  ASSERT_OK(ellm_generator_run(g, NULL, NULL, ERR));
  return answer;
}

static void stop_strings(void **state) {
  (void)state;
  static const char begin[] = "Once upon a time, there was a dog.";
  ellm_model *model = open_pool(0);
  ellm_generator *g = generator_of(model, 1, 0, 0);
  ellm_request r;
  ellm_request_init(&r);
  r.limit = 40;
  size_t bytes, n;
  char whole[1024];
  snprintf(whole, sizeof whole, "%s", ellm_answer_text(tell(model, g, begin, &r), &bytes));
  assert_true(bytes > 60);
  for (size_t at = 5; at + 12 < bytes; at += 7) { /* within tokens and across them */
    char stop[13] = "";
    heard ear = {{0}, 0, 0, ""};
    memcpy(stop, whole + at, sizeof stop - 1);
    const char *const stops[] = {"never", stop};
    r.stops = stops;
    r.n_stops = 2;
    r.take = hear;
    r.user = &ear;
    ellm_answer *answer = tell(model, g, begin, &r);
    const size_t before = (size_t)(strstr(whole, stop) - whole);
    assert_int_equal(end_of(answer), ELLM_END_STOP);
    const char *text = ellm_answer_text(answer, &bytes);
    assert_int_equal(bytes, before);
    assert_memory_equal(text, whole, before);
    assert_string_equal(ear.text, text);
    bytes = strlen(whole);
    ellm_answer_free(answer);
  }
  /* a text that could have become one is handed out at the end */
  char half[64];
  snprintf(half, sizeof half, "%s@@@", whole + bytes - 5);
  const char *const stops[] = {half};
  heard ear = {{0}, 0, 0, ""};
  r.stops = stops;
  r.n_stops = 1;
  r.user = &ear;
  ellm_answer *answer = tell(model, g, begin, &r);
  assert_int_equal(end_of(answer), ELLM_END_LIMIT);
  assert_string_equal(ear.text, whole);
  /* an id that ends it is not among its ids */
  const uint32_t *ids = ellm_answer_ids(answer, &n);
  const uint32_t end = ids[7];
  ellm_request_init(&r);
  r.end_ids = &end;
  r.n_end_ids = 1;
  answer = tell(model, g, begin, &r);
  assert_int_equal(end_of(answer), ELLM_END_ID);
  ids = ellm_answer_ids(answer, &n);
  assert_true(n <= 7);
  for (size_t i = 0; i < n; i++) assert_int_not_equal(ids[i], end);
  ellm_generator_free(g);
  ellm_model_close(model);
}

static bool count_down(void *user) { return (*(int *)user)-- > 0; }

static void cancelling(void **state) {
  (void)state;
  ellm_model *model = open_pool(0);
  ellm_generator *g = generator_of(model, 3, 0, 0), *own = generator_of(model, 1, 0, 0);
  static asked all[REQUESTS];
  heard ears[3] = {{{0}, 0, 0, ""}};
  ellm_answer *answers[3];
  make_requests(all, 10, 1000, 4);
  for (size_t k = 0; k < 3; k++) {
    all[k].limit = 30;
    ellm_request r = request_of(&all[k]);
    r.ignore_end = true;
    r.take = hear;
    r.user = &ears[k];
    ears[k].stop_after = k == 1 ? 5 : 0;
    answers[k] = add(g, &r);
  }
  int steps = 12;
  ellm_error err;
  assert_int_equal(ellm_generator_run(g, count_down, &steps, &err), ELLM_INTERRUPTED);
  ellm_answer_cancel(answers[2]);
  ASSERT_OK(ellm_generator_run(g, NULL, NULL, ERR)); /* goes on where it was interrupted */
  size_t n, bytes;
  ellm_answer_ids(answers[1], &n);
  assert_int_equal(n, 5);
  assert_int_equal(end_of(answers[1]), ELLM_END_CANCELLED);
  assert_int_equal(end_of(answers[2]), ELLM_END_CANCELLED);
  assert_string_equal(ears[2].text, ellm_answer_text(answers[2], &bytes));
  ellm_request r = request_of(&all[0]);
  r.ignore_end = true;
  ellm_answer *want = add(own, &r);
  ASSERT_OK(ellm_generator_run(own, NULL, NULL, ERR));
  expect_equal(answers[0], want);
  ellm_answer_free(answers[1]);
  ellm_generator_free(g);
  ellm_generator_free(own);
  ellm_model_close(model);
}

/* No position is left: of the request, of the model, of the pool. */
static void no_room(void **state) {
  (void)state;
  static asked all[REQUESTS];
  size_t n;
  ellm_error err;
  make_requests(all, 90, 1000, 5);
  ellm_model *model = open_pool(128);
  ellm_generator *g = generator_of(model, 2, 0, 0);
  ellm_request r = request_of(&all[0]);
  r.n_prompt = 20;
  r.limit = SIZE_MAX;
  r.ignore_end = true;
  r.positions = 32;
  ellm_answer *answer = add(g, &r);
  ASSERT_OK(ellm_generator_run(g, NULL, NULL, ERR));
  ellm_answer_ids(answer, &n);
  assert_int_equal(end_of(answer), ELLM_END_CONTEXT);
  assert_int_equal(n, 13); /* the last is never fed back */
  r.positions = 0;
  answer = add(g, &r);
  ASSERT_OK(ellm_generator_run(g, NULL, NULL, ERR));
  ellm_answer_ids(answer, &n);
  assert_int_equal(end_of(answer), ELLM_END_FULL);
  assert_int_equal(n, 109);
  /* others hold the pool */
  ellm_sequence *other = sequence_of(model, all[1].prompt, 100);
  answer = add(g, &r);
  ASSERT_OK(ellm_generator_run(g, NULL, NULL, ERR));
  ellm_answer_ids(answer, &n);
  assert_int_equal(end_of(answer), ELLM_END_FULL);
  assert_true(n < 20);
  r.n_prompt = 80;
  answer = add(g, &r);
  ASSERT_OK(ellm_generator_run(g, NULL, NULL, ERR));
  assert_int_equal(end_of(answer), ELLM_END_FULL);
  ellm_sequence_free(other);
  /* and where there is room again */
  r.limit = 4;
  answer = add(g, &r);
  ASSERT_OK(ellm_generator_run(g, NULL, NULL, ERR));
  assert_int_equal(end_of(answer), ELLM_END_LIMIT);

  const uint32_t beyond = 1u << 30;
  const char *const nothing[] = {""};
  struct { size_t n, stops; const uint32_t *prompt; uint32_t positions; ellm_status status; } bad[] = {
      {0, 0, all[0].prompt, 0, ELLM_ERR_INPUT},  {33, 0, all[0].prompt, 32, ELLM_ERR_INPUT},
      {1, 0, &beyond, 0, ELLM_ERR_INPUT},        {1, 0, all[0].prompt, 100000, ELLM_ERR_INPUT},
      {1, 1, all[0].prompt, 0, ELLM_ERR_USAGE},  {4, 0, NULL, 0, ELLM_ERR_INPUT}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    r.prompt = bad[i].prompt;
    r.n_prompt = bad[i].n;
    r.positions = bad[i].positions;
    r.stops = nothing;
    r.n_stops = bad[i].stops;
    assert_int_equal(ellm_generator_add(g, &r, &answer, &err), bad[i].status);
    assert_null(answer);
  }
  ellm_generator_free(g);
  ellm_model_close(model);
}

/* Another prompt takes the place of the one before the answer: the rest is as if it had stood there. */
static ellm_status shorter(void *user, const ellm_answer *answer, uint32_t **prompt, size_t *n, ellm_error *err) {
  const asked *a = user;
  (void)answer;
  (void)err;
  *n = 6;
  *prompt = malloc(*n * sizeof **prompt);
  assert_non_null(*prompt);
  memcpy(*prompt, a->prompt, *n * sizeof **prompt);
  return ELLM_OK;
}

static void room_made(void **state) {
  (void)state;
  static asked all[REQUESTS];
  make_requests(all, 20, 1000, 6);
  ellm_model *model = open_pool(0);
  ellm_generator *g = generator_of(model, 2, 0, 0);
  ellm_request r = request_of(&all[0]);
  r.n_prompt = 20;
  r.positions = 40;
  r.limit = 30;
  r.ignore_end = true;
  r.sampling = NULL;
  r.make_room = shorter;
  r.user = &all[1];
  ellm_answer *answer = add(g, &r);
  ASSERT_OK(ellm_generator_run(g, NULL, NULL, ERR));
  size_t n, m;
  const uint32_t *ids = ellm_answer_ids(answer, &n);
  assert_int_equal(end_of(answer), ELLM_END_LIMIT);
  assert_int_equal(n, 30);
  static asked rest; /* the new prompt and the first 21 ids, then what follows */
  memcpy(rest.prompt, all[1].prompt, 6 * sizeof *ids);
  memcpy(rest.prompt + 6, ids, 21 * sizeof *ids);
  rest.n = 27;
  rest.limit = 9;
  ellm_sampling_init(&rest.sampling);
  ellm_request after = request_of(&rest);
  after.ignore_end = true;
  const uint32_t *wanted = ellm_answer_ids((answer = add(g, &after)), &m);
  ASSERT_OK(ellm_generator_run(g, NULL, NULL, ERR));
  wanted = ellm_answer_ids(answer, &m);
  assert_int_equal(m, 9);
  assert_memory_equal(ids + 21, wanted, 9 * sizeof *ids);
  ellm_generator_free(g);
  ellm_model_close(model);
}

static void expect_refused(ellm_generator *g, const ellm_request *r, const char *word) {
  ellm_error err;
  ellm_answer *answer;
  assert_int_equal(ellm_generator_add(g, r, &answer, &err), ELLM_ERR_USAGE);
  assert_non_null(strstr(err.message, word));
  assert_null(answer);
}

/* A sequence serves one answer at a time, of its own model: others are refused, and those there go on. */
static void sequences_of_callers(void **state) {
  (void)state;
  static asked all[REQUESTS];
  make_requests(all, 20, 1000, 7);
  ellm_model *model = open_pool(0), *stranger = open_pool(0);
  ellm_generator *g = generator_of(model, 2, 0, 0);
  ellm_sequence *own = sequence_of(model, all[0].prompt, 1), *strange = sequence_of(stranger, all[0].prompt, 1);
  ellm_request r = request_of(&all[0]);
  r.sequence = strange;
  expect_refused(g, &r, "another model");
  r.sequence = own;
  ellm_answer *answer = add(g, &r);
  expect_refused(g, &r, "has not ended");
  ASSERT_OK(ellm_generator_run(g, NULL, NULL, ERR));
  assert_int_not_equal(end_of(answer), ELLM_END_FAILED);
  answer = add(g, &r); /* its answer has ended */
  ASSERT_OK(ellm_generator_run(g, NULL, NULL, ERR));
  assert_int_not_equal(end_of(answer), ELLM_END_FAILED);
  ellm_generator_free(g);
  ellm_sequence_free(own);
  ellm_sequence_free(strange);
  ellm_model_close(stranger);
  ellm_model_close(model);
}

/* A model that is closed goes with the last generator and chat; until then they refuse by name. */
static void closed_model(void **state) {
  (void)state;
  static asked all[REQUESTS];
  ellm_error err;
  make_requests(all, 20, 1000, 8);
  ellm_model *model = open_pool(0);
  ellm_generator *g = generator_of(model, 2, 0, 0);
  ellm_request r = request_of(&all[0]);
  ellm_answer *answer = add(g, &r);
  ellm_model_close(model);
  expect_refused(g, &r, "closed");
  assert_int_equal(ellm_generator_run(g, NULL, NULL, &err), ELLM_OK);
  assert_int_equal(end_of(answer), ELLM_END_FAILED);
  ellm_generator_free(g);
}

/* Longrope: what a caller has announced of a sequence outlives an answer with it. */
static void announced_before(void **state) {
  (void)state;
  char path[600];
  uint32_t ids[60];
  if (!golden_model("phi3-longrope", path, sizeof path)) skip();
  model_path = path;
  ellm_model *model = open_pool(0);
  model_path = STORIES_FOLDER;
  ellm_model_info info;
  ellm_model_get_info(model, &info);
  for (uint32_t i = 0; i < 60; i++) ids[i] = 1 + i * 7 % (info.vocab_size - 1);
  float *logits[2];
  for (int generated = 0; generated < 2; generated++) {
    ellm_sequence *s;
    ASSERT_OK(ellm_sequence_create(model, &s, ERR));
    ASSERT_OK(ellm_sequence_announce(s, info.max_context, ERR));
    logits[generated] = calloc(info.vocab_size, sizeof **logits);
    assert_non_null(logits[generated]);
    if (generated) {
      ellm_generator *g = generator_of(model, 1, 0, 0);
      ellm_request r;
      ellm_request_init(&r);
      r.prompt = ids;
      r.n_prompt = 20;
      r.limit = 1;
      r.no_text = true;
      r.sequence = s;
      add(g, &r);
      ASSERT_OK(ellm_generator_run(g, NULL, NULL, ERR));
      ellm_generator_free(g);
    }
    const uint32_t there = ellm_sequence_length(s);
    const ellm_batch_item item = {s, ids + there, 30 - there, logits[generated], 1};
    ASSERT_OK(ellm_evaluate(model, &item, 1, ERR));
    ellm_sequence_free(s);
  }
  assert_memory_equal(logits[0], logits[1], info.vocab_size * sizeof **logits);
  free(logits[0]);
  free(logits[1]);
  ellm_model_close(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(together_as_alone), cmocka_unit_test(coded_together_as_alone),
      cmocka_unit_test(giving_way),        cmocka_unit_test(shared_beginnings),
      cmocka_unit_test(handed_over),
      cmocka_unit_test(stop_strings),      cmocka_unit_test(cancelling),
      cmocka_unit_test(no_room),           cmocka_unit_test(room_made),
      cmocka_unit_test(announced_before),  cmocka_unit_test(sequences_of_callers),
      cmocka_unit_test(closed_model)};
  return cmocka_run_group_tests_name("generator", tests, NULL, NULL);
}
