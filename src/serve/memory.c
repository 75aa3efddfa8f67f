/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a server takes at most. Every part has a limit that is kept: places and
 * queue of answers, positions of the pool, connections, bytes of bodies. Where a
 * size is not known from outside, such as the rows of a batch, it is bounded from
 * the sizes of the model.
 */
#include "serve/memory.h"

#include <jansson.h>

#include "serve/fields.h"
#include "serve/grammars.h"
#include "serve/http.h"
#include "serve/prompts.h"
#include "serve/work.h"

enum {
  BATCH_ROWS = 256,               /* of the model, in one batch */
  PROGRAM = 24 << 20,             /* code, stacks, tokenizer's own */
  SCORES_THREADS = 64,            /* that attention is computed by, */
  SCORES_QUERIES = 4,             /* with so many queries at once */
  VALUE_BYTES = 64                /* of a value of JSON, parsed */
};

static uint64_t config_number(ellm_model *model, const char *name) {
  size_t bytes;
  const void *config = ellm_model_asset(model, "config.json", &bytes);
  json_t *root = config ? json_loadb(config, bytes, 0, NULL) : NULL;
  json_t *inner = json_object_get(root, "text_config"), *value = json_object_get(inner ? inner : root, name);
  const json_int_t given = json_integer_value(value); /* 0: it is not a number */
  const uint64_t number = given > 0 ? (uint64_t)given : 0;
  json_decref(root);
  return number;
}

void serve_memory_needed(ellm_model *model, const serve_options *o, uint64_t model_bytes, serve_memory *needed) {
  ellm_model_info info;
  ellm_model_get_info(model, &info);
  const uint64_t positions = (uint64_t)o->parallel * o->context;
  const uint64_t heads = (uint64_t)info.n_heads * info.head_dim, wide = config_number(model, "intermediate_size");
  const uint64_t answers = o->parallel + o->queue, vocab = info.vocab_size;
  size_t tokenizer = 0;
  ellm_model_asset(model, "tokenizer.json", &tokenizer);
  *needed = (serve_memory){
      .model = model_bytes,
      .cache = ellm_model_cache_bytes(model, positions),
      /* logits of all places; of each answer candidates, weights, biases and bitmaps, ids and text */
      .answers = o->parallel * vocab * 4 + answers * (vocab * 22 + (uint64_t)o->context * 64),
      .grammars = GRAMMARS_BYTES + (uint64_t)o->parallel * GRAMMAR_BYTES,
      /* ids of the prompts on disk; floats of the rows, and the same as integers; attention's scores of every thread */
      .work = (o->prompt_folder ? (uint64_t)PROMPTS_MOST * o->context * 4 : 0) + PROGRAM + 8 * (uint64_t)tokenizer +
              BATCH_ROWS * (8 * (uint64_t)info.hidden_size + 4 * wide + 4 * heads) * 6 +
              SCORES_THREADS * SCORES_QUERIES * (uint64_t)o->context * sizeof(float),
      .requests = (uint64_t)o->connections * (HTTP_HEADER_BYTES + 2048) + (uint64_t)HTTP_BODIES * o->body_bytes +
                  (uint64_t)WORK_THREADS * (FIELDS_MAX_VALUES * VALUE_BYTES + 6 * (uint64_t)o->body_bytes)};
  needed->total = needed->model + needed->cache + needed->answers + needed->grammars + needed->work + needed->requests;
}
