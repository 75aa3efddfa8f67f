/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a member of a team computes of each operation, and how the rest comes in. Of a layer four things are gathered: what
 * attention mixed, by heads; what the network has inside, by its columns; and twice what is added to the stream, by rows of
 * the matrix. Alone, all is one's own and nothing is gathered.
 */
#ifndef ELLM_MODEL_CPU_CPU_TEAM_H
#define ELLM_MODEL_CPU_CPU_TEAM_H

#include "model/cpu/cpu_shared.h"

/* Sets c->heads and what gathering needs. */
ellm_status cpu_team_create(cpu_backend *c, ellm_error *err);
void cpu_team_free(cpu_backend *c);

/* Of n rows, or columns of a result, those that are computed here. */
row_range cpu_own(const cpu_backend *c, uint32_t n);

/* Rows of products that are computed here; NULL, alone: all. `rows` is filled. Of the matrices of queries, keys and values;
 * of gates and ups, each inner rows, of one network or of several; of a matrix whose rows are columns of the result. */
const matrix_rows *cpu_qkv_rows(const cpu_backend *c, matrix_rows *rows);
const matrix_rows *cpu_gate_up_rows(const cpu_backend *c, uint32_t inner, matrix_rows *rows);
const matrix_rows *cpu_plain_rows(const cpu_backend *c, uint32_t n, matrix_rows *rows);

/* Those of others to data[n_rows][stride], which has n items of `width` columns, dealt out in units. */
ellm_status cpu_gather(const cpu_backend *c, float *data, size_t n_rows, size_t stride, uint32_t n, uint32_t unit,
                       uint32_t width, ellm_error *err);
/* `bytes`, a multiple of 4, of the rank that computes KV head `head` of a layer. */
ellm_status cpu_gather_head(const cpu_backend *c, uint32_t head, void *data, size_t bytes, ellm_error *err);

#endif
