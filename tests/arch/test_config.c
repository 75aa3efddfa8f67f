/* SPDX-License-Identifier: Apache-2.0 */
/* config.json: defaults, both styles of rope, what is refused and how it is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/config.h"
#include "base/file.h"

/* The sizes that have no default, and no more. */
#define SIZES \
  "\"vocab_size\":100,\"hidden_size\":64,\"intermediate_size\":96,\"num_hidden_layers\":4,\"num_attention_heads\":4"
#define MODEL(arch, more) "{\"architectures\":[\"" arch "ForCausalLM\"]," SIZES more "}"

static ellm_status parse(const char *json, model_config *config, ellm_error *err) {
  return model_config_parse(json, strlen(json), "config.json", NULL, config, err);
}

/* Layers of the configurations that are looked at: kept until the end of the program. */
static layer_facts *kept[400];
static size_t n_kept;

static void free_kept(void) {
  while (n_kept > 0) free(kept[--n_kept]);
}

static model_config good(const char *json) {
  model_config config;
  ellm_error err = {0};
  if (parse(json, &config, &err) != ELLM_OK) fail_msg("%s\n%s", json, err.message);
  assert_true(n_kept < sizeof kept / sizeof *kept);
  kept[n_kept++] = config.layers;
  return config;
}

/* Refused as input, with a message that begins with the file's name and holds `part`. */
static void refused(const char *json, const char *part) {
  model_config config;
  ellm_error err = {0};
  if (parse(json, &config, &err) != ELLM_ERR_INPUT) fail_msg("not refused: %s", json);
  if (strncmp(err.message, "config.json: ", 13) != 0 || strstr(err.message, part) == NULL) {
    fail_msg("%s\nmessage: %s\nwanted:  %s", json, err.message, part);
  }
}

static void test_llama_defaults(void **state) {
  (void)state;
  const model_config c = good(MODEL("Llama", ""));
  assert_string_equal(c.arch_name, "LlamaForCausalLM");
  assert_int_equal(c.vocab_size, 100);
  assert_int_equal(c.hidden_size, 64);
  assert_int_equal(c.intermediate_size, 96);
  assert_int_equal(c.n_layers, 4);
  assert_int_equal(c.n_heads, 4);
  assert_int_equal(c.n_kv_heads, 4);
  assert_int_equal(c.head_dim, 16);
  assert_int_equal(c.max_position_embeddings, 2048);
  assert_true(c.rms_norm_eps == 1e-6);
  assert_false(c.tie_word_embeddings);
  for (uint32_t i = 0; i < c.n_layers; i++) {
    const layer_facts *layer = &c.layers[i];
    assert_false(layer->qkv_bias || layer->output_bias || layer->mlp_bias || layer->qk_norm);
    assert_int_equal(layer->window, 0);
    assert_int_equal(layer->rope, 0);
    assert_true(layer->score_scale == 0.25f && layer->residual_scale == 1 && layer->score_soft_cap == 0);
    assert_int_equal(layer->activation, ARCH_SILU);
    assert_int_equal(layer->intermediate_size, 96);
    assert_int_equal(layer->n_experts, 0);
  }
  assert_int_equal(c.max_context, 2048);
  assert_int_equal(c.n_ropes, 1);
  assert_int_equal(c.bos_token_id, -1);
  assert_int_equal(c.ropes[0].type, ROPE_DEFAULT);
  assert_true(c.ropes[0].theta == 10000.0);
  assert_true(c.ropes[0].partial_rotary_factor == 1.0);
}

static void test_other_defaults(void **state) {
  (void)state;
  model_config c = good(MODEL("Mistral", ",\"num_key_value_heads\":null"));
  assert_int_equal(c.n_kv_heads, 4);
  assert_int_equal(c.layers[0].window, 4096);
  assert_int_equal(c.max_position_embeddings, 131072);
  refused(MODEL("Mistral", ""), "num_key_value_heads 8"); /* the class's default does not fit 4 heads */
  c = good(MODEL("Mistral", ",\"num_key_value_heads\":2,\"sliding_window\":null"));
  assert_int_equal(c.layers[0].window, 0);

  c = good(MODEL("Phi3", ""));
  assert_true(c.rms_norm_eps == 1e-5);
  assert_int_equal(c.layers[0].window, 0);
  assert_int_equal(c.max_position_embeddings, 4096);
  c = good(MODEL("Phi3", ",\"sliding_window\":7"));
  assert_int_equal(c.layers[0].window, 7);

  c = good(MODEL("Qwen2", ",\"num_key_value_heads\":2"));
  assert_true(c.layers[3].qkv_bias && !c.layers[3].output_bias && !c.layers[3].qk_norm);
  assert_int_equal(c.layers[0].window, 0);
  assert_int_equal(c.max_position_embeddings, 32768);

  c = good(MODEL("Qwen3", ",\"num_key_value_heads\":2"));
  assert_true(c.layers[3].qk_norm && !c.layers[3].qkv_bias && !c.layers[3].output_bias);
  assert_int_equal(c.head_dim, 128);
  c = good(MODEL("Qwen3", ",\"num_key_value_heads\":2,\"attention_bias\":true,\"head_dim\":null"));
  assert_true(c.layers[3].qkv_bias && c.layers[3].output_bias);
  assert_int_equal(c.head_dim, 16);
}

static void test_fields(void **state) {
  (void)state;
  const model_config c = good(
      MODEL("Llama",
            ",\"num_key_value_heads\":1,\"head_dim\":24,\"attention_bias\":true,\"mlp_bias\":true,"
            "\"tie_word_embeddings\":true,\"rms_norm_eps\":1e-5,\"hidden_act\":\"swish\",\"bos_token_id\":7,"
            "\"model_type\":\"llama\",\"quantization_config\":null,\"unheard_of\":[{}],\"max_position_embeddings\":9"));
  assert_int_equal(c.n_kv_heads, 1);
  assert_int_equal(c.head_dim, 24);
  assert_true(c.layers[0].qkv_bias && c.layers[0].output_bias && c.layers[0].mlp_bias && c.tie_word_embeddings);
  assert_true(c.rms_norm_eps == 1e-5);
  assert_int_equal(c.bos_token_id, 7);
  assert_int_equal(c.max_position_embeddings, 9);
  assert_int_equal(good(MODEL("Llama", ",\"bos_token_id\":-1")).bos_token_id, -1);
  assert_string_equal(good("{\"model_type\":\"phi3\"," SIZES "}").arch_name, "Phi3ForCausalLM");
}

/* The windows of four layers. */
static void windows(const model_config *c, uint32_t w0, uint32_t w1, uint32_t w2, uint32_t w3) {
  assert_int_equal(c->layers[0].window, w0);
  assert_int_equal(c->layers[1].window, w1);
  assert_int_equal(c->layers[2].window, w2);
  assert_int_equal(c->layers[3].window, w3);
}

/* What tensors are called, and who is there to be called. */
static void test_names(void **state) {
  (void)state;
  char name[ARCH_NAME_BYTES];
  const arch_tensors *usual = good(MODEL("Llama", "")).tensors, *phi = good(MODEL("Phi3", "")).tensors;
  assert_string_equal(usual->embedding, "model.embed_tokens.weight");
  assert_string_equal(arch_tensor_name(usual, 17, usual->qkv[1], "bias", name),
                      "model.layers.17.self_attn.k_proj.bias");
  assert_string_equal(arch_tensor_name(phi, CONFIG_MAX_LAYERS, phi->qkv[0], "weight", name),
                      "model.layers.65536.self_attn.qkv_proj.weight");
  assert_null(phi->qkv[1]);
  assert_null(usual->attention_post_norm);
  refused("{\"architectures\":[\"GPT2LMHeadModel\"]}",
          "GPT2LMHeadModel is not supported; these are: Gemma2, Gemma3, Gemma3ForConditionalGeneration, Llama, Mistral, "
          "Mixtral, Phi3, Qwen2, Qwen3, Qwen3Moe, SmolLM3 (ForCausalLM)");
}

static void test_windows(void **state) {
  (void)state;
#define QWEN(more) MODEL("Qwen2", ",\"num_key_value_heads\":2,\"sliding_window\":32" more)
  assert_int_equal(good(QWEN("")).layers[0].window, 0);
  assert_int_equal(good(QWEN(",\"use_sliding_window\":false")).layers[0].window, 0);
  model_config c = good(QWEN(",\"use_sliding_window\":true,\"max_window_layers\":3"));
  windows(&c, 0, 0, 0, 32);
  c = good(QWEN(",\"use_sliding_window\":true")); /* max_window_layers 28 of 4 layers: none */
  windows(&c, 0, 0, 0, 0);
#define FULL "\"full_attention\","
#define SLIDING "\"sliding_attention\","
  c = good(QWEN(",\"use_sliding_window\":true,\"layer_types\":[" FULL FULL SLIDING "\"sliding_attention\"]"));
  windows(&c, 0, 0, 32, 32);
  c = good(QWEN(",\"use_sliding_window\":true,\"max_window_layers\":0,\"layer_types\":[" FULL FULL FULL
                "\"full_attention\"]"));
  assert_int_equal(c.layers[0].window, 0);
  c = good(QWEN(",\"use_sliding_window\":true,\"layer_types\":[" SLIDING FULL SLIDING "\"full_attention\"]"));
  windows(&c, 32, 0, 32, 0);
  refused(QWEN(",\"layer_types\":[" FULL FULL SLIDING "\"sliding_attention\"]"), "layer_types[2] is sliding_attention");
  refused(QWEN(",\"layer_types\":[" FULL FULL "\"full_attention\"]"), "layer_types");
  refused(QWEN(",\"layer_types\":[" FULL FULL "1," FULL "1]"), "layer_types");
  refused(QWEN(",\"layer_types\":[" FULL FULL FULL "\"chunked_attention\"]"), "layer_types[3] chunked_attention");
  refused(QWEN(",\"layer_types\":[" FULL FULL FULL "3]"), "layer_types[3]");
  refused(QWEN(",\"layer_types\":\"full_attention\""), "layer_types");
  refused(MODEL("Llama", ",\"layer_types\":[" FULL FULL SLIDING "\"sliding_attention\"]"), "layer_types[2]");
  refused(MODEL("Phi3", ",\"sliding_window\":8,\"layer_types\":[" FULL FULL SLIDING "\"sliding_attention\"]"),
          "contradict");
  assert_int_equal(
      good(MODEL("Phi3", ",\"sliding_window\":8,\"layer_types\":[" SLIDING SLIDING SLIDING "\"sliding_attention\"]"))
          .layers[0].window,
      8);
  assert_int_equal(good(MODEL("Llama", ",\"sliding_window\":8")).layers[0].window, 0); /* Llama has none */
  refused(MODEL("Phi3", ",\"sliding_window\":0"), "sliding_window is 0");
  refused(MODEL("Phi3", ",\"sliding_window\":-1"), "sliding_window is -1");
}

static void test_rope_styles(void **state) {
  (void)state;
  model_config c = good(MODEL("Llama", ",\"rope_theta\":500000,\"rope_scaling\":{\"type\":\"linear\",\"factor\":2}"));
  assert_int_equal(c.ropes[0].type, ROPE_LINEAR);
  assert_true(c.ropes[0].theta == 500000.0 && c.ropes[0].factor == 2.0);
  c = good(MODEL("Llama", ",\"rope_parameters\":{\"rope_type\":\"linear\",\"factor\":4.5,\"rope_theta\":20000.0}"));
  assert_int_equal(c.ropes[0].type, ROPE_LINEAR);
  assert_true(c.ropes[0].theta == 20000.0 && c.ropes[0].factor == 4.5);
  c = good(
      MODEL("Llama", ",\"rope_theta\":30000.0,\"rope_scaling\":null,\"rope_parameters\":{\"rope_type\":\"default\"}"));
  assert_int_equal(c.ropes[0].type, ROPE_DEFAULT);
  assert_true(c.ropes[0].theta == 30000.0);
  c = good(MODEL("Llama", ",\"rope_scaling\":{},\"rope_parameters\":{\"rope_theta\":7.5}"));
  assert_true(c.ropes[0].theta == 7.5);

  c = good(
      MODEL("Llama",
            ",\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":32,\"low_freq_factor\":1,\"high_freq_factor\":4,"
            "\"original_max_position_embeddings\":8192}"));
  assert_int_equal(c.ropes[0].type, ROPE_LLAMA3);
  assert_true(c.ropes[0].factor == 32.0 && c.ropes[0].low_freq_factor == 1.0 && c.ropes[0].high_freq_factor == 4.0);
  assert_int_equal(c.ropes[0].original_max_position_embeddings, 8192);

  c = good(MODEL("Llama", ",\"max_position_embeddings\":777,\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":4}"));
  assert_int_equal(c.ropes[0].type, ROPE_YARN);
  assert_true(c.ropes[0].beta_fast == 32.0 && c.ropes[0].beta_slow == 1.0 && c.ropes[0].mscale == 0.0);
  assert_true(c.ropes[0].truncate);
  assert_true(c.ropes[0].attention_factor < 0.0);
  assert_int_equal(c.ropes[0].original_max_position_embeddings, 777);
  c = good(MODEL("Llama",
                 ",\"rope_parameters\":{\"rope_type\":\"yarn\",\"factor\":4,\"beta_fast\":16,\"beta_slow\":2,"
                 "\"mscale\":0.5,\"mscale_all_dim\":0.7,"
                 "\"truncate\":false,\"attention_factor\":1.5,\"original_max_position_embeddings\":55}"));
  assert_true(c.ropes[0].beta_fast == 16.0 && c.ropes[0].beta_slow == 2.0 && c.ropes[0].mscale == 0.5 &&
              c.ropes[0].mscale_all_dim == 0.7);
  assert_true(!c.ropes[0].truncate && c.ropes[0].attention_factor == 1.5);
  assert_int_equal(c.ropes[0].original_max_position_embeddings, 55);
}

/* Default up to max_position_embeddings; who is refused more is told why. */
static void test_dynamic(void **state) {
  (void)state;
  model_config c = good(
      MODEL("Llama", ",\"max_position_embeddings\":99,\"rope_parameters\":{\"rope_type\":\"dynamic\",\"factor\":2}"));
  assert_int_equal(c.ropes[0].type, ROPE_DEFAULT);
  assert_true(c.ropes[0].factor == 1);
  assert_int_equal(c.max_context, 99);
  assert_non_null(strstr(c.max_context_reason, "rope_type dynamic"));
  c = good(MODEL("Llama", ",\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":2}"));
  assert_int_equal(c.ropes[0].type, ROPE_DEFAULT);
  assert_non_null(c.max_context_reason);
  assert_null(good(MODEL("Llama", "")).max_context_reason);
  refused(MODEL("Phi3", ",\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":2}"), "rope_type dynamic");
}

static void test_longrope(void **state) {
  (void)state;
#define FACTORS "\"short_factor\":[1,1,1,1.5],\"long_factor\":[2,3,4,5.25]"
#define PHI(type, more)                                                                                            \
  MODEL("Phi3",                                                                                                    \
        ",\"max_position_embeddings\":400,\"original_max_position_embeddings\":100,\"partial_rotary_factor\":0.5," \
        "\"rope_scaling\":{\"type\":\"" type "\"," more "}")
  static const char *const names[] = {PHI("longrope", FACTORS), PHI("su", FACTORS), PHI("yarn", FACTORS)};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const model_config c = good(names[i]);
    assert_int_equal(c.ropes[0].type, ROPE_LONGROPE);
    assert_int_equal(c.ropes[0].n_factors, 4);
    const rope_config *rope = &c.ropes[0];
    assert_true(rope->short_factor[3] == 1.5f && rope->long_factor[0] == 2.0f && rope->long_factor[3] == 5.25f);
    assert_true(rope->factor == 4.0 && rope->partial_rotary_factor == 0.5 && rope->attention_factor < 0.0);
    assert_int_equal(c.ropes[0].original_max_position_embeddings, 100);
  }
  const model_config given = good(PHI("longrope", FACTORS ",\"attention_factor\":1.25,\"factor\":8"));
  assert_true(given.ropes[0].attention_factor == 1.25);
  refused(PHI("longrope", "\"short_factor\":[1,1,1,1],\"long_factor\":[1,1,1]"), "long_factor has 3 numbers");
  refused(PHI("longrope", "\"short_factor\":[1,1,1,1,1],\"long_factor\":[1,1,1,1]"), "short_factor has 5 numbers");
  refused(PHI("longrope", "\"short_factor\":[1,1,1,1]"), "long_factor");
  refused(PHI("longrope", "\"short_factor\":[1,1,0,1],\"long_factor\":[1,1,1,1]"), "short_factor[2]");
  refused(PHI("longrope", "\"short_factor\":[1,1,\"1\",1],\"long_factor\":[1,1,1,1]"), "short_factor[2]");
  refused(PHI("linear", "\"factor\":2"), "rope_type linear");
}

static void test_rope_refused(void **state) {
  (void)state;
#define SCALED(text) MODEL("Llama", ",\"rope_scaling\":{" text "}")
  refused(SCALED("\"rope_type\":\"mrope\",\"mrope_section\":[1]"), "rope_type mrope");
  refused(SCALED("\"rope_type\":1"), "rope_type is 1");
  refused(SCALED("\"rope_type\":\"linear\""), "factor is missing");
  refused(SCALED("\"rope_type\":\"linear\",\"factor\":0"), "factor is 0");
  refused(SCALED("\"rope_type\":\"linear\",\"factor\":-2.5"), "factor is -2.5");
  refused(SCALED("\"rope_type\":\"linear\",\"factor\":\"2\""), "factor is \"2\"");
  refused(SCALED("\"rope_type\":\"llama3\",\"factor\":2,\"high_freq_factor\":4"), "low_freq_factor is missing");
  refused(SCALED("\"rope_type\":\"llama3\",\"factor\":2,\"low_freq_factor\":4,\"high_freq_factor\":4"),
          "high_freq_factor 4");
  refused(SCALED("\"rope_type\":\"yarn\",\"factor\":2,\"beta_fast\":1,\"beta_slow\":2"), "beta_fast 1");
  refused(SCALED("\"rope_type\":\"yarn\",\"factor\":2,\"mscale\":-1"), "mscale is -1");
  refused(SCALED("\"rope_type\":\"yarn\",\"factor\":2,\"truncate\":1"), "truncate is 1");
  refused(SCALED("\"rope_type\":\"yarn\",\"factor\":2,\"original_max_position_embeddings\":0"),
          "original_max_position_embeddings is 0");
  refused(SCALED("\"full_attention\":{\"rope_type\":\"default\"}"), "type of layer");
  refused(MODEL("Llama", ",\"rope_scaling\":[]"), "rope_scaling is [], an object is expected");
  refused(MODEL("Llama", ",\"rope_theta\":0"), "rope_theta is 0");
  refused(MODEL("Llama", ",\"rope_theta\":1"), "rope_theta is 1");
  refused(MODEL("Llama", ",\"rope_theta\":1e400"), "rope_theta is 1e400");
  refused(MODEL("Llama", ",\"partial_rotary_factor\":0.5"), "partial_rotary_factor 0.5");
  refused(MODEL("Phi3", ",\"partial_rotary_factor\":1.5"), "partial_rotary_factor is 1.5");
  refused(MODEL("Phi3", ",\"partial_rotary_factor\":0.2"), "3 of 16 dimensions");
  refused(MODEL("Phi3", ",\"partial_rotary_factor\":0.01"), "0 of 16 dimensions");
}

static void test_refused(void **state) {
  (void)state;
  refused("", "JSON");
  refused("[]", "not a JSON object");
  refused("{}", "architectures is missing");
  refused("{\"architectures\":[]}", "architectures is [], a list of names");
  refused("{\"architectures\":\"LlamaForCausalLM\"}", "architectures is \"LlamaForCausalLM\", a list of names");
  refused("{\"architectures\":[\"GPT2LMHeadModel\"]}", "architecture GPT2LMHeadModel");
  refused("{\"model_type\":\"mamba\"}", "model_type mamba");
  refused(MODEL("Llama", ",\"model_type\":\"qwen2\""), "model_type qwen2 contradicts");
  refused(MODEL("Llama", ",\"hidden_act\":\"gelu\""), "hidden_act gelu");
  refused(MODEL("Llama", ",\"quantization_config\":{\"quant_method\":\"bitsandbytes\"}"), "quant_method bitsandbytes");
  refused(MODEL("Llama", ",\"quantization_config\":{}"), "quantization_config");
  refused(MODEL("Phi3", ",\"attention_bias\":true"), "attention_bias true");
  refused(MODEL("Mistral", ",\"num_key_value_heads\":4,\"attention_bias\":true"), "attention_bias true");
  refused("{\"architectures\":[\"LlamaForCausalLM\"]}", "vocab_size is missing");
  refused(MODEL("Llama", ",\"head_dim\":0"), "head_dim is 0");
  refused(MODEL("Llama", ",\"head_dim\":15"), "head_dim 15 is odd");
  refused(MODEL("Llama", ",\"head_dim\":1026"), "head_dim is 1026");
  refused(MODEL("Llama", ",\"num_key_value_heads\":3"), "num_key_value_heads 3");
  refused(MODEL("Llama", ",\"num_key_value_heads\":0"), "num_key_value_heads is 0");
  refused(MODEL("Llama", ",\"num_key_value_heads\":4294967296"), "num_key_value_heads is 4294967296");
  refused(MODEL("Llama", ",\"rms_norm_eps\":0"), "rms_norm_eps is 0");
  refused(MODEL("Llama", ",\"rms_norm_eps\":-1e-6"), "rms_norm_eps is -1e-06");
  refused(MODEL("Llama", ",\"max_position_embeddings\":0"), "max_position_embeddings is 0");
  refused(MODEL("Llama", ",\"tie_word_embeddings\":\"false\""), "tie_word_embeddings is \"false\"");
  refused(MODEL("Llama", ",\"bos_token_id\":-2"), "bos_token_id is -2");
  refused(MODEL("Llama", ",\"bos_token_id\":[1]"), "bos_token_id is [1]");
}

/* Every size: missing, of a wrong type, zero, negative, too large. */
static void test_sizes_refused(void **state) {
  (void)state;
  static const char *const names[] = {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
                                      "num_attention_heads"};
  static const char *const values[] = {
      NULL, "null", "\"64\"", "0", "-1", "64.5", "16777217", "4294967297", "18446744073709551617", "[64]"};
  for (size_t wrong = 0; wrong < sizeof names / sizeof *names; wrong++) {
    for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
      char json[512];
      int n = snprintf(json, sizeof json, "{\"architectures\":[\"LlamaForCausalLM\"]");
      for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (i == wrong && values[v] == NULL) continue;
        n += snprintf(json + n, sizeof json - (size_t)n, ",\"%s\":%s", names[i], i == wrong ? values[v] : "64");
      }
      snprintf(json + n, sizeof json - (size_t)n, "}");
      refused(json, names[wrong]);
    }
  }
  refused(
      "{\"architectures\":[\"LlamaForCausalLM\"],\"vocab_size\":64,\"hidden_size\":64,\"intermediate_size\":64,\"num_"
      "hidden_layers\":1,"
      "\"num_attention_heads\":16384,\"head_dim\":512}",
      "16384 heads of 512 dimensions");
}

/* What Python's json lets through does no harm where it is not read, and is named where it is. */
static void test_lenient(void **state) {
  (void)state;
  const model_config c = good(
      MODEL("Llama", ",\"hidden_act\":\"gelu\",\"hidden_act\":\"silu\",\"a\":NaN,\"b\":[Infinity,-Infinity],"
                     "\"seed\":123456789012345678901234567890,\"max_position_embeddings\":1,"
                     "\"max_position_embeddings\":77,\"d\":1e999"));
  assert_int_equal(c.max_position_embeddings, 77);
  refused(MODEL("Llama", ",\"rms_norm_eps\":NaN"), "rms_norm_eps is NaN, a number is expected");
  refused(MODEL("Llama", ",\"rope_theta\":Infinity"), "rope_theta is Infinity");
  refused("{\"architectures\":[NaN]}", "architectures is ");
  refused(MODEL("Llama", ",\"layer_types\":[NaN,NaN,NaN,NaN]"), "layer_types[0] is not a name");
  refused(MODEL("Llama", ",\"hidden_act\":NaN"), "hidden_act is NaN, a string is expected");
  refused(MODEL("Llama", ",\"max_position_embeddings\":123456789012345678901234567890"),
          "max_position_embeddings is 123456789012345678901234567890");
  refused(MODEL("Llama", ",\"hidden_act\":\"silu\",\"hidden_act\":\"gelu\""), "hidden_act gelu"); /* the last counts */
}

static void test_deep_json(void **state) {
  (void)state;
  enum { DEPTH = 1 << 20 };
  char *json = malloc(DEPTH + 1);
  assert_non_null(json);
  memset(json, '[', DEPTH);
  json[DEPTH] = '\0';
  refused(json, "JSON");
  free(json);
}

/* The real configs and those of the golden models. */
static void test_shared(void **state) {
  (void)state;
  static const struct {
    const char *path;
    uint32_t head_dim, window;
    const char *arch;
  } files[] = {
      {"configs/mistral-7b-instruct-v0.2.config.DERIVED.json", 128, 0, "MistralForCausalLM"},
      {"configs/mistral-7b-v0.1.config.DERIVED.json", 128, 4096, "MistralForCausalLM"},
      {"configs/phi3-mini-4k-instruct.config.json", 96, 2047, "Phi3ForCausalLM"},
      {"configs/smollm-1.7b.config.DERIVED.json", 64, 0, "LlamaForCausalLM"},
      {"golden/models/llama-bias-headdim/config.json", 24, 0, "LlamaForCausalLM"},
      {"golden/models/llama-rope-yarn/config.json", 16, 0, "LlamaForCausalLM"},
      {"golden/models/mistral-window/config.json", 16, 16, "MistralForCausalLM"},
      {"golden/models/phi3-longrope/config.json", 16, 200, "Phi3ForCausalLM"},
      {"golden/models/phi3-partial-rotary/config.json", 16, 0, "Phi3ForCausalLM"},
      {"golden/models/qwen2-bias/config.json", 16, 0, "Qwen2ForCausalLM"},
      {"golden/models/qwen3-qknorm/config.json", 32, 0, "Qwen3ForCausalLM"},
  };
  static const char shared[] = ENTROLLM_SOURCE_DIR "/../shared";
  if (!file_is_directory(shared)) {
    print_message("../shared is absent\n");
    skip();
  }
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", shared, files[i].path);
    uint8_t *text;
    size_t bytes;
    ellm_error err = {0};
    model_config c;
    if (file_read_all(path, 1 << 20, &text, &bytes, &err) != ELLM_OK ||
        model_config_parse(text, bytes, path, NULL, &c, &err) != ELLM_OK) {
      fail_msg("%s", err.message);
    }
    free(text);
    assert_string_equal(c.arch_name, files[i].arch);
    assert_int_equal(c.head_dim, files[i].head_dim);
    assert_int_equal(c.layers[0].window, files[i].window);
    model_config_free(&c);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_llama_defaults), cmocka_unit_test(test_other_defaults),
      cmocka_unit_test(test_names),
      cmocka_unit_test(test_fields),         cmocka_unit_test(test_windows),
      cmocka_unit_test(test_rope_styles),    cmocka_unit_test(test_longrope),
      cmocka_unit_test(test_dynamic),       
      cmocka_unit_test(test_rope_refused),   cmocka_unit_test(test_refused),
      cmocka_unit_test(test_sizes_refused),  cmocka_unit_test(test_lenient),
      cmocka_unit_test(test_deep_json),      cmocka_unit_test(test_shared),
  };
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  free_kept();
  return failed;
}
