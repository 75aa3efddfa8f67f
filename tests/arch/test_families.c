/* SPDX-License-Identifier: Apache-2.0 */
/* Facts of the layers of Gemma, SmolLM3 and models with experts, from their configurations; what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/config.h"

#define SIZES \
  "\"vocab_size\":100,\"hidden_size\":64,\"intermediate_size\":96,\"num_hidden_layers\":4,\"num_attention_heads\":4"
#define KV ",\"num_key_value_heads\":2"
#define MODEL(arch, more) "{\"architectures\":[\"" arch "ForCausalLM\"]," SIZES KV more "}"

static model_config config;

static void parse(const char *json) {
  ellm_error err = {0};
  model_config_free(&config);
  if (model_config_parse(json, strlen(json), "config.json", NULL, &config, &err) != ELLM_OK)
    fail_msg("%s\n%s", json, err.message);
}

static void refused(const char *json, const char *part) {
  ellm_error err = {0};
  model_config_free(&config);
  if (model_config_parse(json, strlen(json), "config.json", NULL, &config, &err) != ELLM_ERR_INPUT)
    fail_msg("not refused: %s", json);
  if (strncmp(err.message, "config.json: ", 13) != 0 || strstr(err.message, part) == NULL)
    fail_msg("%s\nmessage: %s\nwanted:  %s", json, err.message, part);
}

static void windows(const uint32_t expected[4]) {
  for (int i = 0; i < 4; i++) assert_int_equal(config.layers[i].window, expected[i]);
}

static void test_gemma3(void **state) {
  (void)state;
  parse(MODEL("Gemma3", ""));
  assert_int_equal(config.head_dim, 256);
  assert_true(config.tie_word_embeddings && config.norm_offset == 1 && config.embedding_scale == 8);
  assert_int_equal(config.n_ropes, 2);
  assert_true(config.ropes[0].theta == 1e6 && config.ropes[1].theta == 1e4);
  assert_int_equal(config.class_eos_id, 1);
  assert_non_null(config.tensors->attention_post_norm);
  for (int i = 0; i < 4; i++) {
    const layer_facts *layer = &config.layers[i];
    assert_int_equal(layer->activation, ARCH_GELU_TANH);
    assert_true(layer->qk_norm && layer->score_scale == 1 / 16.f && layer->score_soft_cap == 0);
    assert_int_equal(layer->window, 4096);
    assert_int_equal(layer->rope, ROPE_OF_WINDOWS);
  }
  parse(MODEL("Gemma3", ",\"sliding_window\":512,\"sliding_window_pattern\":2,\"query_pre_attn_scalar\":100,"
                        "\"rope_local_base_freq\":5000,\"rope_theta\":3e5,"
                        "\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":8}"));
  windows((uint32_t[]){512, 0, 512, 0});
  assert_int_equal(config.layers[1].rope, 0);
  assert_true(config.layers[0].score_scale == 0.1f);
  assert_true(config.ropes[0].theta == 3e5 && config.ropes[0].type == ROPE_LINEAR && config.ropes[0].factor == 8);
  assert_true(config.ropes[1].theta == 5000 && config.ropes[1].type == ROPE_DEFAULT);
  parse(MODEL("Gemma3", ",\"final_logit_softcapping\":20,"
                        "\"layer_types\":[\"full_attention\",\"sliding_attention\",\"full_attention\","
                        "\"full_attention\"],\"rope_parameters\":{\"full_attention\":{\"rope_theta\":7e5},"
                        "\"sliding_attention\":{\"rope_type\":\"default\",\"rope_theta\":2e4}}"));
  windows((uint32_t[]){0, 4096, 0, 0});
  assert_true(config.logits_soft_cap == 20 && config.ropes[0].theta == 7e5 && config.ropes[1].theta == 2e4);
  /* the part that is text of a model that sees: most sizes are the class's */
  parse("{\"architectures\":[\"Gemma3ForConditionalGeneration\"],\"model_type\":\"gemma3\",\"vision_config\":{},"
        "\"text_config\":{\"model_type\":\"gemma3_text\",\"hidden_size\":2560,\"intermediate_size\":10240,"
        "\"num_hidden_layers\":34,\"sliding_window\":1024,\"rope_scaling\":{\"factor\":8,\"rope_type\":\"linear\"}}}");
  assert_int_equal(config.vocab_size, 262208);
  assert_int_equal(config.n_heads, 8);
  assert_int_equal(config.n_kv_heads, 4);
  assert_int_equal(config.layers[4].window, 1024);
  assert_int_equal(config.layers[5].window, 0);

  refused(MODEL("Gemma3", ",\"attn_logit_softcapping\":50"), "attn_logit_softcapping 50");
  refused(MODEL("Gemma3", ",\"final_logit_softcapping\":0"), "final_logit_softcapping is 0");
  refused(MODEL("Gemma3", ",\"use_bidirectional_attention\":true"), "use_bidirectional_attention");
  refused(MODEL("Gemma3", ",\"query_pre_attn_scalar\":0"), "query_pre_attn_scalar is 0");
  refused(MODEL("Gemma3", ",\"sliding_window\":null"), "sliding_window is null");
  refused(MODEL("Gemma3", ",\"sliding_window_pattern\":0"), "sliding_window_pattern is 0");
  refused(MODEL("Gemma3", ",\"rope_parameters\":{\"rope_theta\":5}"), "by type of layer are expected");
  refused(MODEL("Gemma3", ",\"rope_parameters\":{\"sliding_attention\":3}"), "sliding_attention is 3");
  refused(MODEL("Gemma3", ",\"hidden_activation\":\"gelu\""), "hidden_activation gelu");
  refused("{\"architectures\":[\"Gemma3ForConditionalGeneration\"]}", "text_config is missing");
  refused("{\"architectures\":[\"Gemma3ForConditionalGeneration\"],\"text_config\":[]}", "text_config is []");
  refused("{\"architectures\":[\"Gemma3ForConditionalGeneration\"],\"text_config\":{\"model_type\":\"gemma3n_text\"}}",
          "model_type gemma3n_text in text_config");
  refused("{\"architectures\":[\"Gemma3ForConditionalGeneration\"],\"text_config\":{\"hidden_size\":0}}",
          "hidden_size is 0");
}

static void test_gemma2(void **state) {
  (void)state;
  parse(MODEL("Gemma2", ""));
  windows((uint32_t[]){4096, 0, 4096, 0});
  assert_int_equal(config.n_ropes, 1);
  assert_int_equal(config.layers[0].rope, 0);
  assert_true(config.layers[3].score_soft_cap == 50 && config.logits_soft_cap == 30 && !config.layers[0].qk_norm);
  parse(MODEL("Gemma2", ",\"attn_logit_softcapping\":null,\"final_logit_softcapping\":null"));
  assert_true(config.layers[0].score_soft_cap == 0 && config.logits_soft_cap == 0);
  refused(MODEL("Gemma2", ",\"attn_logit_softcapping\":-1"), "attn_logit_softcapping is -1");
}

static void test_smollm3(void **state) {
  (void)state;
  parse(MODEL("SmolLM3", ""));
  assert_true(config.ropes[0].theta == 2e6 && config.tie_word_embeddings);
  assert_int_equal(config.layers[2].rope, 0);
  assert_int_equal(config.layers[3].rope, ARCH_NO_ROPE);
  windows((uint32_t[]){0, 0, 0, 0});
  parse(MODEL("SmolLM3", ",\"no_rope_layer_interval\":2,\"use_sliding_window\":true,\"sliding_window\":9"));
  windows((uint32_t[]){0, 9, 0, 9});
  parse(MODEL("SmolLM3", ",\"no_rope_layers\":[0,1,1,1]"));
  assert_int_equal(config.layers[0].rope, ARCH_NO_ROPE);
  assert_int_equal(config.layers[3].rope, 0);
  refused(MODEL("SmolLM3", ",\"no_rope_layers\":[0,1,1]"), "no_rope_layers is [0,1,1]");
  refused(MODEL("SmolLM3", ",\"no_rope_layers\":[0,1,1,2]"), "no_rope_layers[3] is 2");
  refused(MODEL("SmolLM3", ",\"layer_types\":[\"full_attention\",\"sliding_attention\",\"full_attention\","
                           "\"full_attention\"]"), "layer_types[1]");
}

static void test_experts(void **state) {
  (void)state;
  char name[ARCH_NAME_BYTES], part[ARCH_NAME_BYTES];
  parse(MODEL("Qwen3Moe", ""));
  for (int i = 0; i < 4; i++) {
    const layer_facts *layer = &config.layers[i];
    assert_true(layer->qk_norm && !layer->normalize_experts);
    assert_int_equal(layer->n_experts, 128);
    assert_int_equal(layer->n_experts_used, 8);
    assert_int_equal(layer->intermediate_size, 768);
  }
  assert_int_equal(config.head_dim, 16);
  arch_expert_part(config.tensors, 31, config.tensors->expert_gate_up[1], part);
  assert_string_equal(arch_tensor_name(config.tensors, 2, part, "weight", name),
                      "model.layers.2.mlp.experts.31.up_proj.weight");
  parse(MODEL("Qwen3Moe", ",\"num_experts\":6,\"num_experts_per_tok\":2,\"norm_topk_prob\":true,"
                          "\"moe_intermediate_size\":32,\"decoder_sparse_step\":2,\"mlp_only_layers\":[3]"));
  assert_int_equal(config.layers[0].n_experts, 0);
  assert_int_equal(config.layers[0].intermediate_size, 96);
  assert_int_equal(config.layers[1].n_experts, 6);
  assert_int_equal(config.layers[1].intermediate_size, 32);
  assert_true(config.layers[1].normalize_experts);
  assert_int_equal(config.layers[3].n_experts, 0);
  parse(MODEL("Qwen3Moe", ",\"num_local_experts\":9"));
  assert_int_equal(config.layers[0].n_experts, 9);
  parse(MODEL("Mixtral", ",\"sliding_window\":7"));
  assert_int_equal(config.layers[0].n_experts, 8);
  assert_int_equal(config.layers[0].n_experts_used, 2);
  assert_true(config.layers[0].normalize_experts && config.ropes[0].theta == 1e6);
  windows((uint32_t[]){7, 7, 7, 7});
  arch_expert_part(config.tensors, 1, config.tensors->expert_down, part);
  assert_string_equal(arch_tensor_name(config.tensors, 0, part, "weight", name),
                      "model.layers.0.block_sparse_moe.experts.1.w2.weight");
  refused(MODEL("Mixtral", ",\"num_local_experts\":1"), "num_experts_per_tok 2 is more than the 1");
  refused(MODEL("Mixtral", ",\"num_local_experts\":0"), "num_local_experts is 0");
  refused(MODEL("Mixtral", ",\"num_experts_per_tok\":0"), "num_experts_per_tok is 0");
  refused(MODEL("Mixtral", ",\"num_local_experts\":4097"), "num_local_experts is 4097");
  refused(MODEL("Qwen3Moe", ",\"mlp_only_layers\":3"), "mlp_only_layers is 3");
  refused(MODEL("Qwen3Moe", ",\"mlp_only_layers\":[1.5]"), "mlp_only_layers");
  refused(MODEL("Qwen3Moe", ",\"decoder_sparse_step\":0"), "decoder_sparse_step is 0");
}

static int tear_down(void **state) {
  (void)state;
  model_config_free(&config);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_gemma3),
      cmocka_unit_test(test_gemma2),
      cmocka_unit_test(test_smollm3),
      cmocka_unit_test(test_experts),
  };
  return cmocka_run_group_tests(tests, NULL, tear_down);
}
