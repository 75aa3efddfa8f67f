/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saving the logits of a reference, chunk by chunk. Records are appended to the
 * partial file; its whole and undamaged chunks are kept when the work continues.
 */
#include "eval/save_reference.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/exact_math.h"
#include "base/file_writer.h"
#include "base/memory.h"
#include "eval/chunks.h"
#include "eval/divergence.h"
#include "eval/reference.h"
#include "model/score.h"
#include "model/scorer.h"

typedef struct saving {
  text_chunks chunks;
  reference_head head;
  scorer *scorer;
  file_writer *writer;
  const char *path;
  const uint32_t *ids;  /* of the chunk at work */
  uint8_t *records;     /* [rows] of them: one chunk */
  bool *good;           /* [rows]: could the row be encoded? */
  double *log_probs;    /* [rows] */
  float *row;           /* [vocab_size], for checking */
  uint64_t record, chunk_bytes;
} saving;

static void encode_row(void *user, size_t label, const float *row, double log_sum) {
  saving *s = user;
  size_t i = label - s->chunks.first;
  s->good[i] = reference_row_encode(row, s->head.vocab_size, log_sum, s->ids[label], s->records + i * s->record);
}

/* Are the records of a chunk in s->records whole, and of the labels wanted? */
static bool chunk_is_good(saving *s, size_t index) {
  const uint32_t *ids = text_chunks_get(&s->chunks, index);
  for (size_t i = 0; i < s->head.rows; i++) {
    const uint8_t *record = s->records + i * s->record;
    double log_sum;
    float logit;
    if (!reference_row_decode(record, s->head.vocab_size, s->row, &log_sum, &logit) ||
        reference_row_label(record) != ids[s->chunks.first + i])
      return false;
  }
  return true;
}

/* Chunks of the partial file that can be kept, from the front; it is cut behind them. */
static ellm_status find_kept(saving *s, size_t *kept, ellm_error *err) {
  uint8_t head[REFERENCE_HEAD_BYTES];
  reference_head had;
  const uint64_t size = file_writer_size(s->writer);
  *kept = 0;
  if (size >= sizeof head) {
    ELLM_TRY(file_writer_read_at(s->writer, 0, head, sizeof head, err));
    if (reference_head_decode(head, s->path, &had, NULL) == ELLM_OK) {
      had.chunks = s->head.chunks; /* another limit is no other file */
      uint8_t wanted[REFERENCE_HEAD_BYTES], has[REFERENCE_HEAD_BYTES];
      reference_head_encode(&s->head, wanted);
      reference_head_encode(&had, has);
      uint64_t whole = memcmp(wanted, has, sizeof has) == 0 ? (size - sizeof head) / s->chunk_bytes : 0;
      size_t n = whole < s->head.chunks ? (size_t)whole : s->head.chunks;
      while (*kept < n) {
        ELLM_TRY(file_writer_read_at(s->writer, sizeof head + *kept * s->chunk_bytes, s->records,
                                     (size_t)s->chunk_bytes, err));
        if (!chunk_is_good(s, *kept)) break;
        ++*kept;
      }
    }
  }
  reference_head_encode(&s->head, head);
  ELLM_TRY(file_writer_truncate(s->writer, 0 < *kept ? sizeof head + *kept * s->chunk_bytes : 0, err));
  return *kept ? file_writer_write_at(s->writer, 0, head, sizeof head, err)
               : file_writer_append(s->writer, head, sizeof head, err);
}

static ellm_status save_chunk(saving *s, size_t index, score_moments *moments, ellm_error *err) {
  s->ids = text_chunks_get(&s->chunks, index);
  ELLM_TRY(scorer_run(s->scorer, s->ids, s->head.n_ctx, s->chunks.first, s->log_probs, encode_row, s, err));
  for (size_t i = 0; i < s->head.rows; i++) {
    if (!s->good[i])
      return ellm_fail(err, ELLM_ERR_INPUT,
                       "chunk %zu: logits of the reference are not finite, or thousands apart (row %zu)", index, i);
    score_moments_add(moments, -s->log_probs[i]);
  }
  return file_writer_append(s->writer, s->records, (size_t)s->chunk_bytes, err);
}

static ellm_status save_chunks(saving *s, const ellm_eval_options *options, ellm_error *err) {
  size_t done;
  score_moments moments = {0};
  ELLM_TRY(find_kept(s, &done, err));
  for (;; done++) {
    char running[EVAL_RUNNING_TEXT] = "";
    if (moments.count) snprintf(running, sizeof running, "perplexity %.4f", exact_exp(score_mean(&moments)));
    ellm_progress step = {"save", running, done, s->head.chunks, ELLM_UNIT_ITEMS};
    if (options->progress && !options->progress(options->progress_user, &step) && done < s->head.chunks)
      return ellm_fail(err, ELLM_INTERRUPTED, "interrupted after %zu of %u chunks; the same command continues", done,
                       (unsigned)s->head.chunks);
    if (done == s->head.chunks) return ELLM_OK;
    ELLM_TRY(save_chunk(s, done, &moments, err));
  }
}

static ellm_status prepare(saving *s, ellm_model *reference, const ellm_divergence_request *r,
                           const ellm_eval_options *options, ellm_error *err) {
  ellm_model_info info;
  size_t bytes;
  ellm_model_get_info(reference, &info);
  ELLM_TRY(text_chunks_create(reference, r->text, r->bytes, r->origin, r->n_ctx, &s->chunks, err));
  size_t n = s->chunks.count;
  if (options->limit && options->limit < n) n = options->limit;
  s->head = (reference_head){.rows = s->chunks.n_ctx - s->chunks.first,
                             .chunks = (uint32_t)n,
                             .vocab_size = info.vocab_size,
                             .n_ctx = s->chunks.n_ctx,
                             .bos = s->chunks.bos};
  memcpy(s->head.text, s->chunks.identity, sizeof s->head.text);
  ELLM_TRY(ellm_eval_fingerprint(reference, s->head.model, err));
  s->record = reference_record_bytes(info.vocab_size);
  s->chunk_bytes = s->record * s->head.rows;
  if (!ellm_mul_size((size_t)s->record, s->head.rows, &bytes)) return ellm_fail_memory(err, SIZE_MAX, "a chunk");
  s->records = malloc(bytes);
  s->good = calloc(s->head.rows, sizeof *s->good);
  s->log_probs = calloc(s->head.rows, sizeof *s->log_probs);
  s->row = calloc(info.vocab_size, sizeof *s->row);
  if (!s->records || !s->good || !s->log_probs || !s->row) return ellm_fail_memory(err, bytes, "a chunk of logits");
  return scorer_create(reference, s->chunks.n_ctx - 1, 0, &s->scorer, err);
}

ellm_status eval_save_reference(ellm_model *reference, const ellm_divergence_request *request, const char *path,
                                bool overwrite, const ellm_eval_options *options, ellm_error *err) {
  saving s = {.path = path};
  file_writer_options how = {.overwrite = overwrite, .keep_partial = true, .resume = true};
  ellm_status status = prepare(&s, reference, request, options, err);
  if (status == ELLM_OK) status = file_writer_open(path, &how, &s.writer, err);
  if (status == ELLM_OK) status = save_chunks(&s, options, err);
  if (status == ELLM_OK) status = file_writer_commit(s.writer, err);
  else file_writer_abort(s.writer);
  scorer_free(s.scorer);
  text_chunks_free(&s.chunks);
  free(s.records);
  free(s.good);
  free(s.log_probs);
  free(s.row);
  return status;
}
