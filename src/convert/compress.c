/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ellm_compress: writes a checkpoint's assets, metadata and tensors, one after the other, into a container. What is
 * done with one matrix is in compress_matrix.c; what is done for a target size is in any_size.c.
 *
 * Resuming rests on one invariant: for the same key (resume_key), the same sections come in the same order. So the
 * journal of an earlier run is a prefix of this one's sections. Before a section is made, `adopt` checks whether the
 * journal's next entry is in the file and undamaged; from the first one that is not, everything is made again. Whoever
 * adds a section calls `adopt` before it and `remember` after it, or the prefix no longer fits. Whoever adds an option
 * that changes the bytes adds it to the key.
 */
#include "convert/compress.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/file_writer.h"
#include "base/memory.h"
#include "base/sized.h"
#include "container/hash.h"
#include "container/record.h"
#include "convert/any_size.h"
#include "convert/compress_matrix.h"
#include "convert/dealt.h"
#include "convert/journal.h"
#include "convert/lossless.h"
#include "convert/matrix_error.h"
#include "convert/measurements.h"
#include "convert/recorded_options.h"
#include "convert/report.h"
#include "convert/runnable.h"
#include "source/finite.h"
#include "source/identity.h"

typedef struct compress_job {
  const ellm_compress_options *options;
  tensor_source *input;
  convert_workers workers;
  container_writer *writer;    /* a dry one for a dry run */
  journal *journal;            /* NULL: not resumable */
  bool adopting;               /* sections of an earlier run may still come */
  ellm_report *report;
  progress_meter meter;
  uint64_t done;               /* source bytes of finished tensors */
  uint8_t (*digests)[16];
  matrix_writer matrices;      /* by the paper's method ... */
  any_size *sized;             /* ... or to a size; NULL: not */
  runnable run;
  dealt *dealt;                /* matrices come from several processes, this one's from ... */
  container_writer *own;       /* ... this file; NULL: they are made here */
  char *kept_plan;             /* a file of what was measured, until the output is there; NULL: none */
} compress_job;

enum { MOST_TEXT = 1 << 28 }; /* bytes of a calibration text */

/* As the journal, in its place and with its name. */
#define PLAN_ENDING ".plan" PARTIAL_ENDING PARTIAL_ENDING

void ellm_compress_options_init_sized(ellm_compress_options *given, size_t size) {
  const ellm_compress_options own = {.size = size, .bits = 8, .scheme = ELLM_SCHEME_MIXED,
                                     .prefer = ELLM_PREFER_BALANCED, .code = ELLM_CODE_HUFFMAN};
  ellm_sized_init(given, &own, sizeof own);
}

/* ------------------------------------------------------------- other sections */

/* A kept tensor on its way into the file. */
typedef struct kept_stream {
  compress_job *job;
  const source_tensor *tensor;
  bool finite;   /* the model uses it: its weights must be finite */
  uint64_t done; /* elements */
} kept_stream;

static ellm_status keep_piece(void *user, const uint8_t *data, size_t bytes, ellm_error *err) {
  kept_stream *kept = user;
  const source_tensor *tensor = kept->tensor;
  const size_t size = ellm_dtype_size(tensor->dtype), n = bytes / size;
  const size_t end = kept->finite ? finite_end(tensor->dtype, data, n) : n;
  if (end < n)
    return finite_fail(source_origin(kept->job->input, tensor), tensor->name, tensor->dtype, kept->done + end,
                       data + end * size, err);
  kept->done += n;
  return container_writer_kept_bytes(kept->job->writer, data, bytes, err);
}

static ellm_status keep_tensor(compress_job *job, const source_tensor *from, bool finite, uint8_t digest[16],
                               container_tensor *tensor, ellm_error *err) {
  compress_take_shape(tensor, from);
  tensor->storage = CONTAINER_KEPT;
  const pass_progress progress = {.meter = &job->meter,
                                  .stage = "keep",
                                  .tensor = from->name,
                                  .base = job->done,
                                  .from = 0,
                                  .to = 1,
                                  .bytes = from->bytes};
  kept_stream kept = {.job = job, .tensor = from, .finite = finite};
  ELLM_TRY(container_writer_begin_kept(job->writer, tensor, err));
  ELLM_TRY(pass_read(job->input, from, &job->workers, &progress, digest, keep_piece, &kept, err));
  return container_writer_end(job->writer, err);
}

/* Try to take the next section over from an earlier run. Where the key is equal, a wrong name can only be a mistake of
 * this program, not damage: hence ELLM_ERR_INTERNAL. */
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
  for (size_t i = 0; i < source_asset_count(job->input); i++) {
    const char *name = source_asset_name(job->input, i);
    size_t bytes = 0;
    const void *data = source_asset(job->input, name, &bytes);
    if (data == NULL) continue;
    ELLM_TRY(report_asset(job->report, name, bytes, err));
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

/* Is it coded matrix by matrix? What the model does not use is stored as it is, whatever it holds. */
static bool is_used(const compress_job *job, size_t index) { return !job->run.known || job->run.used[index]; }
static bool is_matrix(const compress_job *job, size_t index) {
  const source_tensor *source = source_at(job->input, index);
  return job->sized == NULL && (is_used(job, index) || job->options->lossless) && pass_takes_matrix(source) &&
         !kept_by_option(job->options, source->name);
}

static ellm_status make_tensor(compress_job *job, size_t index, container_tensor *tensor, ellm_error *err) {
  const source_tensor *source = source_at(job->input, index);
  const bool lossless = job->options->lossless;
  uint8_t *digest = job->digests[index];
  if (is_matrix(job, index))
    ELLM_TRY((lossless ? lossless_matrix : compress_matrix)(&job->matrices, source, job->done, digest, tensor, err));
  if (tensor->storage == CONTAINER_CODED) return ELLM_OK;
  return keep_tensor(job, source, job->run.known && is_used(job, index) && !lossless, digest, tensor, err);
}

static ellm_status add_tensor(compress_job *job, size_t index, ellm_error *err) {
  const source_tensor *source = source_at(job->input, index);
  container_tensor *tensor = calloc(1, sizeof *tensor);
  if (tensor == NULL) return ellm_fail_memory(err, sizeof *tensor, "a tensor");
  bool there = job->own != NULL && dealt_owner(job->dealt, index) != DEALT_NOBODY;
  ellm_status status = there ? dealt_take(job->dealt, index, job->own, job->writer, job->digests[index], tensor, err)
                             : adopt(job, source->name, tensor, job->digests[index], &there, err);
  if (status == ELLM_OK && !there) {
    status = make_tensor(job, index, tensor, err);
    if (status == ELLM_OK) status = remember(job, job->digests[index], err);
  }
  if (status == ELLM_OK) container_writer_last_sizes(job->writer, &tensor->payload_bytes, &tensor->stored_bytes);
  if (status == ELLM_OK) status = report_tensor(job->report, tensor, err);
  free(tensor);
  job->done += source->bytes;
  return status;
}

/* A matrix, or scales of columns, were stored by any_size. */
static ellm_status take_sized(void *user, const source_tensor *source, const uint8_t digest[16],
                              container_tensor *tensor, ellm_error *err) {
  compress_job *job = user;
  if (source == NULL) return remember(job, NULL, err);
  memcpy(job->digests[source_index(job->input, source)], digest, 16);
  container_writer_last_sizes(job->writer, &tensor->payload_bytes, &tensor->stored_bytes);
  ELLM_TRY(remember(job, digest, err));
  return report_tensor(job->report, tensor, err);
}

static ellm_status adopt_sized(void *user, const source_tensor *source, bool *adopted, ellm_error *err) {
  compress_job *job = user;
  if (source == NULL) return adopt(job, NULL, NULL, NULL, adopted, err);
  container_tensor *tensor = calloc(1, sizeof *tensor);
  if (tensor == NULL) return ellm_fail_memory(err, sizeof *tensor, "a tensor");
  ellm_status status =
      adopt(job, source->name, tensor, job->digests[source_index(job->input, source)], adopted, err);
  if (status == ELLM_OK && *adopted) {
    container_writer_last_sizes(job->writer, &tensor->payload_bytes, &tensor->stored_bytes);
    status = report_tensor(job->report, tensor, err);
  }
  free(tensor);
  return status;
}

/* ---------------------------------------------------------------- the whole */

static ellm_status check_target(const ellm_compress_options *options, ellm_error *err) {
  if (options->target > ELLM_TARGET_DIVERGENCE || options->effort > ELLM_EFFORT_FULL ||
      options->calibrate > ELLM_CALIBRATE_NONE)
    return ellm_fail(err, ELLM_ERR_USAGE, "unknown target %d, effort %d or calibration %d", (int)options->target,
                     (int)options->effort, (int)options->calibrate);
  if (options->target == ELLM_TARGET_NONE)
    return options->plan == NULL ? ELLM_OK
                                 : ellm_fail(err, ELLM_ERR_USAGE, "a plan needs a target size");
  if (options->team != NULL && options->team->gather == NULL)
    return ellm_fail(err, ELLM_ERR_USAGE, "a team that measures a model needs a gather");
  if (options->lossless)
    return ellm_fail(err, ELLM_ERR_USAGE, "a lossless file cannot have a target size");
  if (options->plan != NULL && *options->plan == '\0')
    return ellm_fail(err, ELLM_ERR_USAGE, "the name of the plan is empty");
  if (!(options->target_value > 0 && options->target_value < 1e18))
    return ellm_fail(err, ELLM_ERR_USAGE, "a size of %g makes no sense", options->target_value);
  if (options->target == ELLM_TARGET_DIVERGENCE && options->calibrate == ELLM_CALIBRATE_NONE)
    return ellm_fail(err, ELLM_ERR_USAGE, "without a text no divergence can be measured");
  if ((options->calibrate == ELLM_CALIBRATE_FILE) != (options->calibrate_file != NULL))
    return ellm_fail(err, ELLM_ERR_USAGE, "a calibration text and its file belong together");
  if (options->calibrate == ELLM_CALIBRATE_NONE && options->effort != ELLM_EFFORT_AUTO)
    return ellm_fail(err, ELLM_ERR_USAGE, "an effort needs a calibration");
  if (options->calibration_length == 1 || options->calibration_length > 1 << 20 ||
      options->calibration_sequences > 1 << 20)
    return ellm_fail(err, ELLM_ERR_USAGE, "a calibration text of %zu sequences of %zu tokens makes no sense",
                     options->calibration_sequences, options->calibration_length);
  return ELLM_OK;
}

ellm_status compress_check_options(const ellm_compress_options *options, ellm_error *err) {
  if (options->bits < 2 || options->bits > 8)
    return ellm_fail(err, ELLM_ERR_USAGE, "%d bits: 2 to 8 are possible", options->bits);
  if (options->scheme > ELLM_SCHEME_ASYMMETRIC)
    return ellm_fail(err, ELLM_ERR_USAGE, "unknown scheme %d", (int)options->scheme);
  if (options->prefer > ELLM_PREFER_SPEED)
    return ellm_fail(err, ELLM_ERR_USAGE, "unknown preference %d", (int)options->prefer);
  if (options->machine > ELLM_MACHINE_NEON)
    return ellm_fail(err, ELLM_ERR_USAGE, "unknown class of machine %d", (int)options->machine);
  if (options->code > ELLM_CODE_FIELDS) return ellm_fail(err, ELLM_ERR_USAGE, "unknown code %d", (int)options->code);
  if (options->threads < 0) return ellm_fail(err, ELLM_ERR_USAGE, "%d threads make no sense", options->threads);
  if (options->team != NULL) ELLM_TRY(dealt_check_team(options->team, err));
  return check_target(options, err);
}

/* Before anything is written: names that safetensors allows and .ellm files do not. */
static ellm_status check_names(const tensor_source *input, ellm_error *err) {
  for (size_t i = 0; i < source_count(input); i++) {
    const source_tensor *tensor = source_at(input, i);
    size_t bytes = strlen(tensor->name);
    if (!format_name_valid(tensor->name, bytes))
      return ellm_fail(err, ELLM_ERR_INPUT,
                       "%s: tensor %.100s: this name of %zu bytes cannot be stored (at most %d, no control characters)",
                       source_origin(input, tensor), tensor->name, bytes, (int)FORMAT_NAME_MAX);
  }
  return ELLM_OK;
}

/* What is in the folder and is not stored, and what was asked for and is not there. */
static ellm_status warn_of_files(compress_job *job, ellm_error *err) {
  const ellm_compress_options *options = job->options;
  uint64_t bytes;
  char names[280];
  const size_t n = source_left_out(job->input, &bytes, names);
  if (n > 0)
    ELLM_TRY(report_warn(job->report, err, "%zu file%s of the folder left out, %.1f kB: %.140s (not known to be the "
                         "model's: include them by name)", n, n == 1 ? "" : "s", (double)bytes / 1e3, names));
  for (size_t k = 0; k < options->n_include; k++) {
    bool used = false;
    for (size_t i = 0; i < source_asset_count(job->input) && !used; i++)
      used = fnmatch(options->include[k], source_asset_name(job->input, i), 0) == 0;
    if (!used)
      ELLM_TRY(report_warn(job->report, err, "include %.150s: no such file that could be stored",
                           options->include[k]));
  }
  return ELLM_OK;
}

static ellm_status warn(compress_job *job, ellm_error *err) {
  const tensor_source *input = job->input;
  ellm_report *report = job->report;
  ELLM_TRY(runnable_find(job->input, job->options->strict, report, &job->run, err));
  ELLM_TRY(warn_of_files(job, err));
  const char *quantized = source_quantized(input);
  if (quantized != NULL)
    ELLM_TRY(report_warn(report, err,
                         job->options->lossless
                             ? "the weights were quantized before (%s): the floats that they stand for are stored"
                             : "the weights were quantized before (%s): a full-precision source gives a better file",
                         quantized));
  for (size_t i = 0; i < source_count(input); i++) {
    const source_tensor *tensor = source_at(input, i);
    if (tensor->n_dims == 2 && tensor->n_elements > 0 && !pass_takes_matrix(tensor) && !job->options->lossless)
      ELLM_TRY(report_warn(report, err, "matrix %.150s is %s: kept, only F32, F16 and BF16 are quantized", tensor->name,
                           ellm_dtype_name(tensor->dtype)));
  }
  size_t metadata = strlen(source_metadata(input));
  if (metadata > CONTAINER_METADATA_MAX)
    ELLM_TRY(report_warn(report, err, "__metadata__ of the checkpoint has %zu bytes: left out, at most %d are kept",
                         metadata, (int)CONTAINER_METADATA_MAX));
  for (size_t k = 0; k < job->options->n_keep; k++) {
    bool used = false;
    for (size_t i = 0; i < source_count(input) && !used; i++)
      used = fnmatch(job->options->keep[k], source_at(input, i)->name, 0) == 0;
    if (!used) ELLM_TRY(report_warn(report, err, "keep %.150s: no such tensor", job->options->keep[k]));
  }
  return ELLM_OK;
}

/* What a resumed run must share with the one before: options, the source's
 * files (size, time of change), tensors and assets. */
static ellm_status resume_key(const compress_job *job, uint8_t key[16], ellm_error *err) {
  ellm_buffer text = {0};
  const ellm_compress_options *options = job->options;
  char line[256];
  recorded_options_write(options, line, sizeof line);
  bool ok = ellm_buffer_append(&text, ellm_version(), strlen(ellm_version()) + 1) &&
            ellm_buffer_append(&text, line, strlen(line) + 1);
  if (options->calibrate_file != NULL) {
    uint8_t *file = NULL;
    size_t bytes = 0;
    const ellm_status read = file_read_all(options->calibrate_file, MOST_TEXT, &file, &bytes, err);
    if (read != ELLM_OK) {
      ellm_buffer_free(&text);
      return read;
    }
    ok = ok && ellm_buffer_append(&text, file, bytes);
    free(file);
  }
  snprintf(line, sizeof line, "%zu %zu", options->calibration_sequences, options->calibration_length);
  ok = ok && ellm_buffer_append(&text, line, strlen(line) + 1);
  for (size_t i = 0; ok && i < options->n_keep; i++)
    ok = ellm_buffer_append(&text, options->keep[i], strlen(options->keep[i]) + 1);
  ok = ok && source_state(job->input, &text);
  for (size_t i = 0; ok && i < source_asset_count(job->input); i++) {
    const char *name = source_asset_name(job->input, i);
    size_t bytes = 0;
    const void *data = source_asset(job->input, name, &bytes);
    uint8_t digest[16] = {0};
    if (data != NULL) hash128(data, bytes, digest);
    ok = ellm_buffer_append(&text, name, strlen(name) + 1) && ellm_buffer_append(&text, digest, sizeof digest);
  }
  if (ok) hash128(text.data, text.size, key);
  ellm_status status = ok ? ELLM_OK : ellm_fail_memory(err, text.size, "the journal's key");
  ellm_buffer_free(&text);
  return status;
}

/* Not even --force may replace a file of the checkpoint, and none may be taken for the leavings of an earlier run. */
static ellm_status check_output(const compress_job *job, const char *out_path, ellm_error *err) {
  static const char *const endings[] = {"", PARTIAL_ENDING, JOURNAL_ENDING, PLAN_ENDING};
  for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
    char *path = path_append(out_path, endings[i]);
    if (path == NULL) return ellm_fail_memory(err, strlen(out_path), "a path");
    ellm_status status = source_reads_file(job->input, path)
                             ? ellm_fail(err, ELLM_ERR_USAGE, "%s is a file of the checkpoint", path)
                             : ELLM_OK;
    free(path);
    ELLM_TRY(status);
  }
  bool same = false;
  for (size_t i = 0; i < source_asset_count(job->input) && !same; i++) {
    char *path = path_join(source_path(job->input), source_asset_name(job->input, i));
    if (path == NULL) return ellm_fail_memory(err, strlen(out_path), "a path");
    same = file_same(out_path, path);
    free(path);
  }
  return same ? ellm_fail(err, ELLM_ERR_USAGE, "%s is a file of the checkpoint", out_path) : ELLM_OK;
}

/* What is refused before anything is written. */
static ellm_status look_at_output(const compress_job *job, const char *out_path, ellm_error *err) {
  const file_writer_options files = {.overwrite = job->options->overwrite};
  if (out_path == NULL) return ELLM_OK; /* a dry run need not have one, but is refused like the real one */
  ELLM_TRY(file_writer_allowed(out_path, &files, err));
  return check_output(job, out_path, err);
}

/* The journal of the file `path`, whose sections of an earlier run may still come. What several processes have done is
 * continued by the same ranks and shares alone. */
static ellm_status open_journal(compress_job *job, const char *path, file_writer_options *files, ellm_error *err) {
  uint8_t key[16];
  ELLM_TRY(resume_key(job, key, err));
  if (job->dealt != NULL) dealt_key(job->dealt, key, key);
  ELLM_TRY(journal_open(path, key, &job->journal, err));
  job->adopting = files->resume = journal_has_entries(job->journal);
  return ELLM_OK;
}

/* What several processes have done is kept in files of theirs: the one that they are joined to is made in one go. */
static ellm_status open_output(compress_job *job, const char *out_path, ellm_error *err) {
  const ellm_compress_options *options = job->options;
  const bool resume = options->resume && job->own == NULL;
  file_writer_options files = {.overwrite = options->overwrite, .keep_partial = resume};
  ELLM_TRY(look_at_output(job, out_path, err));
  if (options->dry_run) return container_writer_open_dry(&job->writer, err);
  if (resume) {
    ELLM_TRY(open_journal(job, out_path, &files, err));
    if (options->target != ELLM_TARGET_NONE && job->kept_plan == NULL)
      job->kept_plan = path_append(out_path, PLAN_ENDING);
  }
  ELLM_TRY(container_writer_open(out_path, &files, &job->writer, err));
  if (!resume) journal_remove(out_path); /* not before the lock is ours */
  return ELLM_OK;
}

static ellm_status open_matrices(compress_job *job, const char *out_path, ellm_error *err) {
  job->matrices = (matrix_writer){.options = job->options,
                                 .input = job->input,
                                 .workers = &job->workers,
                                 .writer = job->writer,
                                 .meter = &job->meter};
  return matrix_writer_open(&job->matrices, out_path, err);
}

static ellm_status open_sized(compress_job *job, const char *out_path, ellm_error *err) {
  const any_size_setup setup = {.options = job->options,
                                .input = job->input,
                                .out_path = out_path,
                                .workers = &job->workers,
                                .writer = job->writer,
                                .meter = &job->meter,
                                .report = job->report,
                                .kept_plan = job->kept_plan};
  if (job->options->target == ELLM_TARGET_NONE) return ELLM_OK;
  ELLM_TRY(any_size_open(&setup, &job->sized, err));
  if (any_size_has_matrices(job->sized)) return ELLM_OK;
  any_size_close(job->sized); /* there is nothing to quantize */
  job->sized = NULL;
  return ELLM_OK;
}

/* The unfinished file is given its directory (publish), opened and run as any reader would run it, and then made
 * writable again (retract). So the figures are those of the bytes on disk, not of what was meant. */
static ellm_status measure(compress_job *job, char *text, size_t bytes, ellm_error *err) {
  uint8_t identity[16];
  const char *path;
  ELLM_TRY(source_identity_of(job->input, job->digests, identity, err));
  ELLM_TRY(container_writer_publish(job->writer, identity, &path, err));
  const ellm_status measured = any_size_quality(job->sized, path, text, bytes, err);
  ellm_error second;
  const ellm_status retracted = container_writer_retract(job->writer, measured == ELLM_OK ? err : &second);
  ELLM_TRY(measured);
  return retracted;
}

/* What was tried before a kill is not tried again. */
static ellm_status recall(compress_job *job, ellm_error *err) {
  any_size_try tried;
  while (job->adopting && journal_next_pair(job->journal, &tried.bits, &tried.divergence))
    ELLM_TRY(any_size_recall(job->sized, &tried, err));
  return ELLM_OK;
}

/* How far each matrix is from its source, stored in the file, so that `verify` can find the same numbers again. */
static ellm_status add_errors(compress_job *job, ellm_error *err) {
  static const uint8_t nobody[16];
  const char *path;
  matrix_errors errors;
  ELLM_TRY(container_writer_publish(job->writer, nobody, &path, err));
  ellm_status status = matrix_errors_find(path, source_path(job->input), &job->meter, &errors, err);
  if (status == ELLM_OK) status = container_writer_retract(job->writer, err);
  for (size_t i = 0; i < errors.n && status == ELLM_OK; i++) {
    char name[32];
    status = container_writer_metadata(job->writer, matrix_errors_name(i, name), errors.values[i], err);
  }
  matrix_errors_free(&errors);
  return status;
}

/* The matrices, as often as a target divergence wants, and the figures of the file as its last section. */
static ellm_status write_sized(compress_job *job, ellm_error *err) {
  const any_size_hooks hooks = {job, take_sized, adopt_sized};
  char text[1024], *planned = NULL;
  ELLM_TRY(any_size_measure(job->sized, err));
  ELLM_TRY(recall(job, err));
  ELLM_TRY(any_size_plan(job->sized, &planned, err));
  job->report->plan = planned;
  if (job->options->dry_run) return ELLM_OK;
  const container_mark mark = container_writer_mark(job->writer);
  const size_t n_tensors = job->report->n_tensors;
  size_t entries = job->journal != NULL ? journal_mark(job->journal) : 0;
  for (bool again = true;;) {
    ELLM_TRY(any_size_write(job->sized, &hooks, err));
    ELLM_TRY(measure(job, text, sizeof text, err));
    const any_size_try tried = any_size_tried(job->sized);
    ELLM_TRY(any_size_again(job->sized, &again, err));
    if (!again) break;
    if (job->journal != NULL) { /* first: a kill between the two must not leave entries of sections that are gone */
      ELLM_TRY(journal_rewind(job->journal, entries, err));
      ELLM_TRY(journal_add_pair(job->journal, tried.bits, tried.divergence, err));
      entries = journal_mark(job->journal);
    }
    job->adopting = false;
    ELLM_TRY(container_writer_rewind(job->writer, &mark, err));
    report_drop_tensors(job->report, n_tensors);
  }
  ELLM_TRY(report_quality(job->report, text, err));
  ELLM_TRY(container_writer_metadata(job->writer, "entrollm.quality", text, err));
  return add_errors(job, err);
}

static ellm_status write_all(compress_job *job, ellm_error *err) {
  char options[256];
  recorded_options_write(job->options, options, sizeof options);
  ELLM_TRY(add_assets(job, err));
  ELLM_TRY(add_metadata(job, "entrollm.options", options, err));
  const char *metadata = source_metadata(job->input);
  if (strcmp(metadata, "{}") != 0 && strlen(metadata) <= CONTAINER_METADATA_MAX)
    ELLM_TRY(add_metadata(job, "safetensors.metadata", metadata, err));
  for (size_t i = 0; i < source_count(job->input); i++)
    if (job->sized == NULL || !any_size_takes(job->sized, source_at(job->input, i)->name))
      ELLM_TRY(add_tensor(job, i, err));
  if (job->sized != NULL) ELLM_TRY(write_sized(job, err));
  return progress_finish(&job->meter, "finish", err);
}

/* --------------------------------------------------------------- several processes */

/* The small files, and the text to calibrate on. */
static ellm_status add_measured_with(const compress_job *job, ellm_buffer *text, ellm_error *err) {
  const char *path = job->options->calibrate_file;
  uint8_t digest[16], *file = NULL;
  size_t bytes = 0;
  bool ok = true;
  for (size_t i = 0; ok && i < source_asset_count(job->input); i++) {
    const void *data = source_asset(job->input, source_asset_name(job->input, i), &bytes);
    hash128(data, data != NULL ? bytes : 0, digest);
    ok = ellm_buffer_append(text, digest, sizeof digest);
  }
  if (ok && path != NULL) {
    ELLM_TRY(file_read_all(path, MOST_TEXT, &file, &bytes, err));
    hash128(file, bytes, digest);
    ok = ellm_buffer_append(text, digest, sizeof digest);
    free(file);
  }
  return ok ? ELLM_OK : ellm_fail_memory(err, sizeof digest, "a key");
}

/* What all ranks must share: options, and of each tensor whether it is dealt out, name, type, shape and some of its bytes.
 * (Sizes and times of files are each machine's own; the small files are rank 0's, but all measure with theirs.) */
static ellm_status common_key(const compress_job *job, uint8_t key[16], ellm_error *err) {
  enum { SAMPLE = 4096 };
  ellm_buffer text = {0};
  char line[256];
  recorded_options_write(job->options, line, sizeof line);
  bool ok = ellm_buffer_append(&text, line, strlen(line) + 1);
  ellm_status status = ELLM_OK;
  for (size_t i = 0; ok && i < job->options->n_keep; i++)
    ok = ellm_buffer_append(&text, job->options->keep[i], strlen(job->options->keep[i]) + 1);
  if (job->options->target != ELLM_TARGET_NONE) status = add_measured_with(job, &text, err);
  for (size_t i = 0; ok && status == ELLM_OK && i < source_count(job->input); i++) {
    const source_tensor *t = source_at(job->input, i);
    const size_t bytes = t->bytes < SAMPLE ? (size_t)t->bytes : SAMPLE;
    uint8_t sample[2 * SAMPLE], digest[16];
    const uint8_t dealt_out = dealt_owner(job->dealt, i) != DEALT_NOBODY; /* also depends on config.json */
    status = source_read(job->input, t, 0, sample, bytes, err);
    if (status == ELLM_OK) status = source_read(job->input, t, t->bytes - bytes, sample + bytes, bytes, err);
    if (status != ELLM_OK) break;
    hash128(sample, 2 * bytes, digest);
    ok = ellm_buffer_append(&text, &dealt_out, 1) && ellm_buffer_append(&text, t->name, strlen(t->name) + 1) &&
         ellm_buffer_append(&text, &t->dtype, sizeof t->dtype) &&
         ellm_buffer_append(&text, t->shape, sizeof t->shape) && ellm_buffer_append(&text, digest, sizeof digest);
  }
  if (status == ELLM_OK && !ok) status = ellm_fail_memory(err, text.size, "a key");
  if (status == ELLM_OK) hash128(text.data, text.size, key);
  ellm_buffer_free(&text);
  return status;
}

/* To a size nothing is dealt out: all ranks measure one model together. */
static ellm_status deal_out(compress_job *job, ellm_error *err) {
  const size_t n = source_count(job->input);
  uint8_t key[16];
  bool *matrix = calloc(n + 1, sizeof *matrix);
  if (matrix == NULL) return ellm_fail_memory(err, n, "matrices");
  for (size_t i = 0; i < n; i++) matrix[i] = job->options->target == ELLM_TARGET_NONE && is_matrix(job, i);
  const ellm_status status = dealt_open(job->options->team, job->input, matrix, &job->dealt, err);
  free(matrix);
  ELLM_TRY(status);
  ELLM_TRY(common_key(job, key, err));
  return dealt_compare(job->dealt, key, err);
}

/* The file of this rank's matrices, which an earlier run may have begun. */
static ellm_status open_own(compress_job *own, const char *path, ellm_error *err) {
  const bool resume = own->options->resume;
  file_writer_options files = {.overwrite = true, .keep_partial = resume};
  if (resume) ELLM_TRY(open_journal(own, path, &files, err));
  ELLM_TRY(container_writer_open(path, &files, &own->writer, err));
  if (!resume) journal_remove(path);
  ELLM_TRY(report_start(own->report, source_count(own->input), err));
  progress_start(&own->meter, own->options->progress, own->options->progress_user, dealt_own_bytes(own->dealt));
  return open_matrices(own, path, err);
}

static ellm_status write_own(compress_job *own, const char *path, ellm_error *err) {
  ELLM_TRY(open_own(own, path, err));
  for (size_t i = 0; i < source_count(own->input); i++) {
    if (!dealt_is_own(own->dealt, i)) continue;
    ELLM_TRY(add_tensor(own, i, err));
    ELLM_TRY(dealt_remember(own->dealt, i, own->writer, own->digests[i], err));
  }
  return source_unchanged(own->input, err);
}

static ellm_status join(compress_job *job, const char *out_path, ellm_error *err);

/* This rank's matrices, then all of them: rank 0 joins what the others hand over. */
static ellm_status compress_together(compress_job *job, const char *out_path, ellm_error *err) {
  const ellm_compress_team *team = job->options->team;
  char name[48];
  snprintf(name, sizeof name, ".%u-of-%u", (unsigned)team->rank + 1, (unsigned)team->n_ranks);
  if (team->rank == 0) ELLM_TRY(look_at_output(job, out_path, err)); /* the others wait for it in deal_out */
  ELLM_TRY(deal_out(job, err));
  char *path = path_append(out_path, name), *partial = path != NULL ? path_append(path, PARTIAL_ENDING) : NULL;
  compress_job own = {.options = job->options,
                      .input = job->input,
                      .workers = job->workers,
                      .report = report_create(),
                      .digests = job->digests,
                      .run = job->run,
                      .dealt = job->dealt};
  ellm_status status = partial != NULL && own.report != NULL ? write_own(&own, path, err)
                                                             : ellm_fail_memory(err, sizeof *own.report, "a report");
  if (status == ELLM_OK) {
    job->own = own.writer;
    status = team->rank == 0 ? join(job, out_path, err) : dealt_hand_over(job->dealt, own.writer, err);
  }
  matrix_writer_close(&own.matrices);
  container_writer_abort(own.writer);
  journal_close(own.journal);
  ellm_report_free(own.report);
  if (status == ELLM_OK) {
    unlink(partial); /* where it can be resumed it is still there */
    journal_remove(path);
  }
  free(path);
  free(partial);
  return status;
}

/* ------------------------------------------------------------------------ the whole */

static ellm_status finish(compress_job *job, const char *out_path, ellm_error *err) {
  uint8_t identity[16];
  ellm_totals totals;
  ELLM_TRY(source_identity_of(job->input, job->digests, identity, err));
  ELLM_TRY(source_unchanged(job->input, err)); /* else its passes may not agree */
  container_writer *writer = job->writer;
  job->writer = NULL; /* commit frees it in any case */
  ELLM_TRY(container_writer_commit(writer, identity, &totals, err));
  if (job->journal != NULL) journal_remove(out_path);
  if (job->kept_plan != NULL && !job->options->dry_run) unlink(job->kept_plan);
  job->report->totals = totals;
  return ELLM_OK;
}

static ellm_status join(compress_job *job, const char *out_path, ellm_error *err) {
  ELLM_TRY(open_output(job, out_path, err));
  ELLM_TRY(write_all(job, err));
  ELLM_TRY(finish(job, out_path, err));
  return dealt_release(job->dealt, err);
}

static ellm_status compress_source(compress_job *job, const char *out_path, ellm_error *err) {
  const ellm_compress_options *options = job->options;
  const ellm_compress_team *team = options->team;
  uint64_t total = 0;
  size_t n = source_count(job->input);
  for (size_t i = 0; i < n; i++) total += source_at(job->input, i)->bytes;
  progress_start(&job->meter, options->progress, options->progress_user, total);
  ELLM_TRY(report_start(job->report, n, err));
  job->report->source_bytes = total;
  ELLM_TRY(check_names(job->input, err));
  ELLM_TRY(warn(job, err));
  ELLM_TRY(workers_create(options->threads, &job->workers, err));
  job->digests = calloc(n + 1, sizeof *job->digests);
  if (job->digests == NULL) return ellm_fail_memory(err, n * 16, "digests");
  const bool together = team != NULL && team->n_ranks > 1, sized = options->target != ELLM_TARGET_NONE;
  if (together && sized) ELLM_TRY(deal_out(job, err));
  if (together && !sized && !options->dry_run) return compress_together(job, out_path, err);
  ELLM_TRY(open_output(job, out_path, err));
  ELLM_TRY(open_matrices(job, out_path, err));
  ELLM_TRY(open_sized(job, out_path, err));
  ELLM_TRY(write_all(job, err));
  return finish(job, out_path, err);
}

static void release(compress_job *job) {
  container_writer_abort(job->writer);
  journal_close(job->journal);
  matrix_writer_close(&job->matrices);
  dealt_close(job->dealt);
  runnable_free(&job->run);
  any_size_close(job->sized);
  free(job->digests);
  free(job->kept_plan);
  workers_free(&job->workers);
  source_close(job->input);
}

/* `kept`: where measurements are kept, if options do not say; NULL: nowhere, or where a run that can be resumed has
 * them. */
static ellm_status compress_opened(tensor_source *input, const char *out_path, const ellm_compress_options *options,
                                   const char *kept, ellm_report **report, ellm_error *err) {
  if (report != NULL) *report = NULL;
  compress_job job = {.options = options, .input = input, .report = report_create()};
  if (kept != NULL) job.kept_plan = path_append(kept, "");
  ellm_status status = job.report == NULL || (kept != NULL && job.kept_plan == NULL)
                           ? ellm_fail_memory(err, sizeof *job.report, "a report")
                       : source_count(job.input) == 0
                           ? ellm_fail(err, ELLM_ERR_INPUT, "%s: no tensors to compress", source_path(input))
                       : source_compressed(job.input)
                           ? ellm_fail(err, ELLM_ERR_INPUT, "%s: this is a .ellm file already: compress the folder "
                                                            "that it was made from", source_path(input))
                           : compress_source(&job, out_path, err);
  release(&job);
  if (status == ELLM_OK && report != NULL) *report = job.report;
  else ellm_report_free(job.report);
  return status;
}

ellm_status compress_from_source(tensor_source *input, const char *out_path, const ellm_compress_options *options,
                                 ellm_report **report, ellm_error *err) {
  return compress_opened(input, out_path, options, NULL, report, err);
}

static ellm_status compress_path(const char *path, const char *out_path, const ellm_compress_options *options,
                                 const char *kept, ellm_report **report, ellm_error *err) {
  const source_options from = {
      .assets = {.include = options->include, .n_include = options->n_include, .needed_only = options->no_assets}};
  tensor_source *input;
  ELLM_TRY(source_open(path, &from, &input, err));
  return compress_opened(input, out_path, options, kept, report, err);
}

/* What rank 0 knows when ranks begin to measure together, and the others are told. */
typedef struct measured_before {
  bool measure;  /* something is left to measure */
  uint8_t *data; /* a plan that has the text and lacks the curves; NULL: none */
  uint64_t bytes;
} measured_before;

/* Rank 0 looks at its plan. One that is damaged is as none if it was kept by an earlier run; if it was asked for, nothing
 * is measured, as making the file refuses it. */
static ellm_status look_at_plan(const char *plan_path, bool kept, measured_before *known, ellm_error *err) {
  enum { MOST_BYTES = 1 << 30 }; /* as measurements_open reads */
  size_t bytes;
  if (plan_path == NULL || !file_exists(plan_path)) return ELLM_OK;
  ELLM_TRY(file_read_all(plan_path, MOST_BYTES, &known->data, &bytes, err));
  known->bytes = bytes;
  measurements m = {.path = NULL};
  const ellm_status status = measurements_parse(known->data, bytes, plan_path, &m, err);
  known->measure = status == ELLM_OK ? m.n_curves == 0 : kept;
  if (status != ELLM_OK) known->bytes = 0;
  measurements_free(&m);
  return status == ELLM_ERR_INPUT ? ELLM_OK : status;
}

/* Rank 0 tells the others what it knows. */
static ellm_status agree(const ellm_compress_team *team, measured_before *known, ellm_error *err) {
  enum { PIECE = 65536 }; /* the most that `pass` takes */
  uint8_t head[16];
  const uint32_t first = team->rank == 0 ? 1 : team->rank, end = team->rank == 0 ? team->n_ranks : first + 1;
  store_u64(head, known->measure);
  store_u64(head + 8, known->measure ? known->bytes : 0);
  for (uint32_t r = first; r < end; r++) ELLM_TRY(team->pass(team->user, 0, r, head, sizeof head, err));
  known->measure = load_u64(head) != 0;
  if (team->rank != 0) known->bytes = load_u64(head + 8);
  if (!known->measure || known->bytes == 0) return ELLM_OK;
  if (team->rank != 0 && (known->data = malloc((size_t)known->bytes)) == NULL)
    return ellm_fail_memory(err, (size_t)known->bytes, "a plan");
  for (uint64_t at = 0, n; at < known->bytes; at += n) {
    n = known->bytes - at < PIECE ? known->bytes - at : PIECE;
    for (uint32_t r = first; r < end; r++) ELLM_TRY(team->pass(team->user, 0, r, known->data + at, (size_t)n, err));
  }
  return ELLM_OK;
}

/* Another rank's copy of rank 0's plan, for as long as it measures. NULL in *path: it can have none. */
static ellm_status copy_plan(const ellm_compress_team *team, const char *plan_path, const measured_before *known,
                             char **path, ellm_error *err) {
  static const file_writer_options how = {.overwrite = true, .unfinished = true};
  char ending[64];
  *path = NULL;
  if (team->rank == 0 || plan_path == NULL) return ELLM_OK;
  snprintf(ending, sizeof ending, ".%u-of-%u" PARTIAL_ENDING, (unsigned)team->rank + 1, (unsigned)team->n_ranks);
  file_writer *file;
  if ((*path = path_append(plan_path, ending)) == NULL) return ellm_fail_memory(err, strlen(plan_path), "a path");
  if (known->data == NULL) return ELLM_OK;
  ELLM_TRY(file_writer_open(*path, &how, &file, err));
  const ellm_status status = file_writer_append(file, known->data, (size_t)known->bytes, err);
  if (status == ELLM_OK) return file_writer_commit(file, err);
  file_writer_abort(file);
  return status;
}

/*
 * To a size. All ranks measure the model together, as members of a team, which is most of the work; what they find is
 * kept in a plan by rank 0. It continues alone with that, since the step of each matrix depends on the sizes of those
 * before it. A plan that is there already, and has the text alone, is copied to the others, so that they go on together.
 */
static ellm_status compress_sized_together(const char *path, const char *out_path, const ellm_compress_options *options,
                                           ellm_report **report, ellm_error *err) {
  const ellm_compress_team *team = options->team;
  const bool keeps = options->plan == NULL && !options->dry_run; /* beside the output, as a run that can be resumed */
  char *kept = keeps ? path_append(out_path, PLAN_ENDING) : NULL, *copy = NULL;
  if (keeps && kept == NULL) return ellm_fail_memory(err, strlen(out_path), "a path");
  if (keeps && !options->resume && team->rank == 0) unlink(kept);
  ellm_compress_options measuring = *options, alone = *options;
  const char *plan_path = keeps ? kept : options->plan;
  measured_before known = {.measure = options->calibrate != ELLM_CALIBRATE_NONE};
  alone.team = NULL;
  measuring.dry_run = true;
  ellm_status status = known.measure && team->rank == 0 ? look_at_plan(plan_path, keeps, &known, err) : ELLM_OK;
  if (status == ELLM_OK) status = agree(team, &known, err);
  if (status == ELLM_OK) status = copy_plan(team, plan_path, &known, &copy, err);
  const bool copied = copy != NULL && known.data != NULL;
  const char *own = team->rank == 0 ? plan_path : copied ? copy : NULL;
  measuring.plan = keeps ? NULL : own;
  const bool measure = known.measure, last = options->dry_run || team->rank != 0; /* of what this rank does */
  if (status == ELLM_OK && measure)
    status = compress_path(path, out_path, &measuring, keeps ? own : NULL, last ? report : NULL, err);
  if (status == ELLM_OK && team->rank == 0 && (!last || !measure))
    status = compress_path(path, out_path, &alone, kept, report, err);
  if (status == ELLM_OK && team->rank != 0 && report != NULL && *report == NULL && (*report = report_create()) == NULL)
    status = ellm_fail_memory(err, sizeof **report, "a report");
  if (keeps && team->rank == 0 && !options->resume) unlink(kept);
  if (copy != NULL) unlink(copy);
  free(known.data);
  free(copy);
  free(kept);
  return status;
}

ellm_status ellm_compress(const char *checkpoint_dir, const char *out_path, const ellm_compress_options *options,
                          ellm_report **report, ellm_error *err) {
  if (report != NULL) *report = NULL;
  ELLM_SIZED(ellm_compress_options, own, options, err);
  ELLM_TRY(compress_check_options(&own, err));
  if (own.team != NULL && own.team->n_ranks > 1 && own.target != ELLM_TARGET_NONE)
    return compress_sized_together(checkpoint_dir, out_path, &own, report, err);
  return compress_path(checkpoint_dir, out_path, &own, NULL, report, err);
}
