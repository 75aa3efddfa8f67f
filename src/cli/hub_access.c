/* SPDX-License-Identifier: Apache-2.0 */
/* See hub_access.h. Variables and their order are those of huggingface_hub, so that both programs use one cache. */
#include "cli/hub_access.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/describe.h"
#include "cli/files.h"
#include "cli/messages.h"
#include "cli/signals.h"

enum { MAX_TOKEN_FILE = 4096 };

/* The value of the first of these that is set and not empty. */
static const char *variable(const char *const *names) {
  for (; *names != NULL; names++) {
    const char *value = getenv(*names);
    if (value != NULL && value[0] != '\0') return value;
  }
  return NULL;
}

static bool is_true(const char *value) {
  static const char *const words[] = {"1", "on", "yes", "true"};
  for (size_t i = 0; value != NULL && i < sizeof words / sizeof *words; i++)
    if (strcasecmp(value, words[i]) == 0) return true;
  return false;
}

/* A path of the environment, "~/" at its beginning replaced; malloc'ed. */
static char *expanded(const char *path) {
  const char *home = getenv("HOME");
  return path[0] == '~' && path[1] == '/' && home != NULL ? cli_path_join(home, path + 2) : strdup(path);
}

/* HF_HOME, malloc'ed; NULL: no memory, or no home. */
static char *home_of_hub(void) {
  static const char *const named[] = {"HF_HOME", NULL}, *const caches[] = {"XDG_CACHE_HOME", NULL};
  const char *home = variable(named), *caches_at = variable(caches);
  if (home != NULL) return expanded(home);
  char *below = caches_at != NULL ? expanded(caches_at) : expanded("~/.cache");
  char *path = below != NULL && below[0] != '~' ? cli_path_join(below, "huggingface") : NULL;
  free(below);
  return path;
}

/* The token without white space around it, malloc'ed; NULL: there is none. */
static char *find_token(const char *home) {
  static const char *const named[] = {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", NULL},
                    *const places[] = {"HF_TOKEN_PATH", NULL};
  static const char blank[] = " \t\r\n";
  const char *value = variable(named), *place = variable(places);
  char *token = NULL;
  if (value != NULL) token = strdup(value);
  else {
    char *path = place != NULL ? expanded(place) : cli_path_join(home, "token");
    size_t bytes;
    if (path == NULL || cli_read_file(path, MAX_TOKEN_FILE, &token, &bytes, NULL) != ELLM_OK) token = NULL;
    free(path);
  }
  if (token == NULL) return NULL;
  const size_t from = strspn(token, blank);
  size_t to = strlen(token);
  while (to > from && strchr(blank, token[to - 1]) != NULL) to--;
  memmove(token, token + from, to - from);
  token[to - from] = '\0';
  if (to > from) return token;
  free(token);
  return NULL;
}

/* A note takes the place of the bar, which is drawn again below it. */
static void take_note(void *user, const char *line) {
  cli_progress_end(user);
  cli_note("%s", line);
}

ellm_status cli_hub_init(cli_hub *hub, ellm_error *err) {
  static const char *const caches[] = {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", NULL},
                    *const ends[] = {"HF_ENDPOINT", NULL},
                    *const offline[] = {"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", NULL},
                    *const trust[] = {"CURL_CA_BUNDLE", "SSL_CERT_FILE", NULL},
                    *const times[] = {"HF_HUB_DOWNLOAD_TIMEOUT", NULL};
  *hub = (cli_hub){0};
  hub_options_init(&hub->options);
  char *home = home_of_hub();
  if (home == NULL)
    return prog_failure(err, ELLM_ERR_USAGE, "there is no home folder for the cache of models: set HF_HOME");
  const char *cache = variable(caches), *seconds = variable(times);
  hub->cache = cache != NULL ? expanded(cache) : cli_path_join(home, "hub");
  hub->token = find_token(home);
  free(home);
  if (hub->cache == NULL) return prog_failure_memory(err, 1, "a path");
  hub->options.cache = hub->cache;
  hub->options.token = hub->token;
  hub->options.endpoint = variable(ends);
  hub->options.ca_file = variable(trust);
  hub->options.offline = is_true(variable(offline));
  cli_progress_init(&hub->progress);
  hub->options.progress = cli_progress_update;
  hub->options.progress_user = &hub->progress;
  hub->options.goes_on = cli_goes_on;
  hub->options.notes = (ellm_notes){.take = take_note, .user = &hub->progress};
  if (seconds == NULL) return ELLM_OK;
  char *end;
  const long timeout = strtol(seconds, &end, 10);
  if (*end != '\0' || timeout < 1 || timeout > 86400)
    return prog_failure(err, ELLM_ERR_USAGE, "HF_HUB_DOWNLOAD_TIMEOUT is '%s', not a number of seconds", seconds);
  hub->options.timeout = (int)timeout;
  return ELLM_OK;
}

void cli_print_candidates(const hub_result *result, const char *by) {
  char size[24];
  fprintf(stderr, "its models, to choose from by %s:\n", by);
  for (size_t i = 0; i < result->files.n; i++) {
    const hub_file *file = &result->files.files[i];
    if (file->candidate)
      fprintf(stderr, "  %10s  %s\n", file->model_bytes > 0 ? cli_size_text(file->model_bytes, size) : "", file->path);
  }
}

void cli_hub_free(cli_hub *hub) {
  free(hub->cache);
  free(hub->token);
  *hub = (cli_hub){0};
}
