/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ellm_compress. Per matrix three passes over the source, each spread over the
 * threads by strips: range (and data digest), statistics for the code book,
 * encoding. (A ragged matrix takes a fourth one that counts codes first: which
 * code pads it must be known before its pairs are counted.) Nothing depends on
 * the number of threads: sums are of integers, blocks are coded independently
 * and written in order. Memory is that of the team, whatever the model's size.
 */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "container/container.h"
#include "container/hash.h"
#include "container/record.h"
#include "convert/journal.h"
#include "convert/report.h"
#include "convert/source.h"

enum { STRIPS_PER_THREAD = 4 }; /* of a batch */

/* Shares of a matrix's progress: where each pass ends. */
static const double range_end = 0.15, count_end = 0.25, statistics_end = 0.5;

/* One encoded strip on its way to the file. */
typedef struct strip_output {
  ellm_buffer data;
  uint32_t *sizes, *checksums; /* one a block */
  size_t n_blocks, capacity;
} strip_output;

typedef struct compress_job {
  const ellm_compress_options *options;
  checkpoint *ckpt;
  team team;
  container_writer *writer;    /* a dry one for a dry run */
  journal *journal;            /* NULL: not resumable */
  bool adopting;               /* sections of an earlier run may still come */
  ellm_report *report;
  progress_meter meter;
  uint64_t done;               /* source bytes of finished tensors */
  uint8_t (*digests)[16];
  strip_output *outputs;       /* team.n_threads * STRIPS_PER_THREAD */
  size_t n_outputs;
} compress_job;

void ellm_compress_options_init(ellm_compress_options *options) {
  *options = (ellm_compress_options){
      .bits = 8, .scheme = ELLM_SCHEME_MIXED, .prefer = ELLM_PREFER_SPEED, .code = ELLM_CODE_HUFFMAN};
}

/* ------------------------------------------------------- passes over a matrix */

typedef struct matrix_job {
  compress_job *job;
  source_coder source;
  container_tensor tensor;
  strip_plan plan;
  uint64_t first_strip;        /* of the batch */
  uint8_t pad;
} matrix_job;

typedef void (*strip_fn)(matrix_job *m, team_worker *worker, const strip *s, size_t item);

typedef struct strip_pass { matrix_job *m; strip_fn fn; } strip_pass;

static void run_strip(void *user, size_t item, int thread) {
  const strip_pass *pass = user;
  matrix_job *m = pass->m;
  team_worker *worker = &m->job->team.workers[thread];
  if (worker->status != ELLM_OK) return;
  strip s = strip_plan_at(&m->plan, m->first_strip + item);
  ellm_status status = source_codes(&m->source, &s, worker->raw, worker->codes, &worker->error);
  if (status != ELLM_OK) team_fail(worker, m->first_strip + item, status);
  else pass->fn(m, worker, &s, item);
}

/* All strips, batch by batch; `after` (may be NULL) runs on this thread after each batch. */
static ellm_status run_pass(matrix_job *m, strip_fn fn, ellm_status (*after)(matrix_job *, size_t, ellm_error *),
                            double from, double to, const char *stage, ellm_error *err) {
  compress_job *job = m->job;
  strip_pass pass = {m, fn};
  const pass_progress progress = {.meter = &job->meter,
                                  .stage = stage,
                                  .tensor = m->tensor.name,
                                  .base = job->done,
                                  .from = from,
                                  .to = to,
                                  .bytes = m->source.tensor->bytes};
  for (m->first_strip = 0; m->first_strip < m->plan.n_strips;) {
    uint64_t n = m->plan.n_strips - m->first_strip;
    if (n > job->n_outputs) n = job->n_outputs;
    pool_for(job->team.pool, (size_t)n, run_strip, &pass);
    ELLM_TRY(team_collect(&job->team, err));
    if (after != NULL) ELLM_TRY(after(m, (size_t)n, err));
    m->first_strip += n;
    ELLM_TRY(pass_report(&progress, (double)m->first_strip / (double)m->plan.n_strips, err));
  }
  return ELLM_OK;
}

/* The codes of block b of the strip, in tile order. */
static coder_block tile_block(const matrix_job *m, const strip *s, uint64_t b, const team_worker *worker,
                              uint8_t *tiles) {
  coder_block block = coder_geometry_block(&m->tensor.geometry, s->first_block + b);
  size_t at = (size_t)((block.first_row - s->first_row) * s->columns + (block.first_column - s->first_column));
  coder_tile_block(&block, worker->codes + at, (size_t)s->columns, m->pad, tiles);
  return block;
}

static void count_codes(matrix_job *m, team_worker *worker, const strip *s, size_t item) {
  (void)m;
  (void)item;
  for (size_t i = 0, n = (size_t)(s->rows * s->columns); i < n; i++) worker->statistics.codes[worker->codes[i]]++;
}

static void add_statistics(matrix_job *m, team_worker *worker, const strip *s, size_t item) {
  (void)item;
  for (uint64_t b = 0; b < s->n_blocks; b++) {
    coder_block block = tile_block(m, s, b, worker, worker->tiles);
    coder_statistics_add(&worker->statistics, &block, m->tensor.quant.bits, worker->tiles);
  }
}

static void encode_strip(matrix_job *m, team_worker *worker, const strip *s, size_t item) {
  strip_output *out = &m->job->outputs[item];
  out->data.size = 0;
  out->n_blocks = 0;
  for (uint64_t b = 0; b < s->n_blocks; b++) {
    coder_block block = tile_block(m, s, b, worker, worker->tiles);
    size_t bytes = coder_encode_block(worker->encoder, &m->tensor.book, &block, worker->tiles, worker->block);
    if (bytes == CODER_NOT_CODABLE) {
      team_fail(worker, m->first_strip + item,
                ellm_fail(&worker->error, ELLM_ERR_INTERNAL, "tensor %s: block %llu: a code is not in the code book",
                          m->tensor.name, (unsigned long long)(s->first_block + b)));
      return;
    }
    if (!ellm_buffer_append(&out->data, worker->block, bytes)) {
      team_fail(worker, m->first_strip + item, ellm_fail_memory(&worker->error, bytes, "coded blocks"));
      return;
    }
    out->sizes[out->n_blocks] = (uint32_t)bytes;
    out->checksums[out->n_blocks++] = container_block_checksum(worker->block, bytes);
  }
}

static ellm_status write_strips(matrix_job *m, size_t n, ellm_error *err) {
  for (size_t i = 0; i < n; i++) {
    const strip_output *out = &m->job->outputs[i];
    const uint8_t *data = out->data.data;
    for (size_t b = 0; b < out->n_blocks; b++) {
      ELLM_TRY(container_writer_block(m->job->writer, data, out->sizes[b], out->checksums[b], err));
      data += out->sizes[b];
    }
  }
  return ELLM_OK;
}

static ellm_status reserve_outputs(compress_job *job, size_t blocks, ellm_error *err) {
  for (size_t i = 0; i < job->n_outputs; i++) {
    strip_output *out = &job->outputs[i];
    if (out->capacity >= blocks) continue;
    free(out->sizes);
    free(out->checksums);
    out->sizes = malloc(blocks * sizeof *out->sizes);
    out->checksums = malloc(blocks * sizeof *out->checksums);
    out->capacity = out->sizes != NULL && out->checksums != NULL ? blocks : 0;
    if (out->capacity == 0) return ellm_fail_memory(err, blocks * 8, "block tables");
  }
  return ELLM_OK;
}

static void clear_statistics(compress_job *job) {
  for (int i = 0; i < job->team.n_threads; i++)
    memset(&job->team.workers[i].statistics, 0, sizeof job->team.workers[i].statistics);
}

static void gather_statistics(const compress_job *job, coder_statistics *all) {
  memset(all, 0, sizeof *all);
  for (int i = 0; i < job->team.n_threads; i++) coder_statistics_merge(all, &job->team.workers[i].statistics);
}

/* Counts of the whole matrix and the code that pads it, the most frequent one. */
static ellm_status analyse(matrix_job *m, coder_statistics *stats, ellm_error *err) {
  compress_job *job = m->job;
  const coder_geometry *geometry = &m->tensor.geometry;
  bool ragged = geometry->rows % geometry->panel_rows != 0 || geometry->columns % CODER_TILE_COLUMNS != 0;
  double from = range_end;
  m->pad = 0;
  if (ragged) {
    clear_statistics(job);
    ELLM_TRY(run_pass(m, count_codes, NULL, from, count_end, "analyse", err));
    gather_statistics(job, stats);
    for (int q = 1; q < 256; q++)
      if (stats->codes[q] > stats->codes[m->pad]) m->pad = (uint8_t)q;
    from = count_end;
  }
  clear_statistics(job);
  ELLM_TRY(run_pass(m, add_statistics, NULL, from, statistics_end, "analyse", err));
  gather_statistics(job, stats);
  for (int q = 0; !ragged && q < 256; q++)
    if (stats->codes[q] > stats->codes[m->pad]) m->pad = (uint8_t)q;
  return ELLM_OK;
}

static ellm_status code_matrix(matrix_job *m, ellm_error *err) {
  compress_job *job = m->job;
  container_tensor *tensor = &m->tensor;
  coder_statistics *stats = malloc(sizeof *stats);
  if (stats == NULL) return ellm_fail_memory(err, sizeof *stats, "statistics");
  ellm_status status = analyse(m, stats, err);
  if (status == ELLM_OK) {
    tensor->entropy_bits = quant_entropy_bits(stats->codes, 256);
    tensor->huffman_bits = quant_huffman_bits(stats->codes, 256);
    status = coder_choose(stats, &tensor->geometry, tensor->quant.bits, m->pad, job->options->prefer,
                          job->options->code, &tensor->book, NULL, err);
  }
  free(stats);
  if (status != ELLM_OK) return status;
  ELLM_TRY(reserve_outputs(job, m->plan.max_blocks, err));
  ELLM_TRY(container_writer_begin_coded(job->writer, tensor, err));
  ELLM_TRY(run_pass(m, encode_strip, write_strips, statistics_end, 1, "encode", err));
  return container_writer_end(job->writer, err);
}

static void take_shape(container_tensor *tensor, const checkpoint_tensor *source) {
  memset(tensor, 0, sizeof *tensor);
  tensor->name = source->name;
  tensor->dtype = source->dtype;
  tensor->n_dims = source->n_dims;
  memcpy(tensor->shape, source->shape, sizeof tensor->shape);
  tensor->n_elements = source->n_elements;
}

static ellm_status compress_matrix(compress_job *job, const checkpoint_tensor *source, uint8_t digest[16],
                                   container_tensor *tensor, ellm_error *err) {
  matrix_job m = {.job = job};
  take_shape(&m.tensor, source);
  m.tensor.storage = CONTAINER_CODED;
  const pass_progress progress = {.meter = &job->meter,
                                  .stage = "analyse",
                                  .tensor = source->name,
                                  .base = job->done,
                                  .from = 0,
                                  .to = range_end,
                                  .bytes = source->bytes};
  quant_range range;
  ELLM_TRY(source_scan(job->ckpt, source, &job->team, &progress, digest, &range, err));
  m.tensor.quant = quant_choose(range.lo, range.hi, job->options->bits, job->options->scheme);
  if (!coder_geometry_init(&m.tensor.geometry, source->shape[0], source->shape[1]))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: %llu x %llu cannot be cut into blocks",
                     checkpoint_path(job->ckpt), source->name, (unsigned long long)source->shape[0],
                     (unsigned long long)source->shape[1]);
  strip_plan_init(&m.plan, &m.tensor.geometry, job->team.strip_codes,
                  (uint64_t)job->team.n_threads * STRIPS_PER_THREAD);
  ELLM_TRY(source_coder_init(&m.source, job->ckpt, source, &m.tensor.quant, err));
  ellm_status status = code_matrix(&m, err);
  source_coder_free(&m.source);
  *tensor = m.tensor;
  return status;
}

/* ------------------------------------------------------------- other sections */

static ellm_status keep_tensor(compress_job *job, const checkpoint_tensor *source, uint8_t digest[16],
                               container_tensor *tensor, ellm_error *err) {
  take_shape(tensor, source);
  tensor->storage = CONTAINER_KEPT;
  const pass_progress scan = {.meter = &job->meter,
                              .stage = "keep",
                              .tensor = source->name,
                              .base = job->done,
                              .from = 0,
                              .to = 0.5,
                              .bytes = source->bytes};
  ELLM_TRY(source_scan(job->ckpt, source, &job->team, &scan, digest, NULL, err));
  ELLM_TRY(container_writer_begin_kept(job->writer, tensor, err));
  uint8_t *piece = job->team.workers[0].raw;
  for (uint64_t at = 0; at < source->bytes;) {
    size_t bytes = source->bytes - at < HASH_CHUNK ? (size_t)(source->bytes - at) : HASH_CHUNK;
    ELLM_TRY(checkpoint_read(job->ckpt, source, at, piece, bytes, err));
    ELLM_TRY(container_writer_kept_bytes(job->writer, piece, bytes, err));
    at += bytes;
    ELLM_TRY(progress_report(&job->meter, "keep", source->name, job->done + source->bytes / 2 + at / 2, err));
  }
  return container_writer_end(job->writer, err);
}

/* Try to take the next section over from an earlier run. */
static ellm_status adopt(compress_job *job, const char *name, container_tensor *tensor, uint8_t digest[16],
                         bool *adopted, ellm_error *err) {
  *adopted = false;
  if (!job->adopting) return ELLM_OK;
  journal_entry entry;
  if (!journal_next(job->journal, &entry)) {
    job->adopting = false;
    return ELLM_OK;
  }
  container_tensor found = {0};
  ELLM_TRY(container_writer_adopt(job->writer, entry.record, entry.bytes, &found, adopted, err));
  if (*adopted && name != NULL && strcmp(found.name, name) != 0)
    return ellm_fail(err, ELLM_ERR_INTERNAL, "journal: section %s where %s was expected", found.name, name);
  if (!*adopted) {
    journal_reject(job->journal);
    job->adopting = false;
    return ELLM_OK;
  }
  if (tensor != NULL) *tensor = found;
  if (digest != NULL) memcpy(digest, entry.digest, 16);
  return ELLM_OK;
}

/* The section just written goes into the journal. */
static ellm_status remember(compress_job *job, const uint8_t digest[16], ellm_error *err) {
  static const uint8_t none[16];
  if (job->journal == NULL) return ELLM_OK;
  size_t bytes;
  const uint8_t *record = container_writer_last_record(job->writer, &bytes);
  return record != NULL ? journal_add(job->journal, record, bytes, digest != NULL ? digest : none, err) : ELLM_OK;
}

static ellm_status add_assets(compress_job *job, ellm_error *err) {
  for (size_t i = 0; i < checkpoint_asset_count(job->ckpt); i++) {
    const char *name = checkpoint_asset_name(job->ckpt, i);
    size_t bytes = 0;
    const uint8_t *data = checkpoint_asset(job->ckpt, name, &bytes);
    if (data == NULL) continue;
    bool adopted = false;
    ELLM_TRY(adopt(job, NULL, NULL, NULL, &adopted, err));
    if (adopted) continue;
    ELLM_TRY(container_writer_asset(job->writer, name, data, bytes, err));
    ELLM_TRY(remember(job, NULL, err));
  }
  return ELLM_OK;
}

static ellm_status add_metadata(compress_job *job, const char *name, const char *value, ellm_error *err) {
  bool adopted = false;
  ELLM_TRY(adopt(job, NULL, NULL, NULL, &adopted, err));
  if (adopted) return ELLM_OK;
  ELLM_TRY(container_writer_metadata(job->writer, name, value, err));
  return remember(job, NULL, err);
}

static bool kept_by_option(const ellm_compress_options *options, const char *name) {
  for (size_t i = 0; i < options->n_keep; i++)
    if (fnmatch(options->keep[i], name, 0) == 0) return true;
  return false;
}

static ellm_status add_tensor(compress_job *job, size_t index, ellm_error *err) {
  const checkpoint_tensor *source = checkpoint_tensor_at(job->ckpt, index);
  container_tensor *tensor = calloc(1, sizeof *tensor);
  if (tensor == NULL) return ellm_fail_memory(err, sizeof *tensor, "a tensor");
  bool adopted = false;
  ellm_status status = adopt(job, source->name, tensor, job->digests[index], &adopted, err);
  if (status == ELLM_OK && !adopted) {
    bool matrix = source_is_matrix(source) && !kept_by_option(job->options, source->name);
    status = (matrix ? compress_matrix : keep_tensor)(job, source, job->digests[index], tensor, err);
    if (status == ELLM_OK) status = remember(job, job->digests[index], err);
  }
  if (status == ELLM_OK) container_writer_last_sizes(job->writer, &tensor->payload_bytes, &tensor->stored_bytes);
  if (status == ELLM_OK) status = report_tensor(job->report, tensor, err);
  free(tensor);
  job->done += source->bytes;
  return status;
}

/* ---------------------------------------------------------------- the whole */

static ellm_status check_options(const ellm_compress_options *options, ellm_error *err) {
  if (options->bits < 2 || options->bits > 8)
    return ellm_fail(err, ELLM_ERR_USAGE, "%d bits: 2 to 8 are possible", options->bits);
  if (options->scheme > ELLM_SCHEME_ASYMMETRIC)
    return ellm_fail(err, ELLM_ERR_USAGE, "unknown scheme %d", (int)options->scheme);
  if (options->prefer > ELLM_PREFER_SIZE)
    return ellm_fail(err, ELLM_ERR_USAGE, "unknown preference %d", (int)options->prefer);
  if (options->code > ELLM_CODE_NONE) return ellm_fail(err, ELLM_ERR_USAGE, "unknown code %d", (int)options->code);
  if (options->threads < 0) return ellm_fail(err, ELLM_ERR_USAGE, "%d threads make no sense", options->threads);
  return ELLM_OK;
}

/* Before anything is written: names that safetensors allows and .ellm files do not. */
static ellm_status check_names(const checkpoint *ckpt, ellm_error *err) {
  for (size_t i = 0; i < checkpoint_tensor_count(ckpt); i++) {
    const checkpoint_tensor *tensor = checkpoint_tensor_at(ckpt, i);
    size_t bytes = strlen(tensor->name);
    if (!format_name_valid(tensor->name, bytes))
      return ellm_fail(err, ELLM_ERR_INPUT,
                       "%s: tensor %.100s: this name of %zu bytes cannot be stored (at most %d, no control characters)",
                       checkpoint_shard_path(ckpt, tensor->shard), tensor->name, bytes, (int)FORMAT_NAME_MAX);
  }
  return ELLM_OK;
}

static ellm_status warn(compress_job *job, ellm_error *err) {
  const checkpoint *ckpt = job->ckpt;
  ellm_report *report = job->report;
  static const char *const wanted[] = {"config.json", "tokenizer.json"};
  for (size_t i = 0; i < 2; i++)
    if (checkpoint_asset(ckpt, wanted[i], NULL) == NULL)
      ELLM_TRY(
          report_warn(report, err, "no %s in the checkpoint: what needs it will not work from the file", wanted[i]));
  const char *name;
  size_t left_out = checkpoint_left_out(ckpt, &name);
  if (left_out > 0)
    ELLM_TRY(report_warn(report, err, "%zu file%s of the checkpoint left out (%.150s): larger than 64 MiB, or a name "
                         "that is not plain ASCII", left_out, left_out == 1 ? "" : "s", name));
  bool embedding = false;
  for (size_t i = 0; i < checkpoint_tensor_count(ckpt); i++) {
    const checkpoint_tensor *tensor = checkpoint_tensor_at(ckpt, i);
    if (strstr(tensor->name, "embed") != NULL || strstr(tensor->name, "wte") != NULL) embedding = true;
    if (tensor->n_dims == 2 && tensor->n_elements > 0 && !source_is_matrix(tensor))
      ELLM_TRY(report_warn(report, err, "matrix %.150s is %s: kept, only F32, F16 and BF16 are quantized", tensor->name,
                           ellm_dtype_name(tensor->dtype)));
  }
  size_t metadata = strlen(checkpoint_metadata(ckpt));
  if (metadata > CONTAINER_METADATA_MAX)
    ELLM_TRY(report_warn(report, err, "__metadata__ of the checkpoint has %zu bytes: left out, at most %d are kept",
                         metadata, (int)CONTAINER_METADATA_MAX));
  if (!embedding) ELLM_TRY(report_warn(report, err, "no embedding in the checkpoint: the file cannot generate text"));
  for (size_t k = 0; k < job->options->n_keep; k++) {
    bool used = false;
    for (size_t i = 0; i < checkpoint_tensor_count(ckpt) && !used; i++)
      used = fnmatch(job->options->keep[k], checkpoint_tensor_at(ckpt, i)->name, 0) == 0;
    if (!used) ELLM_TRY(report_warn(report, err, "--keep %.150s: no such tensor", job->options->keep[k]));
  }
  return ELLM_OK;
}

static void options_json(const ellm_compress_options *options, char *out, size_t bytes) {
  static const char *const schemes[] = {"mixed", "symmetric", "asymmetric"};
  snprintf(out, bytes, "{\"bits\":%d,\"scheme\":\"%s\",\"prefer\":\"%s\",\"code\":\"%s\"}", options->bits,
           schemes[options->scheme], options->prefer == ELLM_PREFER_SIZE ? "size" : "speed",
           options->code == ELLM_CODE_NONE ? "none" : "huffman");
}

static ellm_status write_all(compress_job *job, ellm_error *err) {
  char options[160];
  options_json(job->options, options, sizeof options);
  ELLM_TRY(add_assets(job, err));
  ELLM_TRY(add_metadata(job, "entrollm.options", options, err));
  const char *metadata = checkpoint_metadata(job->ckpt);
  if (strcmp(metadata, "{}") != 0 && strlen(metadata) <= CONTAINER_METADATA_MAX)
    ELLM_TRY(add_metadata(job, "safetensors.metadata", metadata, err));
  for (size_t i = 0; i < checkpoint_tensor_count(job->ckpt); i++) ELLM_TRY(add_tensor(job, i, err));
  return progress_finish(&job->meter, "finish", err);
}

/* What a resumed run must share with the one before: options, the source's
 * files (size, time of change), tensors and assets. */
static ellm_status resume_key(const compress_job *job, uint8_t key[16], ellm_error *err) {
  ellm_buffer text = {0};
  const ellm_compress_options *options = job->options;
  char line[256];
  options_json(options, line, sizeof line);
  bool ok = ellm_buffer_append(&text, ellm_version(), strlen(ellm_version()) + 1) &&
            ellm_buffer_append(&text, line, strlen(line) + 1);
  for (size_t i = 0; ok && i < options->n_keep; i++)
    ok = ellm_buffer_append(&text, options->keep[i], strlen(options->keep[i]) + 1);
  for (size_t i = 0; ok && i < checkpoint_tensor_count(job->ckpt); i++) {
    const checkpoint_tensor *tensor = checkpoint_tensor_at(job->ckpt, i);
    const char *path = checkpoint_shard_path(job->ckpt, tensor->shard);
    struct stat s;
    if (stat(path, &s) != 0) memset(&s, 0, sizeof s);
    int n = snprintf(line, sizeof line, "%u %llu %lld.%09ld %llu %d", tensor->shard, (unsigned long long)s.st_size,
                     (long long)s.st_mtim.tv_sec, (long)s.st_mtim.tv_nsec, (unsigned long long)tensor->offset,
                     (int)tensor->dtype);
    ok = ellm_buffer_append(&text, line, (size_t)n + 1) &&
         ellm_buffer_append(&text, tensor->name, strlen(tensor->name) + 1) &&
         ellm_buffer_append(&text, tensor->shape, sizeof tensor->shape);
  }
  for (size_t i = 0; ok && i < checkpoint_asset_count(job->ckpt); i++) {
    const char *name = checkpoint_asset_name(job->ckpt, i);
    size_t bytes = 0;
    const uint8_t *data = checkpoint_asset(job->ckpt, name, &bytes);
    uint8_t digest[16] = {0};
    if (data != NULL) hash128(data, bytes, digest);
    ok = ellm_buffer_append(&text, name, strlen(name) + 1) && ellm_buffer_append(&text, digest, sizeof digest);
  }
  if (ok) hash128(text.data, text.size, key);
  ellm_status status = ok ? ELLM_OK : ellm_fail_memory(err, text.size, "the journal's key");
  ellm_buffer_free(&text);
  return status;
}

/* Not even --force may replace a file of the checkpoint. */
static ellm_status check_output(const compress_job *job, const char *out_path, ellm_error *err) {
  bool same = false;
  for (size_t i = 0; i < checkpoint_tensor_count(job->ckpt) && !same; i++) {
    uint32_t shard = checkpoint_tensor_at(job->ckpt, i)->shard;
    if (i == 0 || shard != checkpoint_tensor_at(job->ckpt, i - 1)->shard)
      same = file_same(out_path, checkpoint_shard_path(job->ckpt, shard));
  }
  for (size_t i = 0; i < checkpoint_asset_count(job->ckpt) && !same; i++) {
    char *path = path_join(checkpoint_path(job->ckpt), checkpoint_asset_name(job->ckpt, i));
    if (path == NULL) return ellm_fail_memory(err, strlen(out_path), "a path");
    same = file_same(out_path, path);
    free(path);
  }
  return same ? ellm_fail(err, ELLM_ERR_USAGE, "%s is a file of the checkpoint", out_path) : ELLM_OK;
}

static ellm_status open_output(compress_job *job, const char *out_path, ellm_error *err) {
  const ellm_compress_options *options = job->options;
  if (options->dry_run) return container_writer_open_dry(&job->writer, err);
  file_writer_options files = {.overwrite = options->overwrite, .keep_partial = options->resume};
  if (!options->overwrite && file_exists(out_path))
    return ellm_fail(err, ELLM_ERR_USAGE, "%s exists already", out_path);
  ELLM_TRY(check_output(job, out_path, err));
  if (options->resume) {
    uint8_t key[16];
    ELLM_TRY(resume_key(job, key, err));
    ELLM_TRY(journal_open(out_path, key, &job->journal, err));
    job->adopting = files.resume = journal_has_entries(job->journal);
  } else {
    journal_remove(out_path);
  }
  return container_writer_open(out_path, &files, &job->writer, err);
}

static ellm_status run(compress_job *job, const char *out_path, ellm_error *err) {
  const ellm_compress_options *options = job->options;
  uint64_t total = 0;
  size_t n = checkpoint_tensor_count(job->ckpt);
  for (size_t i = 0; i < n; i++) total += checkpoint_tensor_at(job->ckpt, i)->bytes;
  progress_start(&job->meter, options->progress, options->progress_user, total);
  ELLM_TRY(report_start(job->report, n, err));
  job->report->source_bytes = total;
  ELLM_TRY(check_names(job->ckpt, err));
  ELLM_TRY(warn(job, err));
  ELLM_TRY(team_create(options->threads, &job->team, err));
  job->n_outputs = (size_t)job->team.n_threads * STRIPS_PER_THREAD;
  job->outputs = calloc(job->n_outputs, sizeof *job->outputs);
  job->digests = calloc(n + 1, sizeof *job->digests);
  if (job->outputs == NULL || job->digests == NULL) return ellm_fail_memory(err, n * 16, "digests");
  ELLM_TRY(open_output(job, out_path, err));
  ELLM_TRY(write_all(job, err));
  uint8_t identity[16];
  ellm_totals totals;
  ELLM_TRY(source_identity(job->ckpt, job->digests, identity, err));
  container_writer *writer = job->writer;
  job->writer = NULL; /* commit frees it in any case */
  ELLM_TRY(container_writer_commit(writer, identity, &totals, err));
  if (job->journal != NULL) journal_remove(out_path);
  job->report->totals = totals;
  return ELLM_OK;
}

static void release(compress_job *job) {
  container_writer_abort(job->writer);
  journal_close(job->journal);
  for (size_t i = 0; job->outputs != NULL && i < job->n_outputs; i++) {
    ellm_buffer_free(&job->outputs[i].data);
    free(job->outputs[i].sizes);
    free(job->outputs[i].checksums);
  }
  free(job->outputs);
  free(job->digests);
  team_free(&job->team);
  checkpoint_close(job->ckpt);
}

ellm_status ellm_compress(const char *checkpoint_dir, const char *out_path, const ellm_compress_options *options,
                          ellm_report *report, ellm_error *err) {
  ellm_compress_options defaults;
  ellm_report own = {0};
  ellm_compress_options_init(&defaults);
  if (report != NULL) memset(report, 0, sizeof *report);
  compress_job job = {.options = options != NULL ? options : &defaults, .report = report != NULL ? report : &own};
  ELLM_TRY(check_options(job.options, err));
  ELLM_TRY(checkpoint_open(checkpoint_dir, &job.ckpt, err));
  ellm_status status = checkpoint_tensor_count(job.ckpt) == 0
                           ? ellm_fail(err, ELLM_ERR_INPUT, "%s: no tensors to compress", checkpoint_dir)
                           : run(&job, out_path, err);
  release(&job);
  if (status != ELLM_OK || report == NULL) ellm_report_free(job.report);
  return status;
}
