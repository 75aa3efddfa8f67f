/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The evaluations as entrollm.h has them: requests and options of callers that may be older than the library, results
 * that the library allocates, so that those can grow, too.
 */
#include <stdlib.h>
#include <string.h>

#include "base/sized.h"
#include "eval/choice.h"
#include "eval/divergence.h"
#include "eval/gsm8k.h"
#include "eval/perplexity.h"
#include "eval/reference.h"
#include "eval/save_reference.h"

void ellm_eval_options_init_sized(ellm_eval_options *given, size_t size) {
  const ellm_eval_options own = {.size = size};
  ellm_sized_init(given, &own, sizeof own);
}

void ellm_perplexity_request_init_sized(ellm_perplexity_request *given, size_t size) {
  const ellm_perplexity_request own = {.size = size, .protocol = ELLM_PERPLEXITY_LLAMA_CPP};
  ellm_sized_init(given, &own, sizeof own);
}

void ellm_divergence_request_init_sized(ellm_divergence_request *given, size_t size) {
  const ellm_divergence_request own = {.size = size};
  ellm_sized_init(given, &own, sizeof own);
}

void ellm_gsm8k_request_init_sized(ellm_gsm8k_request *given, size_t size) {
  const ellm_gsm8k_request own = {.size = size};
  ellm_sized_init(given, &own, sizeof own);
}

/* A request has a text; its name may be missing. */
static ellm_status check_text(const char *text, const char **origin, ellm_error *err) {
  if (*origin == NULL) *origin = "the text";
  return text != NULL ? ELLM_OK : ellm_fail(err, ELLM_ERR_USAGE, "the request names no text");
}

/* Zeroed memory for a result. */
static ellm_status new_result(size_t bytes, void **result, ellm_error *err) {
  *result = calloc(1, bytes);
  return *result != NULL ? ELLM_OK : ellm_fail_memory(err, bytes, "a result");
}

/* --------------------------------------------------------------- perplexity */

ellm_status ellm_eval_perplexity(ellm_model *model, const ellm_perplexity_request *request,
                                 const ellm_eval_options *options, ellm_perplexity_result **result, ellm_error *err) {
  void *made;
  *result = NULL;
  ELLM_SIZED(ellm_perplexity_request, what, request, err);
  ELLM_SIZED(ellm_eval_options, how, options, err);
  ELLM_TRY(check_text(what.text, &what.origin, err));
  if (what.protocol < ELLM_PERPLEXITY_LLAMA_CPP || what.protocol > ELLM_PERPLEXITY_ROLLING)
    return ellm_fail(err, ELLM_ERR_USAGE, "perplexity has no protocol %d", (int)what.protocol);
  ELLM_TRY(new_result(sizeof **result, &made, err));
  const ellm_status status = eval_perplexity(model, &what, &how, made, err);
  if (status == ELLM_OK) *result = made;
  else free(made);
  return status;
}

void ellm_perplexity_result_free(ellm_perplexity_result *result) {
  if (result == NULL) return;
  eval_perplexity_free(result);
  free(result);
}

/* --------------------------------------------------------------- divergence */

/* From a model, or from saved logits. */
static ellm_status compare(ellm_model *model, ellm_model *reference, const char *path,
                           const ellm_divergence_request *request, const ellm_eval_options *options,
                           ellm_divergence_result **result, ellm_error *err) {
  void *made;
  *result = NULL;
  ELLM_SIZED(ellm_divergence_request, what, request, err);
  ELLM_SIZED(ellm_eval_options, how, options, err);
  ELLM_TRY(check_text(what.text, &what.origin, err));
  ELLM_TRY(new_result(sizeof **result, &made, err));
  const ellm_status status = path == NULL ? eval_divergence(model, reference, &what, &how, made, err)
                                          : eval_divergence_saved(model, path, &what, &how, made, err);
  if (status == ELLM_OK) *result = made;
  else free(made);
  return status;
}

ellm_status ellm_eval_divergence(ellm_model *model, ellm_model *reference, const ellm_divergence_request *request,
                                 const ellm_eval_options *options, ellm_divergence_result **result, ellm_error *err) {
  return compare(model, reference, NULL, request, options, result, err);
}

ellm_status ellm_eval_divergence_saved(ellm_model *model, const char *path, const ellm_divergence_request *request,
                                       const ellm_eval_options *options, ellm_divergence_result **result,
                                       ellm_error *err) {
  return compare(model, NULL, path, request, options, result, err);
}

void ellm_divergence_result_free(ellm_divergence_result *result) {
  if (result == NULL) return;
  eval_divergence_free(result);
  free(result);
}

ellm_status ellm_eval_save_reference(ellm_model *reference, const ellm_divergence_request *request, const char *path,
                                     bool overwrite, const ellm_eval_options *options, ellm_error *err) {
  ELLM_SIZED(ellm_divergence_request, what, request, err);
  ELLM_SIZED(ellm_eval_options, how, options, err);
  ELLM_TRY(check_text(what.text, &what.origin, err));
  return eval_save_reference(reference, &what, path, overwrite, &how, err);
}

bool ellm_eval_is_reference(const char *path) { return reference_is_file(path); }

/* ------------------------------------------------------------------- choice */

ellm_status ellm_choice_set_read(const char *text, size_t bytes, const char *origin, ellm_choice_format format,
                                 ellm_choice_set **set, ellm_error *err) {
  void *made;
  *set = NULL;
  ELLM_TRY(check_text(text, &origin, err));
  if (format != ELLM_CHOICE_LINES && format != ELLM_CHOICE_HELLASWAG)
    return ellm_fail(err, ELLM_ERR_USAGE, "there is no format %d of multiple choice", (int)format);
  ELLM_TRY(new_result(sizeof **set, &made, err));
  const ellm_status status = format == ELLM_CHOICE_LINES ? choice_read_lines(text, bytes, origin, made, err)
                                                         : choice_read_hellaswag(text, bytes, origin, made, err);
  if (status == ELLM_OK) *set = made;
  else ellm_choice_set_free(made);
  return status;
}

void ellm_choice_set_free(ellm_choice_set *set) {
  if (set == NULL) return;
  choice_set_free(set);
  free(set);
}

size_t ellm_choice_set_count(const ellm_choice_set *set) { return set->count; }

bool ellm_choice_set_item(const ellm_choice_set *set, size_t index, size_t *n_choices, size_t *label) {
  if (index >= set->count) return false;
  if (n_choices != NULL) *n_choices = set->items[index].n;
  if (label != NULL) *label = set->items[index].label;
  return true;
}

ellm_status ellm_eval_choice(ellm_model *model, const ellm_choice_set *set, ellm_choice_protocol protocol,
                             const ellm_eval_options *options, ellm_choice_result **result, ellm_error *err) {
  void *made;
  *result = NULL;
  ELLM_SIZED(ellm_eval_options, how, options, err);
  if (protocol != ELLM_CHOICE_LM_EVAL && protocol != ELLM_CHOICE_LLAMA_CPP)
    return ellm_fail(err, ELLM_ERR_USAGE, "multiple choice has no protocol %d", (int)protocol);
  ELLM_TRY(new_result(sizeof **result, &made, err));
  const ellm_status status = eval_choice(model, set, protocol, &how, made, err);
  if (status == ELLM_OK) *result = made;
  else free(made);
  return status;
}

void ellm_choice_result_free(ellm_choice_result *result) {
  if (result == NULL) return;
  eval_choice_free(result);
  free(result);
}

/* -------------------------------------------------------------------- gsm8k */

ellm_status ellm_eval_gsm8k(ellm_model *model, const ellm_gsm8k_request *request, const ellm_eval_options *options,
                            ellm_gsm8k_result **result, ellm_error *err) {
  void *made;
  *result = NULL;
  ELLM_SIZED(ellm_gsm8k_request, what, request, err);
  ELLM_SIZED(ellm_eval_options, how, options, err);
  ELLM_TRY(check_text(what.text, &what.origin, err));
  if (what.examples == NULL) what.examples_bytes = 0;
  ELLM_TRY(new_result(sizeof **result, &made, err));
  const ellm_status status = eval_gsm8k(model, &what, &how, made, err);
  if (status == ELLM_OK) *result = made;
  else free(made);
  return status;
}

void ellm_gsm8k_result_free(ellm_gsm8k_result *result) { free(result); }
