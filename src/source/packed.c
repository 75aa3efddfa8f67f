/* SPDX-License-Identifier: Apache-2.0 */
/* See packed.h. */
#include "source/packed.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

enum { WORD_BITS = 32, AWQ_BITS = 4, AWQ_A_WORD = 8 };

/* Where value i of a word is in AWQ. */
static const uint8_t awq_place[AWQ_A_WORD] = {0, 4, 1, 5, 2, 6, 3, 7};

/* Integers of a matrix, or its zeros. */
typedef enum packed_layout {
  LAYOUT_DOWN,  /* words [.., columns of them], bits continue from word to word downwards */
  LAYOUT_ALONG, /* words [rows, ..], bits continue along the row */
  LAYOUT_AWQ,   /* words [rows, ..], eight values a word in AWQ's order */
  LAYOUT_BYTES, /* signed bytes */
  LAYOUT_NONE   /* no zeros: all are the same */
} packed_layout;

typedef struct packed_values {
  packed_layout layout;
  unsigned bits;
  const uint8_t *data;
  uint64_t stride; /* words, or bytes, from row to row */
} packed_values;

typedef struct packed_matrix {
  made_tensor made;
  const char *origin;     /* the file of the scales, for errors */
  const char *scale_name;
  uint64_t rows, columns;
  packed_values codes, zeros;
  bool transposed;        /* codes, zeros and scales are stored by column: GPTQ, AWQ */
  int32_t zero;           /* where there are none; else added to each */
  int32_t mask;           /* of zeros after that */
  const uint8_t *scales;
  ellm_dtype scale_type;
  uint64_t row_stride, group_stride; /* of scales, in elements */
  uint64_t group_size;
  uint32_t *groups;       /* [columns], owned; NULL: column / group_size */
} packed_matrix;

/* ----------------------------------------------------------------- elements */

/* The value at a row and place of it, as stored. */
static int32_t value_at(const packed_values *v, uint64_t row, uint64_t place) {
  if (v->layout == LAYOUT_BYTES) return (int8_t)v->data[row * v->stride + place];
  if (v->layout == LAYOUT_AWQ) {
    const uint32_t word = load_u32(v->data + 4 * (row * v->stride + place / AWQ_A_WORD));
    return (int32_t)(word >> AWQ_BITS * awq_place[place % AWQ_A_WORD] & 15);
  }
  const bool down = v->layout == LAYOUT_DOWN; /* bits continue along rows there */
  const uint64_t bit = (down ? row : place) * v->bits, word = bit / WORD_BITS;
  const uint64_t at = down ? word * v->stride + place : row * v->stride + word, next = down ? v->stride : 1;
  const unsigned shift = bit % WORD_BITS;
  uint32_t value = load_u32(v->data + 4 * at) >> shift;
  if (shift + v->bits > WORD_BITS) value |= load_u32(v->data + 4 * (at + next)) << (WORD_BITS - shift);
  return (int32_t)(value & ((1u << v->bits) - 1));
}

static float load_scale(const packed_matrix *m, uint64_t at) {
  if (m->scale_type == ELLM_F32) return float_from_bits(load_u32(m->scales + 4 * at));
  return m->scale_type == ELLM_F16 ? float_from_f16(load_u16(m->scales + 2 * at))
                                   : float_from_bf16(load_u16(m->scales + 2 * at));
}

static int32_t zero_of(const packed_matrix *m, uint64_t row, uint64_t group) {
  if (m->zeros.layout == LAYOUT_NONE) return m->zero;
  const int32_t stored = m->transposed ? value_at(&m->zeros, group, row) : value_at(&m->zeros, row, group);
  return m->mask != 0 ? (stored + m->zero) & m->mask : stored + m->zero;
}

static ellm_status read_elements(const made_tensor *made, uint64_t first, void *out, size_t n, ellm_error *err) {
  const packed_matrix *m = (const packed_matrix *)made;
  uint64_t row = first / m->columns, column = first % m->columns, before = UINT64_MAX;
  int32_t zero = 0;
  float scale = 0;
  for (size_t i = 0; i < n; i++) {
    const uint64_t group = m->groups != NULL ? m->groups[column] : column / m->group_size;
    if (group != before) {
      const uint64_t at = row * m->row_stride + group * m->group_stride;
      before = group;
      zero = zero_of(m, row, group);
      scale = load_scale(m, at);
      if (!isfinite(scale))
        return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: element %llu is %g: scales must be finite", m->origin,
                         m->scale_name, (unsigned long long)at, (double)scale);
    }
    const int32_t code = m->transposed ? value_at(&m->codes, column, row) : value_at(&m->codes, row, column);
    store_u32((uint8_t *)out + 4 * i, float_bits((float)(code - zero) * scale));
    if (++column == m->columns) {
      column = 0;
      row++;
      before = UINT64_MAX;
    }
  }
  return ELLM_OK;
}

static void free_matrix(made_tensor *made) {
  packed_matrix *m = (packed_matrix *)made;
  free(m->groups);
  free(m);
}

/* -------------------------------------------------------------------- parts */

typedef struct finder {
  checkpoint *ckpt;
  const quantization *q;
  const checkpoint_tensor *codes;
  size_t stem;          /* bytes of its name before the ending */
  packed_found *found;
  packed_matrix *m;
} finder;

static const char *origin_of(const finder *f, const checkpoint_tensor *t) {
  return checkpoint_shard_path(f->ckpt, t->shard);
}

/* The tensor with another ending, noted as a part; NULL: there is none. */
static const checkpoint_tensor *part(finder *f, const char *ending) {
  char name[1100];
  const int n = snprintf(name, sizeof name, "%.*s%s", (int)f->stem, f->codes->name, ending);
  if (n < 0 || (size_t)n >= sizeof name) return NULL;
  const checkpoint_tensor *t = checkpoint_find(f->ckpt, name);
  if (t != NULL && f->found->n_parts < PACKED_PARTS) f->found->parts[f->found->n_parts++] = t;
  return t;
}

static ellm_status missing(const finder *f, const char *ending, ellm_error *err) {
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: its %.*s%s is missing", origin_of(f, f->codes), f->codes->name,
                   (int)f->stem, f->codes->name, ending);
}

static ellm_status wrong(const finder *f, const checkpoint_tensor *t, const char *wanted, ellm_error *err) {
  char shape[128] = "";
  size_t used = 0;
  for (int i = 0; i < t->n_dims && used + 24 < sizeof shape; i++)
    used += (size_t)snprintf(shape + used, sizeof shape - used, "%s%llu", i > 0 ? " x " : "",
                             (unsigned long long)t->shape[i]);
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s is %s %s, which does not fit the %llu x %llu matrix: %s",
                   origin_of(f, t), t->name, ellm_dtype_name(t->dtype), t->n_dims > 0 ? shape : "(a number)",
                   (unsigned long long)f->m->rows, (unsigned long long)f->m->columns, wanted);
}

static bool is_words(const checkpoint_tensor *t) { return t->dtype == ELLM_I32 || t->dtype == ELLM_U32; }
static bool is_matrix(const checkpoint_tensor *t, uint64_t rows, uint64_t columns) {
  return t->n_dims == 2 && t->shape[0] == rows && t->shape[1] == columns;
}
static uint64_t divide_up(uint64_t a, uint64_t b) { return a / b + (a % b != 0); }

/* The groups of columns, each below n_groups. */
static ellm_status take_groups(finder *f, const checkpoint_tensor *t, uint64_t n_groups, ellm_error *err) {
  packed_matrix *m = f->m;
  const uint8_t *data;
  if (!is_words(t) || t->n_dims != 1 || t->shape[0] != m->columns) return wrong(f, t, "a group of each column", err);
  ELLM_TRY(checkpoint_map(f->ckpt, t, &data, err));
  m->groups = malloc((size_t)m->columns * sizeof *m->groups);
  if (m->groups == NULL) return ellm_fail_memory(err, (size_t)m->columns * sizeof *m->groups, t->name);
  for (uint64_t i = 0; i < m->columns; i++) {
    m->groups[i] = load_u32(data + 4 * i);
    if (m->groups[i] >= n_groups)
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: column %llu is of group %lld, there are %llu",
                       origin_of(f, t), t->name, (unsigned long long)i, (long long)(int32_t)m->groups[i],
                       (unsigned long long)n_groups);
  }
  return ELLM_OK;
}

/* How many columns share a scale where nothing says it column by column; `scales` has n_groups of them. In
 * compressed-tensors some matrices may have groups and others a scale for each row. */
static ellm_status take_group_size(finder *f, const checkpoint_tensor *scales, uint64_t n_groups, ellm_error *err) {
  packed_matrix *m = f->m;
  const int64_t size = f->q->group_size;
  if (n_groups == 1 && (size <= 0 || !m->transposed)) m->group_size = m->columns;
  else if (size > 0 && divide_up(m->columns, (uint64_t)size) == n_groups) m->group_size = (uint64_t)size;
  else if (size == 0 && n_groups > 0 && m->columns % n_groups == 0) m->group_size = m->columns / n_groups;
  else return wrong(f, scales, "another number of groups follows from group_size", err);
  return ELLM_OK;
}

static ellm_status take_scales(finder *f, const checkpoint_tensor *t, ellm_error *err) {
  if (t->dtype > ELLM_BF16) return wrong(f, t, "scales are floats", err);
  f->m->scale_type = t->dtype;
  f->m->scale_name = t->name;
  f->m->origin = origin_of(f, t);
  return checkpoint_map(f->ckpt, t, &f->m->scales, err);
}

static ellm_status take_values(finder *f, const checkpoint_tensor *t, packed_layout layout, unsigned bits,
                               packed_values *out, ellm_error *err) {
  *out = (packed_values){.layout = layout, .bits = bits, .stride = t->shape[1]};
  return checkpoint_map(f->ckpt, t, &out->data, err);
}

/* -------------------------------------------------------------------- kinds */

static bool width_known(const quantization *q, uint64_t bits) {
  return bits <= QUANTIZATION_MAX_BITS && q->widths[bits];
}
static unsigned first_width(const quantization *q) {
  unsigned bits = 1;
  while (bits < QUANTIZATION_MAX_BITS && !q->widths[bits]) bits++;
  return bits;
}

static ellm_status find_gptq(finder *f, ellm_error *err) {
  static const char *const what[] = {"", "", "GPTQ, 2 bits", "GPTQ, 3 bits", "GPTQ, 4 bits", "", "", "", "GPTQ, 8 bits"};
  packed_matrix *m = f->m;
  const checkpoint_tensor *codes = f->codes;
  const checkpoint_tensor *zeros = part(f, "qzeros"), *scales = part(f, "scales"), *groups = part(f, "g_idx");
  const unsigned bits = first_width(f->q);
  m->rows = codes->shape[1];
  m->columns = codes->shape[0] * WORD_BITS / bits;
  m->transposed = true;
  m->made.what = what[bits];
  if (!is_words(codes) || codes->shape[0] * WORD_BITS % bits != 0) return wrong(f, codes, "whole values in words", err);
  if (scales == NULL) return missing(f, "scales", err);
  if (zeros == NULL) return missing(f, "qzeros", err);
  if (scales->n_dims != 2 || scales->shape[0] == 0 || scales->shape[1] != m->rows)
    return wrong(f, scales, "one for each row and group", err);
  const uint64_t n_groups = scales->shape[0];
  if (!is_words(zeros) || m->rows * bits % WORD_BITS != 0 || !is_matrix(zeros, n_groups, m->rows * bits / WORD_BITS))
    return wrong(f, zeros, "one for each row and group", err);
  ELLM_TRY(groups != NULL ? take_groups(f, groups, n_groups, err) : take_group_size(f, scales, n_groups, err));
  ELLM_TRY(take_scales(f, scales, err));
  m->row_stride = 1;
  m->group_stride = m->rows;
  m->zero = f->q->zeros_less_one ? 1 : 0;
  m->mask = (1 << bits) - 1; /* a zero of 0 was stored as the largest value */
  ELLM_TRY(take_values(f, codes, LAYOUT_DOWN, bits, &m->codes, err));
  return take_values(f, zeros, LAYOUT_ALONG, bits, &m->zeros, err);
}

static ellm_status find_awq(finder *f, ellm_error *err) {
  packed_matrix *m = f->m;
  const checkpoint_tensor *codes = f->codes, *zeros = part(f, "qzeros"), *scales = part(f, "scales");
  m->rows = codes->shape[1] * AWQ_A_WORD;
  m->columns = codes->shape[0];
  m->transposed = true;
  m->made.what = "AWQ, 4 bits";
  if (!is_words(codes)) return wrong(f, codes, "words", err);
  if (scales == NULL) return missing(f, "scales", err);
  if (zeros == NULL) return missing(f, "qzeros", err);
  if (scales->n_dims != 2 || scales->shape[0] == 0 || scales->shape[1] != m->rows)
    return wrong(f, scales, "one for each row and group", err);
  if (!is_words(zeros) || !is_matrix(zeros, scales->shape[0], codes->shape[1]))
    return wrong(f, zeros, "one for each row and group", err);
  ELLM_TRY(take_group_size(f, scales, scales->shape[0], err));
  ELLM_TRY(take_scales(f, scales, err));
  m->row_stride = 1;
  m->group_stride = m->rows;
  ELLM_TRY(take_values(f, codes, LAYOUT_AWQ, AWQ_BITS, &m->codes, err));
  return take_values(f, zeros, LAYOUT_AWQ, AWQ_BITS, &m->zeros, err);
}

/* Rows and columns as weight_shape says. */
static ellm_status take_shape(finder *f, const checkpoint_tensor *t, ellm_error *err) {
  const uint8_t *data;
  const bool wide = t->dtype == ELLM_I64;
  if ((!wide && t->dtype != ELLM_I32) || t->n_dims != 1 || t->shape[0] != 2) return wrong(f, t, "two numbers", err);
  ELLM_TRY(checkpoint_map(f->ckpt, t, &data, err));
  f->m->rows = wide ? load_u64(data) : load_u32(data);
  f->m->columns = wide ? load_u64(data + 8) : load_u32(data + 4);
  if (f->m->rows != f->codes->shape[0] || f->m->columns == 0 || f->m->columns > UINT32_MAX)
    return wrong(f, f->codes, "weight_shape says so", err);
  return ELLM_OK;
}

/* Scales, zeros and groups of compressed-tensors. */
static ellm_status take_row_parts(finder *f, const checkpoint_tensor *scales, const checkpoint_tensor *zeros,
                                  const checkpoint_tensor *groups, unsigned bits, ellm_error *err) {
  packed_matrix *m = f->m;
  uint64_t n_groups = 1;
  if (scales == NULL) return missing(f, "weight_scale", err);
  if (scales->n_elements == 1 && scales->n_dims <= 2) {
    m->row_stride = m->group_stride = 0;
  } else if ((scales->n_dims == 1 || scales->n_dims == 2) && scales->shape[0] == m->rows && scales->n_elements > 0) {
    n_groups = scales->n_dims == 2 ? scales->shape[1] : 1;
    m->row_stride = n_groups;
    m->group_stride = 1;
  } else {
    return wrong(f, scales, "one for each row and group, each row, or all", err);
  }
  ELLM_TRY(groups != NULL ? take_groups(f, groups, n_groups, err) : take_group_size(f, scales, n_groups, err));
  ELLM_TRY(take_scales(f, scales, err));
  if (zeros == NULL) {
    m->zeros.layout = LAYOUT_NONE;
    m->zero = m->codes.layout == LAYOUT_BYTES ? 0 : 1 << (bits - 1);
    return ELLM_OK;
  }
  if (is_words(zeros) && m->codes.layout != LAYOUT_BYTES &&
      is_matrix(zeros, divide_up(m->rows * bits, WORD_BITS), n_groups))
    return take_values(f, zeros, LAYOUT_DOWN, bits, &m->zeros, err);
  /* bytes are signed, words are not: all of a matrix count as its codes do */
  m->zero = m->codes.layout == LAYOUT_BYTES ? 0 : 1 << (bits - 1);
  if (zeros->dtype != ELLM_I8 || zeros->n_elements != scales->n_elements)
    return wrong(f, zeros, "one for each scale", err);
  ELLM_TRY(take_values(f, zeros, LAYOUT_BYTES, 8, &m->zeros, err));
  m->zeros.stride = m->row_stride;
  return ELLM_OK;
}

static ellm_status find_packed_rows(finder *f, ellm_error *err) {
  static const char *const what[] = {"", "", "compressed-tensors, 2 bits", "", "compressed-tensors, 4 bits", "", "", "",
                                     "compressed-tensors, 8 bits"};
  packed_matrix *m = f->m;
  const checkpoint_tensor *shape = part(f, "weight_shape"), *scales = part(f, "weight_scale"),
                          *zeros = part(f, "weight_zero_point"), *groups = part(f, "weight_g_idx");
  if (shape == NULL) return missing(f, "weight_shape", err);
  m->columns = f->codes->shape[1]; /* until it is known: for errors */
  m->rows = f->codes->shape[0];
  ELLM_TRY(take_shape(f, shape, err));
  unsigned bits = 0;
  for (unsigned b = 1; b <= QUANTIZATION_MAX_BITS && bits == 0; b++)
    if (width_known(f->q, b) && divide_up(m->columns * b, WORD_BITS) == f->codes->shape[1]) bits = b;
  if (bits == 0 || !is_words(f->codes)) return wrong(f, f->codes, "num_bits and weight_shape say so", err);
  m->made.what = what[bits];
  ELLM_TRY(take_values(f, f->codes, LAYOUT_ALONG, bits, &m->codes, err));
  return take_row_parts(f, scales, zeros, groups, bits, err);
}

static ellm_status find_bytes(finder *f, ellm_error *err) {
  const checkpoint_tensor *scales = part(f, "weight_scale"), *zeros = part(f, "weight_zero_point"),
                          *groups = part(f, "weight_g_idx");
  f->m->rows = f->codes->shape[0];
  f->m->columns = f->codes->shape[1];
  f->m->made.what = "compressed-tensors, INT8";
  ELLM_TRY(take_values(f, f->codes, LAYOUT_BYTES, 8, &f->m->codes, err));
  return take_row_parts(f, scales, zeros, groups, 8, err);
}

/* ------------------------------------------------------------------ finding */

typedef ellm_status (*find_fn)(finder *f, ellm_error *err);

static bool ends_with(const checkpoint_tensor *t, const char *ending, size_t *stem) {
  const size_t length = strlen(t->name), end = strlen(ending);
  if (length <= end || strcmp(t->name + length - end, ending) != 0) return false;
  *stem = length - end;
  return true;
}

/* Which kind it is, by its name; NULL: none. */
static find_fn kind_of(const quantization *q, const checkpoint_tensor *t, size_t *stem) {
  const bool compressed = q->method == QUANTIZATION_COMPRESSED_TENSORS;
  if (t->dtype == ELLM_U8) return NULL; /* mxfp4.h */
  if (ends_with(t, "qweight", stem)) return q->method == QUANTIZATION_AWQ ? find_awq : find_gptq;
  if (ends_with(t, "weight_packed", stem)) return find_packed_rows;
  return compressed && t->dtype == ELLM_I8 && ends_with(t, "weight", stem) ? find_bytes : NULL;
}

static ellm_status check(const finder *f, find_fn kind, ellm_error *err) {
  const char *folder = checkpoint_path(f->ckpt);
  const bool fits = kind == find_gptq  ? f->q->method == QUANTIZATION_GPTQ
                    : kind == find_awq ? true
                                       : f->q->method == QUANTIZATION_COMPRESSED_TENSORS;
  if (f->q->unsupported[0] != '\0' || !fits)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s is quantized: %s", folder, f->codes->name,
                     f->q->unsupported[0] != '\0' ? f->q->unsupported : "not by the method that config.json names");
  if (f->codes->n_dims != 2 || f->codes->n_elements == 0 || f->codes->shape[0] > UINT32_MAX ||
      f->codes->shape[1] > UINT32_MAX)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s has %d dimensions or no elements, a matrix is expected",
                     folder,
                     f->codes->name, f->codes->n_dims);
  return ELLM_OK;
}

/* What comes out: NAME.weight, F32. */
static ellm_status finish(const finder *f, ellm_error *err) {
  packed_matrix *m = f->m;
  m->made.name = malloc(f->stem + sizeof "weight");
  if (m->made.name == NULL) return ellm_fail_memory(err, f->stem, "the name of a matrix");
  memcpy(m->made.name, f->codes->name, f->stem);
  memcpy(m->made.name + f->stem, "weight", sizeof "weight");
  f->found->n_dims = 2;
  f->found->shape[0] = m->rows;
  f->found->shape[1] = m->columns;
  f->found->made = &m->made;
  return ELLM_OK;
}

ellm_status packed_find(checkpoint *ckpt, const quantization *q, const checkpoint_tensor *tensor, packed_found *found,
                        ellm_error *err) {
  *found = (packed_found){0};
  finder f = {.ckpt = ckpt, .q = q, .codes = tensor, .found = found};
  const find_fn kind = kind_of(q, tensor, &f.stem);
  if (kind == NULL) return ELLM_OK;
  ELLM_TRY(check(&f, kind, err));
  f.m = calloc(1, sizeof *f.m);
  if (f.m == NULL) return ellm_fail_memory(err, sizeof *f.m, "a matrix");
  f.m->made = (made_tensor){.read = read_elements, .free = free_matrix};
  ellm_status status = kind(&f, err);
  if (status == ELLM_OK) status = finish(&f, err);
  if (status != ELLM_OK) made_tensor_free(&f.m->made);
  return status;
}
