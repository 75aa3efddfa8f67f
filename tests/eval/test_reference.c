/* SPDX-License-Identifier: Apache-2.0 */
/* Files of reference logits: rows come back, damage anywhere is noticed, saving goes on where it stopped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/bytes.h"
#include "container/hash.h"
#include "eval/divergence.h"
#include "eval/reference.h"
#include "eval/save_reference.h"
#include "eval_testing.h"
#include "model/score.h"

enum { VOCABULARY = 300 };

static void make_row(float row[VOCABULARY], uint32_t seed) {
  for (uint32_t i = 0; i < VOCABULARY; i++) {
    seed = seed * 1664525u + 1013904223u;
    row[i] = (float)(seed >> 8) / 16777216.0f * 30 - 20;
  }
}

static void rows_come_back(void **state) {
  (void)state;
  float row[VOCABULARY], back[VOCABULARY], label_logit;
  double log_sum;
  uint8_t *record = malloc((size_t)reference_record_bytes(VOCABULARY));
  for (uint32_t seed = 0; seed < 20; seed++) {
    make_row(row, seed);
    if (seed == 1) row[7] = -INFINITY;
    if (seed == 2) /* all the same */
      for (size_t i = 0; i < VOCABULARY; i++) row[i] = 1.5f;
    const uint32_t label = seed * 13;
    const double sum = score_log_sum_exp(row, VOCABULARY);
    assert_true(reference_row_encode(row, VOCABULARY, sum, label, record));
    assert_true(reference_row_decode(record, VOCABULARY, back, &log_sum, &label_logit));
    assert_true(log_sum == sum && label_logit == row[label] && reference_row_label(record) == label);
    assert_int_equal(score_top(back, VOCABULARY), score_top(row, VOCABULARY));
    size_t exact = 0;
    for (size_t i = 0; i < VOCABULARY; i++) {
      if (row[i] == back[i]) exact++;
      else assert_true(fabsf(row[i] - back[i]) <= 30.0f / 65534 * 0.51f);
    }
    assert_true(exact >= REFERENCE_TOP);
    assert_true(fabs(score_divergence(back, log_sum, row, sum, VOCABULARY)) < 1e-6);
  }
  row[3] = NAN;
  assert_false(reference_row_encode(row, VOCABULARY, 0, 0, record));
  row[3] = INFINITY;
  assert_false(reference_row_encode(row, VOCABULARY, 0, 0, record));
  make_row(row, 5);
  assert_false(reference_row_encode(row, VOCABULARY, 0, VOCABULARY, record));
  assert_true(reference_row_encode(row, VOCABULARY, 0, 0, record));
  for (size_t at = 0; at < reference_record_bytes(VOCABULARY); at++) { /* any byte */
    record[at] ^= 0x40;
    assert_false(reference_row_decode(record, VOCABULARY, back, &log_sum, &label_logit));
    record[at] ^= 0x40;
  }
  free(record);
}

/* Good checksums around numbers that are no row of logits. */
static void hostile_rows(void **state) {
  (void)state;
  static const struct { size_t at; uint32_t bits; } lies[] = {
      {4, 0x7FF80000},  {4, 0xFFF00000},  {4, 0x41000000},  {8, 0x7FC00000},  {8, 0x7F800000},  {8, 0x45000000},
      {12, 0x7FC00000}, {12, 0xBF800000}, {12, 0x41000000}, {16, 0x7FC00000}, {16, 0x7F800000}, {16, 0x45000000},
      {20, VOCABULARY}, {24, VOCABULARY}, {28, 0x7FC00000}, {28, 0x7F800000}, {28, 0x45000000}, {28, 0xC5000000}};
  float row[VOCABULARY], back[VOCABULARY], label_logit;
  double log_sum;
  const size_t bytes = (size_t)reference_record_bytes(VOCABULARY);
  uint8_t *record = malloc(bytes), *lie = malloc(bytes);
  make_row(row, 5);
  assert_true(reference_row_encode(row, VOCABULARY, score_log_sum_exp(row, VOCABULARY), 0, record));
  assert_true(reference_row_decode(record, VOCABULARY, back, &log_sum, &label_logit));
  for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
    memcpy(lie, record, bytes);
    store_u32(lie + lies[i].at, lies[i].bits);
    store_u64(lie + bytes - 8, hash64(lie, bytes - 8));
    if (reference_row_decode(lie, VOCABULARY, back, &log_sum, &label_logit))
      fail_msg("%08x at %zu was taken", (unsigned)lies[i].bits, lies[i].at);
  }
  free(record);
  free(lie);
}

static const char *write_file(const uint8_t *data, size_t bytes) {
  static char path[64];
  snprintf(path, sizeof path, "/tmp/entrollm-test-reference-%ld", (long)getpid());
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(data, 1, bytes, file), bytes);
  fclose(file);
  return path;
}

/* Headers with good checksums that lie: no size may be taken from them unchecked. */
static void hostile_headers(void **state) {
  (void)state;
  static const uint32_t numbers[] = {0, 1, 2, 3, 255, 65535, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF};
  enum { N = sizeof numbers / sizeof *numbers, BYTES = 400 };
  const reference_head good = {.rows = 1, .chunks = 1, .vocab_size = 2, .n_ctx = 4, .bos = -1,
                               .text = "00112233445566778899aabbccddeeff",
                               .model = "ffeeddccbbaa99887766554433221100"};
  uint8_t data[BYTES] = {0};
  reference_file file;
  ellm_error err;
  const size_t right = REFERENCE_HEAD_BYTES + (size_t)reference_record_bytes(2);
  assert_true(right < BYTES);
  reference_head_encode(&good, data);
  check_ok(reference_open(write_file(data, right), &file, &err), &err);
  assert_string_equal(file.head.text, good.text);
  assert_string_equal(file.head.model, good.model);
  assert_int_equal(file.head.bos, -1);
  uint8_t record[BYTES];
  assert_int_equal(reference_read(&file, 0, 0, 2, record, &err), ELLM_ERR_INTERNAL);
  check_ok(reference_read(&file, 0, 0, 1, record, &err), &err);
  reference_close(&file);
  for (size_t bytes = 0; bytes < BYTES; bytes++) /* any length but the right one */
    if (bytes != right) assert_int_equal(reference_open(write_file(data, bytes), &file, &err), ELLM_ERR_INPUT);
  for (size_t at = 0; at < REFERENCE_HEAD_BYTES; at++) {
    data[at] ^= 1;
    assert_int_equal(reference_open(write_file(data, right), &file, &err), ELLM_ERR_INPUT);
    data[at] ^= 1;
  }
  for (size_t i = 0; i < N; i++)
    for (size_t k = 0; k < N; k++)
      for (size_t field = 0; field < 3; field++) {
        reference_head head = good;
        head.rows = field == 0 ? numbers[i] : 1;
        head.chunks = field == 1 ? numbers[i] : 1;
        head.vocab_size = field == 2 ? numbers[i] : 2;
        head.n_ctx = numbers[k];
        reference_head_encode(&head, data);
        bool sense = head.rows == 1 && head.chunks == 1 && head.vocab_size == 2 && head.n_ctx > 1;
        ellm_status status = reference_open(write_file(data, right), &file, &err);
        assert_int_equal(status, sense ? ELLM_OK : ELLM_ERR_INPUT);
        if (status == ELLM_OK) reference_close(&file);
      }
  unlink(write_file(data, 0));
}

typedef struct stopping { uint64_t at; } stopping;
static bool stop_at(void *user, const ellm_progress *step) { return step->done < ((stopping *)user)->at; }

static void saving_goes_on(void **state) {
  (void)state;
  size_t bytes, whole_bytes, again_bytes;
  char *text = (char *)read_input("models/stories-4m/unseen.txt", &bytes), partial[96];
  uint8_t *whole, *again;
  ellm_error err;
  const char *path = write_file((const uint8_t *)"", 0);
  snprintf(partial, sizeof partial, "%s.partial", path);
  unlink(path);
  ellm_model *model = open_model("models/stories-4m", 0);
  const ellm_divergence_request request = {0, text, 20000, "text", 64};
  stopping stop = {UINT64_MAX};
  ellm_eval_options options = {.limit = 5, .progress = stop_at, .progress_user = &stop};
  check_ok(eval_save_reference(model, &request, path, false, &options, &err), &err);
  check_ok(file_read_all(path, 1 << 26, &whole, &whole_bytes, &err), &err);
  assert_true(reference_is_file(path));
  assert_int_equal(eval_save_reference(model, &request, path, false, &options, &err), ELLM_ERR_EXISTS); /* exists */
  unlink(path);
  for (int damage = 0; damage < 4; damage++) {
    stop.at = 3;
    assert_int_equal(eval_save_reference(model, &request, path, false, &options, &err), ELLM_INTERRUPTED);
    assert_false(file_exists(path));
    FILE *file = fopen(partial, "r+b");
    assert_non_null(file);
    if (damage == 1) assert_int_equal(ftruncate(fileno(file), (off_t)whole_bytes / 2), 0);
    if (damage == 2) { /* within the second chunk */
      fseek(file, (long)(whole_bytes / 5 + 200), SEEK_SET);
      fputc('x', file);
    }
    if (damage == 3) fputc('x', file); /* another kind of file */
    fclose(file);
    stop.at = UINT64_MAX;
    check_ok(eval_save_reference(model, &request, path, false, &options, &err), &err);
    check_ok(file_read_all(path, 1 << 26, &again, &again_bytes, &err), &err);
    assert_int_equal(again_bytes, whole_bytes);
    assert_memory_equal(again, whole, whole_bytes);
    free(again);
    unlink(path);
  }
  /* A damaged row, another text and another ctx are refused when it is used. */
  ellm_divergence_result result;
  whole[REFERENCE_HEAD_BYTES + 100] ^= 1;
  write_file(whole, whole_bytes);
  assert_int_equal(eval_divergence_saved(model, path, &request, &all, &result, &err), ELLM_ERR_INPUT);
  assert_non_null(strstr(err.message, "row 0 of chunk 0"));
  const ellm_divergence_request other_ctx = {0, text, 20000, "text", 128};
  const ellm_divergence_request other_text = {0, text + 5, 20000, "text", 0};
  assert_int_equal(eval_divergence_saved(model, path, &other_ctx, &all, &result, &err), ELLM_ERR_USAGE);
  assert_int_equal(eval_divergence_saved(model, path, &other_text, &all, &result, &err), ELLM_ERR_USAGE);
  ellm_model_close(model);
  unlink(path);
  free(whole);
  free(text);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(rows_come_back), cmocka_unit_test(hostile_rows),
                                     cmocka_unit_test(hostile_headers), cmocka_unit_test(saving_goes_on)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
