/* SPDX-License-Identifier: Apache-2.0 */
/* Items one by one; the state file. */
#include "eval/run.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "json/json.h"

static const char first_line[] = "entrollm evaluation state 1\n";
enum { STATE_LIMIT = 1 << 30 };

/* ------------------------------------------------------------- state files */

typedef struct state_file {
  const char *path;
  FILE *stream;
  size_t done; /* items that it holds */
} state_file;

/* Name the first field in which two identities differ. */
static ellm_status other_evaluation(const char *path, const json_t *has, const json_t *wants, ellm_error *err) {
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)wants, key, value) {
    const json_t *other = json_object_get(has, key);
    if (other && json_equal(other, value)) continue;
    char *a = other ? json_dumps(other, JSON_ENCODE_ANY) : NULL, *b = json_dumps(value, JSON_ENCODE_ANY);
    ellm_status status =
        ellm_fail(err, ELLM_ERR_USAGE, "%s: the state is of another evaluation: %s is %.80s, not %.80s", path, key,
                  a ? a : "not there", b ? b : "?");
    free(a);
    free(b);
    return status;
  }
  return ellm_fail(err, ELLM_ERR_USAGE, "%s: the state is of another evaluation", path);
}

static bool parse_hex(const char **text, const char *end, uint64_t *value) {
  const char *at = *text;
  if (end - at < 17 || *at++ != ' ') return false;
  *value = 0;
  for (int i = 0; i < 16; i++, at++) {
    int digit = *at >= '0' && *at <= '9' ? *at - '0' : *at >= 'a' && *at <= 'f' ? *at - 'a' + 10 : -1;
    if (digit < 0) return false;
    *value = *value << 4 | (uint64_t)digit;
  }
  *text = at;
  return true;
}

/* "index v v v": the values of item `index`; false if it is no such line. */
static bool parse_item(const char *line, const char *end, size_t index, double *values, size_t n_values) {
  char number[24];
  int length = snprintf(number, sizeof number, "%zu", index);
  if (end - line < length || memcmp(line, number, (size_t)length) != 0) return false;
  line += length;
  for (size_t i = 0; i < n_values; i++) {
    uint64_t bits;
    if (!parse_hex(&line, end, &bits)) return false;
    memcpy(&values[i], &bits, sizeof bits);
  }
  return line == end;
}

/* Items of an existing file; *keep is the number of its bytes to keep. */
static ellm_status parse_state(state_file *state, const char *text, size_t bytes, const eval_task *task, double *values,
                               size_t *keep, ellm_error *err) {
  const size_t head = sizeof first_line - 1;
  const char *end = text + bytes, *line = text + head, *newline;
  json_t *identity = NULL;
  *keep = 0;
  if (bytes == 0) return ELLM_OK;
  if (bytes < head || memcmp(text, first_line, head) != 0)
    return ellm_fail(err, ELLM_ERR_USAGE, "%s: not an evaluation state", state->path);
  if (!(newline = memchr(line, '\n', (size_t)(end - line)))) return ELLM_OK; /* cut in the head: begin again */
  ELLM_TRY(json_parse(line, (size_t)(newline - line), state->path, &identity, err));
  bool same = json_equal(identity, task->identity);
  ellm_status status = same ? ELLM_OK : other_evaluation(state->path, identity, task->identity, err);
  json_decref(identity);
  ELLM_TRY(status);
  for (line = newline + 1; (newline = memchr(line, '\n', (size_t)(end - line))); line = newline + 1) {
    /* More items than asked for are fine: --limit may shrink between runs. */
    if (state->done < task->n_items &&
        !parse_item(line, newline, state->done, values + state->done * task->n_values, task->n_values))
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: the line of item %zu is damaged", state->path, state->done);
    if (state->done < task->n_items) state->done++;
  }
  *keep = (size_t)(line - text);
  return ELLM_OK;
}

static ellm_status open_state(state_file *state, const eval_task *task, double *values, ellm_error *err) {
  uint8_t *text = NULL;
  size_t bytes = 0, keep = 0;
  ellm_status status = ELLM_OK;
  if (file_exists(state->path)) {
    ELLM_TRY(file_read_all(state->path, STATE_LIMIT, &text, &bytes, err));
    status = parse_state(state, (const char *)text, bytes, task, values, &keep, err);
    free(text);
    ELLM_TRY(status);
  }
  state->stream = fopen(state->path, keep ? "r+" : "w");
  if (!state->stream) return ellm_fail_errno(err, errno, "write", state->path);
  if (keep && (ftruncate(fileno(state->stream), (off_t)keep) != 0 || fseek(state->stream, 0, SEEK_END) != 0))
    return ellm_fail_errno(err, errno, "write", state->path);
  if (!keep) {
    char *identity = json_dumps(task->identity, JSON_COMPACT);
    if (!identity) return ellm_fail_memory(err, 1000, "the state");
    if (fprintf(state->stream, "%s%s\n", first_line, identity) < 0 || fflush(state->stream) != 0)
      status = ellm_fail_errno(err, errno, "write", state->path);
    free(identity);
  }
  return status;
}

static ellm_status append_state(state_file *state, size_t index, const double *values, size_t n_values,
                                ellm_error *err) {
  fprintf(state->stream, "%zu", index);
  for (size_t i = 0; i < n_values; i++) {
    uint64_t bits;
    memcpy(&bits, &values[i], sizeof bits);
    fprintf(state->stream, " %016" PRIx64, bits);
  }
  fputc('\n', state->stream);
  if (fflush(state->stream) != 0 || ferror(state->stream))
    return ellm_fail_errno(err, errno, "write", state->path);
  return ELLM_OK;
}

/* -------------------------------------------------------------------- items */

static ellm_status report_progress(const eval_task *task, const ellm_eval_options *options, const double *values,
                                   size_t done, ellm_error *err) {
  char text[EVAL_RUNNING_TEXT] = "";
  if (!options->progress) return ELLM_OK;
  if (done && task->running) task->running(task->self, values, done, text);
  ellm_progress step = {task->stage, text, done, task->n_items, ELLM_UNIT_ITEMS};
  if (options->progress(options->progress_user, &step) || done == task->n_items) return ELLM_OK;
  return ellm_fail(err, ELLM_INTERRUPTED, "interrupted after %zu of %zu items%s%s", done, task->n_items,
                   options->state ? "; they are kept in " : "", options->state ? options->state : "");
}

static ellm_status run_items(const eval_task *task, const ellm_eval_options *options, state_file *state, double *values,
                             ellm_error *err) {
  for (size_t i = state->done; i < task->n_items; i++) {
    double *own = values + i * task->n_values;
    ELLM_TRY(report_progress(task, options, values, i, err));
    ELLM_TRY(task->item(task->self, i, own, err));
    if (state->stream) ELLM_TRY(append_state(state, i, own, task->n_values, err));
  }
  return report_progress(task, options, values, task->n_items, err);
}

ellm_status eval_run(const eval_task *task, const ellm_eval_options *options, double *values, size_t *n_resumed,
                     ellm_error *err) {
  state_file state = {options->state, NULL, 0};
  ellm_status status = state.path ? open_state(&state, task, values, err) : ELLM_OK;
  if (n_resumed) *n_resumed = state.done;
  if (status == ELLM_OK) status = run_items(task, options, &state, values, err);
  if (state.stream && fclose(state.stream) != 0 && status == ELLM_OK)
    status = ellm_fail_errno(err, errno, "write", state.path);
  return status;
}
