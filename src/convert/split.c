/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ellm_split: a .ellm file to one file for each member of a team. A part has all small files, the tensors that every
 * member needs whole, and of each other matrix the row groups that the member computes (model/division.h): their blocks,
 * byte for byte. So what is computed from the parts is what is computed from the whole. The parts are written one after
 * the other, each under its own name when it is whole; what is copied is checked against its checksums.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/notes.h"
#include "base/progress.h"
#include "base/sized.h"
#include "container/container.h"
#include "model/division.h"
#include "model/model.h"
#include "model/team.h"

_Static_assert((int)ELLM_TEAM_MOST == (int)CONTAINER_PARTS_MAX, "a part for each rank of the largest team");

typedef struct split_job {
  const ellm_model *model;
  const ellm_file *file;
  const char *folder;
  ellm_split_options options;
  uint32_t shares[ELLM_TEAM_MOST];
  bool *used;                 /* [tensors]: they are part of the architecture */
  division *divisions;        /* [tensors], of the part at work */
  uint32_t *columns;          /* [records so far + 1]: record in the whole -> record in the part, plus 1; 0: not yet */
  size_t n_columns;
  ellm_split_report *report;
  progress_meter meter;
  uint64_t done;
} split_job;

void ellm_split_part_name(uint32_t number, uint32_t n_parts, char name[ELLM_PART_NAME_BYTES]) {
  snprintf(name, ELLM_PART_NAME_BYTES, "part-%u-of-%u.ellm", (unsigned)number, (unsigned)n_parts);
}

static char *part_path(const split_job *job, uint32_t rank) {
  char name[ELLM_PART_NAME_BYTES];
  ellm_split_part_name(rank + 1, job->options.n_parts, name);
  return path_join(job->folder, name);
}

/* -------------------------------------------------------------------- tensors */

/* The scales of columns that a tensor refers to, once in a part; *record is their number there. */
static ellm_status copy_columns(split_job *job, container_writer *writer, const container_tensor *t, uint32_t *record,
                                ellm_error *err) {
  *record = CONTAINER_NO_COLUMNS;
  if (t->quant.scales.columns == NULL) return ELLM_OK;
  if (job->columns[t->columns_record] == 0) {
    const char *name = "";
    const uint16_t *factors = container_columns(job->file, t->columns_record, &name);
    if (factors == NULL)
      return ellm_fail(err, ELLM_ERR_INTERNAL, "%s: tensor %s: no scales of columns", container_path(job->file), t->name);
    ELLM_TRY(container_writer_columns(writer, name, factors, t->shape[1], record, err));
    job->columns[t->columns_record] = *record + 1;
  }
  *record = job->columns[t->columns_record] - 1;
  return ELLM_OK;
}

static ellm_status copy_coded(split_job *job, container_writer *writer, const container_tensor *t,
                              const container_groups *groups, ellm_error *err) {
  container_tensor own = *t;
  own.groups = *groups;
  ELLM_TRY(copy_columns(job, writer, t, &own.columns_record, err));
  ELLM_TRY(container_writer_begin_coded(writer, &own, err));
  for (uint64_t i = 0; i < container_stored_blocks(&own); i++) {
    const uint64_t index = container_stored_block(&own, i);
    container_block block;
    const uint8_t *data;
    size_t bytes;
    uint32_t checksum;
    ELLM_TRY(container_checked_block(job->file, t, index, &block, err));
    ELLM_TRY(container_block_at(job->file, t, index, &data, &bytes, &checksum, err));
    ELLM_TRY(container_writer_block(writer, data, bytes, checksum, err));
  }
  return container_writer_end(writer, err);
}

static ellm_status copy_kept(split_job *job, container_writer *writer, const container_tensor *t, ellm_error *err) {
  const uint8_t *data;
  ELLM_TRY(container_kept(job->file, t, &data, err));
  ELLM_TRY(container_writer_begin_kept(writer, t, err));
  ELLM_TRY(container_writer_kept_bytes(writer, data, (size_t)(t->n_elements * ellm_dtype_size(t->dtype)), err));
  return container_writer_end(writer, err);
}

static ellm_status copy_tensors(split_job *job, container_writer *writer, uint32_t rank, ellm_split_part *part,
                                ellm_error *err) {
  static const container_groups all;
  memset(job->columns, 0, job->n_columns * sizeof *job->columns);
  for (size_t i = 0; i < ellm_file_tensor_count(job->file); i++) {
    const container_tensor *t = container_tensor_at(job->file, i);
    const division *d = &job->divisions[i];
    uint64_t payload, stored;
    ELLM_TRY(progress_report(&job->meter, "split", t->name, job->done, err));
    job->done += t->stored_bytes;
    if (d->need == DIVISION_UNUSED && rank > 0) continue; /* nobody reads it: it is not lost, and not in every part */
    const bool rows = d->need == DIVISION_ROWS;
    ELLM_TRY(t->storage == CONTAINER_CODED ? copy_coded(job, writer, t, rows ? &d->groups : &all, err)
                                           : copy_kept(job, writer, t, err));
    container_writer_last_sizes(writer, &payload, &stored);
    if (rows) part->divided_bytes += stored;
    else if (rank == 0 && d->need == DIVISION_WHOLE)
      *(t->storage == CONTAINER_CODED ? &job->report->coded_bytes : &job->report->kept_bytes) += stored;
  }
  return ELLM_OK;
}

/* ---------------------------------------------------------------------- parts */

static ellm_status fill_part(split_job *job, container_writer *writer, uint32_t rank, ellm_split_part *result,
                             ellm_error *err) {
  container_part part = {.number = rank + 1,
                         .n_parts = job->options.n_parts,
                         .shares = job->shares,
                         .whole_bytes = container_file_bytes(job->file)};
  const ellm_team team = {.rank = rank, .n_ranks = part.n_parts, .shares = part.shares};
  container_identity(job->file, part.whole);
  division_make(&(division_of){job->model->source, &job->model->config, &job->model->weights, &team}, job->used,
                job->divisions);
  ELLM_TRY(container_writer_part(writer, &part, err));
  const char *name;
  for (size_t i = 0; (name = container_asset_name(job->file, i)) != NULL; i++) {
    size_t bytes;
    const void *data = ellm_file_asset(job->file, name, &bytes);
    ELLM_TRY(container_writer_asset(writer, name, data, bytes, err));
    if (rank == 0) job->report->small_file_bytes += bytes;
  }
  ELLM_TRY(copy_tensors(job, writer, rank, result, err));
  for (size_t i = 0; (name = container_metadata_name(job->file, i)) != NULL; i++)
    ELLM_TRY(container_writer_metadata(writer, name, container_metadata(job->file, name), err));
  return ELLM_OK;
}

static ellm_status write_part(split_job *job, uint32_t rank, ellm_error *err) {
  const file_writer_options how = {.overwrite = job->options.overwrite};
  ellm_split_part *result = &job->report->parts[rank];
  container_writer *writer;
  ellm_totals totals;
  uint8_t source[16];
  char *path = part_path(job, rank);
  if (path == NULL) return ellm_fail_memory(err, strlen(job->folder), "a path");
  ellm_status status = container_writer_open(path, &how, &writer, err);
  free(path);
  ELLM_TRY(status);
  status = fill_part(job, writer, rank, result, err);
  if (status != ELLM_OK) {
    container_writer_abort(writer);
    return status;
  }
  container_source(job->file, source);
  ELLM_TRY(container_writer_commit(writer, source, &totals, err));
  result->file_bytes = totals.file_bytes;
  return ELLM_OK;
}

/* Shares in their lowest terms, so that equal divisions are equal in the files. */
static ellm_status take_shares(split_job *job, ellm_error *err) {
  const ellm_split_options *o = &job->options;
  uint32_t common = 0;
  if (o->n_parts < 2 || o->n_parts > ELLM_TEAM_MOST)
    return ellm_fail(err, ELLM_ERR_USAGE, "%u parts: there can be 2 to %d", (unsigned)o->n_parts, ELLM_TEAM_MOST);
  for (uint32_t i = 0; i < o->n_parts; i++) {
    uint32_t a = job->shares[i] = o->shares != NULL ? o->shares[i] : 1, b = common;
    if (a == 0) return ellm_fail(err, ELLM_ERR_USAGE, "the share of part %u is 0", (unsigned)i + 1);
    while (b != 0) {
      const uint32_t rest = a % b;
      a = b;
      b = rest;
    }
    common = a;
  }
  for (uint32_t i = 0; i < o->n_parts; i++) job->shares[i] /= common;
  return ELLM_OK;
}

/* What would be refused later is refused before anything is written. */
static ellm_status look_ahead(split_job *job, ellm_error *err) {
  const file_writer_options how = {.overwrite = job->options.overwrite};
  for (uint32_t rank = 0; rank < job->options.n_parts; rank++) {
    char *path = part_path(job, rank);
    if (path == NULL) return ellm_fail_memory(err, strlen(job->folder), "a path");
    ellm_status status = file_writer_allowed(path, &how, err);
    if (status == ELLM_OK && source_reads_file(job->model->source, path))
      status = ellm_fail(err, ELLM_ERR_USAGE, "%s is the file that is split", path);
    free(path);
    ELLM_TRY(status);
  }
  return ELLM_OK;
}

static ellm_status prepare(split_job *job, ellm_error *err) {
  const size_t n = ellm_file_tensor_count(job->file);
  for (size_t i = 0; i < n; i++) {
    const container_tensor *t = container_tensor_at(job->file, i);
    if (t->quant.scales.columns != NULL && t->columns_record >= job->n_columns) job->n_columns = t->columns_record + 1;
  }
  const ellm_notes nobody = {0};
  job->used = calloc(n + 1, sizeof *job->used);
  job->divisions = calloc(n + 1, sizeof *job->divisions);
  job->columns = calloc(job->n_columns + 1, sizeof *job->columns);
  job->report->parts = calloc(job->options.n_parts, sizeof *job->report->parts);
  if (job->used == NULL || job->divisions == NULL || job->columns == NULL || job->report->parts == NULL)
    return ellm_fail_memory(err, n * sizeof *job->divisions, "the parts of a model");
  job->report->n_parts = job->options.n_parts;
  job->report->whole_bytes = container_file_bytes(job->file);
  return model_check(job->model->source, &nobody, job->used, err);
}

static ellm_status write_parts(split_job *job, ellm_error *err) {
  ELLM_TRY(look_ahead(job, err));
  progress_start(&job->meter, job->options.progress, job->options.progress_user,
                 job->report->whole_bytes * job->options.n_parts);
  for (uint32_t rank = 0; rank < job->options.n_parts; rank++) {
    job->done = job->report->whole_bytes * rank;
    ELLM_TRY(write_part(job, rank, err));
  }
  return progress_finish(&job->meter, "split", err);
}

static ellm_status split(split_job *job, ellm_error *err) {
  job->file = source_file(job->model->source);
  if (job->file == NULL)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: not a .ellm file: compress it first, then split it", job->model->path);
  ELLM_TRY(prepare(job, err));
  const bool was_there = file_is_directory(job->folder);
  ELLM_TRY(directory_create(job->folder, err));
  const ellm_status status = write_parts(job, err);
  if (status != ELLM_OK && !was_there) rmdir(job->folder); /* only an empty one goes */
  return status;
}

void ellm_split_options_init_sized(ellm_split_options *given, size_t size) {
  const ellm_split_options own = {.size = size};
  ellm_sized_init(given, &own, sizeof own);
}

void ellm_split_report_free(ellm_split_report *report) {
  if (report == NULL) return;
  free(report->parts);
  free(report);
}

ellm_status ellm_split(const char *path, const char *folder, const ellm_split_options *options,
                       ellm_split_report **report, ellm_error *err) {
  if (report != NULL) *report = NULL;
  ELLM_SIZED(ellm_split_options, own, options, err);
  split_job *job = calloc(1, sizeof *job);
  ellm_split_report *result = calloc(1, sizeof *result);
  ellm_model_options how;
  ellm_model *model = NULL;
  if (job == NULL || result == NULL) {
    free(job);
    free(result);
    return ellm_fail_memory(err, sizeof *job, "the parts of a model");
  }
  *job = (split_job){.folder = folder, .options = own, .report = result};
  ellm_model_options_init(&how);
  how.threads = 1;
  ellm_status status = take_shares(job, err);
  if (status == ELLM_OK) status = ellm_model_open(path, &how, &model, err);
  job->model = model;
  if (status == ELLM_OK) status = split(job, err);
  free(job->used);
  free(job->divisions);
  free(job->columns);
  free(job);
  ellm_model_close(model);
  if (status == ELLM_OK && report != NULL) *report = result;
  else ellm_split_report_free(result);
  return status;
}
