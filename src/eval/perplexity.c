/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Perplexity: each protocol says which ids make up a chunk and from which label
 * on it is scored; the rest is common. An item is a chunk (a), a window (b, c)
 * or a page (d); its values are count, sum and sum of squares of the negative
 * log-likelihoods of its labels.
 */
#include "eval/perplexity.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/exact_math.h"
#include "base/memory.h"
#include "eval/identity.h"
#include "eval/pages.h"
#include "eval/wikitext.h"
#include "json/lenient.h"
#include "model/score.h"
#include "model/scorer.h"

enum { DEFAULT_CTX = 512, N_VALUES = 3 };

const char *ellm_perplexity_protocol_name(ellm_perplexity_protocol protocol) {
  switch (protocol) {
    case ELLM_PERPLEXITY_LLAMA_CPP: return "llama.cpp: second half of disjoint chunks";
    case ELLM_PERPLEXITY_WINDOWS: return "GPTQ: disjoint windows over joined rows";
    case ELLM_PERPLEXITY_STRIDED: return "Hugging Face: strided windows";
    case ELLM_PERPLEXITY_ROLLING: return "lm-evaluation-harness: rolling word perplexity";
  }
  return "?";
}

/* ------------------------------------------------------------ texts to ids */

static ellm_status encode(ellm_model *model, const char *text, size_t bytes, unsigned flags, uint32_t **ids,
                          size_t *n_ids, ellm_error *err) {
  const ellm_tokenizer *tokenizer;
  ELLM_TRY(ellm_model_tokenizer(model, &tokenizer, err));
  return ellm_tokenizer_encode(tokenizer, text, bytes, flags, ids, n_ids, err);
}

ellm_status perplexity_encode(ellm_model *model, const char *text, size_t bytes, uint32_t **ids, size_t *n_ids,
                              ellm_error *err) {
  if (bytes > 0 && text[bytes - 1] == '\n') bytes--;
  return encode(model, text, bytes, ELLM_ENCODE_DEFAULT, ids, n_ids, err);
}

static ellm_status encode_rows(ellm_model *model, const char *text, size_t bytes, uint32_t **ids, size_t *n_ids,
                               ellm_error *err) {
  ellm_buffer rows = {0};
  ellm_status status = wikitext_join_rows(text, bytes, &rows, err);
  if (status == ELLM_OK)
    status = encode(model, rows.size ? (char *)rows.data : "", rows.size, ELLM_ENCODE_DEFAULT, ids, n_ids, err);
  ellm_buffer_free(&rows);
  return status;
}

ellm_status perplexity_bos(ellm_model *model, const uint32_t *ids, size_t n_ids, int64_t *bos, ellm_error *err) {
  ellm_model_info info;
  size_t bytes = 0;
  ellm_model_get_info(model, &info);
  bool adds = info.bos_id >= 0 && n_ids > 0 && ids[0] == (uint64_t)info.bos_id;
  const void *text = ellm_model_asset(model, "tokenizer_config.json", &bytes);
  if (text) {
    json_t *root;
    ELLM_TRY(json_parse_lenient(text, bytes, "tokenizer_config.json", &root, err));
    const json_t *value = json_object_get(root, "add_bos_token");
    if (json_is_boolean(value)) adds = json_is_true(value);
    json_decref(root);
  }
  *bos = adds ? info.bos_id : -1;
  return ELLM_OK;
}

ellm_status perplexity_context(ellm_model *model, uint32_t n_ctx, uint32_t *out, ellm_error *err) {
  ellm_model_info info;
  ellm_model_get_info(model, &info);
  *out = n_ctx ? n_ctx : info.max_context < DEFAULT_CTX ? info.max_context : DEFAULT_CTX;
  if (*out > info.max_context)
    return ellm_fail(err, ELLM_ERR_USAGE, "chunks of %u tokens are more than the model's context of %u positions",
                     (unsigned)*out, (unsigned)info.max_context);
  if (*out < 4) return ellm_fail(err, ELLM_ERR_USAGE, "chunks of %u tokens, need 4", (unsigned)*out);
  return ELLM_OK;
}

/* ------------------------------------------------------------------- chunks */

typedef struct plan {
  ellm_perplexity_protocol protocol;
  uint32_t n_ctx, stride;
  uint32_t *ids;    /* all of the text; (d): NULL */
  size_t n_ids;
  int64_t bos;      /* (a): replaces the first id of a chunk, if not negative; (d): is before a page */
  ellm_model *model;
  const char *origin;
  eval_pages pages; /* (d) */
  scorer *scorer;
  uint32_t *chunk;  /* [n_ctx + 1] */
  double *log_probs; /* [n_ctx] */
} plan;

/* Score chunk[0..n) from label `first` on into moments. */
static ellm_status score_chunk(plan *p, const uint32_t *ids, size_t n, size_t first, score_moments *moments,
                               ellm_error *err) {
  ELLM_TRY(scorer_run(p->scorer, ids, n, first, p->log_probs, NULL, NULL, err));
  for (size_t i = 0; i < n - first; i++) score_moments_add(moments, -p->log_probs[i]);
  return ELLM_OK;
}

/* A page in windows of n_ctx labels: the first fed the page's own ids after the
 * prefix, later ones full windows of which only the new labels are scored. */
static ellm_status score_page(plan *p, size_t index, score_moments *moments, ellm_error *err) {
  ellm_buffer text = {0};
  uint32_t *ids = NULL, *all = NULL;
  size_t n_ids = 0;
  const eval_page *page = &p->pages.items[index];
  ellm_status status = wikitext_detokenize(page->text, page->bytes, &text, err);
  if (status == ELLM_OK)
    status = encode(p->model, text.size ? (char *)text.data : "", text.size, ELLM_ENCODE_NO_POST, &ids, &n_ids, err);
  ellm_buffer_free(&text);
  if (status == ELLM_OK && !(all = malloc((n_ids + 1) * sizeof *all)))
    status = ellm_fail_memory(err, (n_ids + 1) * sizeof *all, "the ids of a page");
  if (status == ELLM_OK) {
    all[0] = (uint32_t)p->bos;
    if (n_ids) memcpy(all + 1, ids, n_ids * sizeof *ids);
  }
  for (size_t done = 0; status == ELLM_OK && done < n_ids;) {
    size_t labels = n_ids - done < p->n_ctx ? n_ids - done : p->n_ctx, end = done + labels;
    size_t start = done ? end - p->n_ctx : 0, n = end - start + 1;
    status = score_chunk(p, all + start, n, n - labels, moments, err);
    done = end;
  }
  free(all);
  free(ids);
  return status;
}

/* Strided windows: where window `index` ends and how many labels it adds. */
static void strided_window(const plan *p, size_t index, size_t *begin, size_t *n, size_t *first) {
  *begin = index * p->stride;
  *n = p->n_ids - *begin < p->n_ctx ? p->n_ids - *begin : p->n_ctx;
  size_t before = index ? *begin - p->stride + p->n_ctx : *begin; /* end of the window before */
  size_t fresh = *begin + *n - before;
  *first = fresh < *n ? *n - fresh : 1;
}

static ellm_status score_item(void *self, size_t index, double *values, ellm_error *err) {
  plan *p = self;
  score_moments moments = {0};
  size_t begin = index * p->n_ctx, n = p->n_ctx, first = 1;
  ellm_status status;
  switch (p->protocol) {
    case ELLM_PERPLEXITY_ROLLING: status = score_page(p, index, &moments, err); break;
    case ELLM_PERPLEXITY_STRIDED:
      strided_window(p, index, &begin, &n, &first);
      status = score_chunk(p, p->ids + begin, n, first, &moments, err);
      break;
    case ELLM_PERPLEXITY_LLAMA_CPP:
      memcpy(p->chunk, p->ids + begin, n * sizeof *p->chunk);
      if (p->bos >= 0) p->chunk[0] = (uint32_t)p->bos;
      status = score_chunk(p, p->chunk, n, n / 2 + 1, &moments, err);
      break;
    default: status = score_chunk(p, p->ids + begin, n, 1, &moments, err); break;
  }
  values[0] = (double)moments.count;
  values[1] = moments.sum;
  values[2] = moments.squares;
  return status;
}

/* ------------------------------------------------------------------ results */

static score_moments add_up(const double *values, size_t n) {
  score_moments all = {0};
  for (size_t i = 0; i < n; i++) {
    all.count += (uint64_t)values[i * N_VALUES];
    all.sum += values[i * N_VALUES + 1];
    all.squares += values[i * N_VALUES + 2];
  }
  return all;
}

static ellm_figure figure(double mean, double error) {
  const double z95 = EVAL_Z95;
  return eval_exp((ellm_figure){mean, error, mean - z95 * error, mean + z95 * error});
}

/* Words (which = 0) or bytes of the first n pages as a perplexity; `total` is their number. */
static ellm_figure per_unit(const plan *p, const double *values, size_t n, int which, uint64_t *total,
                            ellm_error *err, ellm_status *status) {
  score_moments all = add_up(values, n);
  double *sums = calloc(2 * n + 1, sizeof *sums), *units = sums ? sums + n : NULL;
  ellm_figure ratio = {0};
  *total = 0;
  if (!sums) {
    *status = ellm_fail_memory(err, 2 * n * sizeof *sums, "the result");
    return ratio;
  }
  for (size_t i = 0; i < n; i++) {
    uint64_t count = which ? p->pages.items[i].bytes : p->pages.items[i].words;
    sums[i] = values[i * N_VALUES + 1];
    units[i] = (double)count;
    *total += count;
  }
  ratio = eval_ratio(sums, units, n);
  if (n == 1) ratio.error = score_mean_error(&all) * (double)all.count / (double)*total; /* of its tokens */
  free(sums);
  return figure(ratio.value, ratio.error);
}

static void running(void *self, const double *values, size_t done, char text[EVAL_RUNNING_TEXT]) {
  const plan *p = self;
  score_moments all = add_up(values, done);
  double units = (double)all.count;
  if (p->protocol == ELLM_PERPLEXITY_ROLLING) {
    units = 0;
    for (size_t i = 0; i < done; i++) units += (double)p->pages.items[i].words;
  }
  snprintf(text, EVAL_RUNNING_TEXT, "%sperplexity %.4f", p->protocol == ELLM_PERPLEXITY_ROLLING ? "word " : "",
           exact_exp(all.sum / units));
}

static ellm_status summarize(const plan *p, const double *values, size_t n, ellm_perplexity_result *result,
                             ellm_error *err) {
  ellm_status status = ELLM_OK;
  score_moments all = add_up(values, n);
  result->scored = all.count;
  result->chunk_nll = calloc(n + 1, sizeof *result->chunk_nll);
  if (!result->chunk_nll) return ellm_fail_memory(err, n * sizeof *result->chunk_nll, "the result");
  result->n_chunks = n;
  for (size_t i = 0; i < n; i++) result->chunk_nll[i] = values[i * N_VALUES + 1] / values[i * N_VALUES];
  if (p->protocol == ELLM_PERPLEXITY_ROLLING) {
    result->perplexity = per_unit(p, values, n, 0, &result->words, err, &status);
    result->byte_perplexity = per_unit(p, values, n, 1, &result->bytes, err, &status);
  } else result->perplexity = figure(score_mean(&all), score_mean_error(&all));
  return status;
}

/* ----------------------------------------------------------------- planning */

static size_t count_items(const plan *p) {
  if (p->protocol == ELLM_PERPLEXITY_ROLLING) return p->pages.count;
  if (p->protocol != ELLM_PERPLEXITY_STRIDED) return p->n_ids / p->n_ctx;
  if (p->n_ids < 2) return 0;
  return p->n_ids <= p->n_ctx ? 1 : (p->n_ids - p->n_ctx + p->stride - 1) / p->stride + 1;
}

static ellm_status make_plan(plan *p, const ellm_perplexity_request *r, ellm_error *err) {
  ellm_model_info info;
  ellm_model_get_info(p->model, &info);
  bool pages = r->protocol == ELLM_PERPLEXITY_ROLLING;
  ELLM_TRY(perplexity_context(p->model, r->n_ctx ? r->n_ctx : pages ? info.max_context : 0, &p->n_ctx, err));
  p->bos = -1;
  if (pages) {
    p->bos = info.bos_id >= 0 ? info.bos_id : info.n_eos ? (int64_t)info.eos_ids[0] : -1;
    if (p->bos < 0)
      return ellm_fail(err, ELLM_ERR_INPUT, "protocol d feeds BOS or EOS before a page: the model names neither");
    ELLM_TRY(eval_pages_find(r->text, r->bytes, r->origin, &p->pages, err));
  } else if (r->protocol == ELLM_PERPLEXITY_WINDOWS)
    ELLM_TRY(encode_rows(p->model, r->text, r->bytes, &p->ids, &p->n_ids, err));
  else ELLM_TRY(perplexity_encode(p->model, r->text, r->bytes, &p->ids, &p->n_ids, err));
  if (r->protocol == ELLM_PERPLEXITY_LLAMA_CPP) ELLM_TRY(perplexity_bos(p->model, p->ids, p->n_ids, &p->bos, err));
  if (r->protocol == ELLM_PERPLEXITY_STRIDED) {
    p->stride = r->stride ? r->stride : p->n_ctx / 2;
    if (p->stride > p->n_ctx)
      return ellm_fail(err, ELLM_ERR_USAGE, "a stride of %u tokens is more than the window of %u", (unsigned)p->stride,
                       (unsigned)p->n_ctx);
  }
  if (count_items(p) == 0)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: its %zu tokens are fewer than one chunk of %u (choose shorter chunks)",
                     r->origin, p->n_ids, (unsigned)p->n_ctx);
  p->chunk = calloc((size_t)p->n_ctx + 1, sizeof *p->chunk);
  p->log_probs = calloc(p->n_ctx, sizeof *p->log_probs);
  if (!p->chunk || !p->log_probs) return ellm_fail_memory(err, p->n_ctx * sizeof *p->log_probs, "perplexity");
  return scorer_create(p->model, pages ? p->n_ctx : p->n_ctx - 1, 0, &p->scorer, err);
}

static json_t *identify(const plan *p, const ellm_perplexity_request *r, const char *model) {
  char protocol[2] = {(char)p->protocol, '\0'}, data[33];
  eval_data_identity(r->text, r->bytes, data);
  return json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:I}", "evaluation", "perplexity", "protocol", protocol, "model",
                   model, "text", data, "ctx", (int)p->n_ctx, "stride", (int)p->stride, "bos", (json_int_t)p->bos);
}

static ellm_status run_perplexity(plan *p, const ellm_perplexity_request *r, const ellm_eval_options *options,
                                  ellm_perplexity_result *result, ellm_error *err) {
  char model[33];
  ELLM_TRY(make_plan(p, r, err));
  ELLM_TRY(ellm_eval_fingerprint(p->model, model, err));
  size_t n = count_items(p);
  if (options->limit && options->limit < n) n = options->limit;
  json_t *identity = identify(p, r, model);
  double *values = calloc(n, N_VALUES * sizeof *values);
  eval_task task = {"score", identity, n, N_VALUES, score_item, running, p};
  ellm_status status = identity && values ? eval_run(&task, options, values, &result->n_resumed, err)
                                          : ellm_fail_memory(err, n * N_VALUES * sizeof *values, "perplexity");
  if (status == ELLM_OK) status = summarize(p, values, n, result, err);
  result->n_ctx = p->n_ctx;
  result->stride = p->stride;
  result->text_tokens = p->n_ids;
  free(values);
  json_decref(identity);
  return status;
}

ellm_status eval_perplexity(ellm_model *model, const ellm_perplexity_request *request, const ellm_eval_options *options,
                            ellm_perplexity_result *result, ellm_error *err) {
  plan p = {.protocol = request->protocol, .model = model, .origin = request->origin};
  memset(result, 0, sizeof *result);
  ellm_status status = run_perplexity(&p, request, options, result, err);
  scorer_free(p.scorer);
  eval_pages_free(&p.pages);
  free(p.ids);
  free(p.chunk);
  free(p.log_probs);
  if (status != ELLM_OK) eval_perplexity_free(result);
  return status;
}

void eval_perplexity_free(ellm_perplexity_result *result) {
  free(result->chunk_nll);
  memset(result, 0, sizeof *result);
}
