/* SPDX-License-Identifier: Apache-2.0 */
/* See shapes.h. Configurations are those that the models were published with, without fields that say nothing about the
 * shape or about how it is computed. */
#include "bench/shapes.h"

#include <stdlib.h>
#include <string.h>

#include "json/lenient.h"

typedef struct published { const char *name, *config; } published;

static const published shapes[] = {
    {"smollm-1.7b",
     "{\n"
     "  \"architectures\": [\"LlamaForCausalLM\"],\n"
     "  \"model_type\": \"llama\",\n"
     "  \"vocab_size\": 49152,\n"
     "  \"hidden_size\": 2048,\n"
     "  \"intermediate_size\": 8192,\n"
     "  \"num_hidden_layers\": 24,\n"
     "  \"num_attention_heads\": 32,\n"
     "  \"num_key_value_heads\": 32,\n"
     "  \"hidden_act\": \"silu\",\n"
     "  \"max_position_embeddings\": 2048,\n"
     "  \"rms_norm_eps\": 1e-05,\n"
     "  \"rope_theta\": 10000.0,\n"
     "  \"rope_scaling\": null,\n"
     "  \"tie_word_embeddings\": true,\n"
     "  \"bos_token_id\": 0,\n"
     "  \"eos_token_id\": 0,\n"
     "  \"torch_dtype\": \"bfloat16\"\n"
     "}\n"},
    {"qwen3-30b-a3b",
     "{\n"
     "  \"architectures\": [\"Qwen3MoeForCausalLM\"],\n"
     "  \"model_type\": \"qwen3_moe\",\n"
     "  \"vocab_size\": 151936,\n"
     "  \"hidden_size\": 2048,\n"
     "  \"intermediate_size\": 6144,\n"
     "  \"moe_intermediate_size\": 768,\n"
     "  \"num_hidden_layers\": 48,\n"
     "  \"num_attention_heads\": 32,\n"
     "  \"num_key_value_heads\": 4,\n"
     "  \"head_dim\": 128,\n"
     "  \"num_experts\": 128,\n"
     "  \"num_experts_per_tok\": 8,\n"
     "  \"decoder_sparse_step\": 1,\n"
     "  \"mlp_only_layers\": [],\n"
     "  \"norm_topk_prob\": true,\n"
     "  \"attention_bias\": false,\n"
     "  \"hidden_act\": \"silu\",\n"
     "  \"max_position_embeddings\": 40960,\n"
     "  \"rms_norm_eps\": 1e-06,\n"
     "  \"rope_theta\": 1000000.0,\n"
     "  \"rope_scaling\": null,\n"
     "  \"use_sliding_window\": false,\n"
     "  \"tie_word_embeddings\": false,\n"
     "  \"bos_token_id\": 151643,\n"
     "  \"eos_token_id\": 151645,\n"
     "  \"torch_dtype\": \"bfloat16\"\n"
     "}\n"},
    {"gemma-3-4b",
     "{\n"
     "  \"architectures\": [\"Gemma3ForCausalLM\"],\n"
     "  \"model_type\": \"gemma3_text\",\n"
     "  \"vocab_size\": 262208,\n"
     "  \"hidden_size\": 2560,\n"
     "  \"intermediate_size\": 10240,\n"
     "  \"num_hidden_layers\": 34,\n"
     "  \"num_attention_heads\": 8,\n"
     "  \"num_key_value_heads\": 4,\n"
     "  \"head_dim\": 256,\n"
     "  \"query_pre_attn_scalar\": 256,\n"
     "  \"sliding_window\": 1024,\n"
     "  \"sliding_window_pattern\": 6,\n"
     "  \"hidden_activation\": \"gelu_pytorch_tanh\",\n"
     "  \"max_position_embeddings\": 131072,\n"
     "  \"rms_norm_eps\": 1e-06,\n"
     "  \"rope_theta\": 1000000.0,\n"
     "  \"rope_local_base_freq\": 10000.0,\n"
     "  \"rope_scaling\": {\"factor\": 8.0, \"rope_type\": \"linear\"},\n"
     "  \"tie_word_embeddings\": true,\n"
     "  \"bos_token_id\": 2,\n"
     "  \"eos_token_id\": 1,\n"
     "  \"torch_dtype\": \"bfloat16\"\n"
     "}\n"},
};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

const char *ellm_bench_shape_name(size_t index) { return index < N_SHAPES ? shapes[index].name : NULL; }

/* num_hidden_layers, and lists that have an item for each layer, which are cut. */
static void set_layers(json_t *config, uint32_t layers) {
  static const char *const lists[] = {"layer_types", "no_rope_layers"};
  json_object_set_new(config, "num_hidden_layers", json_integer(layers));
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
    json_t *list = json_object_get(config, lists[i]);
    while (json_is_array(list) && json_array_size(list) > layers) json_array_remove(list, json_array_size(list) - 1);
  }
}

static ellm_status with_layers(const char *name, const void *config, size_t bytes, uint32_t layers, ellm_buffer *text,
                               ellm_error *err) {
  json_t *root = NULL;
  ELLM_TRY(json_parse_lenient(config, bytes, name, &root, err));
  json_t *nested = json_object_get(root, "text_config");
  set_layers(json_is_object(nested) ? nested : root, layers);
  char *dumped = json_dumps(root, JSON_INDENT(2));
  const bool ok = dumped != NULL && ellm_buffer_append(text, dumped, strlen(dumped));
  free(dumped);
  json_decref(root);
  return ok ? ELLM_OK : ellm_fail_memory(err, bytes, "a configuration");
}

ellm_status shape_config(const ellm_bench_shape *shape, const char **name, ellm_buffer *text, ellm_error *err) {
  const void *config = shape->config;
  size_t bytes = shape->config_bytes;
  *name = shape->name;
  if (shape->name == NULL) return ellm_fail(err, ELLM_ERR_USAGE, "a shape has no name");
  if (config == NULL) {
    size_t i = 0;
    while (i < N_SHAPES && strcmp(shapes[i].name, shape->name) != 0) i++;
    if (i == N_SHAPES) return ellm_fail(err, ELLM_ERR_USAGE, "no shape is called %s", shape->name);
    config = shapes[i].config;
    bytes = strlen(config);
  }
  if (shape->layers > 0) return with_layers(*name, config, bytes, shape->layers, text, err);
  return ellm_buffer_append(text, config, bytes) ? ELLM_OK : ellm_fail_memory(err, bytes, "a configuration");
}
