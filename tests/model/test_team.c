/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Models that several compute together give the bits of one: for every family, coded and not, for 2 to 8 ranks with equal
 * and with other shares. The ranks are threads here, each with a model of its own; what they have is joined behind a
 * barrier.
 */
#include <pthread.h>
#include <unistd.h>

#include "base/bytes.h"
#include "container/hash.h"
#include "container/record.h"
#include "model/model_testing.h"
#include "model/team.h"

enum { MOST_RANKS = 8, PROMPT = 20, LONG = 12, MORE = 3, LOGITS = PROMPT + 2 + MORE };

/* ------------------------------------------------------------------------ a team of threads */

typedef struct meeting {
  pthread_barrier_t barrier;
  uint32_t n_ranks;
  struct { const float *rows; size_t stride; } at[MOST_RANKS];
  uint64_t gathered; /* floats that rank 0 got of others */
} meeting;

typedef struct member {
  meeting *meeting;
  ellm_team team;
  const char *path, *cache;
  const char *parts;         /* folder of the parts of the file; NULL: it is opened whole */
  bool expand;
  ellm_activations activations;
  ellm_cache_type cache_type;
  float *logits; /* [LOGITS][vocab_size] */
  uint32_t vocab_size;
  ellm_error error; /* of the first call that failed; then all is given up, by exit */
} member;

static ellm_status gather(void *user, float *rows, size_t n_rows, size_t stride, const uint32_t *first, ellm_error *err) {
  member *m = user;
  meeting *all = m->meeting;
  (void)err;
  all->at[m->team.rank].rows = rows;
  all->at[m->team.rank].stride = stride;
  pthread_barrier_wait(&all->barrier);
  for (uint32_t r = 0; r < all->n_ranks; r++)
    for (size_t row = 0; row < n_rows && r != m->team.rank; row++) {
      const size_t n = first[r + 1] - first[r];
      memcpy(rows + row * stride + first[r], all->at[r].rows + row * all->at[r].stride + first[r], n * sizeof *rows);
      if (m->team.rank == 0) all->gathered += n;
    }
  pthread_barrier_wait(&all->barrier);
  return ELLM_OK;
}

/* --------------------------------------------------------------------- what each of them does */

#define TRY(call)                                    \
  if ((call) != ELLM_OK) {                           \
    fprintf(stderr, "%s\n", m->error.message);       \
    exit(1); /* the others wait for this one */      \
  }

/* A prompt, a fork of it that goes on beside it, tokens one by one, a prompt cache that is saved and restored. */
static void run_all(member *m) {
  ellm_model_options options;
  ellm_model *model;
  ellm_sequence *s, *fork, *restored;
  ellm_error *err = &m->error;
  uint32_t ids[PROMPT + LONG + MORE];
  float *logits = m->logits;
  ellm_model_options_init(&options);
  options.threads = m->team.n_ranks == 3 ? 2 : 1;
  options.activations = m->activations;
  options.cache_type = m->cache_type;
  options.expand = m->expand;
  options.team = m->team.n_ranks > 0 ? &m->team : NULL;
  TRY(ellm_model_open(m->path, &options, &model, err));
  for (uint32_t i = 0; i < sizeof ids / sizeof *ids; i++) ids[i] = (i * 29 + 3) % m->vocab_size;
  TRY(ellm_sequence_create(model, &s, err));
  TRY(append(model, s, ids, PROMPT, logits, PROMPT, err));
  logits += (size_t)PROMPT * m->vocab_size;
  TRY(ellm_sequence_fork(s, &fork, err));
  const ellm_batch_item items[] = {{s, ids + PROMPT, LONG, logits, 1},
                                   {fork, ids + PROMPT + 1, 1, logits + m->vocab_size, 1}};
  TRY(ellm_evaluate(model, items, 2, err));
  logits += 2 * (size_t)m->vocab_size;
  TRY(ellm_sequence_save(s, m->cache, NULL, NULL, err));
  TRY(ellm_sequence_create(model, &restored, err));
  TRY(ellm_sequence_restore(restored, m->cache, ids, PROMPT + LONG, NULL, NULL, err));
  for (int i = 0; i < MORE; i++, logits += m->vocab_size)
    TRY(append(model, restored, ids + PROMPT + LONG + i, 1, logits, 1, err));
  ellm_sequence_free(s);
  ellm_sequence_free(fork);
  ellm_sequence_free(restored);
  ellm_model_close(model);
}

static void *member_main(void *user) {
  run_all(user);
  return NULL;
}

/* ------------------------------------------------------------------------------------- tests */

static char folder[] = "/tmp/entrollm-team-XXXXXX";

static void cache_path(char path[64], int rank) { snprintf(path, 64, "%s/%d.cache", folder, rank); }

/* The file of a rank: a whole one, or its part of it. */
static const char *path_of(const member *alone, uint32_t rank, uint32_t n_ranks, char path[256]) {
  char name[ELLM_PART_NAME_BYTES];
  if (alone->parts == NULL) return alone->path;
  ellm_split_part_name(rank + 1, n_ranks, name);
  snprintf(path, 256, "%s/%s", alone->parts, name);
  return path;
}

/* n_ranks members of what `alone` has computed; where there are parts, their shares are found in them. */
static void compare(const member *alone, uint32_t n_ranks, const uint32_t *shares) {
  char paths[MOST_RANKS][256];
  meeting all = {.n_ranks = n_ranks};
  member members[MOST_RANKS];
  pthread_t threads[MOST_RANKS];
  char caches[MOST_RANKS][64];
  const size_t bytes = (size_t)LOGITS * alone->vocab_size * sizeof(float);
  assert_int_equal(pthread_barrier_init(&all.barrier, NULL, n_ranks), 0);
  for (uint32_t i = 0; i < n_ranks; i++) {
    members[i] = *alone;
    members[i].meeting = &all;
    members[i].path = path_of(alone, i, n_ranks, paths[i]);
    members[i].team = (ellm_team){i, n_ranks, alone->parts != NULL ? NULL : shares, gather, &members[i]};
    members[i].logits = malloc(bytes);
    cache_path(caches[i], (int)i + 1);
    members[i].cache = caches[i];
  }
  for (uint32_t i = 0; i < n_ranks; i++) assert_int_equal(pthread_create(&threads[i], NULL, member_main, &members[i]), 0);
  for (uint32_t i = 0; i < n_ranks; i++) {
    pthread_join(threads[i], NULL);
    if (memcmp(members[i].logits, alone->logits, bytes) != 0)
      fail_msg("%s: rank %u of %u has other logits", alone->path, (unsigned)i, (unsigned)n_ranks);
    assert_same_file(members[i].cache, alone->cache);
    free(members[i].logits);
    unlink(members[i].cache);
  }
  assert_true(all.gathered > 0);
  pthread_barrier_destroy(&all.barrier);
}

static void compare_teams(const char *path, ellm_activations activations, ellm_cache_type cache_type) {
  static const uint32_t uneven[] = {5, 1, 3};
  char cache[64];
  ellm_model *model = open_model(path, 1, activations);
  ellm_model_info info;
  ellm_model_get_info(model, &info);
  ellm_model_close(model);
  cache_path(cache, 0);
  member alone = {.path = path, .cache = cache, .activations = activations, .cache_type = cache_type, .vocab_size = info.vocab_size};
  alone.logits = malloc((size_t)LOGITS * info.vocab_size * sizeof *alone.logits);
  run_all(&alone);
  compare(&alone, 2, NULL);
  compare(&alone, 3, uneven);
  compare(&alone, 5, NULL);
  compare(&alone, 8, NULL); /* more than there are heads of keys, and more than some have of queries */
  free(alone.logits);
  unlink(cache);
}

static const char *const families[] = {"llama-tied-gqa", "llama-odd-shapes", "qwen3-qknorm", "qwen3moe-mixed",
                                       "mixtral-window", "gemma2-caps",      "phi3-longrope", "smollm3-no-rope"};
enum { FAMILIES = sizeof families / sizeof *families };

static void of_folders(void **state) {
  (void)state;
  for (size_t i = 0; i < FAMILIES; i++) {
    char path[512];
    assert_true(golden_model(families[i], path, sizeof path));
    compare_teams(path, ELLM_ACTIVATIONS_F32, ELLM_CACHE_F32);
  }
}

static void of_files(void **state) {
  (void)state;
  for (size_t i = 0; i < FAMILIES; i++) {
    char source[512], path[64];
    ellm_compress_options options;
    assert_true(golden_model(families[i], source, sizeof source));
    snprintf(path, sizeof path, "%s/model.ellm", folder);
    ellm_compress_options_init(&options);
    options.overwrite = true;
    options.bits = i % 2 == 0 ? 8 : 4;
    ASSERT_OK(ellm_compress(source, path, &options, NULL, ERR));
    compare_teams(path, i % 2 == 0 ? ELLM_ACTIVATIONS_I16 : ELLM_ACTIVATIONS_I8,
                  i % 3 == 0 ? ELLM_CACHE_Q8 : ELLM_CACHE_F16);
    unlink(path);
  }
}

/* ------------------------------------------------------------------------------ parts of a file */

/* Splits the file of `alone`, lets its members compute from the parts, and looks at how large these are. */
static void compare_parts(member *alone, uint32_t n_ranks, const uint32_t *shares) {
  ellm_split_options options;
  ellm_split_report *report;
  char path[256], parts[64];
  snprintf(parts, sizeof parts, "%s/parts", folder);
  ellm_split_options_init(&options);
  options.n_parts = n_ranks;
  options.shares = shares;
  ASSERT_OK(ellm_split(alone->path, parts, &options, &report, ERR));
  assert_int_equal(report->n_parts, n_ranks);
  for (uint32_t i = 0; i < n_ranks; i++) {
    const uint64_t bytes = report->parts[i].file_bytes;
    assert_true(bytes < report->whole_bytes + 4096 && bytes > report->parts[i].divided_bytes + report->coded_bytes);
  }
  ellm_split_report_free(report);
  alone->parts = parts;
  for (int i = 0; i < 2; i++) {
    alone->expand = i > 0;
    compare(alone, n_ranks, shares);
  }
  for (uint32_t i = 0; i < n_ranks; i++) unlink(path_of(alone, i, n_ranks, path));
  alone->parts = NULL;
  rmdir(parts);
}

/* Files of all kinds: the paper's, without loss, with scales of columns; heads that do not divide, experts, fused matrices. */
static void of_parts(void **state) {
  (void)state;
  static const uint32_t uneven[] = {5, 1, 3};
  for (size_t i = 0; i < FAMILIES; i++) {
    char source[512], path[64], cache[64];
    ellm_compress_options options;
    ellm_model_info info;
    assert_true(golden_model(families[i], source, sizeof source));
    snprintf(path, sizeof path, "%s/model.ellm", folder);
    ellm_compress_options_init(&options);
    options.overwrite = true;
    options.bits = 4;
    options.lossless = i % 4 == 1;
    ASSERT_OK(ellm_compress(source, path, &options, NULL, ERR));
    ellm_model *model = open_model(path, 1, ELLM_ACTIVATIONS_AUTO);
    ellm_model_get_info(model, &info);
    ellm_model_close(model);
    cache_path(cache, 0);
    member alone = {.path = path,
                    .cache = cache,
                    .activations = options.lossless ? ELLM_ACTIVATIONS_F32 : ELLM_ACTIVATIONS_I16,
                    .vocab_size = info.vocab_size};
    alone.logits = malloc((size_t)LOGITS * info.vocab_size * sizeof *alone.logits);
    run_all(&alone);
    if (i % 2 == 0) compare_parts(&alone, 3, uneven);
    else compare_parts(&alone, 8, NULL);
    free(alone.logits);
    unlink(cache);
    unlink(path);
  }
}

/* All heads are somebody's, and what members read is the file, what all need once for each. */
static void check_members(const ellm_model *model, uint32_t n_ranks) {
  ellm_model_info info;
  ellm_team_member m;
  uint32_t heads = 0;
  ellm_model_get_info(model, &info);
  const uint64_t cache = ellm_model_cache_bytes(model, 100);
  for (uint32_t r = 0; r < n_ranks; r++) {
    ASSERT_OK(ellm_model_member(model, r, 100, &m, ERR));
    heads += m.heads;
    assert_true(m.kv_heads <= info.n_kv_heads && (m.heads > 0) == (m.kv_heads > 0));
    assert_true(m.file_bytes > 0);
    assert_int_equal(m.cache_bytes, cache / info.n_kv_heads * m.kv_heads);
  }
  assert_int_equal(heads, info.n_heads);
  assert_int_equal(ellm_model_member(model, n_ranks, 100, &m, NULL), ELLM_ERR_USAGE);
}

static void refuse_part(const char *path, const ellm_team *team, const char *words) {
  ellm_model_options options;
  ellm_model *model;
  ellm_error err = {0};
  ellm_model_options_init(&options);
  options.team = team;
  assert_int_equal(ellm_model_open(path, &options, &model, &err), ELLM_ERR_INPUT);
  if (strstr(err.message, words) == NULL) fail_msg("%s", err.message);
}

/* Writes another number into the record of a part, the first of the directory, and makes the checksums right. */
static void renumber(const char *path, uint32_t number) {
  uint8_t *data;
  size_t bytes;
  ASSERT_OK(file_read_all(path, 1 << 24, &data, &bytes, ERR));
  uint8_t *directory = data + load_u64(data + 16);
  store_u32(directory + FORMAT_DIRECTORY_HEADER + FORMAT_RECORD_FIXED, number);
  store_u64(data + 32, hash64(directory, (size_t)load_u64(data + 24)));
  store_u64(data + 56, hash64(data, 56));
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(data, 1, bytes, file), bytes);
  assert_int_equal(fclose(file), 0);
  free(data);
}

/* A part is for the rank of its number, among as many as there are parts, with its shares. */
static void parts_of_others(void **state) {
  (void)state;
  static const uint32_t shares[] = {4, 2, 2}, same[] = {2, 1, 1}, other[] = {1, 1, 1};
  char path[64], part[256], parts[64], of_part[33], of_whole[33];
  ellm_compress_options how;
  ellm_split_options options;
  ellm_model_options opening;
  ellm_model *model;
  snprintf(path, sizeof path, "%s/model.ellm", folder);
  snprintf(parts, sizeof parts, "%s/parts", folder);
  ellm_compress_options_init(&how);
  ASSERT_OK(ellm_compress(STORIES_FOLDER, path, &how, NULL, ERR));
  ellm_split_options_init(&options);
  options.n_parts = 3;
  options.shares = shares;
  ASSERT_OK(ellm_split(path, parts, &options, NULL, ERR));
  assert_int_equal(ellm_split(path, parts, &options, NULL, NULL), ELLM_ERR_EXISTS);
  const member of = {.path = path, .parts = parts};
  path_of(&of, 1, 3, part);
  refuse_part(part, NULL, "part 2 of 3 of model");
  refuse_part(part, &(ellm_team){0, 3, NULL, gather, NULL}, "for rank 1 of 3; this is rank 0 of 3");
  refuse_part(part, &(ellm_team){1, 2, NULL, gather, NULL}, "this is rank 1 of 2");
  refuse_part(part, &(ellm_team){1, 3, other, gather, NULL}, "other shares");
  assert_int_equal(ellm_split(part, parts, &options, NULL, NULL), ELLM_ERR_INPUT);
  ellm_model_options_init(&opening);
  opening.team = &(ellm_team){1, 3, same, gather, NULL};
  opening.check_all = true;
  ASSERT_OK(ellm_model_open(part, &opening, &model, ERR));
  ASSERT_OK(ellm_model_identity(model, of_part, NULL, NULL, ERR));
  assert_int_equal(ellm_model_shares(model)[0], 2);
  check_members(model, 3);
  ellm_model_close(model);
  model = open_model(path, 1, ELLM_ACTIVATIONS_AUTO);
  ASSERT_OK(ellm_model_identity(model, of_whole, NULL, NULL, ERR));
  assert_null(ellm_model_shares(model));
  ellm_model_close(model);
  assert_string_equal(of_part, of_whole);
  renumber(part, 1); /* now it has other rows than the rank that it says it is for */
  refuse_part(part, &(ellm_team){0, 3, NULL, gather, NULL}, "row groups that rank 0 needs are missing");
  for (uint32_t i = 0; i < 3; i++) unlink(path_of(&of, i, 3, part));
  options.n_parts = 1;
  assert_int_equal(ellm_split(path, parts, &options, NULL, NULL), ELLM_ERR_USAGE);
  rmdir(parts);
  unlink(path);
}

/* Parts are whole units, follow each other, and have about what their shares say. */
static void cuts(void **state) {
  (void)state;
  static const uint32_t shares[] = {1, 2, 1000000000, 4000000000u};
  for (uint32_t n_ranks = 1; n_ranks <= 4; n_ranks++)
    for (int even = 0; even < 2; even++) {
      const ellm_team team = {0, n_ranks, even ? NULL : shares, gather, NULL};
      static const uint32_t sizes[] = {0, 1, 16, 17, 576, 49152, UINT32_MAX};
      for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        assert_int_equal(team_cut(&team, sizes[i], 16, 0), 0);
        assert_int_equal(team_cut(&team, sizes[i], 16, n_ranks), sizes[i]);
        for (uint32_t r = 0; r < n_ranks; r++) {
          const uint32_t cut = team_cut(&team, sizes[i], 16, r), next = team_cut(&team, sizes[i], 16, r + 1);
          assert_true(cut <= next && (cut % 16 == 0 || cut == sizes[i]));
          if (even) assert_true(next - cut <= (uint64_t)sizes[i] / n_ranks + 16);
        }
      }
    }
}

/* Lists of shares that divide alike, whatever they are multiplied by. */
static void shares_alike(void **state) {
  (void)state;
  static const uint32_t one[] = {1, 2, 3}, two[] = {2, 4, 6}, large[] = {1400000000, 2800000000u, 4200000000u},
                        other[] = {2, 4, 5}, even[] = {7, 7, 7};
  assert_true(ellm_same_shares(one, two, 3) && ellm_same_shares(large, one, 3) && ellm_same_shares(NULL, even, 3));
  assert_true(ellm_same_shares(one, other, 2) && ellm_same_shares(NULL, NULL, 3) && ellm_same_shares(one, even, 0));
  assert_false(ellm_same_shares(one, other, 3) || ellm_same_shares(large, other, 3) || ellm_same_shares(two, NULL, 3));
}

static void what_is_no_team(void **state) {
  (void)state;
  static const uint32_t shares[] = {1, 0};
  const struct { ellm_team team; const char *words; } cases[] = {
      {{0, 0, NULL, gather, NULL}, "0 ranks"},
      {{2, 2, NULL, gather, NULL}, "rank 2"},
      {{0, ELLM_TEAM_MOST + 1, NULL, gather, NULL}, "1 to 1024"},
      {{0, 2, NULL, NULL, NULL}, "without gather"},
      {{0, 2, shares, gather, NULL}, "rank 1 of a team is 0"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    ellm_model_options options;
    ellm_model *model;
    ellm_error err = {0};
    ellm_model_options_init(&options);
    options.team = &cases[i].team;
    assert_int_equal(ellm_model_open(STORIES_FOLDER, &options, &model, &err), ELLM_ERR_USAGE);
    if (strstr(err.message, cases[i].words) == NULL) fail_msg("%s", err.message);
  }
}

static int make_folder(void **state) {
  (void)state;
  return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state) {
  (void)state;
  return rmdir(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(cuts), cmocka_unit_test(shares_alike), cmocka_unit_test(what_is_no_team),
                                     cmocka_unit_test(of_folders), cmocka_unit_test(of_files), cmocka_unit_test(of_parts),
                                     cmocka_unit_test(parts_of_others)};
  return cmocka_run_group_tests_name("teams", tests, make_folder, remove_folder);
}
