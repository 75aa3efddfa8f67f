/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ellm_verify. Opening a file checks header, directory, heads, tails, assets and kept tensors. Here every block is
 * checked and decoded, and the figures of the directory are computed again. With a checkpoint, its matrices are
 * quantized again and compared code by code. If the file is lossless, its elements are compared bit by bit. All
 * findings are collected, so that one run names everything that is damaged.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sized.h"
#include "container/container.h"
#include "container/hash.h"
#include "convert/matrix_error.h"
#include "convert/passes.h"
#include "convert/requantize.h"
#include "source/identity.h"
#include "kernels/exact.h"
#include "kernels/kernels.h"

enum { MAX_PROBLEMS = 1000, BATCH_PER_THREAD = 8 };

typedef struct verify_job {
  const char *path, *against;
  ellm_file *file;
  tensor_source *input;             /* NULL without `against` */
  convert_workers workers;
  progress_meter meter;
  uint64_t done;
  uint8_t (*digests)[16];
  ellm_verify_result *result;
  bool out_of_memory;
} verify_job;

/* ------------------------------------------------------------------ problems */

static void add_problem(verify_job *job, const char *format, ...) ELLM_PRINTF(2, 3);

static void add_problem(verify_job *job, const char *format, ...) {
  ellm_verify_result *result = job->result;
  result->ok = false;
  if (result->n_problems == MAX_PROBLEMS) return;
  const char **grown = realloc(result->problems, (result->n_problems + 1) * sizeof *grown);
  if (grown == NULL) {
    job->out_of_memory = true;
    return;
  }
  result->problems = grown;
  char text[sizeof((ellm_error *)0)->message];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  ellm_error clean; /* ellm_fail replaces what cannot be printed */
  ellm_fail(&clean, ELLM_ERR_INPUT, "%s", text);
  if ((grown[result->n_problems] = strdup(clean.message)) == NULL) job->out_of_memory = true;
  else result->n_problems++;
}

static void section_problem(void *user, const char *text) { add_problem(user, "%s", text); }

void ellm_verify_free(ellm_verify_result *result) {
  if (result == NULL) return;
  for (size_t i = 0; i < result->n_problems; i++) free((char *)result->problems[i]);
  free(result->problems);
  free(result);
}

/* -------------------------------------------------------------------- blocks */

typedef enum finding_kind {
  FINDING_CHECKSUM, FINDING_DECODE, FINDING_PATCHES, FINDING_DIFFERENT, FINDING_ELEMENT
} finding_kind;
typedef struct finding { uint64_t block; finding_kind kind; uint64_t row, column; uint32_t have, want; } finding;

typedef struct tensor_job {
  verify_job *job;
  const container_tensor *tensor;
  const strip_quantizer *source;   /* NULL: nothing to compare codes with */
  const source_tensor *exact;      /* NULL: nothing to compare elements with */
  strip_plan plan;                 /* of the whole matrix, or of the blocks that the file has of it */
  uint64_t first_strip;
  struct { finding *items; size_t n; } *found; /* a list for each strip of the batch */
} tensor_job;

static bool compares(const tensor_job *t) { return t->source != NULL || t->exact != NULL; }

/* What to walk over. The checkpoint is read by rows of the whole matrix, and is as large as that. Without it only the
 * blocks of the file are looked at: there are no more than its table has room for, while a part may name a matrix of
 * 2^32 blocks and have none of them. */
static coder_geometry walked(const tensor_job *t) {
  coder_geometry g = t->tensor->geometry;
  if (compares(t)) return g;
  g.n_blocks = container_stored_blocks(t->tensor);
  g.row_groups = g.n_blocks / g.column_ranges;
  return g;
}

static void note(tensor_job *t, convert_worker *worker, size_t item, finding what) {
  finding *grown = realloc(t->found[item].items, (t->found[item].n + 1) * sizeof *grown);
  if (grown == NULL) {
    worker_fail(worker, t->first_strip + item, ellm_fail_memory(&worker->error, sizeof *grown, "a finding"));
    return;
  }
  grown[t->found[item].n++] = what;
  t->found[item].items = grown;
}

/* Compare a block's codes with the source's, in worker->codes; notes the first difference. */
static void compare_block(tensor_job *t, convert_worker *worker, size_t item, const strip *s, const coder_block *block,
                          uint64_t index, const uint8_t *codes) {
  for (uint32_t r = 0; r < block->rows; r++) {
    const uint8_t *have = codes + (size_t)r * block->columns;
    const uint8_t *want = worker->codes + (block->first_row - s->first_row + r) * s->columns +
                          (block->first_column - s->first_column);
    if (memcmp(have, want, block->columns) == 0) continue;
    uint32_t c = 0;
    while (have[c] == want[c]) c++;
    note(t, worker, item,
         (finding){index, FINDING_DIFFERENT, block->first_row + r, block->first_column + c, have[c], want[c]});
    return;
  }
}

/* Compare the elements of a block that is stored exactly with the source's, in worker->raw; notes the first that
 * differs. */
static void compare_elements(tensor_job *t, convert_worker *worker, size_t item, const strip *s,
                             const coder_block *block, uint64_t index, const uint8_t *rests) {
  const container_tensor *tensor = t->tensor;
  const size_t size = ellm_dtype_size(tensor->dtype), row = block->columns * size;
  uint8_t *elements = worker->block;
  exact_join_block(block, tensor->dtype, &tensor->exact, worker->tiles, rests, elements, row);
  for (uint32_t r = 0; r < block->rows; r++) {
    const uint8_t *have = elements + r * row;
    const uint8_t *want = worker->raw + ((block->first_row - s->first_row + r) * s->columns +
                                         (block->first_column - s->first_column)) * size;
    if (memcmp(have, want, row) == 0) continue;
    size_t c = 0;
    while (memcmp(have + c * size, want + c * size, size) == 0) c++;
    note(t, worker, item, (finding){index, FINDING_ELEMENT, block->first_row + r, block->first_column + c,
                                    exact_load(size, have + c * size), exact_load(size, want + c * size)});
    return;
  }
}

/* Only codes at the end of their range are patched, and beyond it. */
static bool patches_needed(const coder_patches *patches, const uint8_t *tiles, const coder_codebook *book) {
  for (uint32_t i = 0; i < patches->n; i++) {
    const coder_patch patch = coder_patch_at(patches, i);
    if (tiles[patch.place] != (patch.difference < 0 ? coder_least_code(book) : coder_most_code(book))) return false;
  }
  return true;
}

static void verify_strip(void *user, size_t item, int thread) {
  tensor_job *t = user;
  verify_job *job = t->job;
  convert_worker *worker = &job->workers.each[thread];
  if (worker->status != ELLM_OK) return;
  strip s = strip_plan_at(&t->plan, t->first_strip + item);
  ellm_status status = t->source != NULL ? strip_quantize(t->source, &s, worker->raw, worker->codes, &worker->error)
                                         : ELLM_OK;
  if (t->exact != NULL) status = strip_read(job->input, t->exact, &s, worker->raw, &worker->error);
  for (uint64_t b = 0; status == ELLM_OK && b < s.n_blocks; b++) {
    uint64_t index = s.first_block + b;
    if (!compares(t)) index = container_stored_block(t->tensor, index);
    else if (!container_has_block(t->tensor, index)) continue; /* of another part */
    const uint8_t *data;
    size_t bytes;
    uint32_t checksum;
    status = container_block_at(job->file, t->tensor, index, &data, &bytes, &checksum, &worker->error);
    if (status != ELLM_OK) break;
    if (container_block_checksum(data, bytes) != checksum) {
      note(t, worker, item, (finding){.block = index, .kind = FINDING_CHECKSUM});
      continue;
    }
    container_block coded;
    if (!container_block_from(t->tensor, index, data, bytes, &coded)) {
      note(t, worker, item, (finding){.block = index, .kind = FINDING_PATCHES});
      continue;
    }
    coder_block block = coder_geometry_block(&t->tensor->geometry, index);
    if (!kernels_best()->decode_block(&t->tensor->book, &block, coded.data, coded.bytes, worker->scratch,
                                      worker->tiles)) {
      note(t, worker, item, (finding){.block = index, .kind = FINDING_DECODE});
      continue;
    }
    worker->outliers += coder_patches_places(&coded.patches);
    if (!patches_needed(&coded.patches, worker->tiles, &t->tensor->book))
      note(t, worker, item, (finding){.block = index, .kind = FINDING_PATCHES});
    uint8_t *codes = worker->block; /* row-major, the block alone */
    coder_untile_block(&block, worker->tiles, codes, block.columns);
    for (size_t i = 0, n = (size_t)block.rows * block.columns; i < n; i++) worker->statistics.codes[codes[i]]++;
    if (t->source != NULL && coded.patches.n > 0) {
      if (!coder_patch_codes(&coded.patches, t->tensor->quant.bits, worker->tiles))
        note(t, worker, item, (finding){.block = index, .kind = FINDING_PATCHES});
      coder_untile_block(&block, worker->tiles, codes, block.columns);
    }
    if (t->source != NULL) compare_block(t, worker, item, &s, &block, index, codes);
    if (t->exact != NULL) compare_elements(t, worker, item, &s, &block, index, coded.rests);
  }
  if (status != ELLM_OK) worker_fail(worker, t->first_strip + item, status);
}

static void report_findings(tensor_job *t, size_t n) {
  const char *name = t->tensor->name, *path = t->job->path;
  for (size_t i = 0; i < n; i++) {
    for (size_t k = 0; k < t->found[i].n; k++) {
      const finding *f = &t->found[i].items[k];
      unsigned long long block = f->block;
      if (f->kind == FINDING_CHECKSUM)
        add_problem(t->job, "%s: tensor %s: block %llu: wrong checksum", path, name, block);
      if (f->kind == FINDING_DECODE)
        add_problem(t->job, "%s: tensor %s: block %llu: cannot be decoded", path, name, block);
      if (f->kind == FINDING_PATCHES)
        add_problem(t->job, "%s: tensor %s: block %llu: its %s are malformed", path, name, block,
                    t->tensor->exact.used ? "rests" : "patches");
      if (f->kind == FINDING_DIFFERENT)
        add_problem(t->job, "%s: tensor %s: block %llu: code %u at row %llu, column %llu, the checkpoint gives %u",
                    path, name, block, f->have, (unsigned long long)f->row, (unsigned long long)f->column, f->want);
      if (f->kind == FINDING_ELEMENT)
        add_problem(t->job, "%s: tensor %s: block %llu: bits %x at row %llu, column %llu, the checkpoint has %x", path,
                    name, block, f->have, (unsigned long long)f->row, (unsigned long long)f->column, f->want);
    }
    free(t->found[i].items);
    t->found[i].items = NULL;
    t->found[i].n = 0;
  }
}

/* The directory's figures against those of the decoded codes. */
static void check_figures(verify_job *job, const container_tensor *tensor) {
  uint64_t counts[256] = {0}, total = 0, outliers = 0;
  for (int i = 0; i < job->workers.n_threads; i++) outliers += job->workers.each[i].outliers;
  for (int i = 0; i < job->workers.n_threads; i++)
    for (int q = 0; q < 256; q++) counts[q] += job->workers.each[i].statistics.codes[q];
  for (int q = 0; q < 256; q++) total += counts[q];
  if (total != tensor->n_elements) return; /* blocks were missing: told already */
  for (int q = 1 << tensor->quant.bits; q < 256; q++)
    if (counts[q] > 0)
      add_problem(job, "%s: tensor %s: code %d does not fit %d bits", job->path, tensor->name, q, tensor->quant.bits);
  if (outliers != tensor->quant.scales.outliers)
    add_problem(job, "%s: tensor %s: %llu outliers in its head, %llu in its blocks", job->path, tensor->name,
                (unsigned long long)tensor->quant.scales.outliers, (unsigned long long)outliers);
  double entropy = coder_entropy_bits(counts, 256);
  if (fabs(entropy - tensor->entropy_bits) > 1e-6 * (1 + entropy))
    add_problem(job, "%s: tensor %s: entropy %.17g in the directory, %.17g in the codes", job->path, tensor->name,
                tensor->entropy_bits, entropy);
  uint64_t huffman = coder_huffman_bits(counts, 256);
  if (huffman != tensor->huffman_bits)
    add_problem(job, "%s: tensor %s: Huffman bits %llu in the directory, %llu in the codes", job->path, tensor->name,
                (unsigned long long)tensor->huffman_bits, (unsigned long long)huffman);
}

static ellm_status verify_coded(verify_job *job, const container_tensor *tensor, const strip_quantizer *source,
                                const source_tensor *exact, double from, ellm_error *err) {
  tensor_job t = {.job = job, .tensor = tensor, .source = source, .exact = exact};
  size_t batch = (size_t)job->workers.n_threads * BATCH_PER_THREAD;
  const coder_geometry geometry = walked(&t);
  if (geometry.n_blocks == 0) return ELLM_OK;
  strip_plan_init(&t.plan, &geometry, job->workers.strip_codes, batch);
  t.found = calloc(batch, sizeof *t.found);
  if (t.found == NULL) return ellm_fail_memory(err, batch * sizeof *t.found, "findings");
  for (int i = 0; i < job->workers.n_threads; i++) {
    memset(job->workers.each[i].statistics.codes, 0, sizeof job->workers.each[i].statistics.codes);
    job->workers.each[i].outliers = 0;
  }
  const pass_progress progress = {.meter = &job->meter,
                                  .stage = "verify",
                                  .tensor = tensor->name,
                                  .base = job->done,
                                  .from = from,
                                  .to = 1,
                                  .bytes = tensor->stored_bytes};
  ellm_status status = ELLM_OK;
  while (status == ELLM_OK && t.first_strip < t.plan.n_strips) {
    uint64_t n = t.plan.n_strips - t.first_strip < batch ? t.plan.n_strips - t.first_strip : batch;
    pool_for(job->workers.pool, (size_t)n, verify_strip, &t);
    status = workers_collect(&job->workers, err);
    report_findings(&t, (size_t)n);
    t.first_strip += n;
    if (status == ELLM_OK) status = pass_report(&progress, (double)t.first_strip / (double)t.plan.n_strips, err);
  }
  free(t.found);
  if (status == ELLM_OK) check_figures(job, tensor);
  return status;
}

/* ---------------------------------------------------------------- checkpoint */

typedef struct kept_data {
  verify_job *job;
  const container_tensor *tensor;
  const uint8_t *data;
  uint64_t at;
  bool different;
} kept_data;

static ellm_status compare_piece(void *user, const uint8_t *piece, size_t bytes, ellm_error *err) {
  (void)err;
  kept_data *kept = user;
  const uint8_t *have = kept->data + kept->at;
  if (!kept->different && memcmp(piece, have, bytes) != 0) {
    size_t i = 0;
    while (piece[i] == have[i]) i++;
    add_problem(kept->job, "%s: tensor %s: byte %llu is %u, in the checkpoint %u", kept->job->path,
                kept->tensor->name, (unsigned long long)(kept->at + i), have[i], piece[i]);
    kept->different = true; /* the rest is read for the digest */
  }
  kept->at += bytes;
  return ELLM_OK;
}

static ellm_status verify_kept(verify_job *job, const container_tensor *tensor, const source_tensor *source,
                               const pass_progress *progress, uint8_t *digest, ellm_error *err) {
  kept_data kept = {.job = job, .tensor = tensor};
  ELLM_TRY(container_kept(job->file, tensor, &kept.data, err));
  return pass_read(job->input, source, &job->workers, progress, digest, compare_piece, &kept, err);
}

static bool same_shape(const container_tensor *tensor, const source_tensor *source) {
  if (tensor->dtype != source->dtype || tensor->n_dims != source->n_dims) return false;
  for (int i = 0; i < tensor->n_dims; i++)
    if (tensor->shape[i] != source->shape[i]) return false;
  return true;
}

/* One tensor of the file, against its source where there is one: then also `digest`, D(data). */
static ellm_status verify_tensor(verify_job *job, const container_tensor *tensor, const source_tensor *source,
                                 uint8_t *digest, ellm_error *err) {
  bool coded = tensor->storage == CONTAINER_CODED, usable = container_tensor_usable(tensor);
  if (source == NULL) return coded && usable ? verify_coded(job, tensor, NULL, NULL, 0, err) : ELLM_OK;
  if (!same_shape(tensor, source)) {
    add_problem(job, "%s: tensor %s: type or shape differs from the checkpoint's", job->path, tensor->name);
    return coded && usable ? verify_coded(job, tensor, NULL, NULL, 0, err) : ELLM_OK;
  }
  const pass_progress scan = {.meter = &job->meter,
                              .stage = "verify",
                              .tensor = tensor->name,
                              .base = job->done,
                              .from = 0,
                              .to = coded ? 0.3 : 1,
                              .bytes = tensor->stored_bytes};
  if (!coded && usable) return verify_kept(job, tensor, source, &scan, digest, err);
  /* only codes of the paper's method follow from the weights alone; of these some may be beyond their fields */
  const bool repeatable = coded && !tensor->exact.used && tensor->quant.scales.rows == NULL &&
                          tensor->quant.scales.columns == NULL &&
                          (tensor->quant.scales.outliers == 0 || tensor->book.kind == CODER_FIELDS);
  quant_range range = QUANT_RANGE_EMPTY;
  ellm_status status = pass_scan(job->input, source, &job->workers, &scan, digest, repeatable ? &range : NULL, NULL,
                                 err);
  if (status == ELLM_ERR_INPUT && coded && range.bad) {
    add_problem(job, "%s", err->message);
    return usable ? verify_coded(job, tensor, NULL, NULL, 0.3, err) : ELLM_OK;
  }
  if (status != ELLM_OK || !usable) return status;
  if (!repeatable) return verify_coded(job, tensor, NULL, tensor->exact.used ? source : NULL, 0.3, err);
  quant_params params = quant_choose(range.lo, range.hi, tensor->quant.bits, tensor->quant.scheme);
  const quant_scales *have = &tensor->quant.scales, *want = &params.scales;
  if (want->step != have->step || want->zero != have->zero || params.scheme != tensor->quant.scheme) {
    add_problem(job, "%s: tensor %s: step %.9g and zero %d, the checkpoint gives %.9g and %d", job->path, tensor->name,
                (double)have->step, have->zero, (double)want->step, want->zero);
    return verify_coded(job, tensor, NULL, NULL, 0.3, err);
  }
  strip_quantizer coder;
  ELLM_TRY(strip_quantizer_init(&coder, job->input, source, &params, err));
  status = verify_coded(job, tensor, &coder, NULL, 0.3, err);
  strip_quantizer_free(&coder);
  return status;
}

/* All files that the model needs must be there; others only as they are in the checkpoint. */
static void compare_assets(verify_job *job) {
  for (size_t i = 0; i < source_asset_count(job->input); i++) {
    const char *name = source_asset_name(job->input, i);
    if (asset_is_needed(name) && ellm_file_asset(job->file, name, NULL) == NULL)
      add_problem(job, "%s: asset %s of the checkpoint is not in the file", job->path, name);
  }
  for (size_t i = 0; i < ellm_file_asset_count(job->file); i++) {
    const char *name = container_asset_name(job->file, i);
    size_t want_bytes = 0, have_bytes = 0;
    const void *want = source_asset(job->input, name, &want_bytes);
    const void *have = ellm_file_asset(job->file, name, &have_bytes);
    if (want == NULL) add_problem(job, "%s: asset %s is not in the checkpoint", job->path, name);
    else if (have != NULL && (want_bytes != have_bytes || (want_bytes > 0 && memcmp(want, have, want_bytes) != 0)))
      add_problem(job, "%s: asset %s differs from the checkpoint's", job->path, name);
  }
}

static ellm_status compare_checkpoint(verify_job *job, ellm_error *err) {
  bool complete = true;
  for (size_t i = 0; i < source_count(job->input); i++) {
    const char *name = source_at(job->input, i)->name;
    if (container_find(job->file, name) != NULL) continue;
    add_problem(job, "%s: tensor %s of the checkpoint is not in the file", job->path, name);
    complete = false;
  }
  compare_assets(job);
  if (!complete || !job->result->ok) return ELLM_OK; /* the identity cannot be right, and would say nothing more */
  uint8_t identity[16];
  char want[33], have[33], self[33];
  ELLM_TRY(source_identity_of(job->input, job->digests, identity, err));
  hash_hex(identity, want);
  ellm_file_identity(job->file, have, self);
  if (strcmp(want, have) != 0)
    add_problem(job, "%s: source identity %s, the checkpoint's is %s", job->path, have, want);
  return ELLM_OK;
}

/* --------------------------------------------------------------------- whole */

static ellm_status verify_all(verify_job *job, ellm_error *err) {
  size_t n = ellm_file_tensor_count(job->file);
  for (size_t i = 0; i < n; i++) {
    const container_tensor *tensor = container_tensor_at(job->file, i);
    const source_tensor *source = job->input != NULL ? source_find(job->input, tensor->name) : NULL;
    uint8_t unused[16], *digest = unused;
    if (job->input != NULL && source == NULL)
      add_problem(job, "%s: tensor %s is not in the checkpoint", job->path, tensor->name);
    for (size_t k = 0; source != NULL && k < source_count(job->input); k++)
      if (source_at(job->input, k) == source) digest = job->digests[k];
    ELLM_TRY(verify_tensor(job, tensor, source, digest, err));
    job->done += tensor->stored_bytes;
    ELLM_TRY(progress_report(&job->meter, "verify", tensor->name, job->done, err));
  }
  if (job->input != NULL) ELLM_TRY(compare_checkpoint(job, err));
  return progress_finish(&job->meter, "verify", err);
}

/* The checkpoint with all files that the .ellm file holds, whatever they are called. */
static ellm_status open_checkpoint(verify_job *job, ellm_error *err) {
  const size_t n = ellm_file_asset_count(job->file);
  const char **names = calloc(n + 1, sizeof *names);
  if (names == NULL) return ellm_fail_memory(err, n * sizeof *names, "the names of files");
  for (size_t i = 0; i < n; i++) names[i] = container_asset_name(job->file, i);
  const source_options options = {.assets = {.include = names, .n_include = n, .literal = true}};
  const ellm_status status = source_open(job->against, &options, &job->input, err);
  free(names);
  if (status == ELLM_OK && source_compressed(job->input))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: a .ellm file, a checkpoint folder is expected", job->against);
  return status;
}

/* The number of the k-th quantized tensor in the file's metadata, as text; false: none was recorded. */
static bool recorded_error(const ellm_file *file, size_t k, char text[MATRIX_ERROR_BYTES]) {
  char name[32];
  const char *at = ellm_file_metadata(file, matrix_errors_name(k / MATRIX_ERRORS_A_RECORD, name));
  if (at == NULL || *at != '[') return false;
  at++;
  for (size_t i = k % MATRIX_ERRORS_A_RECORD; i > 0; i--) {
    at += strcspn(at, ",");
    if (*at != ',') return false;
    at++;
  }
  const size_t bytes = strcspn(at, ",]");
  if (bytes == 0 || bytes >= MATRIX_ERROR_BYTES) return false;
  memcpy(text, at, bytes);
  text[bytes] = '\0';
  return true;
}

/* How far matrices are from the checkpoint's, where the file says how far they were. */
static ellm_status compare_errors(verify_job *job, const ellm_source *file, const ellm_source *source,
                                  ellm_error *err) {
  char want[MATRIX_ERROR_BYTES], have[MATRIX_ERROR_BYTES];
  size_t k = 0;
  for (size_t i = 0; i < ellm_file_tensor_count(job->file); i++) {
    const container_tensor *tensor = container_tensor_at(job->file, i);
    double error;
    if (tensor->storage != CONTAINER_CODED) continue;
    if (!recorded_error(job->file, k++, want)) return ELLM_OK;
    ELLM_TRY(matrix_error(file, source, tensor->name, &error, err));
    matrix_error_text(error, have);
    if (strcmp(have, want) != 0)
      add_problem(job, "%s: tensor %s: its error is %s, %s was recorded", job->path, tensor->name, have, want);
  }
  return ELLM_OK;
}

static ellm_status verify_errors(verify_job *job, ellm_error *err) {
  ellm_source *file = NULL, *source = NULL;
  if (ellm_file_metadata(job->file, "entrollm.errors") == NULL) return ELLM_OK;
  ellm_status status = ellm_source_open(job->path, &file, err);
  if (status == ELLM_OK) status = ellm_source_open(job->against, &source, err);
  if (status == ELLM_OK) status = compare_errors(job, file, source, err);
  ellm_source_close(file);
  ellm_source_close(source);
  return status;
}

static ellm_status make_again(verify_job *job, const ellm_verify_options *options, ellm_error *err) {
  bool same = false;
  uint64_t first = 0;
  ELLM_TRY(requantize(job->file, options, &same, &first, err));
  if (!same)
    add_problem(job, "%s: made again by this version (%s), it differs from byte %llu on", job->path, ellm_version(),
                (unsigned long long)first);
  return ELLM_OK;
}

static ellm_status verify_file(verify_job *job, const ellm_verify_options *options, ellm_error *err) {
  ELLM_TRY(workers_create(options->threads, &job->workers, err));
  ELLM_TRY(container_open_lenient(job->path, section_problem, job, &job->file, err));
  if (job->against != NULL) {
    ELLM_TRY(container_need_whole(job->file, err));
    ELLM_TRY(open_checkpoint(job, err));
    job->digests = calloc(source_count(job->input) + 1, sizeof *job->digests);
    if (job->digests == NULL) return ellm_fail_memory(err, source_count(job->input) * 16, "digests");
  }
  progress_start(&job->meter, options->progress, options->progress_user, container_file_bytes(job->file));
  ELLM_TRY(verify_all(job, err));
  if (job->against != NULL && job->result->ok) ELLM_TRY(verify_errors(job, err));
  if (options->requantize && job->result->ok) ELLM_TRY(make_again(job, options, err));
  if (job->out_of_memory) return ellm_fail_memory(err, sizeof *err, "a problem");
  job->result->checked_bytes = container_file_bytes(job->file);
  if (job->result->ok) return ELLM_OK;
  return ellm_fail(err, ELLM_ERR_DIFFERENCE, "%s", job->result->problems[0]);
}

void ellm_verify_options_init_sized(ellm_verify_options *given, size_t size) {
  const ellm_verify_options own = {.size = size};
  ellm_sized_init(given, &own, sizeof own);
}

ellm_status ellm_verify(const char *path, const ellm_verify_options *options, ellm_verify_result **result,
                        ellm_error *err) {
  ellm_error local;
  if (err == NULL) err = &local;
  if (result != NULL) *result = NULL;
  ELLM_SIZED(ellm_verify_options, own, options, err);
  if (own.requantize && own.against == NULL)
    return ellm_fail(err, ELLM_ERR_USAGE, "%s: its source is needed to make it again", path);
  verify_job job = {.path = path, .against = own.against, .result = calloc(1, sizeof(ellm_verify_result))};
  if (job.result == NULL) return ellm_fail_memory(err, sizeof *job.result, "a result");
  job.result->ok = true;
  const ellm_status status = verify_file(&job, &own, err);
  if (status != ELLM_OK) job.result->ok = false;
  if (result != NULL && (status == ELLM_OK || status == ELLM_ERR_DIFFERENCE)) *result = job.result;
  else ellm_verify_free(job.result);
  ellm_file_close(job.file);
  source_close(job.input);
  free(job.digests);
  workers_free(&job.workers);
  return status;
}
