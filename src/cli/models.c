/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding and opening models. The embedded model is looked up relative to the
 * running program, never through a path fixed when it was built: beside the
 * build folder in the source tree, then in the share folder of an installation.
 */
#include "cli/models.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/files.h"
#include "cli/messages.h"
#include "cli/progress.h"

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

ellm_status cli_model_path(const cli_common *common, char **path, ellm_error *err) {
  *path = NULL;
  if (common->model) {
    *path = malloc(strlen(common->model) + 1);
    if (!*path) return cli_failure_memory(err, strlen(common->model) + 1, "the path of the model");
    strcpy(*path, common->model);
    return ELLM_OK;
  }
  *path = cli_embedded_model();
  if (!*path) return cli_failure(err, ELLM_ERR_USAGE, "the embedded model is not installed: name a model with -m");
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
  cli_progress progress;
  cli_progress_init(&progress);
  options.progress = cli_progress_update;
  options.progress_user = &progress;
  *model = NULL;
  CLI_TRY(cli_model_path(common, path, err));
  ellm_status status = ellm_model_open(*path, &options, model, err);
  cli_progress_end(&progress);
  if (status != ELLM_OK) {
    free(*path);
    *path = NULL;
  }
  return status;
}

ellm_status cli_open_tokenizer(const cli_common *common, ellm_tokenizer **tokenizer, ellm_error *err) {
  char *path;
  *tokenizer = NULL;
  CLI_TRY(cli_model_path(common, &path, err));
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
