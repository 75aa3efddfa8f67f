/* SPDX-License-Identifier: Apache-2.0 */
/* The architectures of GGUF files: what their keys and tensors are called, and how tensors differ from a checkpoint's. */
#ifndef ELLM_SOURCE_GGUF_ARCH_H
#define ELLM_SOURCE_GGUF_ARCH_H

#include "gguf/gguf.h"

typedef struct gguf_part { const char *gguf, *checkpoint; } gguf_part;

typedef struct gguf_arch {
  const char *name;              /* general.architecture */
  const char *class_name, *model_type; /* of the checkpoint that is made of it */
  bool experts;                  /* llama has two classes: this is that of files with experts */
  bool pairs;                    /* of a head of q and k, row (half, pair) of a checkpoint is row (pair, half) */
  bool norms_from_one;           /* norms are 1 + a checkpoint's weight */
  const char *const *keys;       /* behind "NAME.", beside the usual ones; NULL at the end */
  const gguf_part *parts;        /* of a layer: "blk.N.GGUF.weight" is "model.layers.N.CHECKPOINT.weight" */
  /* Of a tensor [expert][rows][columns]: each expert's matrix is "model.layers.N.EXPERTS.E.CHECKPOINT.weight". */
  const char *experts_part;      /* NULL: no such tensors */
  const gguf_part *merged;
} gguf_arch;

/* The architecture that general.architecture names. ELLM_ERR_INPUT, with those that are read, where it is another. */
ellm_status gguf_arch_find(const gguf_metadata *metadata, const gguf_arch **out, ellm_error *err);

/* Each key "NAME..." must be known to the architecture: a key that is not may stand for anything. */
ellm_status gguf_arch_check_keys(const gguf_metadata *metadata, const gguf_arch *arch, ellm_error *err);

/* A list of factors that stands for keys, no tensor of the checkpoint. */
bool gguf_is_rope_factors(const char *tensor);

#endif
