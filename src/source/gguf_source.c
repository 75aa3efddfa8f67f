/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See gguf_source.h. Files of some architectures hold the rows of the query and key matrices in another order than
 * checkpoints: those of a head are (pair, half) where checkpoints have (half, pair), for a rotation that turns
 * neighbours instead of halves. They are put back when they are read. Norms of some are 1 + weight; the matrices of
 * experts are in one tensor, one after the other.
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
#include "source/gguf_describe.h"
#include "source/gguf_tokenizer.h"

enum { ASSETS = 3, MAX_NAME = 128, MAX_TENSORS = 1 << 18 };

/* Where a tensor of the source lies: from element `first` on of one of the file. */
typedef struct gguf_place {
  const gguf_tensor *tensor;
  uint64_t first;
} gguf_place;

typedef struct gguf_asset {
  const char *name;
  uint8_t *data; /* a NUL follows */
  size_t bytes;
} gguf_asset;

typedef struct gguf_source {
  gguf_file *file;
  file_reader *readers; /* [n_readers], one a file of the set: what it was when it was opened */
  size_t n_readers;
  gguf_asset assets[ASSETS]; /* by name */
  size_t n_assets;
  char (*names)[MAX_NAME]; /* of tensors */
  gguf_place *places;      /* the same */
} gguf_source;

static gguf_source *gguf_of(const tensor_source *s) { return s->own; }

/* ---- elements ---- */

/* A tensor whose elements are computed or whose rows are moved. */
typedef struct gguf_made {
  made_tensor made;
  const gguf_tensor *tensor;
  uint64_t start;    /* its first element */
  float added;       /* to each element, of F32 then */
  uint64_t columns;  /* 1 of a bias whose elements are moved */
  uint32_t head_dim; /* of rows that are moved; 0: they are not */
} gguf_made;

static bool is_plain(gguf_type type) { return type == GGUF_F32 || type == GGUF_F16 || type == GGUF_BF16; }

static ellm_dtype dtype_of(gguf_type type) {
  return type == GGUF_F16 ? ELLM_F16 : type == GGUF_BF16 ? ELLM_BF16 : ELLM_F32;
}

/* The file's row for a checkpoint's: of a head's rows, row (half, pair) is at (pair, half). */
static uint64_t file_row(const gguf_made *m, uint64_t row) {
  if (m->head_dim == 0) return row;
  const uint64_t head = row / m->head_dim, in_head = row % m->head_dim, pairs = m->head_dim / 2;
  return head * m->head_dim + in_head % pairs * 2 + in_head / pairs;
}

/* n elements, that are beside each other in the file, plus `added`, as little-endian F32 at any alignment. */
static ellm_status read_floats(const gguf_tensor *t, uint64_t first, size_t n, float added, uint8_t *out,
                               ellm_error *err) {
  enum { PIECE = 1024 };
  float piece[PIECE];
  for (size_t i = 0; i < n;) {
    const uint64_t to_block = PIECE - (first + i) % GGUF_MAX_BLOCK; /* pieces end where blocks do */
    const size_t some = n - i < to_block ? n - i : (size_t)to_block;
    ELLM_TRY(gguf_tensor_floats(t, first + i, some, piece, err));
    for (size_t k = 0; k < some; k++) store_u32(out + 4 * (i + k), float_bits(piece[k] + added));
    i += some;
  }
  return ELLM_OK;
}

static ellm_status read_made(const made_tensor *made, uint64_t first, void *out, size_t n, ellm_error *err) {
  const gguf_made *m = (const gguf_made *)made;
  const gguf_tensor *t = m->tensor;
  const size_t size = m->added != 0 ? sizeof(float) : ellm_dtype_size(dtype_of(t->type));
  uint8_t *to = out;
  for (size_t i = 0; i < n;) {
    const uint64_t column = (first + i) % m->columns, left = m->columns - column;
    const size_t some = n - i < left ? n - i : (size_t)left;
    const uint64_t at = m->start + file_row(m, (first + i) / m->columns) * m->columns + column;
    if (is_plain(t->type) && m->added == 0) memcpy(to + i * size, t->data + at * size, some * size);
    else ELLM_TRY(read_floats(t, at, some, m->added, to + i * size, err));
    i += some;
  }
  return ELLM_OK;
}

static void free_made(made_tensor *made) { free(made); }

/* ---- the kind ---- */

static const gguf_tensor *stored(const tensor_source *s, const source_tensor *tensor) {
  return gguf_of(s)->places[source_number(s, tensor)].tensor;
}

/* The bytes of one that is not made. */
static const uint8_t *bytes_of(const tensor_source *s, const source_tensor *tensor) {
  const gguf_place *place = &gguf_of(s)->places[source_number(s, tensor)];
  return place->tensor->data + place->first * ellm_dtype_size(tensor->dtype);
}

static void close_gguf(tensor_source *s) {
  gguf_source *g = gguf_of(s);
  if (g == NULL) return;
  for (size_t i = 0; i < g->n_assets; i++) free(g->assets[i].data);
  for (size_t i = 0; i < g->n_readers; i++) file_reader_close(&g->readers[i]);
  free(g->readers);
  free(g->names);
  free(g->places);
  gguf_close(g->file);
  free(g);
}

static const char *origin(const tensor_source *s, const source_tensor *tensor) { return stored(s, tensor)->path; }

static ellm_status read_elements(const tensor_source *s, const source_tensor *tensor, uint64_t offset, void *out,
                                 size_t bytes, ellm_error *err) {
  (void)err;
  memcpy(out, bytes_of(s, tensor) + offset, bytes);
  return ELLM_OK;
}

static ellm_status map_elements(tensor_source *s, const source_tensor *tensor, const uint8_t **data, ellm_error *err) {
  (void)err;
  *data = bytes_of(s, tensor);
  return ELLM_OK;
}

static size_t asset_count(const tensor_source *s) { return gguf_of(s)->n_assets; }
static const char *asset_name(const tensor_source *s, size_t index) { return gguf_of(s)->assets[index].name; }

static const void *asset(const tensor_source *s, const char *name, size_t *bytes) {
  const gguf_source *g = gguf_of(s);
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
    if (!is_plain(t->type)) elements[t->type] += s->tensors[i].n_elements;
  }
  for (size_t type = 0; type < GGUF_TYPES; type++)
    if (elements[type] > elements[most]) most = type;
  return elements[most] > 0 ? gguf_type_find((uint32_t)most)->name : NULL;
}

static bool reads_file(const tensor_source *s, const char *path) {
  for (size_t i = 0; i < gguf_of(s)->n_readers; i++)
    if (file_same(path, gguf_of(s)->readers[i].path)) return true;
  return false;
}

static bool state(const tensor_source *s, ellm_buffer *out) {
  bool ok = true;
  for (size_t i = 0; ok && i < gguf_of(s)->n_readers; i++) {
    const file_reader *reader = &gguf_of(s)->readers[i];
    char line[128];
    const int n = snprintf(line, sizeof line, "%llu %lld.%09ld", (unsigned long long)reader->size,
                           (long long)reader->changed.tv_sec, (long)reader->changed.tv_nsec);
    ok = ellm_buffer_append(out, line, (size_t)n + 1);
  }
  return ok;
}

static ellm_status unchanged(const tensor_source *s, ellm_error *err) {
  for (size_t i = 0; i < gguf_of(s)->n_readers; i++) ELLM_TRY(file_reader_unchanged(&gguf_of(s)->readers[i], err));
  return ELLM_OK;
}

static bool describe(const tensor_source *s, json_t *out) { return gguf_describe(gguf_of(s)->file, out); }

static const source_kind gguf_kind = {.format = "GGUF",
                                      .close = close_gguf,
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
                                      .unchanged = unchanged,
                                      .describe = describe};

/* ---- names ---- */

static const gguf_part whole_names[] = {
    {"token_embd.weight", "model.embed_tokens.weight"},
    {"output_norm.weight", "model.norm.weight"},
    {"output.weight", "lm_head.weight"},
};

/* Is `name` "blk.N.PART.weight" or ".bias" of a layer that there is? Then they are set; `part` has part_bytes. */
static bool split_name(const char *name, uint32_t n_layers, unsigned *layer, const char **part, size_t *part_bytes,
                       const char **ending) {
  int at = 0;
  if (sscanf(name, "blk.%6u.%n", layer, &at) != 1 || at == 0 || *layer >= n_layers) return false;
  char canonical[32]; /* no signs, no leading zeros: a layer has one name */
  snprintf(canonical, sizeof canonical, "blk.%u.", *layer);
  if (strncmp(name, canonical, (size_t)at) != 0 || strlen(canonical) != (size_t)at) return false;
  *part = name + at;
  *ending = strchr(*part, '.');
  if (*ending == NULL || (strcmp(*ending, ".weight") != 0 && strcmp(*ending, ".bias") != 0)) return false;
  *part_bytes = (size_t)(*ending - *part);
  return true;
}

/* What the part is called in checkpoints; NULL: it is not in the list, or there is none. */
static const char *find_part(const gguf_part *parts, const char *part, size_t bytes) {
  for (; parts != NULL && parts->gguf != NULL; parts++)
    if (strlen(parts->gguf) == bytes && memcmp(part, parts->gguf, bytes) == 0) return parts->checkpoint;
  return NULL;
}

/* A checkpoint's name of the tensor, or of its matrix of one expert. `merged`: is it one of those? */
static ellm_status checkpoint_name(const gguf_tensor *t, const gguf_shape *shape, uint32_t expert, bool *merged,
                                   char out[MAX_NAME], ellm_error *err) {
  const gguf_arch *arch = shape->arch;
  unsigned layer;
  const char *part, *ending, *found;
  size_t bytes;
  *merged = false;
  for (size_t i = 0; i < sizeof whole_names / sizeof *whole_names; i++) {
    if (strcmp(t->name, whole_names[i].gguf) != 0) continue;
    snprintf(out, MAX_NAME, "%s", whole_names[i].checkpoint);
    return ELLM_OK;
  }
  if (split_name(t->name, shape->n_layers, &layer, &part, &bytes, &ending)) {
    if ((found = find_part(arch->parts, part, bytes)) != NULL) {
      snprintf(out, MAX_NAME, "model.layers.%u.%s%s", layer, found, ending);
      return ELLM_OK;
    }
    if ((found = find_part(arch->merged, part, bytes)) != NULL && strcmp(ending, ".weight") == 0) {
      *merged = true;
      snprintf(out, MAX_NAME, "model.layers.%u.%s.%u.%s%s", layer, arch->experts_part, (unsigned)expert, found, ending);
      return ELLM_OK;
    }
  }
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s has no place in a model of architecture %s with %u layers",
                   t->path, t->name, arch->name, (unsigned)shape->n_layers);
}

/* ---- opening ---- */

/* Heads whose rows are moved; 0: none are. */
static uint32_t moved_heads(const gguf_tensor *t, const gguf_shape *shape) {
  if (!shape->arch->pairs || strncmp(t->name, "blk.", 4) != 0) return 0;
  return strstr(t->name, ".attn_q.") != NULL   ? shape->n_heads
         : strstr(t->name, ".attn_k.") != NULL ? shape->n_kv_heads
                                               : 0;
}

static bool is_norm(const char *name) {
  static const char ending[] = "norm.weight";
  const size_t n = strlen(name), m = sizeof ending - 1;
  return n >= m && strcmp(name + n - m, ending) == 0;
}

static ellm_status make_tensor(const gguf_tensor *t, uint64_t start, const gguf_shape *shape, made_tensor **out,
                               ellm_error *err) {
  const uint32_t heads = moved_heads(t, shape);
  const float added = shape->arch->norms_from_one && is_norm(t->name) ? -1 : 0;
  if (is_plain(t->type) && heads == 0 && added == 0) return ELLM_OK;
  if (!gguf_can_dequantize(t->type)) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: element type %s is not supported", t->path, t->name,
                     gguf_type_find(t->type)->name);
  }
  if (heads > 0 && t->shape[0] != (uint64_t)heads * shape->head_dim) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s has %llu rows, %u heads of %u are expected", t->path, t->name,
                     (unsigned long long)t->shape[0], (unsigned)heads, (unsigned)shape->head_dim);
  }
  gguf_made *m = calloc(1, sizeof *m);
  if (m == NULL) return ellm_fail_memory(err, sizeof *m, "a tensor");
  *m = (gguf_made){.made = {.read = read_made, .free = free_made},
                   .tensor = t,
                   .start = start,
                   .added = added,
                   .columns = heads > 0 ? t->n_elements / t->shape[0] : t->n_elements,
                   .head_dim = heads > 0 ? shape->head_dim : 0};
  *out = &m->made;
  return ELLM_OK;
}

/* The tensors of the source that one of the file is: none, itself, or its experts' matrices. */
static ellm_status pieces_of(const gguf_tensor *t, const gguf_shape *shape, uint32_t *n, ellm_error *err) {
  char name[MAX_NAME];
  bool merged;
  *n = 0;
  if (gguf_is_rope_factors(t->name)) return ELLM_OK; /* the configuration has them */
  ELLM_TRY(checkpoint_name(t, shape, 0, &merged, name, err));
  *n = merged ? shape->n_experts : 1;
  if (merged && (t->n_dims != 3 || t->shape[0] != shape->n_experts))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: matrices of %u experts are expected", t->path, t->name,
                     (unsigned)shape->n_experts);
  return ELLM_OK;
}

static ellm_status add_tensor(tensor_source *s, size_t at, const gguf_tensor *t, uint32_t piece, uint32_t n_pieces,
                              const gguf_shape *shape, ellm_error *err) {
  gguf_source *g = gguf_of(s);
  source_tensor *out = &s->tensors[at];
  bool merged;
  ELLM_TRY(checkpoint_name(t, shape, piece, &merged, g->names[at], err));
  const int skipped = merged ? 1 : 0; /* dimensions: that of experts */
  const uint64_t n = t->n_elements / n_pieces, start = piece * n;
  g->places[at] = (gguf_place){.tensor = t, .first = start};
  ELLM_TRY(make_tensor(t, start, shape, &s->made[at], err));
  const bool floats = s->made[at] != NULL && ((const gguf_made *)s->made[at])->added != 0;
  *out = (source_tensor){.name = g->names[at],
                         .dtype = floats ? ELLM_F32 : dtype_of(t->type),
                         .n_dims = t->n_dims - skipped,
                         .n_elements = n};
  memcpy(out->shape, t->shape + skipped, (size_t)out->n_dims * sizeof *t->shape);
  if (ellm_mul_u64(out->n_elements, ellm_dtype_size(out->dtype), &out->bytes)) return ELLM_OK;
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: its elements as floats are too many", t->path, t->name);
}

static ellm_status add_tensors(tensor_source *s, const gguf_shape *shape, ellm_error *err) {
  gguf_source *g = gguf_of(s);
  const size_t n_stored = gguf_tensor_count(g->file);
  uint32_t pieces;
  size_t n = 0;
  for (size_t i = 0; i < n_stored; i++) {
    ELLM_TRY(pieces_of(gguf_tensor_at(g->file, i), shape, &pieces, err));
    n += pieces;
  }
  if (n > MAX_TENSORS)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: %zu tensors and matrices of experts are too many", s->path, n);
  ELLM_TRY(source_make_tensors(s, n, err));
  g->names = calloc(n + 1, sizeof *g->names);
  g->places = calloc(n + 1, sizeof *g->places);
  if (g->names == NULL || g->places == NULL) return ellm_fail_memory(err, n * sizeof *g->names, "tensor names");
  size_t at = 0;
  for (size_t i = 0; i < n_stored; i++) {
    const gguf_tensor *t = gguf_tensor_at(g->file, i);
    ELLM_TRY(pieces_of(t, shape, &pieces, err));
    for (uint32_t piece = 0; piece < pieces; piece++) ELLM_TRY(add_tensor(s, at++, t, piece, pieces, shape, err));
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
  ELLM_TRY(add_asset(g, gguf_tokenizer_name(m), &tokenizer, gguf_tokenizer(m, &tokenizer, err), err));
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

ellm_status gguf_source_is(const char *path, bool *is, ellm_error *err) {
  uint8_t first[4] = {0};
  file_reader reader;
  *is = false;
  ELLM_TRY(file_reader_open(path, &reader, err));
  ellm_status status = ELLM_OK;
  if (reader.size >= sizeof first) status = file_reader_read(&reader, 0, first, sizeof first, err);
  file_reader_close(&reader);
  *is = gguf_begins(first, sizeof first);
  return status;
}

ellm_status gguf_source_open(const char *path, tensor_source *s, ellm_error *err) {
  gguf_shape shape;
  gguf_source *g = s->own = calloc(1, sizeof *g);
  s->kind = &gguf_kind;
  s->path = strdup(path);
  if (g == NULL || s->path == NULL) return ellm_fail_memory(err, sizeof *g, "a GGUF file");
  ELLM_TRY(gguf_open(path, &g->file, err));
  ELLM_TRY(open_readers(g, err));
  ELLM_TRY(add_assets(g, &shape, err));
  return add_tensors(s, &shape, err);
}
