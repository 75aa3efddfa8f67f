/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/team.h"

static const cli_team *together; /* NULL: alone */

void cli_team_set(const cli_team *team) { together = team; }

const ellm_team *cli_team_of_model(void) { return together != NULL ? &together->team : NULL; }

const ellm_compress_team *cli_team_of_compress(void) { return together != NULL ? &together->compressing : NULL; }

bool cli_team_writes(void) { return together == NULL || together->team.rank == 0; }

void cli_team_broadcast(void *data, size_t bytes) {
  if (together != NULL) together->broadcast(data, bytes);
}

cli_team_costs cli_team_so_far(void) { return together != NULL ? together->costs() : (cli_team_costs){0}; }
