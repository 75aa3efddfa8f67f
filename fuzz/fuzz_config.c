/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: config.json and generation_config.json. What is accepted must keep what arch.h promises. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/config.h"
#include "arch/generation_config.h"
#include "want.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool within(uint32_t value, uint32_t least, uint32_t most) { return value >= least && value <= most; }

static void check_rope(const model_config *c, const rope_config *r) {
  const uint32_t rotary = (uint32_t)(c->head_dim * r->partial_rotary_factor);
  want(rotary > 0 && rotary % 2 == 0 && rotary <= c->head_dim);
  want(isfinite(r->theta) && r->theta > 1);
  want(isfinite(r->factor) && r->factor > 0);
  if (r->type == ROPE_LLAMA3) want(r->high_freq_factor > r->low_freq_factor && r->low_freq_factor > 0);
  if (r->type >= ROPE_LLAMA3) want(within(r->original_max_position_embeddings, 1, CONFIG_MAX_POSITIONS));
  if (r->type == ROPE_YARN)
    want(r->beta_fast >= r->beta_slow && r->beta_slow > 0 && r->mscale >= 0 && r->mscale_all_dim >= 0);
  if (r->type != ROPE_LONGROPE) return;
  want(r->n_factors == rotary / 2);
  for (uint32_t i = 0; i < r->n_factors; i++)
    want(r->short_factor[i] > 0 && r->long_factor[i] > 0 && isfinite(r->long_factor[i]));
}

static void check_model(const model_config *c) {
  want(within(c->vocab_size, 1, CONFIG_MAX_SIZE) && within(c->hidden_size, 1, CONFIG_MAX_SIZE));
  want(within(c->intermediate_size, 1, CONFIG_MAX_SIZE) && within(c->n_layers, 1, CONFIG_MAX_LAYERS));
  want(within(c->n_heads, 1, CONFIG_MAX_SIZE) && c->n_kv_heads > 0 && c->n_heads % c->n_kv_heads == 0);
  want(within(c->head_dim, 2, CONFIG_MAX_HEAD_DIM) && c->head_dim % 2 == 0);
  want((uint64_t)c->n_heads * c->head_dim <= CONFIG_MAX_SIZE);
  want(within(c->max_position_embeddings, 1, CONFIG_MAX_POSITIONS) && c->rms_norm_eps > 0 && c->rms_norm_eps <= 1);
  want(within(c->max_context, 1, c->max_position_embeddings));
  want(c->bos_token_id >= -1 && c->bos_token_id <= UINT32_MAX);
  want(within(c->n_ropes, 1, ARCH_MAX_ROPES));
  for (uint32_t i = 0; i < c->n_ropes; i++) check_rope(c, &c->ropes[i]);
  for (uint32_t i = 0; i < c->n_layers; i++) {
    const layer_facts *layer = &c->layers[i];
    want(layer->window <= CONFIG_MAX_POSITIONS && (layer->rope < c->n_ropes || layer->rope == ARCH_NO_ROPE));
    want(layer->score_scale > 0 && layer->intermediate_size > 0);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint8_t *copy = copy_of(data, size);
  if (copy == NULL) return 0;
  static model_config config;
  ellm_error err = {0};
  ellm_status status = model_config_parse(copy, size, "fuzz", NULL, &config, &err);
  if (status == ELLM_OK) check_model(&config);
  model_config_free(&config);
  want(status == ELLM_OK || (status == ELLM_ERR_INPUT && err.message[0] != '\0'));
  generation_config generation;
  const config_text text = {copy, size, "fuzz"};
  status = generation_config_parse(&text, &text, -1, NULL, &generation, &err);
  want(status == ELLM_OK || status == ELLM_ERR_INPUT);
  if (status == ELLM_OK) want(generation.n_eos <= CONFIG_MAX_EOS && generation.top_k >= 0 && !(generation.top_p > 1));
  char *content = NULL;
  int64_t id = -1;
  want(tokenizer_config_eos(&text, NULL, &content, &id, &err) == ELLM_OK && (id < 0 || content != NULL));
  free(content);
  free(copy);
  return 0;
}
