/* SPDX-License-Identifier: Apache-2.0 */
/* See mxfp4.h. */
#include "source/mxfp4.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

enum { BLOCK = 32, BLOCK_BYTES = 16, NO_NUMBER = 255 };

static const float values[16] = {0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                                 -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};

typedef struct mxfp4_tensor {
  made_tensor made;
  const uint8_t *blocks, *scales;
  uint64_t rows, columns; /* as stored: blocks lie along columns */
  bool transposed;        /* comes out by columns, for each of the experts */
  const char *origin, *scale_name;
} mxfp4_tensor;

static ellm_status read_elements(const made_tensor *made, uint64_t first, void *out, size_t n, ellm_error *err) {
  const mxfp4_tensor *m = (const mxfp4_tensor *)made;
  for (size_t i = 0; i < n; i++) {
    uint64_t at = first + i; /* of the element as it is stored */
    if (m->transposed) {
      const uint64_t each = m->rows * m->columns, expert = at / each, place = at % each;
      at = expert * each + place % m->rows * m->columns + place / m->rows;
    }
    const uint8_t scale = m->scales[at / BLOCK], pair = m->blocks[at / 2];
    if (scale == NO_NUMBER)
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: element %llu is 255, which is not a number", m->origin,
                       m->scale_name, (unsigned long long)(at / BLOCK));
    store_u32((uint8_t *)out + 4 * i, float_bits(ldexpf(values[at % 2 == 0 ? pair & 15 : pair >> 4], scale - 127)));
  }
  return ELLM_OK;
}

static void free_tensor(made_tensor *made) { free(made); }

static bool ends_with(const char *name, const char *ending, size_t *stem) {
  const size_t length = strlen(name), end = strlen(ending);
  if (length <= end || strcmp(name + length - end, ending) != 0) return false;
  *stem = length - end;
  return true;
}

/* Do scales have the shape of the blocks without what is in a block? */
static bool shapes_fit(const checkpoint_tensor *blocks, const checkpoint_tensor *scales, bool experts) {
  if (scales->dtype != ELLM_U8 || blocks->n_elements == 0) return false;
  if (!experts)
    return blocks->n_dims == 2 && scales->n_dims == 2 && scales->shape[0] == blocks->shape[0] &&
           blocks->shape[1] % BLOCK_BYTES == 0 && scales->shape[1] == blocks->shape[1] / BLOCK_BYTES;
  if (blocks->n_dims != 4 || blocks->shape[3] != BLOCK_BYTES || scales->n_dims != 3) return false;
  for (int i = 0; i < 3; i++)
    if (scales->shape[i] != blocks->shape[i]) return false;
  return true;
}

static ellm_status make(checkpoint *ckpt, const checkpoint_tensor *blocks, const checkpoint_tensor *scales,
                        size_t stem, bool experts, packed_found *found, ellm_error *err) {
  static const char ending[] = "weight";
  mxfp4_tensor *m = calloc(1, sizeof *m);
  char *name = calloc(1, stem + sizeof ending);
  if (m == NULL || name == NULL) {
    free(m);
    free(name);
    return ellm_fail_memory(err, sizeof *m + stem, "a tensor");
  }
  memcpy(name, blocks->name, stem);
  if (!experts) memcpy(name + stem, ending, sizeof ending);
  const int row = experts ? 1 : 0;
  *m = (mxfp4_tensor){.made = {.read = read_elements, .free = free_tensor, .name = name, .what = "MXFP4"},
                      .rows = blocks->shape[row],
                      .columns = scales->shape[row + 1] * BLOCK,
                      .transposed = experts,
                      .origin = checkpoint_shard_path(ckpt, scales->shard),
                      .scale_name = scales->name};
  ellm_status status = checkpoint_map(ckpt, blocks, &m->blocks, err);
  if (status == ELLM_OK) status = checkpoint_map(ckpt, scales, &m->scales, err);
  if (status != ELLM_OK) {
    made_tensor_free(&m->made);
    return status;
  }
  found->n_dims = experts ? 3 : 2;
  found->shape[0] = blocks->shape[0];
  found->shape[1] = m->columns;
  if (experts) found->shape[2] = m->rows;
  found->parts[found->n_parts++] = scales;
  found->made = &m->made;
  return ELLM_OK;
}

ellm_status mxfp4_find(checkpoint *ckpt, const quantization *q, const checkpoint_tensor *tensor, packed_found *found,
                       ellm_error *err) {
  size_t stem;
  char name[1100];
  *found = (packed_found){0};
  if (tensor->dtype != ELLM_U8) return ELLM_OK;
  const bool experts = q->method == QUANTIZATION_MXFP4 && ends_with(tensor->name, "_blocks", &stem);
  if (!experts && !ends_with(tensor->name, "weight_packed", &stem)) return ELLM_OK;
  if (q->unsupported[0] != '\0' || (!experts && q->method != QUANTIZATION_COMPRESSED_TENSORS))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s is quantized: %s", checkpoint_path(ckpt), tensor->name,
                     q->unsupported[0] != '\0' ? q->unsupported : "not by the method that config.json names");
  const char *ending = experts ? "_scales" : "weight_scale";
  const int length = snprintf(name, sizeof name, "%.*s%s", (int)stem, tensor->name, ending);
  const char *origin = checkpoint_shard_path(ckpt, tensor->shard);
  const checkpoint_tensor *scales =
      length > 0 && (size_t)length < sizeof name ? checkpoint_find(ckpt, name) : NULL;
  if (scales == NULL)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: its %.900s is missing", origin, tensor->name, name);
  if (!shapes_fit(tensor, scales, experts))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: blocks and %.900s do not fit: U8, 16 bytes and one scale a "
                     "block of 32 are expected", origin, tensor->name, name);
  return make(ckpt, tensor, scales, stem, experts, found, err);
}
