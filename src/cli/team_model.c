/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/team_model.h"

#include <stdio.h>
#include <string.h>

#include "cli/describe.h"
#include "cli/kind.h"
#include "cli/messages.h"
#include "cli/shares.h"
#include "cli/team.h"

static ellm_status check_shares(const ellm_team *together, const ellm_model *model, const char *path, ellm_error *err) {
  const uint32_t n = together->n_ranks, *shares = ellm_model_shares(model);
  uint32_t own[ELLM_TEAM_MOST], first[ELLM_TEAM_MOST];
  char text[2][96];
  for (uint32_t i = 0; i < n; i++) first[i] = own[i] = shares != NULL ? shares[i] : 1;
  cli_team_broadcast(first, n * sizeof *first);
  if (ellm_same_shares(own, first, n)) return ELLM_OK;
  return prog_failure(err, ELLM_ERR_INPUT, "%s: rank %u computes with shares %s, rank 0 with %s", path,
                      (unsigned)together->rank, cli_shares_text(own, n, text[0]),
                      cli_shares_text(first, n, text[1]));
}

/* What each rank has, and what is in several. */
static ellm_status tell_members(const ellm_team *together, const ellm_model *model, ellm_error *err) {
  enum { POSITIONS = 1024 };
  ellm_model_info info;
  uint32_t kept = 0;
  ellm_model_get_info(model, &info);
  for (uint32_t r = 0; r < together->n_ranks; r++) {
    ellm_team_member m;
    char file[24], cache[24], of_file[48] = "";
    PROG_TRY(ellm_model_member(model, r, POSITIONS, &m, err));
    kept += m.kv_heads;
    if (m.file_bytes > 0) snprintf(of_file, sizeof of_file, "%s of the file, ", cli_size_text(m.file_bytes, file));
    cli_note("rank %u: %s%u of %u heads, %s of KV cache for each %d tokens", (unsigned)r, of_file, (unsigned)m.heads,
             (unsigned)info.n_heads, cli_size_text(m.cache_bytes, cache), POSITIONS);
  }
  if (kept > info.n_kv_heads)
    cli_note("%u heads of keys and values are kept %u times in all: ranks that share one keep it each",
             (unsigned)info.n_kv_heads, (unsigned)kept);
  return ELLM_OK;
}

ellm_status cli_team_check_model(ellm_model *model, const char *path, ellm_error *err) {
  char own[33] = "", first[33];
  bool is_source;
  const ellm_team *together = cli_team_of_model();
  if (together == NULL) return ELLM_OK;
  /* a folder or a GGUF file has no identity that is known without reading all of it */
  PROG_TRY(cli_is_source(path, &is_source, err));
  if (!is_source) PROG_TRY(ellm_model_identity(model, own, NULL, NULL, err));
  memcpy(first, own, sizeof first);
  cli_team_broadcast(first, sizeof first);
  if (memcmp(first, own, sizeof first) == 0) {
    PROG_TRY(check_shares(together, model, path, err));
    return together->rank == 0 ? tell_members(together, model, err) : ELLM_OK;
  }
  return prog_failure(err, ELLM_ERR_INPUT, "%s: rank %u has another model: identity %s, rank 0 has %s", path,
                      (unsigned)together->rank, own, first);
}
