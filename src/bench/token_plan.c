/* SPDX-License-Identifier: Apache-2.0 */
/* See token_plan.h. Matrices come as shape_tensors lists them; their names say what they are. */
#include "bench/token_plan.h"

#include <stdlib.h>
#include <string.h>

#include "arch/config.h"
#include "bench/shape_tensors.h"
#include "coder/geometry.h"
#include "model/tensor_names.h"

typedef struct listed {
  const source_tensor *tensor;
  uint32_t rows, columns;
  uint32_t layer;     /* UINT32_MAX: the embedding or the head */
  int32_t expert;     /* -1: none */
  bool joins;         /* the matrix before it in one product */
} listed;

typedef struct lister {
  const token_plan *plan;
  const model_config *config;
  tensor_names names;
  listed *items;
  size_t n, room;
} lister;

static bool begins(const char *text, const char *with, char then) {
  const size_t n = with != NULL ? strlen(with) : 0;
  return n > 0 && strncmp(text, with, n) == 0 && text[n] == then;
}

/* What the name says; false: not one of a layer. */
static bool place_of(const lister *l, const char *name, listed *item) {
  const arch_tensors *names = l->config->tensors;
  if (!begins(name, names->layer, '.')) return false;
  char *part;
  item->layer = (uint32_t)strtoul(name + strlen(names->layer) + 1, &part, 10);
  if (*part != '.') return false;
  part++;
  if (begins(part, names->experts, '.')) {
    item->expert = (int32_t)strtol(part + strlen(names->experts) + 1, &part, 10);
    item->joins = *part == '.' && begins(part + 1, names->expert_gate_up[1], '.');
  } else {
    item->joins = begins(part, names->qkv[1], '.') || begins(part, names->qkv[2], '.') ||
                  begins(part, names->gate_up[1], '.');
  }
  return true;
}

static ellm_status list_matrix(void *user, const char *name, uint32_t rows, uint32_t columns, shape_role role,
                               ellm_error *err) {
  lister *l = user;
  if (role != SHAPE_MATRIX) return ELLM_OK;
  if (l->n == l->room) {
    const size_t room = l->room > 0 ? 2 * l->room : 512;
    listed *items = realloc(l->items, room * sizeof *items);
    if (items == NULL) return ellm_fail_memory(err, room * sizeof *items, "a list of matrices");
    l->items = items;
    l->room = room;
  }
  listed *item = &l->items[l->n];
  *item = (listed){.rows = rows, .columns = columns, .layer = UINT32_MAX, .expert = -1};
  place_of(l, name, item);
  const source_tensor *t = item->tensor = tensor_names_get(&l->names, name);
  if (t == NULL)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s of %s is missing", source_path(l->plan->source), name,
                     l->config->arch_name);
  if (t->n_dims != 2 || t->shape[0] != rows || t->shape[1] != columns)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s is not %u x %u, as config.json says",
                     source_path(l->plan->source), t->name, (unsigned)rows, (unsigned)columns);
  l->n++;
  return ELLM_OK;
}

static double weights_of(const listed *item) { return (double)item->rows * (double)item->columns; }

/* Does a token read it? Of an embedding that is not the head it reads a row. */
static bool is_read(const lister *l, const listed *item) {
  return item != l->items || l->config->tie_word_embeddings;
}

/* Experts of the layer, and those of them that a token reads: in the plan these are at even distances. */
static void experts_of(const lister *l, const listed *item, uint32_t *n, uint32_t *used) {
  const layer_facts *facts = &l->config->layers[item->layer];
  *n = facts->n_experts;
  *used = facts->n_experts_used < facts->n_experts ? facts->n_experts_used : facts->n_experts;
}

static bool is_taken_expert(const lister *l, const listed *item) {
  uint32_t n, used;
  experts_of(l, item, &n, &used);
  const uint64_t e = (uint64_t)item->expert; /* floor(e * used / n) grows at `used` of the n numbers */
  return (e + 1) * used / n > e * used / n;
}

static double token_share(const lister *l, const listed *item) {
  if (item->expert < 0) return is_read(l, item) ? 1 : 0;
  uint32_t n, used;
  experts_of(l, item, &n, &used);
  return (double)used / n;
}

static bool is_quantized(const source_tensor *t) { return t->coded != NULL && !t->coded->exact.used; }

static void count_all(const lister *l, token_plan *plan, double *layers, double *ends) {
  const bool file = source_file(plan->source) != NULL;
  uint64_t coded_bytes = 0;
  for (size_t i = 0; i < l->n; i++) {
    const listed *item = &l->items[i];
    const double token = weights_of(item) * token_share(l, item);
    plan->weights += weights_of(item);
    coded_bytes += source_stored_bytes(item->tensor);
    if (file && !is_quantized(item->tensor)) {
      plan->raw_bytes += (uint64_t)((double)item->tensor->bytes * token_share(l, item));
      continue;
    }
    plan->token_weights += token;
    *(item->layer == UINT32_MAX ? ends : layers) += token;
  }
  const uint64_t all = file ? container_file_bytes(source_file(plan->source)) : 0;
  plan->other_bytes = all > coded_bytes ? all - coded_bytes : 0;
}

static bool is_taken(const lister *l, const listed *item, uint32_t n_taken) {
  if (source_file(l->plan->source) != NULL && !is_quantized(item->tensor)) return false;
  if (item->layer == UINT32_MAX) return is_read(l, item);
  const uint64_t n = l->config->n_layers, i = item->layer; /* n_taken of them at even distances */
  if ((i + 1) * n_taken / n == i * n_taken / n) return false;
  return item->expert < 0 || is_taken_expert(l, item);
}

/* Of a matrix as many rows as `share` says, in whole blocks of rows. */
static uint64_t rows_taken(const listed *item, double share) {
  coder_geometry g;
  if (is_quantized(item->tensor)) g = item->tensor->coded->geometry;
  else if (!coder_geometry_init(&g, item->rows, item->columns)) return item->rows;
  const uint64_t group = (uint64_t)g.panel_rows * g.panels_per_block;
  const uint64_t rows = (uint64_t)((double)item->rows * share) / group * group;
  return rows < group ? (item->rows < group ? item->rows : group) : rows;
}

static ellm_status take_products(const lister *l, uint32_t n_taken, double share, token_plan *plan, ellm_error *err) {
  plan->matrices = calloc(l->n, sizeof *plan->matrices);
  plan->products = calloc(l->n, sizeof *plan->products);
  if (plan->matrices == NULL || plan->products == NULL)
    return ellm_fail_memory(err, l->n * sizeof *plan->matrices, "a list of matrices");
  bool open = false; /* the matrix before is in the plan, and in its last product */
  for (size_t i = 0; i < l->n; i++) {
    const listed *item = &l->items[i];
    const bool taken = is_taken(l, item, n_taken);
    if (taken) {
      plan->matrices[plan->n_matrices] =
          (plan_matrix){.tensor = item->tensor, .rows = rows_taken(item, share), .columns = item->columns};
      if (!(open && item->joins)) {
        plan->products[plan->n_products++] = (plan_product){
            .first = plan->n_matrices,
            .per_token = item->layer == UINT32_MAX ? 1 : (double)l->config->n_layers / n_taken};
      }
      plan->products[plan->n_products - 1].n++;
      plan->n_matrices++;
    }
    open = taken;
  }
  return ELLM_OK;
}

/* Products stand for as many weights as a token has, whatever rows and layers were left out. */
static void scale_products(token_plan *plan) {
  double weights = 0;
  for (size_t i = 0; i < plan->n_products; i++)
    for (size_t j = 0; j < plan->products[i].n; j++) {
      const plan_matrix *m = &plan->matrices[plan->products[i].first + j];
      weights += plan->products[i].per_token * (double)m->rows * (double)m->columns;
    }
  for (size_t i = 0; i < plan->n_products; i++) plan->products[i].per_token *= plan->token_weights / weights;
}

static ellm_status make(lister *l, double wanted, token_plan *plan, ellm_error *err) {
  double layers = 0, ends = 0;
  tensor_names_find(plan->source, l->config, NULL, &l->names);
  ELLM_TRY(shape_tensors(l->config, list_matrix, l, err));
  count_all(l, plan, &layers, &ends);
  if (layers == 0)
    return ellm_fail(err, ELLM_ERR_USAGE, "%s: there are no quantized weights", source_path(plan->source));
  const double a_layer = layers / l->config->n_layers, left = wanted - ends;
  uint32_t n_taken = left > a_layer ? (uint32_t)(left / a_layer) + 1 : 1;
  if (n_taken > l->config->n_layers) n_taken = l->config->n_layers;
  const double taken = a_layer * n_taken + ends, share = taken > 2 * wanted ? 2 * wanted / taken : 1;
  ELLM_TRY(take_products(l, n_taken, share, plan, err));
  scale_products(plan);
  return ELLM_OK;
}

ellm_status token_plan_make(tensor_source *source, double wanted, token_plan *plan, ellm_error *err) {
  size_t bytes = 0;
  model_config config = {0};
  *plan = (token_plan){.source = source};
  const void *text = source_asset(source, "config.json", &bytes);
  if (text == NULL)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: there is no config.json: the architecture is unknown",
                     source_path(source));
  lister l = {.plan = plan, .config = &config};
  ellm_status status = model_config_parse(text, bytes, source_path(source), NULL, &config, err);
  if (status == ELLM_OK) {
    plan->n_layers = config.n_layers;
    plan->hidden_size = config.hidden_size;
    status = make(&l, wanted, plan, err);
  }
  if (status != ELLM_OK) token_plan_free(plan);
  free(l.items);
  model_config_free(&config);
  return status;
}

void token_plan_free(token_plan *plan) {
  free(plan->matrices);
  free(plan->products);
  plan->matrices = NULL;
  plan->products = NULL;
  plan->n_matrices = plan->n_products = 0;
}

double token_plan_taken(const token_plan *plan) {
  double weights = 0;
  for (size_t i = 0; i < plan->n_matrices; i++)
    weights += (double)plan->matrices[i].rows * (double)plan->matrices[i].columns;
  return weights;
}
