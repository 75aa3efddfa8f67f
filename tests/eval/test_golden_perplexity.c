/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Perplexity and divergence against values made by other programs (see tests/golden): full
 * precision, and 8 and 4 bits with float activations. And that neither threads
 * nor saving the reference changes them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#include "eval/divergence.h"
#include "eval/perplexity.h"
#include "eval/save_reference.h"
#include "eval_testing.h"

/* The first is the project's own. */
static const char *const names[] = {"stories", "embedded", "tiny1m", "tinystories-656k"};
enum { MODELS = 4 };

typedef struct fixture {
  json_t *values;
  const char *text_name;
  uint8_t *text;
  size_t bytes; /* of the text that is used */
  uint32_t n_ctx;
  size_t chunks;
} fixture;

static fixture load(int index) {
  fixture f = {.values = golden(names[index])};
  f.text_name = name_at(f.values, "text", "eval/wikitext2/wiki.test.raw");
  f.text = read_input(f.text_name, &f.bytes);
  f.n_ctx = (uint32_t)whole_at(at(f.values, "a_llamacpp"), "ctx");
  f.chunks = (size_t)whole_at(at(f.values, "a_llamacpp"), "chunks");
  return f;
}

/* From here on the beginning of the text only, cut at a line: enough for the chunks, and quicker to tokenize. */
static void shorten(fixture *f) {
  for (f->bytes = 60000; f->text[f->bytes - 1] != '\n'; f->bytes--) {
  }
}

static void unload(fixture *f) {
  free(f->text);
  json_decref(f->values);
}

static ellm_perplexity_result measure(const fixture *f, ellm_model *model, ellm_perplexity_protocol protocol,
                                      size_t limit) {
  ellm_perplexity_request request = {0, protocol, (const char *)f->text, f->bytes, f->text_name, f->n_ctx, 0};
  ellm_eval_options options = {.limit = limit};
  ellm_perplexity_result result;
  ellm_error err;
  check_ok(eval_perplexity(model, &request, &options, &result, &err), &err);
  return result;
}

static void check_model(const fixture *f, ellm_model *model, const char *which, bool whole) {
  const json_t *expected = at(at(f->values, "models"), which);
  const json_t *by_chunk = at(expected, "a_nll_by_chunk"), *c = at(expected, "c");
  ellm_perplexity_result result = measure(f, model, ELLM_PERPLEXITY_LLAMA_CPP, f->chunks);
  if (whole) assert_int_equal(result.text_tokens, whole_at(f->values, "tokens"));
  assert_int_equal(result.n_chunks, f->chunks);
  for (size_t i = 0; i < f->chunks; i++)
    close_to(result.chunk_nll[i], json_real_value(json_array_get(by_chunk, i)), 1e-4);
  close_to(result.perplexity.value, real_at(expected, "a_ppl"), 1e-4);
  eval_perplexity_free(&result);

  result = measure(f, model, ELLM_PERPLEXITY_WINDOWS, f->chunks);
  if (whole) assert_int_equal(result.text_tokens, whole_at(at(f->values, "b_gptq"), "tokens"));
  close_to(result.perplexity.value, real_at(expected, "b_ppl"), 1e-4);
  eval_perplexity_free(&result);

  result = measure(f, model, ELLM_PERPLEXITY_STRIDED, (size_t)whole_at(c, "windows"));
  assert_int_equal(result.stride, whole_at(c, "stride"));
  assert_int_equal(result.scored, whole_at(c, "labels"));
  close_to(result.perplexity.value, real_at(expected, "c_ppl"), 1e-4);
  eval_perplexity_free(&result);
}

static ellm_divergence_request divergence_of(const fixture *f) {
  return (ellm_divergence_request){0, (const char *)f->text, f->bytes, f->text_name, f->n_ctx};
}

static void check_divergence(const fixture *f, const ellm_divergence_result *r, const char *which) {
  const json_t *models = at(f->values, "models"), *expected = at(models, which);
  close_to(r->kl.value, real_at(expected, "kl_mean"), 1e-4);
  close_to(r->median.value, real_at(expected, "kl_median"), 1e-3); /* made in single precision, 1e-4 of the mean */
  close_to(r->p99.value, real_at(expected, "kl_99"), 1e-3);
  close_to(r->max, real_at(expected, "kl_max"), 1e-3);
  close_to(r->same_top.value, real_at(expected, "same_top1"), 1e-3);
  close_to(r->perplexity.value, real_at(expected, "a_ppl"), 1e-4);
  close_to(r->reference_perplexity.value, real_at(at(models, "full"), "a_ppl"), 1e-4);
  close_to(r->ratio.value, real_at(expected, "a_ppl") / real_at(at(models, "full"), "a_ppl"), 1e-4);
  assert_true(r->ratio.low < r->ratio.value && r->ratio.value < r->ratio.high);
}

static void check_values(int first, int last) {
  for (int i = first; i <= last; i++) {
    fixture f = load(i);
    const char *checkpoint = text_at(f.values, "checkpoint");
    ellm_model *reference = open_model(checkpoint, 1);
    check_model(&f, reference, "full", true);
    shorten(&f);
    for (int bits = 8; bits >= 4; bits -= 4) {
      const char *which = bits == 8 ? "uint8" : "uint4";
      const ellm_divergence_request request = divergence_of(&f);
      const ellm_eval_options options = {.limit = f.chunks};
      ellm_divergence_result result;
      ellm_error err;
      ellm_model *model = open_compressed(checkpoint, bits, 1, ELLM_ACTIVATIONS_F32);
      check_model(&f, model, which, false);
      check_ok(eval_divergence(model, reference, &request, &options, &result, &err), &err);
      check_divergence(&f, &result, which);
      eval_divergence_free(&result);
      ellm_model_close(model);
    }
    ellm_model_close(reference);
    unload(&f);
  }
}

static void own_values(void **state) {
  (void)state;
  check_values(0, 0);
}

static void golden_values(void **state) {
  (void)state;
  check_values(1, MODELS - 1);
}

static void check_pages(int first, int last) {
  for (int i = first; i <= last; i++) {
    fixture f = load(i);
    size_t bytes;
    char *pages = (char *)read_input(name_at(f.values, "pages", "eval/wikitext2/wiki.test.pages.jsonl"), &bytes);
    char *line = pages, *cut = NULL;
    const json_t *expected = at(f.values, "d_lm_eval_rolling"), *rows = at(expected, "pages");
    ellm_buffer text = {0};
    for (size_t p = 0; p < json_array_size(rows); p++) { /* its first so many characters, as a line of JSON */
      json_t *page = json_loads(line, JSON_DISABLE_EOF_CHECK, NULL);
      char *whole = strdup(json_string_value(at(page, "page")));
      long long characters = whole_at(json_array_get(rows, p), "first_characters");
      size_t end = 0;
      for (; whole[end] && characters >= 0; end++)
        if (((unsigned char)whole[end] & 0xC0) != 0x80 && characters-- == 0) break;
      whole[end] = '\0';
      json_object_set_new(page, "page", json_string(whole));
      cut = json_dumps(page, JSON_COMPACT);
      assert_true(ellm_buffer_append(&text, cut, strlen(cut)) && ellm_buffer_append(&text, "\n", 1));
      free(cut);
      free(whole);
      json_decref(page);
      line = strchr(line, '\n') + 1;
    }
    ellm_model *model = open_model(text_at(f.values, "checkpoint"), 1);
    ellm_perplexity_request request = {0, ELLM_PERPLEXITY_ROLLING, (const char *)text.data, text.size, "pages", 0, 0};
    ellm_eval_options options = {0};
    ellm_perplexity_result result;
    ellm_error err;
    check_ok(eval_perplexity(model, &request, &options, &result, &err), &err);
    uint64_t words = 0, page_bytes = 0;
    for (size_t p = 0; p < result.n_chunks; p++) {
      const json_t *row = json_array_get(rows, p);
      close_to(-result.chunk_nll[p] * (double)whole_at(row, "tokens"), real_at(row, "sum_logprob"), 1e-4);
      words += (uint64_t)whole_at(row, "words");
      page_bytes += (uint64_t)whole_at(row, "bytes");
    }
    assert_int_equal(result.words, words);
    assert_int_equal(result.bytes, page_bytes);
    close_to(result.perplexity.value, real_at(expected, "word_ppl"), 1e-4);
    eval_perplexity_free(&result);
    ellm_model_close(model);
    ellm_buffer_free(&text);
    free(pages);
    unload(&f);
  }
}

static void own_pages(void **state) {
  (void)state;
  check_pages(0, 0);
}

static void golden_pages(void **state) {
  (void)state;
  check_pages(1, MODELS - 1);
}

/* Bit by bit the same with 1 thread and with 3; saved logits give the same figures to 1e-4. */
static void threads_and_saving(void **state) {
  (void)state;
  fixture f = load(0);
  shorten(&f);
  const char *checkpoint = text_at(f.values, "checkpoint");
  const ellm_divergence_request request = divergence_of(&f);
  const ellm_eval_options options = {.limit = f.chunks};
  ellm_divergence_result one, three, saved;
  char path[64];
  ellm_error err;
  snprintf(path, sizeof path, "/tmp/entrollm-test-logits-%ld", (long)getpid());
  unlink(path);
  for (int threads = 1; threads <= 3; threads += 2) {
    ellm_model *reference = open_model(checkpoint, threads);
    ellm_model *model = open_compressed(checkpoint, 4, threads, ELLM_ACTIVATIONS_AUTO);
    check_ok(eval_divergence(model, reference, &request, &options, threads == 1 ? &one : &three, &err), &err);
    if (threads == 3) {
      check_ok(eval_save_reference(reference, &request, path, false, &options, &err), &err);
      const ellm_divergence_request any = {0, request.text, request.bytes, request.origin, 0};
      check_ok(eval_divergence_saved(model, path, &any, &all, &saved, &err), &err);
    }
    ellm_model_close(model);
    ellm_model_close(reference);
  }
  assert_memory_equal(&one.kl, &three.kl, sizeof one.kl);
  assert_memory_equal(&one.ratio, &three.ratio, sizeof one.ratio);
  assert_memory_equal(one.chunk_kl, three.chunk_kl, f.chunks * sizeof *one.chunk_kl);
  assert_int_equal(saved.n_chunks, f.chunks);
  close_to(saved.kl.value, one.kl.value, 1e-4);
  close_to(saved.p99.value, one.p99.value, 1e-3);
  close_to(saved.reference_perplexity.value, one.reference_perplexity.value, 1e-12);
  close_to(saved.perplexity.value, one.perplexity.value, 1e-12);
  close_to(saved.same_top.value, one.same_top.value, 1e-12);
  eval_divergence_free(&one);
  eval_divergence_free(&three);
  eval_divergence_free(&saved);
  unlink(path);
  unload(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(own_values), cmocka_unit_test(golden_values),
                                     cmocka_unit_test(own_pages), cmocka_unit_test(golden_pages),
                                     cmocka_unit_test(threads_and_saving)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
