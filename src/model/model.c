/* SPDX-License-Identifier: Apache-2.0 */
/* Opening models and telling what they are. */
#include "model/model.h"

#include <stdlib.h>
#include <string.h>

#include "arch/config.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/notes.h"
#include "base/progress.h"
#include "base/sized.h"
#include "base/work_failure.h"
#include "container/reader.h"
#include "model/cpu/cpu_backend.h"
#include "model/division.h"
#include "model/team.h"
#include "model/tokenizer_open.h"

/* Of the pool, unless the caller says otherwise or the model's context is shorter. The context itself would be too much
 * by default: for Llama 3.1 8B it is 128 Ki positions, which take 16 GiB as F16. */
enum { DEFAULT_POSITIONS = 4096 };

void ellm_model_options_init_sized(ellm_model_options *given, size_t size) {
  const ellm_model_options own = {.size = size, .activations = ELLM_ACTIVATIONS_AUTO};
  ellm_sized_init(given, &own, sizeof own);
}

const void *ellm_model_asset(ellm_model *model, const char *name, size_t *bytes) {
  if (bytes != NULL) *bytes = 0;
  return source_asset(model->source, name, bytes);
}

/* The id of a token that tokenizer_config.json names without its id: the tokenizer is made for it. -1: not known. */
static ellm_status find_token(ellm_model *m, const char *origin, const char *content, const ellm_notes *notes,
                              int64_t *id, ellm_error *err) {
  const ellm_tokenizer *tokenizer;
  ellm_error why;
  uint32_t found;
  *id = -1;
  if (!source_has_tokenizer(m->source)) return ELLM_OK; /* nobody can write to it */
  const ellm_status status = ellm_model_tokenizer(m, &tokenizer, &why);
  if (status != ELLM_OK && status != ELLM_ERR_INPUT) {
    if (err != NULL) *err = why;
    return status;
  }
  if (status == ELLM_OK && ellm_tokenizer_find(tokenizer, content, &found)) *id = found;
  else ellm_note(notes, "%s: eos_token %s has no id: %s", origin, content,
                 status == ELLM_OK ? "the vocabulary does not have it" : why.message);
  return ELLM_OK;
}

/* eos_token of tokenizer_config.json ends a turn as well, whatever the configurations say: chat models are often
 * published with the configurations of their base. */
static ellm_status add_tokenizer_eos(ellm_model *m, const ellm_notes *notes, ellm_error *err) {
  config_text text = {0};
  text.json = ellm_model_asset(m, "tokenizer_config.json", &text.bytes);
  if (text.json == NULL) return ELLM_OK;
  char *origin = path_join(m->path, "tokenizer_config.json"), *content = NULL;
  if (origin == NULL) return ellm_fail_memory(err, 0, "a path");
  text.origin = origin;
  int64_t id;
  ellm_status status = tokenizer_config_eos(&text, notes, &content, &id, err);
  if (status == ELLM_OK && content != NULL && id < 0) status = find_token(m, origin, content, notes, &id, err);
  if (status == ELLM_OK && id >= 0 && !generation_config_add_eos(&m->generation, (uint32_t)id))
    ellm_note(notes, "%s: eos_token %s does not end a turn: there are %d such ids already", origin, content,
              CONFIG_MAX_EOS);
  free(content);
  free(origin);
  return status;
}

static ellm_status read_configs(ellm_model *m, const ellm_notes *notes, ellm_error *err) {
  config_text config = {0}, generation = {0};
  config.json = ellm_model_asset(m, "config.json", &config.bytes);
  generation.json = ellm_model_asset(m, "generation_config.json", &generation.bytes);
  if (config.json == NULL)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: there is no config.json: the architecture is unknown", m->path);
  char *origin = path_join(m->path, "config.json");
  char *generation_origin = path_join(m->path, "generation_config.json");
  config.origin = origin;
  generation.origin = generation_origin;
  ellm_status status = origin != NULL && generation_origin != NULL ? ELLM_OK : ellm_fail_memory(err, 0, "a path");
  if (status == ELLM_OK) status = model_config_parse(config.json, config.bytes, origin, notes, &m->config, err);
  if (status == ELLM_OK)
    status = generation_config_parse(&generation, &config, m->config.class_eos_id, notes, &m->generation, err);
  free(origin);
  free(generation_origin);
  return status == ELLM_OK ? add_tokenizer_eos(m, notes, err) : status;
}

/* Compressing asks whether the model could be run. This makes just enough of a model to read the configurations and to
 * compare names and shapes: it loads no weights and starts no threads. `from` stays the caller's. */
ellm_status model_check(tensor_source *from, const ellm_notes *notes, bool *used, ellm_error *err) {
  ellm_model *m = calloc(1, sizeof *m);
  char *path = strdup(source_path(from));
  if (m == NULL || path == NULL || pthread_mutex_init(&m->lock, NULL) != 0) {
    free(m);
    free(path);
    return ellm_fail_memory(err, sizeof *m, "a model");
  }
  m->path = path;
  m->source = from;
  ellm_status status = read_configs(m, notes, err);
  if (status == ELLM_OK) status = model_weights_check(from, &m->config, notes, used, err);
  ellm_tokenizer_free(m->tokenizer);
  model_config_free(&m->config);
  pthread_mutex_destroy(&m->lock);
  free(path);
  free(m);
  return status;
}

/* Every block of a tensor, or the whole of a kept one, against its checksum, on all threads. */
typedef struct check_run {
  const tensor_source *source;
  const source_tensor *tensor;
  work_failure failure;
} check_run;

static void check_share(void *user, int thread, int n_threads) {
  check_run *run = user;
  const uint64_t n = source_parts(run->source, run->tensor);
  for (uint64_t i = (uint64_t)thread; i < n; i += (uint64_t)n_threads) {
    ellm_error err;
    if (work_failed_before(&run->failure, i)) return;
    if (source_check_part(run->source, run->tensor, i, &err) != ELLM_OK) work_fail(&run->failure, i, &err);
  }
}

/* A checkpoint has no checksums, so its tensors have no parts to check. Tensors are taken one by one, and the threads
 * share the parts of each, so that the first damage in the file is the one reported, whatever the threads do. */
static ellm_status check_all(const ellm_model *m, const ellm_model_options *options, ellm_error *err) {
  check_run run = {.source = m->source};
  const size_t n = source_count(m->source);
  uint64_t total = 0, done = 0;
  for (size_t i = 0; i < n; i++) total += source_stored_bytes(source_at(m->source, i));
  progress_meter meter;
  progress_start(&meter, options->progress, options->progress_user, total);
  for (size_t i = 0; i < n; i++) {
    run.tensor = source_at(m->source, i);
    if (source_parts(m->source, run.tensor) == 0) continue;
    ELLM_TRY(progress_report(&meter, "check", run.tensor->name, done, err));
    work_failure_init(&run.failure);
    pool_run(compute_pool(m->compute), check_share, &run);
    ELLM_TRY(work_failure_take(&run.failure, err));
    done += source_stored_bytes(run.tensor);
  }
  return progress_finish(&meter, "check", err);
}

static ellm_status expand_all(ellm_model *m, const ellm_model_options *options, ellm_error *err) {
  uint64_t total = 0;
  for (size_t i = 0; i < source_count(m->source); i++) {
    const source_tensor *t = source_at(m->source, i);
    if (t->coded != NULL) total += source_stored_bytes(t);
  }
  progress_meter meter;
  progress_start(&meter, options->progress, options->progress_user, total);
  ELLM_TRY(model_weights_expand(&m->weights, m->compute, &meter, err));
  return progress_finish(&meter, "expand", err);
}

/* Activations and cache as asked for. Integer activations multiply with codes of a quantizer: sources of elements and
 * lossless files have none. */
static ellm_status set_precision(ellm_model *m, const ellm_model_options *options, ellm_error *err) {
  bool exact = false;
  for (size_t i = 0; i < source_count(m->source); i++) {
    const container_tensor *t = source_at(m->source, i)->coded;
    exact = exact || (t != NULL && t->exact.used);
  }
  const bool quantized = source_compressed(m->source) && !exact;
  m->activations = options->activations;
  if (m->activations == ELLM_ACTIVATIONS_AUTO)
    m->activations = !quantized ? ELLM_ACTIVATIONS_F32
                                : ellm_quality_activations(container_metadata(source_file(m->source), "entrollm.quality"),
                                                           NULL, NULL);
  if (!quantized && m->activations != ELLM_ACTIVATIONS_F32)
    return ellm_fail(err, ELLM_ERR_USAGE,
                     "%s: %s runs with f32 activations only: integer ones multiply with quantized weights", m->path,
                     exact ? "a lossless file" : "a checkpoint");
  const bool integers = m->activations != ELLM_ACTIVATIONS_F32;
  m->cache_type = options->cache_type;
  if (m->cache_type == ELLM_CACHE_DEFAULT) m->cache_type = integers ? ELLM_CACHE_F16 : ELLM_CACHE_F32;
  if (m->cache_type != ELLM_CACHE_F32 && m->cache_type != ELLM_CACHE_F16 && m->cache_type != ELLM_CACHE_Q8)
    return ellm_fail(err, ELLM_ERR_USAGE, "a KV cache of type %d: there is no such type", (int)m->cache_type);
  if (m->cache_type != ELLM_CACHE_F32 && !integers)
    return ellm_fail(err, ELLM_ERR_USAGE, "f32 activations need an F32 KV cache");
  return ELLM_OK;
}

static ellm_status open_into(ellm_model *m, const ellm_model_options *options, ellm_error *err) {
  if (options->team != NULL) {
    ELLM_TRY(team_check(options->team, err));
    m->team = *options->team;
  }
  const source_options from = {
      .load = options->load, .parts = true, .progress = options->progress, .progress_user = options->progress_user};
  ELLM_TRY(source_open(m->path, &from, &m->source, err));
  ELLM_TRY(team_take_part(source_file(m->source), &m->team, err));
  ELLM_TRY(set_precision(m, options, err));
  if (options->lock_memory) ELLM_TRY(source_lock(m->source, options->progress, options->progress_user, err));
  ELLM_TRY(read_configs(m, &options->notes, err));
  ELLM_TRY(model_weights_bind(m->source, &m->config, &options->notes, &m->weights, err));
  ELLM_TRY(division_check(&(division_of){m->source, &m->config, &m->weights, &m->team}, err));
  rope_tables_init(&m->ropes, &m->config);
  const uint32_t most = m->config.max_context;
  m->cache_positions = options->cache_positions;
  if (m->cache_positions == 0) m->cache_positions = most < DEFAULT_POSITIONS ? most : DEFAULT_POSITIONS;
  ELLM_TRY(compute_create(options->threads, &m->compute, err));
  if (options->expand) ELLM_TRY(expand_all(m, options, err));
  return options->check_all ? check_all(m, options, err) : ELLM_OK;
}

ellm_status ellm_model_open(const char *path, const ellm_model_options *options, ellm_model **model, ellm_error *err) {
  *model = NULL;
  ELLM_SIZED(ellm_model_options, own, options, err);
  ellm_model *m = calloc(1, sizeof *m);
  char *copy = malloc(strlen(path) + 1);
  bool made = m != NULL && copy != NULL && page_pool_init(&m->pool);
  if (made && pthread_mutex_init(&m->lock, NULL) != 0) {
    page_pool_free(&m->pool);
    made = false;
  }
  if (!made) {
    free(m);
    free(copy);
    return ellm_fail_memory(err, sizeof *m, "a model");
  }
  m->path = strcpy(copy, path);
  atomic_init(&m->references, 1);
  atomic_init(&m->closed, false);
  ellm_status status = open_into(m, &own, err);
  if (status != ELLM_OK) {
    ellm_model_close(m);
    return status;
  }
  *model = m;
  return ELLM_OK;
}

/* ------------------------------------------------------------ users and pool */

/* The caller and each sequence, generator and chat hold a reference, so a model may be closed before they are freed.
 * A closed model no longer computes (model_fail_closed); its memory is freed with the last reference. */
void model_retain(ellm_model *model) { atomic_fetch_add(&model->references, 1); }

void model_release(ellm_model *model) {
  if (atomic_fetch_sub(&model->references, 1) != 1) return;
  ellm_tokenizer_free(model->tokenizer);
  if (model->backend != NULL) model->backend->ops->free(model->backend);
  ellm_aligned_free(model->watched);
  page_pool_free(&model->pool);
  compute_free(model->compute);
  model_weights_free(&model->weights);
  model_config_free(&model->config);
  source_close(model->source);
  pthread_mutex_destroy(&model->lock);
  free(model->path);
  free(model);
}

void ellm_model_close(ellm_model *model) {
  if (model == NULL) return;
  atomic_store(&model->closed, true);
  model_release(model);
}

ellm_status model_fail_closed(const ellm_model *model, ellm_error *err) {
  return ellm_fail(err, ELLM_ERR_USAGE, "%s: the model was closed", model->path);
}

static kernel_cache cache_of(const ellm_model *model) {
  return model->cache_type == ELLM_CACHE_Q8    ? KERNEL_CACHE_Q8
         : model->cache_type == ELLM_CACHE_F16 ? KERNEL_CACHE_F16
                                               : KERNEL_CACHE_F32;
}

/* The backend and its cache are made at the first use, not when the model is opened: a program that only tokenizes or
 * asks what the model is pays for neither. The cache never shrinks. The backend grows first: once the pool has a page,
 * somebody may take it. The caller holds the model's lock. */
static ellm_status grow(ellm_model *model, uint32_t positions, ellm_error *err) {
  const uint32_t n_pages = pages_of(positions > model->cache_positions ? positions : model->cache_positions);
  if (model->backend == NULL) {
    const cpu_backend_shape shape = {.config = &model->config,
                                     .ropes = &model->ropes,
                                     .embedding = &model->weights.embedding,
                                     .activations = model->activations,
                                     .cache = cache_of(model),
                                     .team = model->team.n_ranks > 1 ? &model->team : NULL};
    ELLM_TRY(cpu_backend_create(&shape, model->compute, &model->backend, err));
  }
  if (n_pages <= model->pool.n_pages) return ELLM_OK;
  ELLM_TRY(model->backend->ops->grow(model->backend, n_pages, err));
  return page_pool_grow(&model->pool, n_pages, err);
}

ellm_status ellm_model_reserve(ellm_model *model, uint32_t positions, ellm_error *err) {
  pthread_mutex_lock(&model->lock);
  const ellm_status status = grow(model, positions, err);
  pthread_mutex_unlock(&model->lock);
  return status;
}

ellm_status model_prepare(ellm_model *model, ellm_error *err) { return ellm_model_reserve(model, 0, err); }

void ellm_model_cache_usage(ellm_model *model, uint32_t *positions, uint32_t *free_positions) {
  pthread_mutex_lock(&model->pool.lock);
  const bool made = model->pool.n_pages > 0;
  const uint32_t n_pages = made ? model->pool.n_pages : pages_of(model->cache_positions);
  const uint32_t n_free = made ? model->pool.n_free : n_pages;
  pthread_mutex_unlock(&model->pool.lock);
  if (positions != NULL) *positions = n_pages * PAGE_POSITIONS;
  if (free_positions != NULL) *free_positions = n_free * PAGE_POSITIONS;
}

/* ------------------------------------------------------------ what models are */

uint64_t ellm_model_cache_bytes(const ellm_model *model, uint64_t positions) {
  const model_config *c = &model->config;
  const uint64_t row = kernel_cache_row(cache_of(model), c->head_dim); /* keys and values of one head and position */
  const uint64_t bytes = model->cache_type == ELLM_CACHE_Q8    ? 2 * (row + sizeof(uint16_t))
                         : model->cache_type == ELLM_CACHE_F16 ? 2 * row * sizeof(uint16_t)
                                                               : 2 * row * sizeof(float);
  uint64_t all, heads = (uint64_t)c->n_layers * c->n_kv_heads; /* <= 2^40 */
  if (!ellm_add_u64(positions, PAGE_POSITIONS - 1, &all)) return UINT64_MAX;
  all = all / PAGE_POSITIONS * PAGE_POSITIONS;
  return ellm_mul_u64(all, heads, &all) && ellm_mul_u64(all, bytes, &all) ? all : UINT64_MAX;
}

const uint32_t *ellm_model_shares(const ellm_model *model) { return model->team.shares; }

void ellm_model_get_info(const ellm_model *model, ellm_model_info *info) {
  const model_config *c = &model->config;
  const generation_config *g = &model->generation;
  *info = (ellm_model_info){.architecture = c->arch_name,
                            .vocab_size = c->vocab_size,
                            .hidden_size = c->hidden_size,
                            .n_layers = c->n_layers,
                            .n_heads = c->n_heads,
                            .n_kv_heads = c->n_kv_heads,
                            .head_dim = c->head_dim,
                            .max_context = c->max_context,
                            .max_context_reason = c->max_context_reason,
                            .parameters = model->weights.parameters,
                            .activations = model->activations,
                            .cache_type = model->cache_type,
                            .bos_id = c->bos_token_id,
                            .n_eos = g->n_eos,
                            .do_sample = g->do_sample,
                            .temperature = (float)g->temperature,
                            .top_p = (float)g->top_p,
                            .min_p = (float)g->min_p,
                            .repetition_penalty = (float)g->repetition_penalty,
                            .top_k = g->top_k};
  memcpy(info->eos_ids, g->eos_ids, sizeof g->eos_ids);
}

ellm_status ellm_model_tokenizer(ellm_model *model, const ellm_tokenizer **tokenizer, ellm_error *err) {
  pthread_mutex_lock(&model->lock);
  ellm_status status = ELLM_OK;
  if (model->tokenizer == NULL) status = source_tokenizer(model->source, &model->tokenizer, err);
  *tokenizer = model->tokenizer;
  pthread_mutex_unlock(&model->lock);
  return status;
}
