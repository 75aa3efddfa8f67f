/* SPDX-License-Identifier: Apache-2.0 */
/* See runnable.h. */
#include "convert/runnable.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "checkpoint/assets.h"
#include "convert/report.h"
#include "model/model.h"
#include "model/tokenizer_open.h"
#include "template/template.h"

typedef struct inquiry {
  tensor_source *input;
  ellm_report *report;
  bool strict;
  ellm_status status; /* of taking notes */
} inquiry;

/* What opening has to say goes into the report. */
static void take_note(void *user, const char *line) {
  inquiry *q = user;
  if (q->status == ELLM_OK) q->status = report_warn(q->report, NULL, "%s", line);
}

/* `what` cannot be done because of `why`. Only the input's faults are a matter of warning. */
static ellm_status refuse(const inquiry *q, const char *what, const ellm_error *why, ellm_error *err) {
  if (why->status != ELLM_ERR_INPUT || q->strict) return ellm_fail(err, why->status, "%s", why->message);
  return report_warn(q->report, err, "%s: %s", what, why->message);
}

static ellm_status check_tokenizer(const inquiry *q, ellm_error *err) {
  static const char what[] = "text cannot be run with it, only ids";
  ellm_error why;
  ellm_tokenizer *tokenizer = NULL;
  const ellm_status status = source_tokenizer(q->input, &tokenizer, &why);
  ellm_tokenizer_free(tokenizer);
  return status == ELLM_OK ? ELLM_OK : refuse(q, what, &why, err);
}

static const void *asset(void *user, const char *name, size_t *bytes) {
  const inquiry *q = user;
  return source_asset(q->input, name, bytes);
}

/* Does the file hold a field "chat_template"? A model without a template is none that cannot be run. */
static bool has_template(const inquiry *q, const char *name) {
  static const char field[] = "\"chat_template\"";
  size_t bytes = 0;
  const char *text = source_asset(q->input, name, &bytes);
  for (size_t i = 0; text != NULL && i + sizeof field - 1 <= bytes; i++)
    if (memcmp(text + i, field, sizeof field - 1) == 0) return true;
  return false;
}

/* The template of this name, where there is one. */
static ellm_status check_template(inquiry *q, const char *name, ellm_error *err) {
  ellm_error why;
  chat_template *template_ = NULL;
  const ellm_status status = chat_template_find(asset, q, source_path(q->input), name, &template_, &why);
  chat_template_free(template_);
  /* the field may be null, which is no fault */
  if (status == ELLM_OK || strstr(why.message, "the model has no chat template") != NULL) return ELLM_OK;
  return refuse(q, "chat is not possible with this template", &why, err);
}

static ellm_status check_templates(inquiry *q, ellm_error *err) {
  static const char folder[] = ASSET_TEMPLATES_FOLDER "/", ending[] = ".jinja";
  const size_t before = sizeof folder - 1, behind = sizeof ending - 1;
  if (source_asset(q->input, "chat_template.jinja", NULL) != NULL || has_template(q, "chat_template.json") ||
      has_template(q, "tokenizer_config.json")) {
    ELLM_TRY(check_template(q, "default", err));
    ELLM_TRY(check_template(q, "tool_use", err));
  }
  for (size_t i = 0; i < source_asset_count(q->input); i++) {
    const char *file = source_asset_name(q->input, i);
    char name[256];
    const size_t length = strlen(file);
    if (strncmp(file, folder, before) != 0 || length <= before + behind || length >= sizeof name) continue;
    memcpy(name, file + before, length - before - behind);
    name[length - before - behind] = '\0';
    if (strcmp(name, "tool_use") != 0) ELLM_TRY(check_template(q, name, err));
  }
  return ELLM_OK;
}

ellm_status runnable_find(tensor_source *input, bool strict, ellm_report *report, runnable *out, ellm_error *err) {
  inquiry q = {.input = input, .report = report, .strict = strict};
  const ellm_notes notes = {.take = take_note, .user = &q};
  ellm_error why;
  *out = (runnable){.used = calloc(source_count(input) + 1, sizeof *out->used)};
  if (out->used == NULL) return ellm_fail_memory(err, source_count(input), "the tensors of a model");
  out->known = model_check(input, &notes, out->used, &why) == ELLM_OK;
  if (!out->known) ELLM_TRY(refuse(&q, "this model cannot be run, only compressed and verified", &why, err));
  if (q.status != ELLM_OK) return ellm_fail_memory(err, 256, "a warning");
  ELLM_TRY(check_tokenizer(&q, err));
  return check_templates(&q, err);
}

void runnable_free(runnable *r) { free(r->used); }
