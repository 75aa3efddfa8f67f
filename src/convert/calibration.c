/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The three parts of a calibration: the text (written by the model, or read from a file), the sums of mean squares, and
 * the second moments, which are gathered layer by layer while matrices are rounded. calibration.h says what each is
 * for; the constants below decide how much text there is, and with that how long measuring takes.
 */
#include "convert/calibration.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/notes.h"
#include "text/utf8.h"

enum {
  HELD = 2,                     /* sequences kept apart to measure the result on; one of them is a conversation */
  MOST_TOGETHER = 32,
  SEQUENCES = MOST_TOGETHER - HELD, LENGTH = 512, /* of the text; with HELD, all sequences are written in one batch */
  HELD_LENGTH = 256,            /* ids used of each sequence that is kept apart */
  /* sequences for measuring one matrix at a time (damage.h); fewer for a large model, where this takes most of the
   * time */
  ALONE = 4, ALONE_LENGTH = 192, ALONE_OF_LARGE = 2, ALONE_LENGTH_OF_LARGE = 160, ALONE_SKIPPED = 64,
  LEAST_SEQUENCES = 4,          /* of a text that is given */
  MOST_TEXT = 1 << 28,
  MOST_START = 256
};
static const uint64_t large = 1000000000, default_memory = 2500000000;
/* Rounding by rate: a code may move a step towards zero if each bit that this saves costs at most 0.1 of (error /
 * step)^2. At 0.116 a bit gains as much by a finer step (docs/QUANTIZATION.md, "Rates"); values near that do alike. */
static const double rate_lambda = 0.1;

bool calibration_is_full(const ellm_compress_options *options, uint64_t weights) {
  return options->effort == ELLM_EFFORT_FULL || (options->effort == ELLM_EFFORT_AUTO && weights < large);
}

/* ------------------------------------------------------------------------ start */

/* What sequences begin with. */
typedef struct beginnings {
  uint32_t start[1], *chat;
  size_t n_chat;
} beginnings;

/* The token that separates documents, if the vocabulary has one by that name, else the one that begins a text. */
static ellm_status find_start(ellm_model *model, uint32_t *start, ellm_error *err) {
  ellm_model_info info;
  const ellm_tokenizer *tokenizer;
  ellm_error ignored;
  ellm_model_get_info(model, &info);
  if (ellm_model_tokenizer(model, &tokenizer, &ignored) == ELLM_OK &&
      ellm_tokenizer_find(tokenizer, "<|endoftext|>", start) && *start < info.vocab_size)
    return ELLM_OK;
  if (info.bos_id < 0 || info.bos_id >= info.vocab_size)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: the model has no token that a text begins with, and can write none: it "
                     "must be calibrated with a text of yours", model->path);
  *start = (uint32_t)info.bos_id;
  return ELLM_OK;
}

/* What the chat template writes before a user's message; nothing where there is no template, or one that is not
 * understood. */
static void find_chat(ellm_model *model, beginnings *b) {
  static const char message[] = "[{\"role\":\"user\",\"content\":\"ENTROLLM\"}]";
  const ellm_tokenizer *tokenizer;
  ellm_error ignored;
  ellm_chat *chat = NULL;
  ellm_conversation conversation;
  char *text = NULL;
  size_t bytes;
  ellm_conversation_init(&conversation);
  conversation.json = message;
  conversation.bytes = sizeof message - 1;
  if (ellm_model_tokenizer(model, &tokenizer, &ignored) == ELLM_OK &&
      ellm_chat_open(model, NULL, &chat, &ignored) == ELLM_OK &&
      ellm_chat_render(chat, &conversation, &text, &bytes, &ignored) == ELLM_OK) {
    const char *content = strstr(text, "ENTROLLM");
    if (content != NULL && content > text &&
        ellm_tokenizer_encode(tokenizer, text, (size_t)(content - text), ELLM_ENCODE_NO_POST, &b->chat, &b->n_chat,
                              &ignored) == ELLM_OK &&
        b->n_chat > MOST_START)
      b->n_chat = 0;
  }
  free(text);
  ellm_chat_free(chat);
}

/* ------------------------------------------------------------------------- text */

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* Sequences of `length` that may be written at a time in half of the memory. */
static size_t how_many_together(const ellm_model *model, const ellm_compress_options *options, size_t length) {
  const model_config *c = &model->config;
  const uint64_t memory = options->memory > 0 ? options->memory : default_memory;
  const uint64_t position = (uint64_t)c->n_layers * c->n_kv_heads * c->head_dim * 2 * sizeof(float);
  uint64_t sums = 0; /* of squares; only those of experts are many */
  for (uint32_t i = 0; i < c->n_layers; i++)
    sums += (uint64_t)c->layers[i].n_experts * (c->hidden_size + c->layers[i].intermediate_size) * sizeof(double);
  const uint64_t sequence = position * length + (uint64_t)c->vocab_size * sizeof(float) + sums;
  const uint64_t n = memory / 2 / sequence;
  return n < 1 ? 1 : n > MOST_TOGETHER ? MOST_TOGETHER : (size_t)n;
}

calibration_size calibration_size_of(const ellm_model *model, const ellm_compress_options *options, uint64_t weights) {
  ellm_model_info info;
  ellm_model_get_info(model, &info);
  calibration_size size = {
      .sequences = options->calibration_sequences > 0 ? options->calibration_sequences : SEQUENCES,
      .length = options->calibration_length > 0 ? options->calibration_length : LENGTH,
      .held = HELD,
      .alone = weights < large ? ALONE : ALONE_OF_LARGE,
      .alone_length = weights < large ? ALONE_LENGTH : ALONE_LENGTH_OF_LARGE,
      .full = calibration_is_full(options, weights)};
  if (size.length > info.max_context) size.length = info.max_context;
  size.alone = smaller(size.alone, size.sequences);
  size.alone_length = smaller(size.alone_length, size.length);
  size.together = how_many_together(model, options, size.length);
  return size;
}

/* With full effort moments are gathered later, layer by layer, and nobody asks for mean squares. */
static ellm_status write_text(calibration *c, progress_meter *meter, ellm_error *err) {
  const calibration_size *size = &c->size;
  const size_t length = size->length;
  beginnings b = {.chat = NULL};
  corpus_request request = {.n = size->sequences + HELD,
                            .length = length,
                            .n_start = 1,
                            .together = size->together,
                            .watched = size->sequences,
                            .squares = size->full ? NULL : &c->squares,
                            .chances = &c->chances};
  ELLM_TRY(find_start(c->model, b.start, err));
  find_chat(c->model, &b);
  request.start = b.start;
  request.chat = b.chat;
  request.n_chat = b.n_chat < length / 2 ? b.n_chat : 0;
  ellm_status status = squares_create(c->model, size->full ? 1 : size->together, &c->squares, err);
  progress_start(meter, meter->fn, meter->user, request.n * length);
  meter->unit = ELLM_UNIT_TOKENS;
  c->chat = request.n_chat > 0;
  if (status == ELLM_OK) status = corpus_write(c->model, &request, meter, &c->text, err);
  free(b.chat);
  c->watched = size->sequences;
  return status;
}

/* Chances of tokens in a text that was not written here: the ends of a few sequences will do. */
static ellm_status find_chances(calibration *c, ellm_error *err) {
  enum { LOOKED_AT = 8 };
  const size_t vocab = c->model->config.vocab_size, length = c->text.length, n_rows = (length + 3) / 4;
  float *logits = malloc(n_rows * vocab * sizeof *logits), **rows = malloc(n_rows * sizeof *rows);
  ellm_status status = logits != NULL && rows != NULL
                           ? ELLM_OK
                           : ellm_fail_memory(err, n_rows * vocab * sizeof *logits, "chances of tokens");
  for (size_t i = 0; i < n_rows && status == ELLM_OK; i++) rows[i] = logits + i * vocab;
  for (size_t k = 0; k < c->watched && k < LOOKED_AT && status == ELLM_OK; k++) {
    ellm_batch_item item = {
        .ids = c->text.ids + k * length, .n_ids = length, .logits = logits, .n_logits = n_rows};
    status = ellm_sequence_create(c->model, &item.sequence, err);
    if (status == ELLM_OK) status = ellm_evaluate(c->model, &item, 1, err);
    ellm_sequence_free(item.sequence);
    for (size_t i = 0; i < n_rows && status == ELLM_OK; i++)
      status = ellm_logits_check(rows[i], vocab, (uint32_t)(length - n_rows + i), err);
    if (status == ELLM_OK) chances_add(&c->chances, c->model->compute, rows, n_rows);
  }
  free(logits);
  free(rows);
  return status;
}

/* Mean squares of a text that was not written here; with full effort nobody asks for them. */
static ellm_status watch_text(calibration *c, progress_meter *meter, ellm_error *err) {
  if (c->size.full) return squares_create(c->model, 1, &c->squares, err);
  layerwise *layers = NULL;
  const size_t length = c->text.length;
  float *stream = malloc(length * c->model->config.hidden_size * sizeof *stream);
  ellm_status status = stream != NULL ? layerwise_create(c->model, (uint32_t)length, &layers, err)
                                      : ellm_fail_memory(err, length * sizeof *stream, "a calibration text");
  if (status == ELLM_OK) status = squares_create(c->model, 1, &c->squares, err);
  const forward_watch watch = squares_watch(&c->squares);
  progress_start(meter, meter->fn, meter->user, c->watched * length);
  meter->unit = ELLM_UNIT_TOKENS;
  for (size_t k = 0; k < c->watched && status == ELLM_OK; k++) {
    status = layerwise_begin(layers, c->text.ids + k * length, length, stream, err);
    for (uint32_t layer = 0; layer < c->model->config.n_layers && status == ELLM_OK; layer++)
      status = layerwise_layer(layers, layer, length, stream, &watch, err);
    if (status == ELLM_OK) status = layerwise_head(layers, 0, length, stream, NULL, &watch, err);
    squares_close(&c->squares, 1);
    if (status == ELLM_OK) status = progress_report(meter, "calibrate", "", (k + 1) * length, err);
  }
  layerwise_free(layers);
  free(stream);
  return status;
}

static ellm_status read_text(calibration *c, const ellm_compress_options *options, progress_meter *meter,
                             ellm_error *err) {
  const calibration_size *size = &c->size;
  const char *path = options->calibrate_file;
  const ellm_tokenizer *tokenizer;
  uint8_t *text = NULL;
  uint32_t *ids = NULL;
  size_t bytes = 0, n_ids = 0;
  ELLM_TRY(ellm_model_tokenizer(c->model, &tokenizer, err));
  ELLM_TRY(file_read_all(path, MOST_TEXT, &text, &bytes, err));
  ellm_status status = utf8_valid_prefix((const char *)text, bytes) == bytes
                           ? ELLM_OK
                           : ellm_fail(err, ELLM_ERR_INPUT, "%s: the calibration text is not valid UTF-8", path);
  if (status == ELLM_OK)
    status = ellm_tokenizer_encode(tokenizer, (const char *)text, bytes, ELLM_ENCODE_DEFAULT, &ids, &n_ids, err);
  if (status == ELLM_OK)
    status = corpus_cut(ids, n_ids, size->sequences + HELD, size->length, LEAST_SEQUENCES + HELD, path, &c->text, err);
  free(ids);
  free(text);
  ELLM_TRY(status);
  c->watched = c->text.n - HELD;
  ELLM_TRY(find_chances(c, err));
  return watch_text(c, meter, err);
}

/* The text of a plan. */
static ellm_status take_known(calibration *c, const ellm_compress_options *options, uint32_t vocab_size,
                              size_t length, ellm_error *err) {
  measurements *known = c->known;
  const corpus *text = &known->text;
  bool fits = text->length == length && known->watched > 0 && text->n == known->watched + HELD;
  for (size_t i = 0; fits && i < text->n * length; i++) fits = text->ids[i] < vocab_size;
  ELLM_TRY(squares_create(c->model, 1, &c->squares, err));
  if (!fits || c->squares.total != known->n_squares || known->chances.n != vocab_size)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: the text of this plan is not one of this model", known->path);
  memcpy(c->squares.sum, known->squares, c->squares.total * sizeof *known->squares);
  c->squares.tokens = known->tokens;
  c->squares.head_tokens = known->head_tokens;
  c->text = *text;
  c->watched = known->watched;
  known->text = (corpus){0};
  c->chances = known->chances;
  known->chances = (token_chances){0};
  if (options->calibrate == ELLM_CALIBRATE_FILE) return ELLM_OK;
  beginnings b = {.chat = NULL};
  find_chat(c->model, &b);
  c->chat = b.n_chat > 0 && b.n_chat < length / 2;
  free(b.chat);
  return ELLM_OK;
}

/* What rows of a vocabulary matter, see chances.h. */
static ellm_status weigh_rows(calibration *c, ellm_error *err) {
  c->row_factors = malloc(c->chances.n * sizeof *c->row_factors);
  if (c->row_factors == NULL) return ellm_fail_memory(err, c->chances.n * sizeof *c->row_factors, "chances of tokens");
  chances_row_factors(&c->chances, c->row_factors);
  return ELLM_OK;
}

/* ------------------------------------------------------------------------ the whole */

static ellm_status gather(calibration *c, const ellm_compress_options *options, const char *path,
                          progress_meter *meter, ellm_error *err) {
  ellm_model_info info;
  ellm_model_get_info(c->model, &info);
  const size_t length = c->size.length;
  ELLM_TRY(ellm_model_reserve(c->model, (uint32_t)(3 * length + 64), err)); /* layer_text and meters */
  if (c->known->text.n > 0) {
    ELLM_TRY(take_known(c, options, info.vocab_size, length, err));
  } else {
    ELLM_TRY(chances_create(info.vocab_size, &c->chances, err));
    ELLM_TRY(options->calibrate == ELLM_CALIBRATE_FILE ? read_text(c, options, meter, err)
                                                       : write_text(c, meter, err));
    ELLM_TRY(measurements_save(c->known, &c->text, c->watched, &c->squares, &c->chances, NULL, 0, err));
  }
  ELLM_TRY(weigh_rows(c, err));
  c->conversation = c->watched % 2 == 0; /* odd numbers are conversations */
  const damage_text held = {
      .text = &c->text, .first = c->watched, .n = HELD, .length = smaller(HELD_LENGTH, length)};
  ELLM_TRY(damage_open(c->model, &held, path, &c->held, err));
  if (!c->size.full) return ELLM_OK;
  uint32_t experts = 0;
  for (uint32_t i = 0; i < c->model->config.n_layers; i++)
    if (c->model->config.layers[i].n_experts > experts) experts = c->model->config.layers[i].n_experts;
  const size_t most = 3 * ((size_t)LAYER_INPUTS + experts);
  c->replaced = calloc(most, sizeof *c->replaced);
  if (c->replaced == NULL) return ellm_fail_memory(err, most * sizeof *c->replaced, "rounded matrices");
  return layer_text_open(c->model, &c->text, c->watched, path, &c->layers, err);
}

ellm_status calibrate(ellm_model *model, thread_pool *pool, const ellm_compress_options *options, uint64_t weights,
                      const char *path, measurements *known, progress_meter *meter, const ellm_notes *notes,
                      calibration *out, ellm_error *err) {
  *out = (calibration){.model = model,
                       .pool = pool,
                       .known = known,
                       .lambda = rate_lambda,
                       .expert_memory = (options->memory > 0 ? options->memory : default_memory) / 4,
                       .held = {.streams = {.fd = -1}},
                       .layers = {.streams = {.fd = -1}}};
  if (options->calibrate == ELLM_CALIBRATE_NONE || model == NULL) return ELLM_OK;
  out->size = calibration_size_of(model, options, weights);
  ellm_error why;
  const ellm_status status = gather(out, options, path, meter, &why);
  const bool asked = options->calibrate != ELLM_CALIBRATE_AUTO || options->effort != ELLM_EFFORT_AUTO ||
                     options->target == ELLM_TARGET_DIVERGENCE;
  if (status == ELLM_OK) return ELLM_OK;
  if (asked || status != ELLM_ERR_INPUT) {
    if (err != NULL) *err = why;
    return status;
  }
  ellm_note(notes, "%s; so the model is compressed without calibration", why.message);
  calibration_free(out);
  out->model = model;
  out->pool = pool;
  out->known = known;
  out->lambda = rate_lambda;
  return ELLM_OK;
}

static void drop_experts(calibration *c) {
  for (uint32_t i = 0; i < c->experts.n_experts; i++) moments_free(&c->experts.experts[i]);
  free(c->experts.experts);
  free(c->experts.expert_squares);
  c->experts = (layer_moments){.n_experts = 0};
}

static void drop_moments(calibration *c) {
  drop_experts(c);
  for (int i = 0; i < LAYER_INPUTS; i++) moments_free(&c->inputs[i]);
  c->gathered = false;
}

static void put_back(calibration *c) {
  while (c->n_replaced > 0) {
    const calibration_replaced *last = &c->replaced[--c->n_replaced];
    tune_matrix_replace(last->matrix, last->before);
    free(last->weights);
  }
}

void calibration_free(calibration *c) {
  put_back(c);
  free(c->replaced);
  drop_moments(c);
  layer_text_close(&c->layers);
  damage_close(&c->held);
  squares_free(&c->squares);
  chances_free(&c->chances);
  free(c->row_factors);
  corpus_free(&c->text);
  *c = (calibration){.held = {.streams = {.fd = -1}}, .layers = {.streams = {.fd = -1}}};
}

/* ------------------------------------------------------------------- layer by layer */

/* The text continues until it is before this layer. */
static ellm_status go_to(calibration *c, uint32_t layer, ellm_error *err) {
  while (c->layer < layer) {
    if (!c->behind) ELLM_TRY(layer_text_advance(&c->layers, c->layer, NULL, err));
    put_back(c);
    drop_moments(c);
    c->behind = false;
    c->layer++;
  }
  return ELLM_OK;
}

/* Those of all tokens. */
static ellm_status gather_moments(calibration *c, ellm_error *err) {
  const uint32_t n_layers = c->model->config.n_layers;
  const bool head = c->layer == n_layers, experts = !head && c->model->config.layers[c->layer].n_experts > 0;
  layer_moments wanted = {.n_experts = 0};
  if (c->gathered) return ELLM_OK;
  for (int i = 0; i < (head ? 1 : experts ? INPUT_DOWN : LAYER_INPUTS); i++) {
    const size_t columns = squares_columns(&c->squares, c->layer, head ? INPUT_HEAD : (forward_input)i);
    ELLM_TRY(moments_create(columns, &c->inputs[i], err));
    wanted.inputs[i] = &c->inputs[i];
  }
  c->gathered = true;
  if (head) return layer_text_head(&c->layers, &c->inputs[0], err);
  c->behind = c->planning && !experts; /* those of experts are still to come */
  return c->behind ? layer_text_advance(&c->layers, c->layer, &wanted, err)
                   : layer_text_moments(&c->layers, c->layer, &wanted, err);
}

/*
 * Those of an expert's input, and of as many more experts as there is memory for. The text goes through the layer once
 * for each such lot. How many these are changes nothing: what experts read does not depend on the same matrices of
 * others.
 */
static ellm_status gather_experts(calibration *c, const tune_matrix *m, ellm_error *err) {
  layer_moments *e = &c->experts;
  if (e->n_experts > 0 && e->expert_input == m->input && m->expert - e->first_expert < e->n_experts) return ELLM_OK;
  drop_experts(c);
  const uint64_t columns = m->matrix->columns;
  const uint64_t fit = c->expert_memory / (columns * (columns + 2 * MOMENTS_DEPTH) * sizeof(float));
  const uint32_t left = c->model->config.layers[m->layer].n_experts - m->expert;
  const uint32_t n = fit < 1 ? 1 : fit < left ? (uint32_t)fit : left;
  e->expert_input = m->input;
  e->first_expert = m->expert;
  e->experts = calloc(n, sizeof *e->experts);
  e->expert_squares = calloc(columns, sizeof *e->expert_squares);
  if (e->experts == NULL || e->expert_squares == NULL)
    return ellm_fail_memory(err, n * sizeof *e->experts, "moments of experts");
  while (e->n_experts < n) {
    moments *next = &e->experts[e->n_experts++];
    ELLM_TRY(moments_create(columns, next, err));
  }
  return layer_text_moments(&c->layers, c->layer, e, err);
}

/* ------------------------------------------------------------------------ columns */

static bool all_zero(const double *sums, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (sums[i] != 0) return false; /* NaN is none */
  return true;
}

/* An input that is always 0 says nothing of its columns. */
static ellm_status from_squares(const double *sums, size_t n, uint64_t tokens, const columns_options *options,
                                const char *name, input_columns *out, ellm_error *err) {
  return all_zero(sums, n) ? columns_unknown(n, out, err)
                           : columns_from_squares(sums, n, tokens, options, name, out, err);
}

static ellm_status from_moments(const calibration *c, const moments *m, uint64_t tokens, const char *name,
                                input_columns *out, ellm_error *err) {
  const columns_options options = COLUMNS_DEFAULTS;
  moments counted = *m; /* shares the sums */
  bool zero = true;
  counted.tokens = tokens;
  for (size_t i = 0; i < m->sum.n && zero; i++) zero = m->sum.at[i * (m->sum.stride + 1)] == 0;
  return zero ? columns_unknown(m->sum.n, out, err)
              : columns_from_moments(compute_pool(c->model->compute), &counted, &options, name, out, err);
}

/*
 * Moments are means over all tokens of the layer, also those of experts: what few tokens choose matters little. Few are
 * counted as if they were CALIBRATION_EXPERT_TOKENS, as a text is only a sample.
 */
static uint64_t counted_tokens(uint64_t of_expert, uint64_t all) {
  const uint64_t least = all < CALIBRATION_EXPERT_TOKENS ? all : CALIBRATION_EXPERT_TOKENS;
  return of_expert > least ? of_expert : least;
}

/* Tokens to divide sums over all tokens by, so that they count as those of an expert. */
static uint64_t diluted(uint64_t of_expert, uint64_t all) {
  return all > 0 ? all * all / counted_tokens(of_expert, all) : 0;
}

/* Of the down of an expert: its columns count alike, as much as those of the other experts on average. sums[n] over
 * sum_tokens inputs of all of them. */
static ellm_status down_of_few(const double *sums, size_t n, uint64_t sum_tokens, uint64_t of_expert, uint64_t all,
                               const char *name, input_columns *out, ellm_error *err) {
  const columns_options flat = {.damping = 0, .power = 0};
  double mean = 0;
  for (size_t i = 0; i < n; i++) mean += sums[i] / (double)n;
  double *same = malloc(n * sizeof *same);
  if (same == NULL) return ellm_fail_memory(err, n * sizeof *same, "columns");
  for (size_t i = 0; i < n; i++)
    same[i] = sum_tokens > 0 ? mean * (double)counted_tokens(of_expert, all) / (double)sum_tokens : 0;
  const ellm_status status = from_squares(same, n, all, &flat, name, out, err);
  free(same);
  return status;
}

/* Without feedback. */
static ellm_status expert_of_squares(const calibration *c, const tune_matrix *m, input_columns *out, ellm_error *err) {
  const columns_options options = COLUMNS_QUICK_DEFAULTS;
  const size_t n = m->matrix->columns;
  uint64_t own, all, tokens, sum_tokens = 0;
  const double *whole = squares_of(&c->squares, (forward_place){m->layer, INPUT_GATE_UP, FORWARD_NO_EXPERT}, &all);
  const double *sums = squares_of(&c->squares, tune_place(m), &own);
  if (own >= CALIBRATION_EXPERT_TOKENS) return from_squares(sums, n, all, &options, m->matrix->name, out, err);
  if (m->input == INPUT_GATE_UP)
    return from_squares(whole, n, diluted(own, all), &options, m->matrix->name, out, err);
  double *together = calloc(n, sizeof *together);
  if (together == NULL) return ellm_fail_memory(err, n * sizeof *together, "columns");
  for (uint32_t i = 0; i < c->model->config.layers[m->layer].n_experts; i++) {
    sums = squares_of(&c->squares, (forward_place){m->layer, m->input, i}, &tokens);
    for (size_t k = 0; k < n; k++) together[k] += sums[k];
    sum_tokens += tokens;
  }
  const ellm_status status = down_of_few(together, n, sum_tokens, own, all, m->matrix->name, out, err);
  free(together);
  return status;
}

static ellm_status expert_of_moments(calibration *c, const tune_matrix *m, input_columns *out, ellm_error *err) {
  ELLM_TRY(gather_experts(c, m, err));
  const layer_moments *e = &c->experts;
  const moments *whole = &c->inputs[INPUT_GATE_UP], *own = &e->experts[m->expert - e->first_expert];
  const uint64_t all = whole->tokens;
  if (own->tokens >= CALIBRATION_EXPERT_TOKENS) return from_moments(c, own, all, m->matrix->name, out, err);
  if (m->input == INPUT_GATE_UP)
    return from_moments(c, whole, diluted(own->tokens, all), m->matrix->name, out, err);
  return down_of_few(e->expert_squares, m->matrix->columns, e->expert_tokens, own->tokens, all, m->matrix->name, out,
                     err);
}

/* What is known without feedback. */
static ellm_status columns_of_squares(const calibration *c, const tune_matrix *m, input_columns *out, ellm_error *err) {
  uint64_t tokens;
  if (c->squares.sum == NULL || m->looked_up) return columns_unknown(m->matrix->columns, out, err);
  if (m->expert != FORWARD_NO_EXPERT) return expert_of_squares(c, m, out, err);
  const columns_options options = COLUMNS_QUICK_DEFAULTS;
  const double *sums = squares_of(&c->squares, tune_place(m), &tokens);
  return from_squares(sums, m->matrix->columns, tokens, &options, m->matrix->name, out, err);
}

ellm_status calibration_columns(calibration *c, const tune_matrix *m, input_columns *out, ellm_error *err) {
  if (!c->size.full || m->looked_up) return columns_of_squares(c, m, out, err);
  ELLM_TRY(go_to(c, m->layer, err));
  ELLM_TRY(gather_moments(c, err));
  if (m->expert != FORWARD_NO_EXPERT) return expert_of_moments(c, m, out, err);
  const moments *input = &c->inputs[m->input == INPUT_HEAD ? 0 : m->input];
  return from_moments(c, input, input->tokens, m->matrix->name, out, err);
}

/* ------------------------------------------------------------------------ plan */

typedef struct planning { calibration *c; const tune_matrices *matrices; } planning;

static ellm_status columns_for_plan(void *user, size_t i, input_columns *out, ellm_error *err) {
  const planning *p = user;
  return calibration_columns(p->c, &p->matrices->at[i], out, err);
}

/* What each matrix does alone is measured on some of the sequences that calibrate. */
static ellm_status open_alone(const calibration *c, const char *path, damage_meter *out, ellm_error *err) {
  const size_t length = smaller(c->text.length, c->size.alone_length);
  const damage_text on = {.text = &c->text,
                          .n = smaller(c->watched, c->size.alone),
                          .length = length,
                          .skipped = length < 2 * ALONE_SKIPPED ? length / 3 : ALONE_SKIPPED};
  return damage_open(c->model, &on, path, out, err);
}

ellm_status calibration_plan(calibration *c, const tune_matrices *matrices, const char *path, progress_meter *meter,
                             plan *out, ellm_error *err) {
  tune_matrices_weigh(matrices, c->row_factors, c->chances.n);
  planning p = {c, matrices};
  const size_t n = matrices->n;
  if (c->known->n_curves == n)
    return plan_take(matrices, (const allocation_point(*)[PLAN_POINTS])c->known->curves, out, err);
  damage_meter alone = {.streams = {.fd = -1}};
  const bool measured = c->squares.sum != NULL;
  ellm_status status = measured ? open_alone(c, path, &alone, err) : ELLM_OK;
  const plan_request request = {.pool = c->pool,
                                .n_layers = c->model != NULL ? c->model->config.n_layers : 0,
                                .matrices = matrices,
                                .columns = columns_for_plan,
                                .user = &p,
                                .meter = measured ? &alone : NULL,
                                .overhead = 1.03};
  c->planning = true;
  if (status == ELLM_OK) status = plan_measure(&request, meter, out, err);
  damage_close(&alone);
  c->planning = c->behind = false;
  drop_moments(c);
  c->layer = 0;
  ELLM_TRY(status);
  ELLM_TRY(measurements_save(c->known, &c->text, c->watched, &c->squares, &c->chances, out, n, err));
  return c->size.full ? layer_text_rewind(&c->layers, err) : ELLM_OK;
}

/* ---------------------------------------------------------------------- rounded matrices */

bool calibration_wants(const calibration *c, const tune_matrix *m) {
  return c->size.full && m->layer < c->model->config.n_layers;
}

void calibration_rounded(calibration *c, tune_matrix *m, uint16_t *weights) {
  const tune_elements before = tune_matrix_replace(m, (tune_elements){(const uint8_t *)weights, ELLM_BF16});
  c->replaced[c->n_replaced++] = (calibration_replaced){m, weights, before};
}

ellm_status calibration_restart(calibration *c, ellm_error *err) {
  put_back(c);
  drop_moments(c);
  c->layer = 0;
  c->behind = false;
  return c->size.full ? layer_text_rewind(&c->layers, err) : ELLM_OK;
}

ellm_status calibration_adopted(calibration *c, tune_matrix *m, uint16_t *weights, uint32_t last_layer,
                                ellm_error *err) {
  ellm_status status = go_to(c, m->layer, err);
  if (status == ELLM_OK && m->layer == last_layer) status = gather_moments(c, err); /* with the weights of the source */
  if (status == ELLM_OK) calibration_rounded(c, m, weights);
  else free(weights);
  return status;
}
