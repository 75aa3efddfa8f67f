/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands `entrollm eval NAME` share: options, an open model, progress, figures. */
#ifndef ELLM_CLI_EVAL_SHARED_H
#define ELLM_CLI_EVAL_SHARED_H

#include "cli/cli.h"

typedef struct cli_eval {
  /* options */
  cli_common common;
  const char *state;
  int limit;
  /* between begin and end */
  ellm_model *model;
  char *path;
  cli_progress progress;
  double start;
} cli_eval;

/* The rows that every evaluation has; `unit` is what --limit counts. */
#define CLI_OPTIONS_EVAL(e, unit) \
  OPT_INT("limit", 0, &(e).limit, 1, 1 << 30, "N", "the first N " unit " only (default: all)"), \
      OPT_TEXT("state", 0, &(e).state, "FILE", \
               "keep finished work in FILE and continue from it; it belongs to one\nmodel, text and set of options"), \
      CLI_OPTION_THREADS((e).common), CLI_OPTION_ACTIVATIONS((e).common), \
      CLI_OPTION_KV_CACHE((e).common), CLI_OPTION_JSON((e).common), CLI_OPTION_QUIET((e).common)

/* The options of the library, with a progress bar. */
void cli_eval_options(cli_eval *e, ellm_eval_options *options);
/* Open the model; *options are those of the library with a progress bar. */
ellm_status cli_eval_begin(cli_eval *e, ellm_eval_options *options, ellm_error *err);
/* Close everything and say the error. Returns the exit status. */
int cli_eval_fail(cli_eval *e, const ellm_error *err);
/* Show a result, n_resumed of whose n items came from the state file, and close everything: by print, or with --json by
 * to_json, which makes an object that model, activations, kv_cache and seconds are added to. Both are given request and
 * result. Returns the exit status. */
int cli_eval_end(cli_eval *e, size_t n_resumed, size_t n, void (*print)(const void *request, const void *result),
                 json_t *(*to_json)(const void *request, const void *result), const void *request, const void *result);

/* A text file for an evaluation, malloc'ed; a note if it is not valid UTF-8. */
ellm_status cli_eval_read(const char *path, char **text, size_t *bytes, ellm_error *err);

/* "NAME", "NAME_stderr" and "NAME_interval": [low, high] of an object. */
void cli_json_figure(json_t *object, const char *name, ellm_figure figure);
/* "label  value +- error  (95 %: low .. high)", values times `scale`, then `unit`. */
void cli_print_figure(const char *label, ellm_figure figure, double scale, int digits, const char *unit);
const char *cli_activations_text(const ellm_model *model);
const char *cli_cache_text(const ellm_model *model); /* the type of its KV cache */

#endif
