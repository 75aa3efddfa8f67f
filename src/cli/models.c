/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding and opening models. The embedded model is looked up relative to the
 * running program, never through a path fixed when it was built: beside the
 * build folder in the source tree, then in the share folder of an installation.
 * Models of the hub are found in its cache, or brought there.
 */
#include "cli/models.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/files.h"
#include "cli/hub_access.h"
#include "cli/messages.h"
#include "cli/parts.h"
#include "cli/progress.h"
#include "cli/team.h"
#include "cli/team_model.h"

char *cli_embedded_model(void) {
  static const char *const places[] = {"models/stories-4m", "../models/stories-4m", "../../models/stories-4m",
                                       "../share/entrollm/stories-4m"};
  char program[4096];
  ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
  if (length <= 0) return NULL;
  program[length] = '\0';
  char *slash = strrchr(program, '/');
  if (!slash) return NULL;
  *slash = '\0';
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    char *path = cli_path_join(program, places[i]);
    char *config = path ? cli_path_join(path, "config.json") : NULL;
    bool found = config && cli_file_exists(config);
    free(config);
    if (found) {
      char *plain = realpath(path, NULL); /* without the dots, for messages */
      if (!plain) return path;
      free(path);
      return plain;
    }
    free(path);
  }
  return NULL;
}

/* Where a model of the hub is, malloc'ed. The cache is asked first: without the network what is there is enough. */
static ellm_status find_in_hub(cli_hub *hub, const hub_name *name, char **path, ellm_error *err) {
  hub_result result;
  ellm_status status = hub_find(&hub->options, name, NULL, 0, true, &result, err);
  if (status != ELLM_OK && status != ELLM_INTERRUPTED && !hub->options.offline) {
    hub_result_free(&result);
    status = hub_pull(&hub->options, name, NULL, 0, true, &result, err);
  }
  if (status == ELLM_OK) {
    *path = result.path;
    result.path = NULL;
  } else if (result.several) {
    cli_progress_end(&hub->progress);
    cli_print_candidates(&result, "-m hf:OWNER/NAME:FILE");
  }
  hub_result_free(&result);
  return status;
}

static ellm_status find_by_name(const char *name, char **path, ellm_error *err) {
  hub_name parsed;
  cli_hub hub;
  PROG_TRY(hub_parse_name(name, &parsed, err));
  ellm_status status = cli_hub_init(&hub, err);
  if (status == ELLM_OK) status = find_in_hub(&hub, &parsed, path, err);
  cli_progress_end(&hub.progress);
  cli_hub_free(&hub);
  return status;
}

ellm_status cli_find_model(const char **name, ellm_error *err) {
  static struct kept { char *path; struct kept *next; } *all; /* what was found, for as long as the program runs */
  if (*name == NULL) return ELLM_OK;
  struct kept *found = calloc(1, sizeof *found);
  if (found == NULL) return prog_failure_memory(err, sizeof *found, "the path of the model");
  const ellm_status status = strncmp(*name, "hf:", 3) == 0 ? find_by_name(*name + 3, &found->path, err)
                                                           : cli_find_part(*name, &found->path, err);
  found->next = all;
  all = found;
  if (status == ELLM_OK && found->path != NULL) *name = found->path;
  return status;
}

ellm_status cli_model_path(const cli_common *common, char **path, ellm_error *err) {
  const char *model = common->model;
  *path = NULL;
  PROG_TRY(cli_find_model(&model, err));
  if (model != NULL) {
    *path = strdup(model);
    return *path != NULL ? ELLM_OK : prog_failure_memory(err, strlen(model) + 1, "the path of the model");
  }
  *path = cli_embedded_model();
  if (!*path) return prog_failure(err, ELLM_ERR_USAGE, "the embedded model is not installed: name a model with -m");
  return ELLM_OK;
}

ellm_status cli_open_model(const cli_common *common, ellm_model **model, char **path, ellm_error *err) {
  ellm_model_options options;
  ellm_model_options_init(&options);
  options.notes = cli_notes;
  options.threads = common->threads;
  options.activations = (ellm_activations)common->activations;
  options.cache_type = (ellm_cache_type)common->cache_type;
  options.check_all = common->check_all;
  options.lock_memory = common->lock_memory;
  options.load = common->load;
  options.expand = common->expand;
  options.team = cli_team_of_model();
  cli_progress progress;
  cli_progress_init(&progress);
  options.progress = cli_progress_update;
  options.progress_user = &progress;
  *model = NULL;
  PROG_TRY(cli_model_path(common, path, err));
  ellm_status status = ellm_model_open(*path, &options, model, err);
  if (status == ELLM_OK) status = cli_team_check_model(*model, *path, err);
  cli_progress_end(&progress);
  if (status != ELLM_OK) {
    ellm_model_close(*model);
    *model = NULL;
    free(*path);
    *path = NULL;
  }
  return status;
}

ellm_status cli_open_tokenizer(const cli_common *common, ellm_tokenizer **tokenizer, ellm_error *err) {
  char *path;
  *tokenizer = NULL;
  PROG_TRY(cli_model_path(common, &path, err));
  const ellm_status status = ellm_tokenizer_open(path, tokenizer, err);
  free(path);
  return status;
}

uint64_t cli_model_bytes(const char *path) {
  struct stat facts;
  if (stat(path, &facts) != 0) return 0;
  if (!S_ISDIR(facts.st_mode)) return (uint64_t)facts.st_size;
  uint64_t total = 0;
  ellm_source *source;
  ellm_tensor_info info;
  if (ellm_source_open(path, &source, NULL) != ELLM_OK) return 0;
  for (size_t i = 0; ellm_source_tensor(source, i, &info); i++) total += info.stored_bytes;
  ellm_source_close(source);
  return total;
}
