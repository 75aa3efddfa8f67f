/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/team.h"

#include <string.h>

#include "program/failure.h"

static const cli_team *together; /* NULL: alone */

void cli_team_set(const cli_team *team) { together = team; }

const ellm_team *cli_team_of_model(void) { return together != NULL ? &together->team : NULL; }

bool cli_team_writes(void) { return together == NULL || together->team.rank == 0; }

void cli_team_broadcast(void *data, size_t bytes) {
  if (together != NULL) together->broadcast(data, bytes);
}

cli_team_costs cli_team_so_far(void) { return together != NULL ? together->costs() : (cli_team_costs){0}; }

ellm_status cli_team_check_model(const char *path, ellm_error *err) {
  char own[33] = "", first[33], of_source[33];
  ellm_file *file;
  if (together == NULL) return ELLM_OK;
  /* a folder or a GGUF file has no identity that is known without reading all of it */
  if (ellm_file_open(path, &file, NULL) == ELLM_OK) {
    ellm_file_identity(file, of_source, own);
    ellm_file_close(file);
  }
  memcpy(first, own, sizeof first);
  cli_team_broadcast(first, sizeof first);
  if (memcmp(first, own, sizeof first) == 0) return ELLM_OK;
  return prog_failure(err, ELLM_ERR_INPUT, "%s: rank %u has another model: identity %s, rank 0 has %s", path,
                      (unsigned)together->team.rank, own, first);
}
