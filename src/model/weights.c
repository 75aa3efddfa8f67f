/* SPDX-License-Identifier: Apache-2.0 */
#include "model/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/notes.h"
#include "base/progress.h"
#include "model/tensor_names.h"
#include "source/finite.h"

enum { TENSORS_A_LAYER = 24, TENSORS_AN_EXPERT = 3 };

/* What binding needs: where tensors are, which have been taken, where what is made goes. */
typedef struct binder {
  tensor_source *from;
  const model_config *config;
  const ellm_notes *notes;
  tensor_names names;
  model_weights *weights;
  bool check_only;    /* names, types and shapes; no element matters */
  size_t name_room, vector_room;
  bool *taken;        /* [source_count(from)] */
  size_t n_tensors;
  const char *path;
  char name[ARCH_NAME_BYTES];
} binder;

static void shape_text(const source_tensor *t, char *text, size_t bytes) {
  size_t used = 0;
  text[0] = '\0';
  for (int i = 0; i < t->n_dims && used + 24 < bytes; i++)
    used += (size_t)snprintf(text + used, bytes - used, "%s%llu", i > 0 ? " x " : "", (unsigned long long)t->shape[i]);
}

static ellm_status missing(const binder *b, const char *name, ellm_error *err) {
  if (b->names.other != NULL)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s of %s is missing; %s and %s both end so", b->path, name,
                     b->config->arch_name, b->names.first->name, b->names.other->name);
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s of %s is missing", b->path, name, b->config->arch_name);
}

static ellm_status wrong_type(const binder *b, const source_tensor *t, ellm_error *err) {
  const bool fp8 = t->dtype == ELLM_F8_E4M3 || t->dtype == ELLM_F8_E5M2;
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s is of type %s%s, F32, F16 or BF16 is expected", b->path, t->name,
                   ellm_dtype_name(t->dtype), fp8 ? " without a scale that fits it" : "");
}

/* The tensor `name`, rows x columns (columns 0: a vector), marked as used. */
static ellm_status take(binder *b, const char *name, uint32_t rows, uint32_t columns,
                        const source_tensor **found, ellm_error *err) {
  const source_tensor *t = *found = tensor_names_get(&b->names, name);
  if (t == NULL) return missing(b, name, err);
  const int n_dims = columns > 0 ? 2 : 1;
  if (t->n_dims != n_dims || t->shape[0] != rows || (n_dims == 2 && t->shape[1] != columns)) {
    char got[200], wanted[64];
    shape_text(t, got, sizeof got);
    snprintf(wanted, sizeof wanted, n_dims == 2 ? "%u x %u" : "%u", (unsigned)rows, (unsigned)columns);
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s is %s, config.json says %s", b->path, t->name,
                     t->n_dims > 0 ? got : "a single number", wanted);
  }
  if (t->dtype != ELLM_F32 && t->dtype != ELLM_F16 && t->dtype != ELLM_BF16) return wrong_type(b, t, err);
  b->taken[source_index(b->from, t)] = true;
  b->weights->parameters += (uint64_t)rows * (columns > 0 ? columns : 1);
  return ELLM_OK;
}

static ellm_status bind_vector(binder *b, const char *name, uint32_t n, float **out, ellm_error *err) {
  const source_tensor *t;
  const uint8_t *data;
  ELLM_TRY(take(b, name, n, 0, &t, err));
  if (t->coded != NULL)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s is quantized, vectors are kept as they are", b->path, name);
  ELLM_TRY(source_map(b->from, t, &data, err));
  const size_t size = ellm_dtype_size(t->dtype), end = finite_end(t->dtype, data, n);
  if (end < n && !b->check_only)
    return finite_fail(source_origin(b->from, t), t->name, t->dtype, end, data + end * size, err);
  if (b->weights->n_vectors == b->vector_room) return ellm_fail(err, ELLM_ERR_INTERNAL, "too many vectors");
  /* a column of one-element rows, expanded tile by tile */
  float *values = ellm_aligned_calloc(n, sizeof *values);
  if (values == NULL) return ellm_fail_memory(err, n * sizeof *values, name);
  b->weights->vectors[b->weights->n_vectors++] = *out = values;
  const kernel_table *k = kernels_best();
  const uint8_t *rows[CODER_PANEL_ROWS] = {NULL};
  float tile[CODER_TILE];
  for (uint32_t i = 0; i < n; i += 4) {
    rows[0] = data + (size_t)i * size;
    k->tiles_from_rows(t->dtype, rows, 1, n - i < 4 ? n - i : 4, 0, tile);
    for (uint32_t c = 0; c < 4 && i + c < n; c++) values[i + c] = tile[c * CODER_PANEL_ROWS];
  }
  return ELLM_OK;
}

static ellm_status bind_matrix(binder *b, const char *name, uint32_t rows, uint32_t columns, weight_matrix *m,
                               ellm_error *err) {
  const source_tensor *t;
  ELLM_TRY(take(b, name, rows, columns, &t, err));
  *m = (weight_matrix){.rows = rows, .columns = columns, .dtype = t->dtype, .coded = t->coded};
  if (t->coded != NULL) m->file = source_file(b->from);
  else if (!b->check_only) ELLM_TRY(source_map(b->from, t, &m->data, err));
  if (b->weights->n_names == b->name_room) return ellm_fail(err, ELLM_ERR_INTERNAL, "too many matrices");
  /* the name and, behind it, what is remembered of groups of rows: one owner for both */
  const size_t name_bytes = strlen(t->name) + 1;
  const size_t groups = ((size_t)rows + CODER_PANEL_ROWS - 1) / CODER_PANEL_ROWS;
  char *copy = calloc(name_bytes + groups, 1);
  if (copy == NULL) return ellm_fail_memory(err, name_bytes + groups, "names of tensors");
  m->name = b->weights->names[b->weights->n_names++] = memcpy(copy, t->name, name_bytes);
  if (t->coded == NULL || t->coded->exact.used) m->seen = (uint8_t *)copy + name_bytes;
  m->origin = source_origin(b->from, t);
  return ELLM_OK;
}

/* The name of a layer's tensor, valid until the next. */
static const char *tensor_name(binder *b, uint32_t layer, const char *part, const char *what) {
  return arch_tensor_name(b->config->tensors, layer, part, what, b->name);
}

static ellm_status bind_norm(binder *b, const char *name, uint32_t n, float **out, ellm_error *err) {
  ELLM_TRY(bind_vector(b, name, n, out, err));
  for (uint32_t i = 0; i < n && b->config->norm_offset != 0; i++) (*out)[i] += b->config->norm_offset;
  return ELLM_OK;
}

/* Matrices of names[n] with the given rows; or, when the second name is NULL, one that holds all of them. */
static ellm_status bind_group(binder *b, uint32_t layer, const char *const *names, const uint32_t *rows, size_t n,
                              uint32_t columns, bool bias, matrix_group *group, ellm_error *err) {
  uint32_t together = 0;
  for (size_t i = 0; i < n; i++) together += rows[i];
  const bool fused = n > 1 && names[1] == NULL;
  group->n = fused ? 1 : n;
  for (size_t i = 0; i < group->n; i++) {
    const uint32_t height = fused ? together : rows[i];
    ELLM_TRY(bind_matrix(b, tensor_name(b, layer, names[i], "weight"), height, columns, &group->matrix[i], err));
    if (bias) {
      float *values;
      ELLM_TRY(bind_vector(b, tensor_name(b, layer, names[i], "bias"), height, &values, err));
      group->matrix[i].bias = values;
    }
  }
  return ELLM_OK;
}

/* A norm of the layer, where the architecture has one of that name. */
static ellm_status bind_layer_norm(binder *b, uint32_t layer, const char *part, uint32_t n, float **out,
                                   ellm_error *err) {
  return part == NULL ? ELLM_OK : bind_norm(b, tensor_name(b, layer, part, "weight"), n, out, err);
}

/* An expert of a layer: its names are parts, made in texts of their own. */
static ellm_status bind_expert(binder *b, uint32_t layer, uint32_t expert, expert_weights *w, ellm_error *err) {
  const model_config *c = b->config;
  const arch_tensors *names = c->tensors;
  const uint32_t inner = c->layers[layer].intermediate_size, rows[2] = {inner, inner};
  char text[3][ARCH_NAME_BYTES];
  const char *gate_up[2], *down = arch_expert_part(names, expert, names->expert_down, text[2]);
  for (int i = 0; i < 2; i++) gate_up[i] = arch_expert_part(names, expert, names->expert_gate_up[i], text[i]);
  ELLM_TRY(bind_group(b, layer, gate_up, rows, 2, c->hidden_size, false, &w->gate_up, err));
  return bind_group(b, layer, &down, &c->hidden_size, 1, inner, false, &w->down, err);
}

static ellm_status bind_experts(binder *b, uint32_t layer, layer_weights *w, ellm_error *err) {
  const uint32_t n = b->config->layers[layer].n_experts;
  ELLM_TRY(bind_group(b, layer, &b->config->tensors->router, &n, 1, b->config->hidden_size, false, &w->router, err));
  w->experts = calloc(n, sizeof *w->experts);
  if (w->experts == NULL) return ellm_fail_memory(err, n * sizeof *w->experts, "descriptions of experts");
  w->n_experts = n;
  for (uint32_t i = 0; i < n; i++) ELLM_TRY(bind_expert(b, layer, i, &w->experts[i], err));
  return ELLM_OK;
}

static ellm_status bind_layer(binder *b, uint32_t layer, layer_weights *w, ellm_error *err) {
  const model_config *c = b->config;
  const layer_facts *facts = &c->layers[layer];
  const arch_tensors *names = c->tensors;
  const uint32_t q = c->n_heads * c->head_dim, kv = c->n_kv_heads * c->head_dim, inner = facts->intermediate_size;
  const uint32_t qkv_rows[3] = {q, kv, kv}, gate_up_rows[2] = {inner, inner};
  ELLM_TRY(bind_layer_norm(b, layer, names->attention_norm, c->hidden_size, &w->attention_norm, err));
  ELLM_TRY(bind_group(b, layer, names->qkv, qkv_rows, 3, c->hidden_size, facts->qkv_bias, &w->qkv, err));
  if (facts->qk_norm) {
    ELLM_TRY(bind_layer_norm(b, layer, names->q_norm, c->head_dim, &w->q_norm, err));
    ELLM_TRY(bind_layer_norm(b, layer, names->k_norm, c->head_dim, &w->k_norm, err));
  }
  ELLM_TRY(bind_group(b, layer, &names->output, &c->hidden_size, 1, q, facts->output_bias, &w->output, err));
  ELLM_TRY(bind_layer_norm(b, layer, names->attention_post_norm, c->hidden_size, &w->attention_post_norm, err));
  ELLM_TRY(bind_layer_norm(b, layer, names->mlp_norm, c->hidden_size, &w->mlp_norm, err));
  ELLM_TRY(bind_layer_norm(b, layer, names->mlp_post_norm, c->hidden_size, &w->mlp_post_norm, err));
  if (facts->n_experts > 0) return bind_experts(b, layer, w, err);
  ELLM_TRY(bind_group(b, layer, names->gate_up, gate_up_rows, 2, c->hidden_size, facts->mlp_bias, &w->gate_up, err));
  return bind_group(b, layer, &names->down, &c->hidden_size, 1, inner, facts->mlp_bias, &w->down, err);
}

/* Tensors that Transformers leaves unread as well: buffers of old versions. */
static bool may_be_ignored(const char *name) {
  static const char buffer[] = ".rotary_emb.inv_freq";
  const size_t length = strlen(name);
  return length >= sizeof buffer && strcmp(name + length - (sizeof buffer - 1), buffer) == 0;
}

/* Other tensors are left alone, as Transformers does. */
static void note_others(const binder *b) {
  enum { SHOWN = 3 };
  char text[320] = "";
  size_t n = 0, used = 0;
  for (size_t i = 0; i < b->n_tensors; i++) {
    const char *name = source_at(b->from, i)->name;
    if (b->taken[i] || may_be_ignored(name)) continue;
    if (n++ < SHOWN) used += (size_t)snprintf(text + used, sizeof text - used, "%s%.96s", n > 1 ? ", " : "", name);
  }
  if (n > 0)
    ellm_note(b->notes, "%s: %zu tensor%s not part of %s as config.json describes it, and not used: %s%s", b->path, n,
              n == 1 ? " is" : "s are", b->config->arch_name, text, n > SHOWN ? ", ..." : "");
}

static ellm_status bind_all(binder *b, ellm_error *err) {
  const model_config *c = b->config;
  model_weights *w = b->weights;
  /* of a matrix that has two names safetensors stores one, the first in alphabetical order */
  const char *embedding = c->tensors->embedding, *head = c->tensors->head;
  bool own_head = !c->tie_word_embeddings;
  if (!own_head && tensor_names_get(&b->names, head) != NULL) {
    /* where both are there and differ, Transformers 5 does not tie them; where they are equal it makes no difference */
    if (tensor_names_get(&b->names, embedding) != NULL) own_head = true;
    else embedding = head;
  }
  ELLM_TRY(bind_matrix(b, embedding, c->vocab_size, c->hidden_size, &w->embedding, err));
  for (uint32_t i = 0; i < c->n_layers; i++) ELLM_TRY(bind_layer(b, i, &w->layers[i], err));
  ELLM_TRY(bind_norm(b, c->tensors->norm, c->hidden_size, &w->norm, err));
  w->head.n = 1;
  w->head.matrix[0] = w->embedding;
  if (own_head) ELLM_TRY(bind_matrix(b, head, c->vocab_size, c->hidden_size, &w->head.matrix[0], err));
  note_others(b);
  return ELLM_OK;
}

static ellm_status bind(binder *b, ellm_error *err) {
  const model_config *config = b->config;
  model_weights *weights = b->weights;
  *weights = (model_weights){.n_layers = config->n_layers};
  b->n_tensors = source_count(b->from);
  b->path = source_path(b->from);
  /* every matrix and vector is a tensor of its own, taken once */
  if (config->n_layers > b->n_tensors)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: %zu tensors are too few for the %u layers of config.json", b->path,
                     b->n_tensors, (unsigned)config->n_layers);
  size_t experts = 0;
  for (uint32_t i = 0; i < config->n_layers; i++) experts += config->layers[i].n_experts;
  if (experts > b->n_tensors)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: %zu tensors are too few for the %zu experts of config.json", b->path,
                     b->n_tensors, experts);
  tensor_names_find(b->from, config, b->notes, &b->names);
  b->name_room = b->vector_room = (size_t)config->n_layers * TENSORS_A_LAYER + experts * TENSORS_AN_EXPERT + 4;
  weights->layers = calloc(config->n_layers, sizeof *weights->layers);
  weights->names = calloc(b->name_room, sizeof *weights->names);
  weights->vectors = calloc(b->vector_room, sizeof *weights->vectors);
  const ellm_status status =
      weights->layers != NULL && weights->names != NULL && weights->vectors != NULL
          ? bind_all(b, err)
          : ellm_fail_memory(err, config->n_layers * sizeof *weights->layers, "descriptions of layers");
  if (status != ELLM_OK) model_weights_free(weights);
  return status;
}

ellm_status model_weights_bind(tensor_source *from, const model_config *config, const ellm_notes *notes,
                               model_weights *weights, ellm_error *err) {
  binder b = {.from = from, .config = config, .notes = notes, .weights = weights};
  b.taken = calloc(source_count(from) + 1, sizeof *b.taken);
  if (b.taken == NULL) return ellm_fail_memory(err, source_count(from), "the tensors of a model");
  const ellm_status status = bind(&b, err);
  free(b.taken);
  return status;
}

ellm_status model_weights_check(tensor_source *from, const model_config *config, const ellm_notes *notes, bool *used,
                                ellm_error *err) {
  model_weights weights;
  binder b = {
      .from = from, .config = config, .notes = notes, .weights = &weights, .check_only = true, .taken = used};
  memset(used, 0, source_count(from) * sizeof *used);
  const ellm_status status = bind(&b, err);
  if (status == ELLM_OK) model_weights_free(&weights);
  return status;
}

static ellm_status expand_one(model_weights *w, weight_matrix *m, compute *c, progress_meter *meter, ellm_error *err) {
  if (m->coded == NULL || (m->coded->book.kind == CODER_PLAIN && !m->coded->exact.used)) return ELLM_OK;
  if (m->coded->book.kind == CODER_FIELDS) return ELLM_OK; /* as fast, and smaller */
  if (m != &w->embedding && m->coded == w->embedding.coded) { /* tied */
    m->expanded = w->embedding.expanded;
    m->data = w->embedding.data;
    return ELLM_OK;
  }
  expanded_matrix **slot = &w->expanded[w->n_expanded];
  ELLM_TRY(progress_report(meter, "expand", m->name, meter->done, err));
  ELLM_TRY(expand_matrix(compute_pool(c), compute_kernels(c)->decode_block, m->file, m->coded, slot, err));
  m->expanded = *slot;
  if (m->coded->exact.used) {
    m->data = (*slot)->data;
    memset(m->seen, 0, ((size_t)m->rows + CODER_PANEL_ROWS - 1) / CODER_PANEL_ROWS); /* other groups of rows now */
  }
  w->n_expanded++;
  meter->done += m->coded->payload_bytes;
  return ELLM_OK;
}

static ellm_status expand_group(model_weights *w, matrix_group *group, compute *c, progress_meter *meter,
                                ellm_error *err) {
  for (size_t i = 0; i < group->n; i++) ELLM_TRY(expand_one(w, &group->matrix[i], c, meter, err));
  return ELLM_OK;
}

ellm_status model_weights_expand(model_weights *w, compute *c, progress_meter *meter, ellm_error *err) {
  size_t most = 4 + 13 * (size_t)w->n_layers; /* matrices: three a group at most */
  for (uint32_t i = 0; i < w->n_layers; i++) most += TENSORS_AN_EXPERT * (size_t)w->layers[i].n_experts;
  w->expanded = calloc(most, sizeof *w->expanded);
  if (w->expanded == NULL) return ellm_fail_memory(err, most * sizeof *w->expanded, "the matrices of a model");
  ELLM_TRY(expand_one(w, &w->embedding, c, meter, err));
  ELLM_TRY(expand_group(w, &w->head, c, meter, err));
  for (uint32_t i = 0; i < w->n_layers; i++) {
    layer_weights *layer = &w->layers[i];
    matrix_group *groups[] = {&layer->qkv, &layer->output, &layer->gate_up, &layer->down, &layer->router};
    for (size_t g = 0; g < sizeof groups / sizeof *groups; g++) ELLM_TRY(expand_group(w, groups[g], c, meter, err));
    for (uint32_t e = 0; e < layer->n_experts; e++) {
      ELLM_TRY(expand_group(w, &layer->experts[e].gate_up, c, meter, err));
      ELLM_TRY(expand_group(w, &layer->experts[e].down, c, meter, err));
    }
  }
  return ELLM_OK;
}

void model_weights_free(model_weights *weights) {
  for (size_t i = 0; i < weights->n_names; i++) free(weights->names[i]);
  for (size_t i = 0; i < weights->n_vectors; i++) ellm_aligned_free(weights->vectors[i]);
  for (size_t i = 0; i < weights->n_expanded; i++) expanded_matrix_free(weights->expanded[i]);
  free(weights->names);
  free(weights->vectors);
  free(weights->expanded);
  for (uint32_t i = 0; i < weights->n_layers && weights->layers != NULL; i++) free(weights->layers[i].experts);
  free(weights->layers);
  *weights = (model_weights){0};
}
