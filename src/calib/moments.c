/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens are packed 256 at a time; then every block of the triangle takes their products. */
#include "calib/moments.h"

#include <math.h>
#include <string.h>

enum { DEPTH = MOMENTS_DEPTH };

ellm_status moments_create(size_t columns, moments *out, ellm_error *err) {
  memset(out, 0, sizeof *out);
  ELLM_TRY(square_matrix_create(columns, &out->sum, err));
  return panels_create(columns, DEPTH, &out->panel, err);
}

void moments_free(moments *m) {
  square_matrix_free(&m->sum);
  panels_free(&m->panel);
}

typedef struct pack_job {
  moments *m;
  const float *x;
  size_t n_tokens, stride;
} pack_job;

static void pack_task(void *user, size_t group, int thread) {
  const pack_job *job = user;
  const size_t first = group * PANEL_GROUP, rest = job->m->sum.n - first;
  (void)thread;
  panels_pack(&job->m->panel, group, job->x + first, job->n_tokens, job->stride, rest < PANEL_GROUP ? rest : PANEL_GROUP,
              1.0f);
}

void moments_add(moments *m, thread_pool *pool, const float *x, size_t n_tokens, size_t stride) {
  for (size_t done = 0; done < n_tokens; done += DEPTH) {
    const size_t n = n_tokens - done < DEPTH ? n_tokens - done : DEPTH;
    pack_job job = {m, x + done * stride, n, stride};
    pool_for(pool, m->panel.groups, pack_task, &job);
    panels_add_products(pool, &m->panel, n, 0, &m->sum);
  }
  m->tokens += n_tokens;
}

void moments_add_squares(const float *x, size_t n_tokens, size_t stride, size_t columns, double *sum) {
  for (size_t token = 0; token < n_tokens; token++, x += stride)
    for (size_t column = 0; column < columns; column++) sum[column] += (double)x[column] * (double)x[column];
}

ellm_status moments_check(const moments *m, const char *what, ellm_error *err) {
  /* |H_ij| <= sqrt(H_ii H_jj): where the diagonal is finite, everything is */
  for (size_t column = 0; column < m->sum.n; column++) {
    if (!isfinite(m->sum.at[column * m->sum.stride + column]))
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: moments of column %zu are not finite", what, column);
  }
  return ELLM_OK;
}
