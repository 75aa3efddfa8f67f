/* SPDX-License-Identifier: Apache-2.0 */
/* The arithmetic of the advice: what a token asks for, cycles of code books by the tables of classes, what follows. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bench/advise.h"
#include "bench/coded.h"
#include "bench/shape_source.h"
#include "bench/token_plan.h"
#include "coder/machine.h"

static void close_to(double a, double b) { assert_true(fabs(a - b) <= 1e-9 * fabs(b)); }

/* ---------------------------------------------------------------- formulas */

static void test_formulas(void **state) {
  (void)state;
  int counts[ADVISE_COUNTS];
  assert_int_equal(advise_thread_counts(1, counts), 1);
  assert_int_equal(counts[0], 1);
  assert_int_equal(advise_thread_counts(6, counts), 4);
  assert_int_equal(counts[0] * 1000 + counts[1] * 100 + counts[2] * 10 + counts[3], 1246);
  assert_int_equal(advise_thread_counts(1024, counts), 11);
  assert_int_equal(counts[10], 1024);

  close_to(advise_other_seconds(24, 2048), 24 * 2048 * 2e-8);
  close_to(advise_read_share(30, 1, 1), 30);
  close_to(advise_read_share(30, 1, 4), 15);
  close_to(advise_read_share(30, 3, 4), 22.5);
  close_to(advise_read_share(30, 4, 4), 30);

  /* 2 threads decode 2 x 10 G weights/s, plain ones of 4 bits are read at 10 GB/s as fast */
  close_to(advise_break_even(10, 40, 4, 2), 10);
  assert_true(isinf(advise_break_even(40, 40, 4, 2)));

  /* 1 GB at 20 GB/s, 0.2 s of decoding on 4 threads: 0.05 s each */
  const advise_token token = {.bytes = 1e9, .decode_seconds = 0.2, .other_seconds = 0.001};
  const ellm_bench_advice_speed speed = advise_speed(&token, 4, 20);
  assert_int_equal(speed.threads, 4);
  close_to(speed.read, 20);
  close_to(speed.memory, 20);
  close_to(speed.decoding, 20);
  close_to(speed.tokens_per_s, 1 / (0.05 * cbrt(2) + 0.001));
  const ellm_bench_advice_speed fast = advise_speed(&token, 4, 2000); /* memory no longer matters */
  assert_true(fabs(fast.tokens_per_s - 1 / 0.051) < 1e-3);
}

/* ------------------------------------------------------------------ cycles */

enum { ROWS = 256, COLUMNS = 1024 };

typedef struct counted {
  coder_statistics stats;
  coder_geometry geometry;
  coder_codes codes;
} counted;

static void count(counted *c, int bits, double step) {
  static uint8_t block_codes[CODER_MAX_CODES];
  uint64_t random = 7;
  const int zero = 1 << (bits - 1);
  memset(c, 0, sizeof *c);
  assert_true(coder_geometry_init(&c->geometry, ROWS, COLUMNS));
  for (uint64_t i = 0; i < c->geometry.n_blocks; i++) {
    const coder_block block = coder_geometry_block(&c->geometry, i);
    const size_t n = coder_block_codes(&block);
    for (size_t k = 0; k < n; k++) {
      const double two_sided = log(bench_random(&random)) * (bench_random(&random) < 0.5 ? -1 : 1);
      const long q = lrint(two_sided / step) + zero;
      block_codes[k] = (uint8_t)(q < 0 ? 0 : q >= 1 << bits ? (1 << bits) - 1 : q);
    }
    coder_count_codes(block_codes, n, c->stats.codes);
    coder_statistics_add_pairs(&c->stats, &block, bits, block_codes);
  }
  c->codes = (coder_codes){&c->stats, &c->geometry, bits, zero, coder_pad(c->stats.codes)};
}

/* What the choice for speed was made by is what the advice counts, whatever book it is. */
static void test_cycles_of_choices(void **state) {
  (void)state;
  static const double steps[] = {1.5, 0.7, 0.35, 0.15, 0.05};
  static counted c;
  bool seen[4] = {false};
  ellm_error err;
  for (int bits = 4; bits <= 8; bits++)
    for (int machine = ELLM_MACHINE_AVX2; machine <= ELLM_MACHINE_NEON; machine++) {
      const coder_aim aim = {ELLM_PREFER_SPEED, (ellm_machine)machine, ELLM_CODE_HUFFMAN, 0};
      coder_choice choice;
      double cycles;
      count(&c, bits, steps[bits - 4]);
      assert_int_equal(coder_choose(&c.codes, aim, &choice, &err), ELLM_OK);
      assert_int_equal(coder_cycles(&choice.book, &c.codes, choice.outliers, (ellm_machine)machine, &cycles, &err),
                       ELLM_OK);
      close_to(cycles, (choice.cost - 8 * choice.bytes) / coder_machine_of((ellm_machine)machine)->bits_a_cycle);
      seen[choice.book.kind] = true;
    }
  assert_true(seen[CODER_FIELDS] && seen[CODER_LEVELS]);
}

static void test_cycles_by_hand(void **state) {
  (void)state;
  static counted c;
  ellm_error err;
  double cycles;
  coder_codebook book;
  const coder_machine *avx2 = coder_machine_of(ELLM_MACHINE_AVX2);
  const double n = (double)ROWS * COLUMNS;
  count(&c, 4, 1.5);
  assert_true(coder_codebook_plain(4, c.codes.pad, CODER_PANEL_ROWS, &book));
  assert_int_equal(coder_cycles(&book, &c.codes, 0, ELLM_MACHINE_AVX2, &cycles, &err), ELLM_OK);
  close_to(cycles, n / 64 * avx2->plain[0]);
  assert_int_equal(coder_cycles(&book, &c.codes, 11, ELLM_MACHINE_AVX2, &cycles, &err), ELLM_OK);
  close_to(cycles, n / 64 * avx2->plain[0] + 11 * avx2->patch);

  /* a tree of one node: two halves of the codes, their lower 3 bits raw */
  book = (coder_codebook){.kind = CODER_HUFFMAN, .bits = 4, .raw_bits = 3, .tuple = 1, .pad = c.codes.pad,
                          .n_leaves = 2, .symbol = {0, 1}, .length = {1, 1}};
  assert_true(coder_codebook_finish(&book, CODER_PANEL_ROWS));
  assert_int_equal(coder_cycles(&book, &c.codes, 0, ELLM_MACHINE_AVX2, &cycles, &err), ELLM_OK);
  close_to(cycles, n / 64 * (avx2->leaves + avx2->dot + 2 * avx2->raw_list + 1) +
                       (double)c.geometry.n_blocks * avx2->node_start);
  assert_int_equal(coder_cycles(&book, &c.codes, 0, (ellm_machine)9, &cycles, &err), ELLM_ERR_USAGE);
}

/* ------------------------------------------------------------------- plans */

static tensor_source *shape(const char *config) {
  tensor_source *source;
  ellm_bench_shape options;
  ellm_error err;
  ellm_bench_shape_init(&options);
  options.name = "test";
  options.config = config;
  options.config_bytes = strlen(config);
  assert_int_equal(shape_source_open(&options, &source, &err), ELLM_OK);
  return source;
}

static void test_plan(void **state) {
  (void)state;
  tensor_source *source = shape("{\"model_type\": \"llama\", \"architectures\": [\"LlamaForCausalLM\"], \"vocab_size\": 96,"
                                "\"hidden_size\": 64, \"intermediate_size\": 160, \"num_hidden_layers\": 4,"
                                "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"rms_norm_eps\": 1e-5,"
                                "\"max_position_embeddings\": 128, \"tie_word_embeddings\": false}");
  token_plan plan;
  ellm_error err;
  const double head = 96 * 64, layer = 64 * 64 * 2 + 2 * 32 * 64 + 3 * 160 * 64;
  assert_int_equal(token_plan_make(source, 1e9, &plan, &err), ELLM_OK);
  close_to(plan.weights, 4 * layer + 2 * head);
  close_to(plan.token_weights, 4 * layer + head); /* of the embedding a row is read */
  assert_int_equal(plan.n_products, 4 * 4 + 1);   /* qkv, output, gate and up, down; the head */
  assert_int_equal(plan.n_matrices, 4 * 7 + 1);
  assert_int_equal(plan.products[0].n, 3);
  assert_int_equal(plan.products[2].n, 2);
  close_to(token_plan_taken(&plan), plan.token_weights);
  close_to(plan.products[0].per_token, 1);
  token_plan_free(&plan);

  assert_int_equal(token_plan_make(source, 2 * layer, &plan, &err), ELLM_OK); /* two layers stand for four */
  assert_int_equal(plan.n_products, 2 * 4 + 1);
  double weights = 0;
  for (size_t i = 0; i < plan.n_products; i++)
    for (size_t j = plan.products[i].first; j < plan.products[i].first + plan.products[i].n; j++)
      weights += plan.products[i].per_token * (double)(plan.matrices[j].rows * plan.matrices[j].columns);
  close_to(weights, plan.token_weights);
  token_plan_free(&plan);
  source_close(source);
}

static void test_plan_of_experts(void **state) {
  (void)state;
  tensor_source *source = shape("{\"model_type\": \"qwen3_moe\", \"architectures\": [\"Qwen3MoeForCausalLM\"],"
                                "\"vocab_size\": 96, \"hidden_size\": 64, \"intermediate_size\": 160,"
                                "\"moe_intermediate_size\": 32, \"num_hidden_layers\": 2, \"num_attention_heads\": 4,"
                                "\"num_key_value_heads\": 4, \"head_dim\": 16, \"num_experts\": 8,"
                                "\"num_experts_per_tok\": 3, \"rms_norm_eps\": 1e-6, \"max_position_embeddings\": 128,"
                                "\"tie_word_embeddings\": true}");
  token_plan plan;
  ellm_error err;
  const double head = 96 * 64, expert = 3 * 32 * 64, layer = 4 * 64 * 64 + 8 * 64;
  assert_int_equal(token_plan_make(source, 1e9, &plan, &err), ELLM_OK);
  close_to(plan.weights, 2 * (layer + 8 * expert) + head);
  close_to(plan.token_weights, 2 * (layer + 3 * expert) + head);
  assert_int_equal(plan.n_products, 2 * (2 + 1 + 3 * 2) + 1); /* qkv, output, router; gate and up, down of experts */
  close_to(token_plan_taken(&plan), plan.token_weights);
  token_plan_free(&plan);
  source_close(source);
}

/* -------------------------------------------------------------------- advice */

static const ellm_bench_advice_row *row_of(const ellm_bench_advice *advice, int bits, const char *code) {
  for (size_t i = 0; i < advice->n_rows; i++)
    if (advice->rows[i].bits == bits && strcmp(advice->rows[i].code, code) == 0) return &advice->rows[i];
  return NULL;
}

static void test_modelled(void **state) {
  (void)state;
  ellm_bench_advise_options options;
  ellm_bench_advice *advice;
  ellm_error err;
  ellm_bench_advise_options_init(&options);
  options.gbytes_per_s = 25;
  options.cores = 4;
  options.ghz = 2;
  options.machine = ELLM_MACHINE_NEON;
  assert_int_equal(ellm_bench_advise(&options, &advice, &err), ELLM_OK);
  assert_false(advice->measured);
  assert_string_equal(advice->isa, "neon");
  assert_int_equal(advice->n_threads, 3);
  assert_int_equal(advice->n_rows, 4 * 4);
  close_to(advice->weights, 49152.0 * 2048 + 24 * (4.0 * 2048 * 2048 + 3.0 * 8192 * 2048));
  const coder_machine *neon = coder_machine_of(ELLM_MACHINE_NEON);
  const ellm_bench_advice_row *plain = row_of(advice, 8, "plain");
  close_to(plain->gweights_per_s, 2 * 64 / neon->plain[1]);
  assert_true(fabs(plain->bits_a_weight - 8) < 0.02); /* and the table of blocks */
  close_to(plain->speeds[2].decoding, 4 * plain->gweights_per_s * 1e9 / advice->token_weights);
  close_to(plain->speeds[2].memory, 25e9 / plain->token_bytes);
  close_to(plain->speeds[0].read, 12.5);
  for (int bits = 4; bits <= 8; bits += 2) {
    const ellm_bench_advice_row *size = row_of(advice, bits, "size"), *balanced = row_of(advice, bits, "balanced"),
                                *speed = row_of(advice, bits, "speed");
    assert_true(size->entropy < size->bits_a_weight && size->bits_a_weight < balanced->bits_a_weight);
    assert_true(size->gweights_per_s < balanced->gweights_per_s && balanced->gweights_per_s < speed->gweights_per_s);
    assert_true(size->weight_error == speed->weight_error && size->weight_error > 0);
  }
  assert_true(row_of(advice, 4, "size")->weight_error > row_of(advice, 8, "size")->weight_error);
  ellm_bench_advice_free(advice);
}

static void test_refusals(void **state) {
  (void)state;
  ellm_bench_advise_options options;
  ellm_bench_advice *advice;
  ellm_bench_shape none;
  ellm_error err;
  ellm_bench_advise_options_init(&options);
  options.gbytes_per_s = 25;
  options.cores = 4;
  options.ghz = 2;
  options.machine = (ellm_machine)77;
  assert_int_equal(ellm_bench_advise(&options, &advice, &err), ELLM_ERR_USAGE);
  assert_null(advice);
  options.machine = ELLM_MACHINE_AVX2;
  options.cores = 0;
  assert_int_equal(ellm_bench_advise(&options, &advice, &err), ELLM_ERR_USAGE);
  options.cores = 1;
  options.ghz = NAN;
  assert_int_equal(ellm_bench_advise(&options, &advice, &err), ELLM_ERR_USAGE);
  options.ghz = 1;
  options.bits = 9;
  assert_int_equal(ellm_bench_advise(&options, &advice, &err), ELLM_ERR_USAGE);
  options.bits = 0;
  options.digits = 3;
  assert_int_equal(ellm_bench_advise(&options, &advice, &err), ELLM_ERR_USAGE);
  options.digits = 1;
  ellm_bench_shape_init(&none);
  none.name = "no such shape";
  options.shape = &none;
  assert_int_equal(ellm_bench_advise(&options, &advice, &err), ELLM_ERR_USAGE);
  assert_non_null(strstr(err.message, "no such shape"));
  options.model = "a model, too";
  assert_int_equal(ellm_bench_advise(&options, &advice, &err), ELLM_ERR_USAGE);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_formulas), cmocka_unit_test(test_cycles_of_choices), cmocka_unit_test(test_cycles_by_hand),
      cmocka_unit_test(test_plan),     cmocka_unit_test(test_plan_of_experts),   cmocka_unit_test(test_modelled),
      cmocka_unit_test(test_refusals)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
