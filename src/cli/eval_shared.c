/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/eval_shared.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/input.h"

void cli_eval_options(cli_eval *e, ellm_eval_options *options) {
  cli_progress_init(&e->progress);
  ellm_eval_options_init(options);
  options->state = e->state;
  options->limit = (size_t)e->limit;
  options->progress = cli_progress_update;
  options->progress_user = &e->progress;
}

ellm_status cli_eval_begin(cli_eval *e, ellm_eval_options *options, ellm_error *err) {
  e->start = cli_seconds();
  cli_eval_options(e, options);
  return cli_open_model(&e->common, &e->model, &e->path, err);
}

static void close_all(cli_eval *e) {
  cli_progress_end(&e->progress);
  ellm_model_close(e->model);
  free(e->path);
  e->model = NULL;
  e->path = NULL;
}

int cli_eval_fail(cli_eval *e, const ellm_error *err) {
  cli_progress_end(&e->progress);
  const int code = cli_fail(err);
  if (err->status == ELLM_INTERRUPTED && e->state) cli_note("the same command continues from %s", e->state);
  close_all(e);
  return code;
}

int cli_eval_end(cli_eval *e, size_t n_resumed, size_t n, void (*print)(const void *request, const void *result),
                 json_t *(*to_json)(const void *request, const void *result), const void *request, const void *result) {
  int code = ELLM_OK;
  cli_progress_end(&e->progress);
  if (n_resumed) cli_note("%zu of %zu came from %s", n_resumed, n, e->state);
  if (e->common.json) {
    json_t *object = to_json(request, result);
    cli_json_set(&object, "model", cli_json_text(e->path, strlen(e->path)));
    cli_json_set(&object, "activations", json_string(cli_activations_text(e->model)));
    cli_json_set(&object, "kv_cache", json_string(cli_cache_text(e->model)));
    cli_json_set(&object, "seconds", cli_json_real(cli_seconds() - e->start));
    code = cli_print_json(object);
  } else print(request, result);
  close_all(e);
  return code;
}

ellm_status cli_eval_read(const char *path, char **text, size_t *bytes, ellm_error *err) {
  cli_text read;
  PROG_TRY(cli_text_read(path, &read, err));
  *text = read.data;
  *bytes = read.bytes;
  if (!prog_valid_utf8(*text, *bytes)) cli_note("%s is not valid UTF-8: invalid parts becomes U+FFFD", path);
  return ELLM_OK;
}

void cli_json_figure(json_t *object, const char *name, ellm_figure f) {
  char key[64];
  json_object_set_new(object, name, cli_json_real(f.value));
  snprintf(key, sizeof key, "%s_stderr", name);
  json_object_set_new(object, key, cli_json_real(f.error));
  snprintf(key, sizeof key, "%s_interval", name);
  json_object_set_new(object, key, json_pack("[o, o]", cli_json_real(f.low), cli_json_real(f.high)));
}

void cli_print_figure(const char *label, ellm_figure f, double scale, int digits, const char *unit) {
  printf("%-24s %.*f%s", label, digits, f.value * scale, unit);
  if (isfinite(f.error))
    printf(" +- %.*f  (95 %%: %.*f .. %.*f)", digits, f.error * scale, digits, f.low * scale, digits, f.high * scale);
  printf("\n");
}

const char *cli_cache_text(const ellm_model *model) {
  ellm_model_info info;
  ellm_model_get_info(model, &info);
  return option_choice_name(cli_cache_types, (int)info.cache_type);
}

const char *cli_activations_text(const ellm_model *model) {
  ellm_model_info info;
  ellm_model_get_info(model, &info);
  return option_choice_name(cli_activations, (int)info.activations);
}
