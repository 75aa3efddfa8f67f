/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See gguf_source.h. Files of architecture llama hold the rows of the query and key matrices in another order than
 * checkpoints: those of a head are (pair, half) where checkpoints have (half, pair), for a rotation that turns
 * neighbours instead of halves. They are put back when they are read.
 */
#include "source/gguf_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/file.h"
#include "gguf/dequantize.h"
#include "gguf/gguf.h"
#include "source/gguf_config.h"
#include "source/gguf_tokenizer.h"

enum { ASSETS = 3, MAX_NAME = 128 };

typedef struct gguf_asset {
  const char *name;
  uint8_t *data; /* a NUL follows */
  size_t bytes;
} gguf_asset;

struct gguf_source {
  gguf_file *file;
  file_reader *readers; /* [n_readers], one a file of the set: what it was when it was opened */
  size_t n_readers;
  gguf_asset assets[ASSETS]; /* by name */
  size_t n_assets;
  char (*names)[MAX_NAME]; /* of tensors */
};

/* ---- elements ---- */

/* A tensor whose elements are computed or whose rows are moved. */
typedef struct gguf_made {
  made_tensor made;
  const gguf_tensor *tensor;
  uint64_t columns;  /* 1 of a bias whose elements are moved */
  uint32_t head_dim; /* of rows that are moved; 0: they are not */
} gguf_made;

static bool is_plain(gguf_type type) { return type == GGUF_F32 || type == GGUF_F16 || type == GGUF_BF16; }

static ellm_dtype dtype_of(gguf_type type) {
  return type == GGUF_F16 ? ELLM_F16 : type == GGUF_BF16 ? ELLM_BF16 : ELLM_F32;
}

/* The file's row for a checkpoint's: of a head's rows, row (half, pair) lies at (pair, half). */
static uint64_t file_row(const gguf_made *m, uint64_t row) {
  if (m->head_dim == 0) return row;
  const uint64_t head = row / m->head_dim, in_head = row % m->head_dim, pairs = m->head_dim / 2;
  return head * m->head_dim + in_head % pairs * 2 + in_head / pairs;
}

/* n elements, that lie beside each other in the file, as little-endian F32 at any alignment. */
static ellm_status read_floats(const gguf_tensor *t, uint64_t first, size_t n, uint8_t *out, ellm_error *err) {
  enum { PIECE = 1024 };
  float piece[PIECE];
  for (size_t i = 0; i < n;) {
    const uint64_t to_block = PIECE - (first + i) % GGUF_MAX_BLOCK; /* pieces end where blocks do */
    const size_t some = n - i < to_block ? n - i : (size_t)to_block;
    ELLM_TRY(gguf_tensor_floats(t, first + i, some, piece, err));
    for (size_t k = 0; k < some; k++) store_u32(out + 4 * (i + k), float_bits(piece[k]));
    i += some;
  }
  return ELLM_OK;
}

static ellm_status read_made(const made_tensor *made, uint64_t first, void *out, size_t n, ellm_error *err) {
  const gguf_made *m = (const gguf_made *)made;
  const gguf_tensor *t = m->tensor;
  const size_t size = ellm_dtype_size(dtype_of(t->type));
  uint8_t *to = out;
  for (size_t i = 0; i < n;) {
    const uint64_t column = (first + i) % m->columns, left = m->columns - column;
    const size_t some = n - i < left ? n - i : (size_t)left;
    const uint64_t at = file_row(m, (first + i) / m->columns) * m->columns + column;
    if (is_plain(t->type)) memcpy(to + i * size, t->data + at * size, some * size);
    else ELLM_TRY(read_floats(t, at, some, to + i * size, err));
    i += some;
  }
  return ELLM_OK;
}

static void free_made(made_tensor *made) { free(made); }

/* ---- the kind ---- */

static const gguf_tensor *stored(const tensor_source *s, const source_tensor *tensor) {
  return gguf_tensor_at(s->gguf->file, source_index(s, tensor));
}

static void close_gguf(tensor_source *s) {
  gguf_source *g = s->gguf;
  if (g == NULL) return;
  for (size_t i = 0; i < g->n_assets; i++) free(g->assets[i].data);
  for (size_t i = 0; i < g->n_readers; i++) file_reader_close(&g->readers[i]);
  free(g->readers);
  free(g->names);
  gguf_close(g->file);
  free(g);
}

static const char *origin(const tensor_source *s, const source_tensor *tensor) { return stored(s, tensor)->path; }

static ellm_status read_elements(const tensor_source *s, const source_tensor *tensor, uint64_t offset, void *out,
                                 size_t bytes, ellm_error *err) {
  (void)err;
  memcpy(out, stored(s, tensor)->data + offset, bytes);
  return ELLM_OK;
}

static ellm_status map_elements(tensor_source *s, const source_tensor *tensor, const uint8_t **data, ellm_error *err) {
  (void)err;
  *data = stored(s, tensor)->data;
  return ELLM_OK;
}

static size_t asset_count(const tensor_source *s) { return s->gguf->n_assets; }
static const char *asset_name(const tensor_source *s, size_t index) { return s->gguf->assets[index].name; }

static const void *asset(const tensor_source *s, const char *name, size_t *bytes) {
  const gguf_source *g = s->gguf;
  for (size_t i = 0; i < g->n_assets; i++) {
    if (strcmp(g->assets[i].name, name) != 0) continue;
    if (bytes != NULL) *bytes = g->assets[i].bytes;
    return g->assets[i].data;
  }
  return NULL;
}

static const char *metadata(const tensor_source *s) {
  (void)s;
  return "{}";
}

static const char *quantized(const tensor_source *s) {
  uint64_t elements[GGUF_TYPES] = {0};
  size_t most = GGUF_F32;
  for (size_t i = 0; i < s->n_tensors; i++) {
    const gguf_tensor *t = stored(s, &s->tensors[i]);
    if (!is_plain(t->type)) elements[t->type] += t->n_elements;
  }
  for (size_t type = 0; type < GGUF_TYPES; type++)
    if (elements[type] > elements[most]) most = type;
  return elements[most] > 0 ? gguf_type_find((uint32_t)most)->name : NULL;
}

static bool reads_file(const tensor_source *s, const char *path) {
  for (size_t i = 0; i < s->gguf->n_readers; i++)
    if (file_same(path, s->gguf->readers[i].path)) return true;
  return false;
}

static bool state(const tensor_source *s, ellm_buffer *out) {
  bool ok = true;
  for (size_t i = 0; ok && i < s->gguf->n_readers; i++) {
    const file_reader *reader = &s->gguf->readers[i];
    char line[128];
    const int n = snprintf(line, sizeof line, "%llu %lld.%09ld", (unsigned long long)reader->size,
                           (long long)reader->changed.tv_sec, (long)reader->changed.tv_nsec);
    ok = ellm_buffer_append(out, line, (size_t)n + 1);
  }
  return ok;
}

static ellm_status unchanged(const tensor_source *s, ellm_error *err) {
  for (size_t i = 0; i < s->gguf->n_readers; i++) ELLM_TRY(file_reader_unchanged(&s->gguf->readers[i], err));
  return ELLM_OK;
}

static const source_kind gguf_kind = {.close = close_gguf,
                                      .origin = origin,
                                      .read = read_elements,
                                      .map = map_elements,
                                      .asset_count = asset_count,
                                      .asset_name = asset_name,
                                      .asset = asset,
                                      .metadata = metadata,
                                      .quantized = quantized,
                                      .reads_file = reads_file,
                                      .state = state,
                                      .unchanged = unchanged};

/* ---- names ---- */

typedef struct name_pair {
  const char *gguf, *checkpoint;
} name_pair;

static const name_pair whole_names[] = {
    {"token_embd.weight", "model.embed_tokens.weight"},
    {"output_norm.weight", "model.norm.weight"},
    {"output.weight", "lm_head.weight"},
};

static const name_pair layer_names[] = {
    {"attn_norm", "input_layernorm"},       {"ffn_norm", "post_attention_layernorm"},
    {"attn_q", "self_attn.q_proj"},         {"attn_k", "self_attn.k_proj"},
    {"attn_v", "self_attn.v_proj"},         {"attn_output", "self_attn.o_proj"},
    {"ffn_gate", "mlp.gate_proj"},          {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},
};

/* "blk.N.PART.weight" and ".bias"; false: it is none of a layer. */
static bool layer_name(const char *name, uint32_t n_layers, char out[MAX_NAME]) {
  unsigned layer;
  int at = 0;
  if (sscanf(name, "blk.%6u.%n", &layer, &at) != 1 || at == 0 || layer >= n_layers) return false;
  char canonical[32]; /* no signs, no leading zeros: a layer has one name */
  snprintf(canonical, sizeof canonical, "blk.%u.", layer);
  if (strncmp(name, canonical, (size_t)at) != 0 || strlen(canonical) != (size_t)at) return false;
  const char *part = name + at, *ending = strchr(part, '.');
  if (ending == NULL || (strcmp(ending, ".weight") != 0 && strcmp(ending, ".bias") != 0)) return false;
  for (size_t i = 0; i < sizeof layer_names / sizeof *layer_names; i++) {
    const size_t length = strlen(layer_names[i].gguf);
    if ((size_t)(ending - part) != length || memcmp(part, layer_names[i].gguf, length) != 0) continue;
    snprintf(out, MAX_NAME, "model.layers.%u.%s%s", layer, layer_names[i].checkpoint, ending);
    return true;
  }
  return false;
}

static ellm_status checkpoint_name(const gguf_tensor *t, uint32_t n_layers, char out[MAX_NAME], ellm_error *err) {
  for (size_t i = 0; i < sizeof whole_names / sizeof *whole_names; i++) {
    if (strcmp(t->name, whole_names[i].gguf) != 0) continue;
    snprintf(out, MAX_NAME, "%s", whole_names[i].checkpoint);
    return ELLM_OK;
  }
  if (layer_name(t->name, n_layers, out)) return ELLM_OK;
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s has no place in a model of architecture llama with %u layers",
                   t->path, t->name, (unsigned)n_layers);
}

/* ---- opening ---- */

/* Heads whose rows are moved; 0: none are. */
static uint32_t moved_heads(const gguf_tensor *t, const gguf_shape *shape) {
  if (strncmp(t->name, "blk.", 4) != 0) return 0;
  return strstr(t->name, ".attn_q.") != NULL   ? shape->n_heads
         : strstr(t->name, ".attn_k.") != NULL ? shape->n_kv_heads
                                               : 0;
}

static ellm_status make_tensor(const gguf_tensor *t, const gguf_shape *shape, made_tensor **out, ellm_error *err) {
  const uint32_t heads = moved_heads(t, shape);
  if (is_plain(t->type) && heads == 0) return ELLM_OK;
  if (!gguf_can_dequantize(t->type)) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: element type %s is not read", t->path, t->name,
                     gguf_type_find(t->type)->name);
  }
  if (heads > 0 && t->shape[0] != (uint64_t)heads * shape->head_dim) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s has %llu rows, %u heads of %u are wanted", t->path, t->name,
                     (unsigned long long)t->shape[0], (unsigned)heads, (unsigned)shape->head_dim);
  }
  gguf_made *m = calloc(1, sizeof *m);
  if (m == NULL) return ellm_fail_memory(err, sizeof *m, "a tensor");
  *m = (gguf_made){.made = {.read = read_made, .free = free_made},
                   .tensor = t,
                   .columns = heads > 0 ? t->n_elements / t->shape[0] : t->n_elements,
                   .head_dim = heads > 0 ? shape->head_dim : 0};
  *out = &m->made;
  return ELLM_OK;
}

static ellm_status add_tensors(tensor_source *s, const gguf_shape *shape, ellm_error *err) {
  gguf_source *g = s->gguf;
  const size_t n = gguf_tensor_count(g->file);
  ELLM_TRY(source_make_tensors(s, n, err));
  g->names = calloc(n + 1, sizeof *g->names);
  if (g->names == NULL) return ellm_fail_memory(err, n * sizeof *g->names, "tensor names");
  for (size_t i = 0; i < n; i++) {
    const gguf_tensor *t = gguf_tensor_at(g->file, i);
    source_tensor *out = &s->tensors[i];
    ELLM_TRY(checkpoint_name(t, shape->n_layers, g->names[i], err));
    ELLM_TRY(make_tensor(t, shape, &s->made[i], err));
    *out = (source_tensor){
        .name = g->names[i], .dtype = dtype_of(t->type), .n_dims = t->n_dims, .n_elements = t->n_elements};
    memcpy(out->shape, t->shape, sizeof t->shape);
    if (!ellm_mul_u64(out->n_elements, ellm_dtype_size(out->dtype), &out->bytes))
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: its elements as floats are too many", t->path, t->name);
  }
  return ELLM_OK;
}

static ellm_status add_asset(gguf_source *g, const char *name, ellm_buffer *text, ellm_status status, ellm_error *err) {
  if (status == ELLM_OK && !ellm_buffer_append(text, "", 1)) status = ellm_fail_memory(err, text->capacity, name);
  if (status != ELLM_OK) {
    ellm_buffer_free(text);
    return status;
  }
  g->assets[g->n_assets++] = (gguf_asset){.name = name, .data = text->data, .bytes = text->size - 1};
  return ELLM_OK;
}

static ellm_status add_assets(gguf_source *g, gguf_shape *shape, ellm_error *err) {
  const gguf_metadata *m = gguf_metadata_of(g->file);
  ellm_buffer tokenizer = {0}, options = {0};
  char *config;
  ELLM_TRY(gguf_config(g->file, shape, &config, err));
  g->assets[g->n_assets++] = (gguf_asset){.name = "config.json", .data = (uint8_t *)config, .bytes = strlen(config)};
  if (!gguf_has_tokenizer(m)) return ELLM_OK;
  ELLM_TRY(add_asset(g, "tokenizer.json", &tokenizer, gguf_tokenizer(m, &tokenizer, err), err));
  return add_asset(g, "tokenizer_config.json", &options, gguf_tokenizer_config(m, &options, err), err);
}

static ellm_status open_readers(gguf_source *g, ellm_error *err) {
  const size_t n = gguf_file_count(g->file);
  g->readers = calloc(n, sizeof *g->readers);
  if (g->readers == NULL) return ellm_fail_memory(err, n * sizeof *g->readers, "a set of files");
  for (; g->n_readers < n; g->n_readers++)
    ELLM_TRY(file_reader_open(gguf_file_path(g->file, g->n_readers), &g->readers[g->n_readers], err));
  return ELLM_OK;
}

bool gguf_source_is(const char *path) {
  uint8_t first[4];
  file_reader reader;
  if (file_reader_open(path, &reader, NULL) != ELLM_OK) return false;
  const bool is = reader.size >= sizeof first && file_reader_read(&reader, 0, first, sizeof first, NULL) == ELLM_OK &&
                  gguf_begins(first, sizeof first);
  file_reader_close(&reader);
  return is;
}

ellm_status gguf_source_open(const char *path, tensor_source *s, ellm_error *err) {
  gguf_shape shape;
  s->gguf = calloc(1, sizeof *s->gguf);
  s->kind = &gguf_kind;
  s->path = strdup(path);
  if (s->gguf == NULL || s->path == NULL) return ellm_fail_memory(err, sizeof *s->gguf, "a GGUF file");
  ELLM_TRY(gguf_open(path, &s->gguf->file, err));
  ELLM_TRY(open_readers(s->gguf, err));
  ELLM_TRY(add_assets(s->gguf, &shape, err));
  return add_tensors(s, &shape, err);
}
