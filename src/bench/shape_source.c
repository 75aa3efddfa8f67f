/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See shape_source.h. Every tensor is one that is made (source/kind.h): it has a key and a table of values, which it
 * shares with all tensors of the same scale. A matrix has the scale 1 / sqrt(columns), as initialized models have; norms
 * lie about what multiplies by one, biases about 0.
 */
#include "bench/shape_source.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "arch/config.h"
#include "bench/random_weights.h"
#include "bench/shape_tensors.h"
#include "bench/shapes.h"
#include "source/kind.h"

#define NORM_SCALE 0.03
#define BIAS_SCALE 0.05

typedef struct value_table {
  double offset, scale;
  uint16_t value[RANDOM_LEVELS];
} value_table;

typedef struct random_tensor {
  made_tensor made; /* its name is the tensor's */
  uint64_t key;
  const value_table *table;
} random_tensor;

typedef struct shape_model {
  ellm_buffer config_text;
  model_config config;
  uint64_t seed;
  double *quantiles;    /* [RANDOM_LEVELS] */
  value_table **tables; /* [n_tables] */
  size_t n_tables;
  size_t n_tensors;     /* that have been walked over */
} shape_model;

/* ---------------------------------------------------------------- elements */

static ellm_status read_made(const made_tensor *made, uint64_t first, void *out, size_t n, ellm_error *err) {
  (void)err;
  const random_tensor *t = (const random_tensor *)made;
  random_elements(t->table->value, t->key, first, out, n);
  return ELLM_OK;
}

static void free_made(made_tensor *made) { free(made); }

static ellm_status find_table(shape_model *m, double offset, double scale, const value_table **table, ellm_error *err) {
  for (size_t i = 0; i < m->n_tables; i++) {
    *table = m->tables[i];
    if ((*table)->offset == offset && (*table)->scale == scale) return ELLM_OK;
  }
  value_table *made = malloc(sizeof *made), **tables = realloc(m->tables, (m->n_tables + 1) * sizeof *tables);
  if (tables != NULL) m->tables = tables;
  if (made == NULL || tables == NULL) {
    free(made);
    return ellm_fail_memory(err, sizeof *made, "a table of weights");
  }
  made->offset = offset;
  made->scale = scale;
  random_table(m->quantiles, offset, scale, made->value);
  *table = m->tables[m->n_tables++] = made;
  return ELLM_OK;
}

/* ----------------------------------------------------------------- tensors */

static ellm_status count_tensor(void *user, const char *name, uint32_t rows, uint32_t columns, shape_role role,
                                ellm_error *err) {
  (void)rows;
  (void)columns;
  (void)role;
  size_t *n = user;
  return ++*n <= SHAPE_MOST_TENSORS
             ? ELLM_OK
             : ellm_fail(err, ELLM_ERR_INPUT, "tensor %s would be one of more than %d", name, (int)SHAPE_MOST_TENSORS);
}

static ellm_status add_tensor(void *user, const char *name, uint32_t rows, uint32_t columns, shape_role role,
                              ellm_error *err) {
  tensor_source *s = user;
  shape_model *m = s->own;
  random_tensor *t = calloc(1, sizeof *t);
  if (t == NULL) return ellm_fail_memory(err, sizeof *t, "a tensor");
  const size_t i = m->n_tensors++;
  t->made = (made_tensor){.name = strdup(name), .what = "BF16", .read = read_made, .free = free_made};
  s->made[i] = &t->made; /* owned from now on */
  if (t->made.name == NULL) return ellm_fail_memory(err, strlen(name), "a tensor's name");
  t->key = random_key(m->seed, name);
  const double offset = role == SHAPE_NORM ? 1 - (double)m->config.norm_offset : 0;
  const double scale = role == SHAPE_NORM ? NORM_SCALE : role == SHAPE_BIAS ? BIAS_SCALE : 1 / sqrt(columns);
  ELLM_TRY(find_table(m, offset, scale, &t->table, err));
  source_tensor *out = &s->tensors[i];
  *out = (source_tensor){.name = t->made.name, .dtype = ELLM_BF16, .n_dims = columns > 0 ? 2 : 1, .n_elements = rows};
  out->shape[0] = rows;
  if (columns > 0) {
    out->shape[1] = columns;
    out->n_elements *= columns;
  }
  out->bytes = out->n_elements * ellm_dtype_size(ELLM_BF16);
  return ELLM_OK;
}

/* --------------------------------------------------------------- the source */

static void close_shape(tensor_source *s) {
  shape_model *m = s->own;
  for (size_t i = 0; i < m->n_tables; i++) free(m->tables[i]);
  free(m->tables);
  free(m->quantiles);
  model_config_free(&m->config);
  ellm_buffer_free(&m->config_text);
  free(m);
}

static const char *origin(const tensor_source *s, const source_tensor *tensor) {
  (void)tensor;
  return s->path;
}

static size_t asset_count(const tensor_source *s) {
  (void)s;
  return 1;
}

static const char *asset_name(const tensor_source *s, size_t index) {
  (void)s;
  return index == 0 ? "config.json" : NULL;
}

static const void *asset(const tensor_source *s, const char *name, size_t *bytes) {
  const shape_model *m = s->own;
  if (strcmp(name, "config.json") != 0) return NULL;
  if (bytes != NULL) *bytes = m->config_text.size;
  return m->config_text.data;
}

static const char *metadata(const tensor_source *s) {
  (void)s;
  return "{}";
}

static bool reads_file(const tensor_source *s, const char *path) {
  (void)s;
  (void)path;
  return false;
}

/* With the configuration, which is an asset, this is all that elements depend on. */
static bool state(const tensor_source *s, ellm_buffer *out) {
  const shape_model *m = s->own;
  return ellm_buffer_print(out, "random weights %llu", (unsigned long long)m->seed);
}

/* No `read` and no `map`: all tensors are made. */
static const source_kind shape_kind = {.format = "shape",
                                       .close = close_shape,
                                       .origin = origin,
                                       .asset_count = asset_count,
                                       .asset_name = asset_name,
                                       .asset = asset,
                                       .metadata = metadata,
                                       .reads_file = reads_file,
                                       .state = state};

static ellm_status open_shape(tensor_source *s, void *user, ellm_error *err) {
  const ellm_bench_shape *shape = user;
  const char *name;
  shape_model *m = s->own = calloc(1, sizeof *m);
  if (m == NULL) return ellm_fail_memory(err, sizeof *m, "a shape");
  s->kind = &shape_kind;
  m->seed = shape->seed;
  ELLM_TRY(shape_config(shape, &name, &m->config_text, err));
  s->path = strdup(name);
  m->quantiles = calloc(RANDOM_LEVELS, sizeof *m->quantiles);
  if (s->path == NULL || m->quantiles == NULL) return ellm_fail_memory(err, RANDOM_LEVELS * sizeof(double), "a shape");
  ELLM_TRY(model_config_parse(m->config_text.data, m->config_text.size, name, NULL, &m->config, err));
  size_t n = 0;
  ELLM_TRY(shape_tensors(&m->config, count_tensor, &n, err));
  ELLM_TRY(source_make_tensors(s, n, err));
  random_quantiles(m->quantiles);
  return shape_tensors(&m->config, add_tensor, s, err);
}

ellm_status shape_source_open(const ellm_bench_shape *shape, tensor_source **out, ellm_error *err) {
  ellm_bench_shape own = *shape;
  return source_create(open_shape, &own, out, err);
}
