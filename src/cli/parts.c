/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/parts.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/files.h"
#include "cli/team.h"

static bool is_in(const char *folder, const char *name, char **path, ellm_error *err, ellm_status *status) {
  *path = cli_path_join(folder, name);
  if (*path == NULL) {
    *status = prog_failure_memory(err, strlen(folder), "a path");
    return false;
  }
  if (cli_file_exists(*path)) return true;
  free(*path);
  *path = NULL;
  return false;
}

/* The first name of a part in the folder, in the order of their names; "": there is none. */
static void find_any(const char *folder, char name[ELLM_PART_NAME_BYTES]) {
  name[0] = '\0';
  DIR *entries = opendir(folder);
  if (entries == NULL) return;
  for (const struct dirent *entry; (entry = readdir(entries)) != NULL;) {
    unsigned number, n;
    char made[ELLM_PART_NAME_BYTES];
    if (sscanf(entry->d_name, "part-%4u-of-%4u.ellm", &number, &n) != 2) continue;
    ellm_split_part_name(number, n, made);
    if (strcmp(made, entry->d_name) == 0 && (name[0] == '\0' || strcmp(made, name) < 0)) memcpy(name, made, sizeof made);
  }
  closedir(entries);
}

ellm_status cli_find_part(const char *path, char **part, ellm_error *err) {
  const ellm_team *team = cli_team_of_model();
  char own[ELLM_PART_NAME_BYTES] = "", other[ELLM_PART_NAME_BYTES], *config;
  ellm_status status = ELLM_OK;
  *part = NULL;
  if (!cli_is_directory(path)) return ELLM_OK;
  if (team != NULL) {
    ellm_split_part_name(team->rank + 1, team->n_ranks, own);
    if (is_in(path, own, part, err, &status) || status != ELLM_OK) return status;
  }
  const bool checkpoint = is_in(path, "config.json", &config, err, &status);
  free(config);
  if (checkpoint || status != ELLM_OK) return status;
  find_any(path, other);
  if (other[0] == '\0') return ELLM_OK;
  if (team != NULL)
    return prog_failure(err, ELLM_ERR_INPUT, "%s: there is no %s, the part of rank %u of %u, but %s", path, own,
                        (unsigned)team->rank, (unsigned)team->n_ranks, other);
  return prog_failure(err, ELLM_ERR_INPUT, "%s: has parts of a model (%s), and no whole one; entrollm-mpi runs them together",
                      path, other);
}
