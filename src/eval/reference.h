/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of logits of a reference model, saved once and used again. A file is a
 * header of 88 bytes, then a record of one size for every row, each with its
 * own checksum: a cut or damaged file is noticed where it is read. All numbers
 * are little-endian; docs/EVALUATION.md has the byte tables.
 *
 * A logit is kept as 16 bits over the range of its row; the TOP largest of the
 * row and the label's exactly besides. So the perplexity of the reference is
 * exact, and what the codes round away reaches a divergence only through tokens
 * that hardly count.
 */
#ifndef ELLM_EVAL_REFERENCE_H
#define ELLM_EVAL_REFERENCE_H

#include "base/file.h"

enum { REFERENCE_TOP = 64, REFERENCE_HEAD_BYTES = 88 };

typedef struct reference_head {
  uint32_t rows;   /* a chunk */
  uint32_t chunks, vocab_size, n_ctx;
  int64_t bos;     /* -1: none */
  char text[33];   /* identity of the ids, 32 hex digits */
  char model[33];  /* ellm_eval_fingerprint of the reference */
} reference_head;

void reference_head_encode(const reference_head *head, uint8_t out[REFERENCE_HEAD_BYTES]);
/* `origin` names the file in errors. */
ellm_status reference_head_decode(const uint8_t data[REFERENCE_HEAD_BYTES], const char *origin, reference_head *head,
                                  ellm_error *err);

uint64_t reference_record_bytes(uint32_t vocab_size);
/* A row with its log-sum to a record. False if a logit is NaN or infinity (minus infinity is kept), or if finite ones
 * are thousands apart. */
bool reference_row_encode(const float *row, uint32_t vocab_size, double log_sum, uint32_t label, uint8_t *record);
/* row[vocab_size]; false if the checksum or a field is wrong, or the log-sum is not that of the row. */
bool reference_row_decode(const uint8_t *record, uint32_t vocab_size, float *row, double *log_sum, float *label_logit);
uint32_t reference_row_label(const uint8_t *record);

/* A file being read. */
typedef struct reference_file { file_reader reader; reference_head head; } reference_file;
ellm_status reference_open(const char *path, reference_file *file, ellm_error *err);
void reference_close(reference_file *file);
/* Records of rows first .. first + n - 1 of a chunk. */
ellm_status reference_read(const reference_file *file, uint32_t chunk, uint32_t first, uint32_t n, uint8_t *records,
                           ellm_error *err);
/* Is this a file of saved logits (by its first bytes)? */
bool reference_is_file(const char *path);

#endif
