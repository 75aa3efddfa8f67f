/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/forecast.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/notes.h"

enum { TRIAL_TOKENS = 4, TRIAL_PROMPT = 32, POSITIONS = 4096 };

/* Seconds of a step of all sequences that are written together, and of a token of a text that is there. */
static ellm_status time_steps(ellm_model *model, size_t together, double *step, double *token, ellm_error *err) {
  const uint32_t start[1] = {0};
  uint32_t ids[TRIAL_PROMPT] = {0};
  progress_meter nobody = {0};
  corpus text = {0};
  ellm_sequence *s = NULL;
  const corpus_request request = {
      .n = together, .length = 1 + TRIAL_TOKENS, .start = start, .n_start = 1, .together = together};
  double begin = clock_seconds();
  ELLM_TRY(corpus_write(model, &request, &nobody, &text, err));
  *step = (clock_seconds() - begin) / TRIAL_TOKENS;
  corpus_free(&text);
  ELLM_TRY(ellm_sequence_create(model, &s, err));
  const ellm_batch_item item = {.sequence = s, .ids = ids, .n_ids = TRIAL_PROMPT};
  begin = clock_seconds();
  const ellm_status status = ellm_evaluate(model, &item, 1, err);
  *token = (clock_seconds() - begin) / TRIAL_PROMPT;
  ellm_sequence_free(s);
  return status;
}

/* "40 seconds", "3 minutes", "2.5 hours" */
static const char *duration(double seconds, char text[32]) {
  if (seconds < 100) snprintf(text, 32, "%.0f seconds", seconds < 1 ? 1 : seconds);
  else if (seconds < 6000) snprintf(text, 32, "%.0f minutes", seconds / 60);
  else snprintf(text, 32, "%.1f hours", seconds / 3600);
  return text;
}

ellm_status forecast(ellm_model *model, const ellm_compress_options *options, const tune_matrices *matrices,
                     const measurements *known, ellm_error *err) {
  if (!options->dry_run || options->notes.take == NULL || options->calibrate == ELLM_CALIBRATE_NONE || model == NULL)
    return ELLM_OK;
  const calibration_size size = calibration_size_of(model, options, matrices->weights);
  double step, token;
  char measuring[32], compressing[32];
  ELLM_TRY(time_steps(model, size.together, &step, &token, err));
  const double rounds = (double)((size.sequences + size.held + size.together - 1) / size.together);
  const double tokens = (double)(size.sequences * size.length);
  const bool has_text = known->text.n > 0, given = options->calibrate == ELLM_CALIBRATE_FILE;
  const double text = has_text ? 0 : given ? tokens * token : rounds * (double)size.length * step;
  /* a matrix alone: half of the layers, on average, of the tokens that damage is measured with */
  size_t alone = 0;
  for (size_t i = 0; i < matrices->n; i++) {
    const tune_matrix *m = &matrices->at[i];
    alone += plan_measures(m, model->config.n_layers) && (m->expert == FORWARD_NO_EXPERT || m->expert == 0);
  }
  const double damage = (double)alone * (double)(size.alone * size.alone_length) * token / 2;
  /* with full effort the text goes through each layer once for the plan and twice for the codes, and its moments, each
   * time, cost about as much as a product */
  const double planning = known->n_curves == matrices->n ? 0 : damage + (size.full ? 2 * tokens * token : 0);
  const double whole = text + planning + (size.full ? 3 * tokens * token : 0);
  ellm_note(&options->notes, "measuring will take about %s; compressing the model about %s",
            duration(text + planning, measuring), duration(whole, compressing));
  return ELLM_OK;
}

uint64_t forecast_memory(const ellm_model *model, uint64_t file_bytes) {
  if (model == NULL) return file_bytes;
  const model_config *c = &model->config;
  ellm_model_info info;
  ellm_model_get_info(model, &info);
  const uint64_t positions = info.max_context < POSITIONS ? info.max_context : POSITIONS;
  /* F16: the default of .ellm files */
  return file_bytes + positions * c->n_layers * c->n_kv_heads * c->head_dim * 2 * sizeof(uint16_t);
}
