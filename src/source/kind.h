/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a kind of source has to do. Its opening function fills path, tensors and its own part of the struct; source.c
 * sorts the names. Functions are called with tensors of the same source and, where elements are asked for, with tensors
 * that are not coded; source.c has checked ranges.
 */
#ifndef ELLM_SOURCE_KIND_H
#define ELLM_SOURCE_KIND_H

#include <jansson.h>
#include <pthread.h>

#include "base/memory.h"
#include "source/tensor.h"

typedef struct source_kind {
  const char *format; /* as descriptions call it; static */
  void (*close)(tensor_source *s); /* its own part only; after a failed opening, too */
  ellm_file *(*file)(const tensor_source *s); /* source_file; NULL: there is none */
  const char *(*origin)(const tensor_source *s, const source_tensor *tensor);
  ellm_status (*read)(const tensor_source *s, const source_tensor *tensor, uint64_t offset, void *out, size_t bytes,
                      ellm_error *err);
  ellm_status (*map)(tensor_source *s, const source_tensor *tensor, const uint8_t **data, ellm_error *err);
  size_t (*asset_count)(const tensor_source *s);
  const char *(*asset_name)(const tensor_source *s, size_t index);
  const void *(*asset)(const tensor_source *s, const char *name, size_t *bytes);
  const char *(*metadata)(const tensor_source *s);
  /* source_left_out; may be NULL: none. */
  size_t (*left_out)(const tensor_source *s, uint64_t *bytes, char text[280]);
  const char *(*quantized)(const tensor_source *s); /* may be NULL: not */
  bool (*reads_file)(const tensor_source *s, const char *path);
  bool (*state)(const tensor_source *s, ellm_buffer *out);
  ellm_status (*unchanged)(const tensor_source *s, ellm_error *err); /* NULL: what is read is checked, or cannot change */
  /* What identifies it, where that is known without reading all tensors (identity.h). */
  void (*identity)(const tensor_source *s, char text[33]);
  /* Where tensors have checksums (source.h); NULL: they have none. */
  uint64_t (*parts)(const tensor_source *s, const source_tensor *tensor);
  ellm_status (*check_part)(const tensor_source *s, const source_tensor *tensor, uint64_t part, ellm_error *err);
  /* NULL: nothing is pinned. */
  ellm_status (*lock)(const tensor_source *s, ellm_progress_fn progress, void *user, ellm_error *err);
  /* What a description says beside the configuration: "types", "tokenizer", its version. May be NULL; false: no
   * memory. */
  bool (*describe)(const tensor_source *s, json_t *out);
} source_kind;

/* A tensor whose elements are in no file as they are, but are computed when they are read: of types that only the
 * source knows. A struct of its kind begins with this one. */
typedef struct made_tensor made_tensor;
struct made_tensor {
  char *name;       /* of the tensor, malloc'ed; NULL: that of the stored one. source.c frees it */
  const char *what; /* its elements were before: "FP8", "GPTQ, 4 bits"; static */
  /* Elements [first, first + n) into out[n * element size]; safe from several threads. */
  ellm_status (*read)(const made_tensor *made, uint64_t first, void *out, size_t n, ellm_error *err);
  void (*free)(made_tensor *made);
};

/* With its name; NULL is fine. */
void made_tensor_free(made_tensor *made);

struct tensor_source {
  const source_kind *kind;
  char *path;
  source_tensor *tensors;         /* [n_tensors], made by source_make_tensors */
  size_t n_tensors;
  const source_tensor **by_name;  /* the same, sorted */
  made_tensor **made;             /* [n_tensors], owned; NULL: elements lie as they are */
  uint8_t **made_data;            /* [n_tensors], owned: all elements of those, once somebody wants them mapped */
  void *own;                      /* the kind's */
  pthread_mutex_t lock;           /* of what is found out late: */
  char identity[33];              /* "" until somebody asks */
};

/* Room for n tensors, all zero; `n_tensors` may be made less afterwards. */
ellm_status source_make_tensors(tensor_source *s, size_t n, ellm_error *err);

/* Which of its tensors it is. */
static inline size_t source_number(const tensor_source *s, const source_tensor *tensor) {
  return (size_t)(tensor - s->tensors);
}

#endif
